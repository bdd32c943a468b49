"""Occlusion edges: one logit, probabilities between networks; the truth is made from depth, -1 = missing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from umadapt.config import ModelSpec
from umadapt.data.maps import ShareMap, Trust
from umadapt.distributed import global_batch
from umadapt.tasks.base import PLAIN, Column, Counting, masked_mean, mean_map, weighted_sum
from umadapt.tasks.resize import resize_map
from umadapt.tasks.seg import SURE, part_of, pseudo_softmax

JUMP = 0.15  # OURS: of inverse depth, relative to the nearer side: 0.5 m behind what is 3 m away
# OURS: neighbours are this share of the height apart, two pixels of the paper's 128 rows, because resizing smears a
# step over two pixels: edges found on that grid have an F-score of 0.78 against those of NYUDv2's 480 rows; 0.51 if 128
ROWS = 64
BINS = 1000  # of the probabilities that the meter tells apart


def occlusion_edges(depth_m: Tensor) -> Tensor:
    """Where one surface hides another: both sides of each jump in depth that is no slanted plane.

    Inverse depth is affine in pixels on a plane, so that its second difference is 0 there, however steep. An edge is
    where, along rows or columns, the second difference and a first difference both exceed JUMP of the nearest of the
    three pixels; the latter leaves out creases between surfaces that meet. Relative: of no unit, and the same after a
    zoom that divides depth. Neighbours are a 64th of the height apart, so that edges are as thick at any resolution.

    Args:
        depth_m: (..., H, W), 0 = missing.

    Returns:
        (..., H, W) float32: 1 edge, 0 none, -1 missing: the pixel's own depth or a neighbour's is.
    """
    known = depth_m > 0
    inverse = torch.where(known, 1 / depth_m.clamp(min=1e-6), 0.0)
    reach = max(1, round(depth_m.shape[-2] / ROWS))
    edge, sound = torch.zeros_like(known), known.clone()
    for axis in (-2, -1):
        length = depth_m.shape[axis]
        if length <= 2 * reach:
            continue
        before, here, after = (inverse.narrow(axis, k * reach, length - 2 * reach) for k in range(3))
        nearest = JUMP * torch.maximum(torch.maximum(before, after), here)
        bend = (before - 2 * here + after).abs()
        step = torch.maximum((before - here).abs(), (after - here).abs())
        inner = (axis, reach, length - 2 * reach)  # at the border a side is not seen: no evidence, no edge
        edge.narrow(*inner).logical_or_((bend > nearest) & (step > nearest))
        near, far = (known.narrow(axis, k * reach, length - 2 * reach) for k in (0, 2))
        sound.narrow(*inner).logical_and_(near & far)
    return torch.where(sound, edge.float(), -1.0)


class Edges(ShareMap):
    """Occlusion edges under class-balanced cross-entropy, with a truth made from depth."""

    name = "edges"
    title = "Occlusion edges"
    label = "depth"
    channels = 1
    columns = (
        Column("ap", "average precision", True),
        Column("f", "best F-score", True),
        Column("share", "share of edges", False),
    )
    error = "|p - y|"
    has_level = False
    categorical = False
    metric = False

    def __init__(self, softened: float = 0.5):
        super().__init__()
        self.softened = softened

    @classmethod
    def from_spec(cls, spec: ModelSpec) -> Edges:
        return cls(spec.pseudo_softmax)

    @staticmethod
    def derive(label: Tensor) -> Tensor:
        return occlusion_edges(label)

    def activate(self, raw: Tensor) -> Tensor:
        return raw

    def to_physical(self, prediction: Tensor) -> Tensor:
        return prediction.sigmoid()

    def prepare(self, truth: Tensor) -> Tensor:
        return truth

    def encode(self, prediction: Tensor) -> Tensor:
        return prediction.sigmoid()

    def encode_truth(self, truth: Tensor, generator: torch.Generator | None = None, *, soften: bool = True) -> Tensor:
        """0 or 1 for one part of the batch, probabilities near them for the other, as seg; missing pixels are 0."""
        edge = truth.clamp(min=0)
        part, among = part_of(len(truth), self.softened if soften else 0.0, generator)
        part = part.to(truth.device)
        if among.total:
            hot = torch.cat([1 - edge[part], edge[part]], dim=1)
            edge[part] = pseudo_softmax(hot, generator, rows=among)[:, 1:] * (truth[part] >= 0)
        return edge

    def as_prediction(self, truth: Tensor) -> tuple[Tensor, Tensor]:
        return SURE * (2 * truth - 1), truth.squeeze(1) >= 0

    def loss(self, prediction: Tensor, truth: Tensor) -> Tensor:
        """Cross-entropy, the mean over edges and the mean over all else weighing the same.

        This is the class balance of HED (Xie and Tu, ICCV 2015, Equation 2), where each class weighs the other's share
        of the pixels. OURS: divided by the product of the shares, so that the loss is as large in a batch of few
        edges as in one of many. The probabilities are those of a world where every other pixel is an edge.
        """
        values = F.binary_cross_entropy_with_logits(prediction, truth.clamp(min=0), reduction="none")
        edge, rest = truth == 1, truth == 0
        present = global_batch.largest(edge.any().float()) + global_batch.largest(rest.any().float())
        return (masked_mean(values, edge) + masked_mean(values, rest)) / present.clamp(min=1)

    def energy_map(self, cross: Tensor, direct: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(cross, direct.sigmoid(), reduction="none").squeeze(1)

    def energy(self, cross: Tensor, direct: Tensor) -> Tensor:
        """Cross-entropy against the direct prediction's probabilities, unweighted as that of seg and for its reason."""
        return global_batch.mean(F.binary_cross_entropy_with_logits(cross, direct.sigmoid()))

    def real_energy(self, cross: Tensor, truth: Tensor) -> Tensor:
        values = F.binary_cross_entropy_with_logits(cross, truth.clamp(min=0), reduction="none")
        return masked_mean(values, truth >= 0)

    @torch.no_grad()
    def accuracy(self, prediction: Tensor, truth: Tensor) -> dict[str, float]:
        """The F-score at probability 0.5."""
        found, edge, valid = prediction > 0, truth == 1, truth >= 0
        hits, chosen, edges = (float(global_batch.total(x.sum())) for x in (found & edge, found & valid, edge))
        return {"f": 2 * hits / max(1.0, chosen + edges)}

    def mirror(self, prediction: Tensor) -> Tensor:
        return prediction.flip(-1)

    def shrink(self, prediction: Tensor, s: float | Tensor) -> Tensor:
        return prediction

    def in_front(self, truth: Tensor, prediction: Tensor) -> Tensor:
        return torch.ones_like(prediction[:, 0], dtype=torch.bool)

    def merge(self, predictions: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
        """Logarithmic pool: the odds are multiplied."""
        return weighted_sum(predictions, weights)

    @property
    def trust(self) -> Trust:
        """White is the cross-entropy of a coin toss."""
        return Trust(math.log(2), "nats")

    def resize(self, physical: Tensor, size: tuple[int, int], never: Sequence[int] = ()) -> Tensor:
        """Probabilities, bilinear: (1, h, w) to (H, W)."""
        return resize_map(physical, size).squeeze(0)

    def meter(self, counting: Counting = PLAIN) -> EdgesMeter:
        return EdgesMeter()

    def constant(self, truths: Iterable[Tensor]) -> Tensor:
        """The share of the photos with an edge at each pixel."""
        return mean_map((truth.unsqueeze(0), truth >= 0) for truth in truths)

    def pixel_error(self, found: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        return (found - truth).abs(), truth >= 0


class EdgesMeter:
    """Average precision and the best F-score over all valid pixels, from a histogram of the probabilities.

    Keys: ap, the mean of precision over recall (sum of P_k (R_k - R_k-1) over falling thresholds k); f, the largest
    2 P R / (P + R) with one threshold for all photos (ODS of Arbelaez et al., PAMI 2011, but pixel by pixel: an edge
    one pixel off is wrong); threshold, where that is; share, of edges among the pixels: the ap of a blind guess.
    """

    def __init__(self) -> None:
        self._counts = torch.zeros(2, BINS, dtype=torch.int64)  # none, edge

    def update(self, prediction: Tensor, truth: Tensor) -> None:
        """Add probabilities of any shape beside truth of as many pixels: 1 edge, 0 none, -1 missing."""
        prediction, truth = prediction.reshape(-1).float(), truth.reshape(-1)
        valid = truth >= 0
        bins = (prediction[valid] * BINS).long().clamp(0, BINS - 1)
        cells = torch.bincount(truth[valid].long() * BINS + bins, minlength=2 * BINS)
        self._counts += cells.reshape(2, BINS).cpu()

    def merge(self, other: EdgesMeter) -> None:
        """Add what another meter has seen."""
        self._counts += other._counts

    def compute(self) -> dict[str, float]:
        """Fractions; empty when there was no edge, for then there is nothing to find."""
        none, edge = self._counts.double().flip(1).cumsum(1)  # found at thresholds 0.999, 0.998, … 0
        total = edge[-1]
        if not total:
            return {}
        precision, recall = edge / (none + edge).clamp(min=1), edge / total
        f = 2 * precision * recall / (precision + recall).clamp(min=1e-12)
        best = int(f.argmax())
        return {
            "ap": float((precision * recall.diff(prepend=recall.new_zeros(1))).sum()),
            "f": float(f[best]),
            "threshold": (BINS - 1 - best) / BINS,
            "share": float(total / (none[-1] + total)),
        }
