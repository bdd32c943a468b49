"""Surface normals: unit vectors in the camera frame (x right, y up, z towards the viewer), 0 = missing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from umadapt.config import ModelSpec
from umadapt.data.maps import NormalsMap, Trust
from umadapt.distributed import global_batch
from umadapt.tasks.base import PLAIN, Column, Counting, masked_mean, mean_map, weighted_sum
from umadapt.tasks.metrics import NormalsMeter
from umadapt.tasks.resize import resize_map


class Normals(NormalsMap):
    """Surface normals under the cosine loss.

    The paper's "inverse of element-wise dot product" read literally is singular at right angles; its Table 6 reports
    1 - |cos|, and the loss is 1 - cos, which also tells a normal from its opposite.
    """

    name = label = "normals"
    title = "Surface normals"
    channels = 3
    columns = (
        Column("mean", "mean (°)", False),
        Column("median", "median (°)", False),
        Column("11.25", "11.25°", True),
        Column("22.5", "22.5°", True),
        Column("30", "30°", True),
    )
    error = "angle in degrees"
    has_level = False
    categorical = False
    metric = False

    @classmethod
    def from_spec(cls, spec: ModelSpec) -> Normals:
        return cls()

    @staticmethod
    def derive(label: Tensor) -> Tensor:
        return label

    def activate(self, raw: Tensor) -> Tensor:
        return raw / raw.norm(dim=1, keepdim=True).clamp(min=1e-6)  # F.normalize, but for any size in an exported graph

    def to_physical(self, prediction: Tensor) -> Tensor:
        return prediction

    def prepare(self, truth: Tensor) -> Tensor:
        return truth

    def encode(self, prediction: Tensor) -> Tensor:
        return prediction

    def encode_truth(self, truth: Tensor, generator: torch.Generator | None = None, *, soften: bool = True) -> Tensor:
        return truth

    def as_prediction(self, truth: Tensor) -> tuple[Tensor, Tensor]:
        return truth, truth.square().sum(1) > 0.25  # unit or zero

    def loss(self, prediction: Tensor, truth: Tensor) -> Tensor:
        valid = truth.square().sum(1) > 0.25  # (B, h, w)
        return masked_mean(1 - (prediction * truth).sum(1), valid)

    def energy_map(self, cross: Tensor, direct: Tensor) -> Tensor:
        return (1 - (cross * direct).sum(1)).clamp(min=0)

    def energy(self, cross: Tensor, direct: Tensor) -> Tensor:
        return global_batch.mean((1 - (cross * direct).sum(1)).mean())

    def real_energy(self, cross: Tensor, truth: Tensor) -> Tensor:
        return self.loss(cross, truth)

    @torch.no_grad()
    def accuracy(self, prediction: Tensor, truth: Tensor) -> dict[str, float]:
        valid = truth.square().sum(1) > 0.25
        cosine = (prediction * truth).sum(1).clamp(-1, 1)
        return {"degrees": masked_mean(torch.arccos(cosine), valid).item() * 180 / math.pi}

    def mirror(self, prediction: Tensor) -> Tensor:
        return prediction.flip(-1) * prediction.new_tensor([-1.0, 1.0, 1.0]).view(3, 1, 1)

    def shrink(self, prediction: Tensor, s: float | Tensor) -> Tensor:
        return self.activate(torch.cat([prediction[:, :2], prediction[:, 2:] / s], dim=1))

    def in_front(self, truth: Tensor, prediction: Tensor) -> Tensor:
        return torch.ones_like(prediction[:, 0], dtype=torch.bool)

    def merge(self, predictions: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
        return F.normalize(weighted_sum(predictions, weights), dim=1, eps=1e-6)

    @property
    def trust(self) -> Trust:
        """White is a right angle."""
        return Trust(1.0, "1 - cos")

    def resize(self, physical: Tensor, size: tuple[int, int], never: Sequence[int] = ()) -> Tensor:
        return F.normalize(resize_map(physical, size), dim=0, eps=1e-6)

    def meter(self, counting: Counting = PLAIN) -> NormalsMeter:
        return NormalsMeter()

    def constant(self, truths: Iterable[Tensor]) -> Tensor:
        """The mean direction of each pixel, which has the largest mean cosine."""
        return F.normalize(mean_map((truth, (truth != 0).any(0)) for truth in truths), dim=0, eps=1e-6)

    def pixel_error(self, found: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        cosine = (found * truth).sum(0).clamp(-1, 1)
        return torch.rad2deg(torch.arccos(cosine)), truth.square().sum(0) > 0.25
