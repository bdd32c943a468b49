"""Depth: one channel, metres / scale in the network, 0 = missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from umadapt.config import ModelSpec
from umadapt.data.maps import MAX_STEPS, DepthMap, Trust
from umadapt.distributed import global_batch
from umadapt.tasks.base import PLAIN, Column, Counting, masked_mean, mean_map, weighted_sum
from umadapt.tasks.metrics import DepthMeter
from umadapt.tasks.resize import resize_map

NEAR = 0.01  # network units (10 cm indoors): a depth below it counts as this much where it divides


def berhu(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """BerHu loss for each pixel (Laina et al., 3DV 2016, Equation 1): |x| up to c, (x^2 + c^2) / 2c beyond.

    c is a fifth of the largest valid residual of the batch and carries no gradient.
    """
    residual = (prediction - target).abs()
    with torch.no_grad():
        largest = global_batch.largest(torch.where(valid, residual, torch.zeros_like(residual)).amax())
        c = (0.2 * largest).clamp(min=1e-5)
    return torch.where(residual <= c, residual, (residual.square() + c.square()) / (2 * c))


def log_error(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Absolute error of the logarithm for each pixel; what lies below NEAR counts as that."""
    return (prediction.clamp(min=NEAR).log() - target.clamp(min=NEAR).log()).abs()


class Depth(DepthMap):
    """Monocular planar depth.

    Args:
        scale_m: metres of one network unit; keeps BerHu and alpha comparable between indoors and outdoors.
        head: "softplus" (OURS: a gradient everywhere, so that no pixel dies) or "relu" (FCRN).
        kind_of_loss: "berhu" (FCRN), or "log" (OURS: the absolute error of the logarithm, to first order that of the
            figure `rel`: near and far count alike).
    """

    name = label = "depth"
    title = "Depth"
    channels = 1
    columns = (
        Column("rel", "rel", False),
        Column("log10", "log10", False),
        Column("rms", "rms (m)", False),
        Column("d1", "δ < 1.25", True),
        Column("d2", "δ < 1.25²", True),
        Column("d3", "δ < 1.25³", True),
    )
    error = "|d - d*| / d*"
    has_level = True
    categorical = False
    metric = True

    def __init__(self, scale_m: float = 10.0, head: str = "softplus", kind_of_loss: str = "berhu"):
        # the largest depth that the file can hold is twice the network's unit at least, and 65 m indoors
        super().__init__(max(0.001, 2 * scale_m / MAX_STEPS))
        self.scale_m = scale_m
        self.head = head
        self.pixel_loss = log_error if kind_of_loss == "log" else berhu

    @classmethod
    def from_spec(cls, spec: ModelSpec) -> Depth:
        return cls(spec.depth_scale_m, spec.depth_head, spec.depth_loss)

    @staticmethod
    def derive(label: Tensor) -> Tensor:
        return label

    def activate(self, raw: Tensor) -> Tensor:
        return F.softplus(raw) if self.head == "softplus" else F.relu(raw)

    def to_physical(self, prediction: Tensor) -> Tensor:
        return prediction * self.scale_m

    def prepare(self, truth: Tensor) -> Tensor:
        return (truth / self.scale_m).clamp(max=1.0)  # the sky, and all that is farther, is the cap

    def encode(self, prediction: Tensor) -> Tensor:
        return prediction

    def encode_truth(self, truth: Tensor, generator: torch.Generator | None = None, *, soften: bool = True) -> Tensor:
        return truth

    def as_prediction(self, truth: Tensor) -> tuple[Tensor, Tensor]:
        return truth, truth.squeeze(1) > 0

    def loss(self, prediction: Tensor, truth: Tensor) -> Tensor:
        valid = truth > 0
        return masked_mean(self.pixel_loss(prediction, truth, valid), valid)

    def energy_map(self, cross: Tensor, direct: Tensor) -> Tensor:
        """OURS: a share of the depth, as the error `rel` is; in metres the far wall would always be in doubt."""
        return ((cross - direct).abs() / direct.clamp(min=NEAR)).squeeze(1)

    def energy(self, cross: Tensor, direct: Tensor) -> Tensor:
        everywhere = torch.ones_like(direct, dtype=torch.bool)
        return global_batch.mean(self.pixel_loss(cross, direct, everywhere).mean())

    def real_energy(self, cross: Tensor, truth: Tensor) -> Tensor:
        return self.loss(cross, truth)

    @torch.no_grad()
    def accuracy(self, prediction: Tensor, truth: Tensor) -> dict[str, float]:
        valid = truth > 0
        return {"rel": masked_mean((prediction - truth).abs() / truth.clamp(min=1e-3), valid).item()}

    def mirror(self, prediction: Tensor) -> Tensor:
        return prediction.flip(-1)

    def shrink(self, prediction: Tensor, s: float | Tensor) -> Tensor:
        return prediction * s

    def in_front(self, truth: Tensor, prediction: Tensor) -> Tensor:
        return ((truth > 0) & (truth < prediction)).squeeze(1)

    def merge(self, predictions: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
        return weighted_sum(predictions, weights)

    @property
    def trust(self) -> Trust:
        """OURS: white is half of the depth, fixed, so that maps of different photos compare."""
        return Trust(0.5, "share of the depth")

    def resize(self, physical: Tensor, size: tuple[int, int], never: Sequence[int] = ()) -> Tensor:
        return resize_map(physical, size).squeeze(0)

    def meter(self, counting: Counting = PLAIN) -> DepthMeter:
        return DepthMeter(pooled=not counting.per_image)

    def constant(self, truths: Iterable[Tensor]) -> Tensor:
        """The geometric mean of each pixel.

        OURS: on NYUDv2 it is within 2 % of the best of mean, median, geometric and harmonic mean in every figure but
        rel and sq_rel (6 %), which smaller depth would suit, to the harm of all others.
        """
        return mean_map((truth.clamp(min=1e-6).log().unsqueeze(0), truth > 0) for truth in truths).exp()

    def pixel_error(self, found: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        return (found - truth).abs() / truth.clamp(min=1e-6), truth > 0
