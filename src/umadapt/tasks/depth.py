"""Depth: one channel, metres / scale in the network, 0 = missing."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from umadapt.tasks.base import masked_mean


def berhu(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """BerHu loss for each pixel (Laina et al., 3DV 2016, Equation 1): |x| up to c, (x^2 + c^2) / 2c beyond.

    c is a fifth of the largest valid residual of the batch and carries no gradient.
    """
    residual = (prediction - target).abs()
    with torch.no_grad():
        largest = torch.where(valid, residual, torch.zeros_like(residual)).amax()
        c = (0.2 * largest).clamp(min=1e-5)
    return torch.where(residual <= c, residual, (residual.square() + c.square()) / (2 * c))


class Depth:
    """Monocular planar depth.

    Args:
        scale_m: metres of one network unit; keeps BerHu and alpha comparable between indoors and outdoors.
        head: "softplus" (OURS: a gradient everywhere, so that no pixel dies) or "relu" (FCRN).
    """

    name = "depth"
    channels = 1

    def __init__(self, scale_m: float = 10.0, head: str = "softplus"):
        self.scale_m = scale_m
        self.head = head

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
        return berhu(cross, direct, everywhere).mean()

    def real_energy(self, cross: Tensor, truth: Tensor) -> Tensor:
        return self.loss(cross, truth)

    @torch.no_grad()
    def accuracy(self, prediction: Tensor, truth: Tensor) -> dict[str, float]:
        valid = truth > 0
        return {"rel": masked_mean((prediction - truth).abs() / truth.clamp(min=1e-3), valid).item()}
