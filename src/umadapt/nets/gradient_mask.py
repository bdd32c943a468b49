"""Gradient mask: class balancing between a prediction and the network that reads it (supplement)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from umadapt.distributed import global_batch


class _MaskGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor) -> Tensor:
        ctx.save_for_backward(mask)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (mask,) = ctx.saved_tensors
        return grads[0] * mask, None


def mask_gradient(x: Tensor, keep: Tensor) -> Tensor:
    """Identity forward; the gradient of a random half of the samples passes a Bernoulli map.

    Args:
        x: (B, C, h, w), the prediction as the next network reads it; its argmax is the predicted class.
        keep: (C,) probability to keep the gradient of a pixel that is predicted as this class.
    """
    rows = global_batch.rows(len(x))
    probability = keep.to(x)[x.detach().argmax(1)].unsqueeze(1)  # (B, 1, h, w)
    uniform = rows.draw(lambda count: torch.rand(count, *probability.shape[1:]))
    mask = (uniform.to(x) < probability).to(x)
    unmasked, _ = rows.pick(torch.randperm(rows.total)[: (rows.total + 1) // 2])
    mask[unmasked.to(x.device)] = 1.0
    return _MaskGradient.apply(x, mask)  # type: ignore[no-any-return]


def keep_probability(frequencies: tuple[float, ...], how: str) -> Tensor | None:
    """(C,) keep probabilities: "class" gives min(1, median / frequency), "uniform" a half for each, "off" none."""
    if how == "off" or not frequencies:
        return None
    f = torch.tensor(frequencies)
    if how == "uniform":
        return torch.full_like(f, 0.5)
    median = f[f > 0].median()
    return (median / f.clamp(min=1e-12)).clamp(max=1.0)
