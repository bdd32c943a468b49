"""What a task is: everything that the stages ask of depth, normals or segmentation, and nothing else."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Task(Protocol):
    """One dense task. B is the batch, (h, w) the output grid, C the task's channels.

    A *prediction* is (B, C, h, w) in network units with gradients (depth / scale, unit normals, seg logits).
    *Truth* is a map on the same grid in which missing pixels are marked (depth 0, normals 0, seg the ignore id).
    """

    name: str
    channels: int

    def activate(self, raw: Tensor) -> Tensor:
        """A network's last layer (B, C, h, w) to a prediction."""
        ...

    def to_physical(self, prediction: Tensor) -> Tensor:
        """Network units to metres, unit vectors, logits."""
        ...

    def prepare(self, truth: Tensor) -> Tensor:
        """Truth from a reader's units (metres, unit vectors, ids) to the network's."""
        ...

    def encode(self, prediction: Tensor) -> Tensor:
        """What a transfer net reads of a prediction: (B, C, h, w), differentiable."""
        ...

    def encode_truth(self, truth: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What a transfer net reads of ground truth: (B, C, h, w)."""
        ...

    def loss(self, prediction: Tensor, truth: Tensor) -> Tensor:
        """L_t(prediction, truth), a scalar over the valid pixels; 0 with zero gradient where there are none."""
        ...

    def energy_map(self, cross: Tensor, direct: Tensor) -> Tensor:
        """Disagreement of a cross-task and a direct prediction for each pixel, (B, h, w), at least 0."""
        ...

    def energy(self, cross: Tensor, direct: Tensor) -> Tensor:
        """L_t(cross, direct) of Algorithm 2, a scalar; gradients flow through both."""
        ...

    def real_energy(self, cross: Tensor, truth: Tensor) -> Tensor:
        """The energy of a real tuple, whose direct map is ground truth: a scalar over the valid pixels."""
        ...

    def accuracy(self, prediction: Tensor, truth: Tensor) -> dict[str, float]:
        """A few plain figures for the log, such as {"rel": 0.1}."""
        ...


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of `values` over the pixels where `valid`; 0 with zero gradient when there are none."""
    total = torch.where(valid, values, torch.zeros_like(values)).sum()
    return total / valid.sum().clamp(min=1)
