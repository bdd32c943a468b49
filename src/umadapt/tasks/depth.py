"""Depth: one channel, metres / scale in the network, 0 = missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from umadapt import together, viz
from umadapt.config import ModelSpec
from umadapt.data.files import write_depth
from umadapt.tasks.base import PLAIN, Column, Counting, Trust, masked_mean
from umadapt.tasks.metrics import DepthMeter
from umadapt.tasks.resize import resize_map

MAX_STEPS = 65535  # of a 16-bit PNG


def berhu(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """BerHu loss for each pixel (Laina et al., 3DV 2016, Equation 1): |x| up to c, (x^2 + c^2) / 2c beyond.

    c is a fifth of the largest valid residual of the batch and carries no gradient.
    """
    residual = (prediction - target).abs()
    with torch.no_grad():
        largest = together.largest(torch.where(valid, residual, torch.zeros_like(residual)).amax())
        c = (0.2 * largest).clamp(min=1e-5)
    return torch.where(residual <= c, residual, (residual.square() + c.square()) / (2 * c))


class Depth:
    """Monocular planar depth.

    Args:
        scale_m: metres of one network unit; keeps BerHu and alpha comparable between indoors and outdoors.
        head: "softplus" (OURS: a gradient everywhere, so that no pixel dies) or "relu" (FCRN).
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
    npy = np.float32  # metres

    def __init__(self, scale_m: float = 10.0, head: str = "softplus"):
        self.scale_m = scale_m
        self.head = head

    @classmethod
    def from_spec(cls, spec: ModelSpec) -> Depth:
        return cls(spec.depth_scale_m, spec.depth_head)

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

    def encode_truth(self, truth: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return truth

    def loss(self, prediction: Tensor, truth: Tensor) -> Tensor:
        valid = truth > 0
        return masked_mean(berhu(prediction, truth, valid), valid)

    def energy_map(self, cross: Tensor, direct: Tensor) -> Tensor:
        return (cross - direct).abs().squeeze(1)

    def energy(self, cross: Tensor, direct: Tensor) -> Tensor:
        everywhere = torch.ones_like(direct, dtype=torch.bool)
        return together.mean(berhu(cross, direct, everywhere).mean())

    def real_energy(self, cross: Tensor, truth: Tensor) -> Tensor:
        return self.loss(cross, truth)

    @torch.no_grad()
    def accuracy(self, prediction: Tensor, truth: Tensor) -> dict[str, float]:
        valid = truth > 0
        return {"rel": masked_mean((prediction - truth).abs() / truth.clamp(min=1e-3), valid).item()}

    def mirror(self, prediction: Tensor) -> Tensor:
        return prediction.flip(-1)

    def merge(self, predictions: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(predictions)).mean(0)

    @property
    def trust(self) -> Trust:
        """OURS: white is a tenth of the depth scale (1 m indoors), fixed, so that maps of different photos compare."""
        return Trust(0.1 * self.scale_m, "m", self.scale_m)

    def resize(self, physical: Tensor, size: tuple[int, int], never: Sequence[int] = ()) -> Tensor:
        return resize_map(physical, size).squeeze(0)

    def meter(self, counting: Counting = PLAIN) -> DepthMeter:
        return DepthMeter(pooled=not counting.per_image)

    def picture(self, map_: np.ndarray, scale: float | None = None) -> np.ndarray:
        return viz.depth_to_rgb(map_, scale)

    def picture_scale(self, map_: np.ndarray) -> float:
        """The farthest depth of a picture in metres: a few wild pixels must not turn all others dark."""
        known = map_[map_ > 0]
        return float(np.percentile(known, 99)) if known.size else 10.0

    def stored(self) -> dict[str, Any]:
        # the largest depth that the file can hold is twice the network's unit at least, and 65 m indoors
        scale_m = max(0.001, 2 * self.scale_m / MAX_STEPS)
        return {"scale_m": scale_m, "max_m": scale_m * MAX_STEPS}

    def write(self, path: Path, map_: np.ndarray) -> None:
        scale_m = self.stored()["scale_m"]
        # a pixel is never missing in a prediction: less than a step is one step, more than the file holds is its most
        write_depth(path, map_.clip(scale_m, scale_m * MAX_STEPS), scale_m)
