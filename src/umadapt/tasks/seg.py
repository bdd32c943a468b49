"""Semantic segmentation: logits in the network, probabilities between networks, ids outside."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from umadapt.config import ModelSpec
from umadapt.data.maps import SegMap, Trust
from umadapt.distributed import global_batch
from umadapt.tasks.base import PLAIN, Column, Counting, masked_mean, weighted_sum
from umadapt.tasks.metrics import SegMeter
from umadapt.tasks.resize import resize_labels

SURE = 12.0  # logit of a class that is known; of 40 it has a probability of .9998


class Seg(SegMap):
    """Semantic segmentation under class-weighted cross-entropy.

    Args:
        classes: names, in the order of their ids.
        weights: one weight a class, or empty for equal weights.
        ignore: id of unlabelled pixels.
        softened: share of the real tuples whose maps look like softmax outputs.
    """

    name = label = "seg"
    title = "Segmentation"
    columns = (
        Column("miou", "mean IoU", True),
        Column("macc", "mean acc.", True),
        Column("pacc", "pixel acc.", True),
    )
    error = "1 where the class is wrong"
    has_level = False
    categorical = True
    metric = False

    def __init__(self, classes: Sequence[str], weights: Sequence[float] = (), ignore: int = 255, softened: float = 0.5):
        super().__init__(classes, ignore)
        self.channels = len(self.classes)
        self.softened = softened
        self.weights = torch.tensor(weights, dtype=torch.float32) if len(weights) else None

    @classmethod
    def from_spec(cls, spec: ModelSpec) -> Seg:
        weights = class_weights(spec.class_frequencies, spec.class_weights)
        return cls(spec.classes, weights, spec.ignore, spec.pseudo_softmax)

    @staticmethod
    def derive(label: Tensor) -> Tensor:
        return label

    def activate(self, raw: Tensor) -> Tensor:
        return raw

    def to_physical(self, prediction: Tensor) -> Tensor:
        return prediction

    def prepare(self, truth: Tensor) -> Tensor:
        return truth

    def encode(self, prediction: Tensor) -> Tensor:
        return prediction.softmax(1)

    def encode_truth(self, truth: Tensor, generator: torch.Generator | None = None, *, soften: bool = True) -> Tensor:
        """One-hot for one part of the batch, pseudo-softmax for the other, half of it (supplement, "Other details")."""
        hot = one_hot(truth, self.channels, self.ignore)
        part, among = part_of(len(truth), self.softened if soften else 0.0, generator)
        part = part.to(truth.device)
        if among.total:  # of a shared batch each rank draws for all, also where it holds none of them
            hot[part] = pseudo_softmax(hot[part], generator, rows=among)
        return hot

    def as_prediction(self, truth: Tensor) -> tuple[Tensor, Tensor]:
        return SURE * one_hot(truth, self.channels, self.ignore), truth != self.ignore

    def loss(self, prediction: Tensor, truth: Tensor) -> Tensor:
        """Weighted cross-entropy, normalised by the weights of the valid pixels."""
        valid = truth != self.ignore
        safe = truth.where(valid, 0)
        values = F.cross_entropy(prediction, safe, reduction="none")  # (B, h, w)
        if self.weights is None:
            return masked_mean(values, valid)
        weights = torch.where(valid, self.weights.to(prediction)[safe], torch.zeros_like(values))
        loss = global_batch.total((weights * torch.where(valid, values, torch.zeros_like(values))).sum())
        return loss / global_batch.total(weights.sum()).clamp(min=1e-6)

    def energy_map(self, cross: Tensor, direct: Tensor) -> Tensor:
        return -(direct.softmax(1) * cross.log_softmax(1)).sum(1)  # spelt out: ONNX knows no soft cross-entropy

    def energy(self, cross: Tensor, direct: Tensor) -> Tensor:
        """Soft cross-entropy against the direct prediction's distribution.

        OURS: unweighted. The gradient also flows through the distribution, which could lower a weighted energy
        by moving its mass to classes of small weight.
        """
        return global_batch.mean(F.cross_entropy(cross, direct.softmax(1)))

    def real_energy(self, cross: Tensor, truth: Tensor) -> Tensor:
        """Unweighted, as `energy` is, so that the two compare."""
        valid = truth != self.ignore
        return masked_mean(F.cross_entropy(cross, truth.where(valid, 0), reduction="none"), valid)

    @torch.no_grad()
    def accuracy(self, prediction: Tensor, truth: Tensor) -> dict[str, float]:
        valid = truth != self.ignore
        return {"pacc": masked_mean((prediction.argmax(1) == truth).float(), valid).item()}

    def mirror(self, prediction: Tensor) -> Tensor:
        return prediction.flip(-1)

    def shrink(self, prediction: Tensor, s: float | Tensor) -> Tensor:
        return prediction

    def in_front(self, truth: Tensor, prediction: Tensor) -> Tensor:
        return torch.ones_like(prediction[:, 0], dtype=torch.bool)

    def merge(self, predictions: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
        """Logarithmic pool (Genest and Zidek, Statistical Science 1986): the probabilities are multiplied."""
        return weighted_sum([p.log_softmax(1) for p in predictions], weights)

    @property
    def trust(self) -> Trust:
        """White is the cross-entropy of a uniform guess."""
        return Trust(math.log(max(2, self.channels)), "nats")

    def resize(self, physical: Tensor, size: tuple[int, int], never: Sequence[int] = ()) -> Tensor:
        """Logits upsampled, then argmax: (C, h, w) to (H, W)."""
        return resize_labels(physical, size, never)

    def meter(self, counting: Counting = PLAIN) -> SegMeter:
        return SegMeter(self.classes, self.ignore, counting.never, counting.mean_over, counting.official_mean)

    def constant(self, truths: Iterable[Tensor]) -> Tensor:
        """How often each class was seen at each pixel, the most frequent being the largest; of equals, and where
        nothing is labelled, the one most frequent over all pixels."""
        counts = torch.zeros(())
        for truth in truths:
            if not counts.ndim:
                counts = torch.zeros(self.channels, *truth.shape)
            valid = truth != self.ignore
            ids = truth.where(valid, torch.zeros_like(truth)).long()
            counts.scatter_add_(0, ids.unsqueeze(0), valid.float().unsqueeze(0))
        return counts + counts.sum((1, 2), keepdim=True) / counts.sum().clamp(min=1)

    def pixel_error(self, found: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        return (found != truth).float(), truth != self.ignore


class MergedSeg(Seg):
    """Segmentation of a network whose classes are merged after it: outside, there are only the new ones.

    Args:
        seg: of the network.
        classes: the new ones.
        ids: of each of the network's classes its new id; None = never predicted.
    """

    def __init__(self, seg: Seg, classes: Sequence[str], ids: Sequence[int | None]):
        super().__init__(classes, ignore=seg.ignore, softened=seg.softened)
        self.channels, self.weights = seg.channels, seg.weights
        self.members = [[old for old, new in enumerate(ids) if new == id] for id in range(len(classes))]

    def to_physical(self, prediction: Tensor) -> Tensor:
        """Logits of the new classes, whose probabilities are sums of those of the old."""
        return torch.stack([prediction[:, old].logsumexp(1) for old in self.members], 1)


def class_weights(frequencies: Sequence[float], how: str) -> list[float]:
    """Weights of the classes in the loss: "median" frequency balancing (Eigen and Fergus, ICCV 2015) capped at 10,
    its square root ("sqrt"), or none. A class that is absent from the labels weighs 1."""
    present = [f for f in frequencies if f > 0]
    if how == "none" or not present:
        return []
    median = sorted(present)[(len(present) - 1) // 2]  # as torch.median
    weights = [min(median / f, 10.0) if f > 0 else 1.0 for f in frequencies]
    return [w**0.5 for w in weights] if how == "sqrt" else weights


def one_hot(truth: Tensor, channels: int, ignore: int) -> Tensor:
    """(B, h, w) ids to (B, channels, h, w); ignored pixels are all zero."""
    valid = (truth != ignore).unsqueeze(1)
    hot = torch.zeros(len(truth), channels, *truth.shape[1:], device=truth.device)
    return hot.scatter_(1, truth.unsqueeze(1).where(valid, torch.zeros_like(truth).unsqueeze(1)), valid.to(hot))


def part_of(count: int, share: float, generator: torch.Generator | None = None) -> tuple[Tensor, global_batch.Rows]:
    """A random share of a batch: the places of its samples among the `count` that are here, and its rows."""
    rows = global_batch.rows(count)
    return rows.pick(torch.randperm(rows.total, generator=generator)[: int(rows.total * share)])


def pseudo_softmax(
    hot: Tensor,
    generator: torch.Generator | None = None,
    std: float = 0.075,
    rows: global_batch.Rows | None = None,
) -> Tensor:
    """Make one-hot maps look like softmax outputs, so that nothing tells them apart by form alone (supplement).

    For each pixel the true class gets p ~ N(1, std) truncated to (0.5, 1], the rest of the mass is split over the
    other classes in proportion to uniform draws; argmax and sum stay as they are. (B, C, h, w) to the same.

    Args:
        rows: which of the samples that are drawn for these are; default: all.
    """
    b, channels, h, w = hot.shape
    rows = rows or global_batch.Rows(b, torch.arange(b))
    device = hot.device

    def draw(channels: int) -> Tensor:  # on the CPU: the same on every device
        return rows.draw(lambda count: torch.rand(count, channels, h, w, generator=generator)).to(device)

    # inverse transform of the half-normal: |N(0, std)| below 0.5, which is 6.7 sigma away at the default
    uniform = draw(1) * torch.erf(torch.tensor(0.5 / std / 2**0.5))
    p = 1 - torch.erfinv(uniform) * std * 2**0.5  # (B, 1, h, w) in (0.5, 1]
    other = draw(channels) * (1 - hot)
    other = other / other.sum(1, keepdim=True).clamp(min=1e-12)
    valid = hot.sum(1, keepdim=True)
    return (p * hot + (1 - p) * other) * valid if channels > 1 else hot
