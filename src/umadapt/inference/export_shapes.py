"""Layers that take their output's size from another tensor, as operators that ask for it when the ONNX graph runs.

Captured at sides that are multiples of 32, a plain layer would have the multiples written into the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnxscript
import torch
from torch import Tensor, nn

from umadapt.nets.blocks import CropAs, ResizeAs

op: Any = onnxscript.opset18  # whose stubs do not know that its results are its arguments


@torch.library.custom_op("umadapt::resize_as", mutates_args=())
def resize_as(x: Tensor, like: Tensor) -> Tensor:
    """`ResizeAs`, opaque to torch.export."""
    return ResizeAs()(x, like)


@torch.library.custom_op("umadapt::crop_as", mutates_args=())
def crop_as(x: Tensor, like: Tensor) -> Tensor:
    """`CropAs`, opaque to torch.export."""
    return CropAs()(x, like).clone()


@resize_as.register_fake
@crop_as.register_fake
def _(x: Tensor, like: Tensor) -> Tensor:
    return x.new_empty((*x.shape[:2], *like.shape[2:]))


def _onnx_resize(x: Any, like: Any) -> Any:
    size = op.Concat(op.Shape(x, end=2), op.Shape(like, start=2), axis=0)
    return op.Resize(x, None, None, size, mode="linear", coordinate_transformation_mode="half_pixel")


def _onnx_crop(x: Any, like: Any) -> Any:
    zeros, axes = op.Constant(value_ints=[0, 0]), op.Constant(value_ints=[2, 3])
    return op.Slice(x, zeros, op.Shape(like, start=2), axes)


TRANSLATIONS: dict[Callable, Callable] = {  # for torch.onnx.export
    torch.ops.umadapt.resize_as.default: _onnx_resize,
    torch.ops.umadapt.crop_as.default: _onnx_crop,
}


class _Call(nn.Module):
    def __init__(self, operator: Callable[[Tensor, Tensor], Tensor]):
        super().__init__()
        self.operator = operator

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        return self.operator(x, like)


def put_operators(net: nn.Module) -> None:
    """Replace the layers inside a network."""
    for name, layer in list(net.named_modules()):
        operator = {ResizeAs: resize_as, CropAs: crop_as}.get(type(layer))
        if operator is not None:
            net.set_submodule(name, _Call(operator))
