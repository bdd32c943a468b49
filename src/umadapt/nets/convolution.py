"""Convolutions under autocast to bfloat16 on a CPU, where oneDNN's own are slow (docs/speed.md).

Depthwise convolutions stay in float32. Those of 1x1 are matrix products, in bfloat16 1.7 times as fast as in float32,
and give float32. Without autocast, or on a GPU, all are what they were.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.layers import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional as F


def _narrow(x: Tensor) -> bool:
    return x.device.type == "cpu" and torch.is_autocast_enabled("cpu")


class Pointwise(nn.Conv2d):
    """A 1x1 convolution."""

    def forward(self, input: Tensor) -> Tensor:
        if not _narrow(input):
            return super().forward(input)
        rows = F.linear(input.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias)  # channels last: no copy
        return rows.float().permute(0, 3, 1, 2)


class Depthwise(nn.Conv2d):
    """A convolution of groups of channels."""

    def forward(self, input: Tensor) -> Tensor:
        if not _narrow(input):
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.float())


class DepthwiseSame(Conv2dSame):
    """The same with TensorFlow's padding."""

    def forward(self, x: Tensor) -> Tensor:
        if not _narrow(x):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())


def specialise(net: nn.Module) -> None:
    """Make the convolutions inside a network those above, each where it is one; weights and names stay."""
    for layer in net.modules():
        kind = _kind(layer) if type(layer) in (nn.Conv2d, Conv2dSame) else None
        if kind is not None:
            layer.__class__ = kind


def _kind(layer: Any) -> type[nn.Module] | None:
    if layer.groups > 1:
        return DepthwiseSame if type(layer) is Conv2dSame else Depthwise
    plain = type(layer) is nn.Conv2d and layer.kernel_size == layer.stride == (1, 1) and layer.padding == (0, 0)
    return Pointwise if plain else None
