"""Sizes and batches that a network cannot take, told by a pass on shapes alone, before anything is written."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from umadapt.errors import UserError
from umadapt.nets.model import UMAdapt

META = torch.device("meta")
SINGLE = "more than 1 value"  # what torch says of BatchNorm over one value a channel


def hollow(model: UMAdapt) -> UMAdapt:
    """A copy of a model whose tensors have shapes, strides and sharing of the original's, and no numbers."""
    empty: dict[int, Any] = {}
    for tensor in [*model.parameters(), *model.buffers()]:
        shape = torch.empty_like(tensor, device=META)
        empty[id(tensor)] = nn.Parameter(shape, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else shape
    return copy.deepcopy(model, empty)


def smallest_part(batch: int, micro: int) -> int:
    """The fewest images that go through a network at once, of a batch that goes in parts of `micro`; 0 = at once."""
    micro = min(micro or batch, batch)
    return batch % micro or micro


def check_size(model: UMAdapt) -> None:
    """Raise a UserError where the model cannot take images of its size."""
    empty = hollow(model)
    h, w = size = model.spec.size
    empty.freeze(empty)
    try:
        whole_pass(empty, torch.zeros(1, 3, h, w, device=META), "source")
    except (ValueError, RuntimeError, AssertionError, IndexError) as error:
        if isinstance(error, NotImplementedError) or "meta tensor" in str(error):
            return  # an operator that asks for numbers: the first step will tell
        reason = str(error).strip().splitlines()[0][:200] if str(error) else type(error).__name__
        suits = "x".join(str(max(64, 32 * round(side / 32))) for side in size)
        raise UserError(
            f"--size {h}x{w}: {model.spec.backbone} does not take images of that size ({reason}); "
            f"give sides that are multiples of 32, such as {suits}, or another --backbone"
        ) from error


def check_batch(
    model: UMAdapt,
    batch: int,
    micro: int,
    parts: Callable[[UMAdapt], Sequence[nn.Module]],
    domain: str = "source",
) -> None:
    """Raise a UserError where the model cannot train on so few images at once.

    Args:
        batch: images of a batch, of all processes together.
        micro: `--micro-batch`.
        parts: of a copy of the model, those whose BatchNorm trains.
        domain: "source" or "target", which is added where the model has none.
    """
    few = smallest_part(batch, micro)
    if few > 1:
        return
    empty = hollow(model)
    if domain not in empty.encoder.trunks:
        empty.encoder.add_target()
    h, w = model.spec.size
    empty.freeze(empty)
    empty.unfreeze(*parts(empty))
    empty.train()  # as the loop will; what is frozen stays in eval mode
    if trains_alone(empty, (few, 3, h, w), domain):
        part = f"--micro-batch {micro} of --batch {batch}" if 0 < micro < batch else f"--batch {batch}"
        cure = "--micro-batch 2 or more, of which the batch is a multiple" if few < batch else "--batch 2"
        raise UserError(
            f"{part} puts {few} image of {h}x{w} through {model.spec.backbone} at once, which leaves BatchNorm one "
            f"value a channel, and no variance to normalise by; give {cure}, or train at a larger --size"
        )


def whole_pass(model: UMAdapt, images: Tensor, domain: str) -> None:
    """Through every network that a stage may train."""
    features = model.encode(images, domain)
    model.contour(features["res5"])
    model.cross(model.decode(features))


@torch.no_grad()
def trains_alone(model: UMAdapt, shape: Sequence[int], domain: str, run: Callable[..., object] = whole_pass) -> bool:
    """Whether BatchNorm that trains is left one value a channel by images of this shape, (B, 3, H, W).

    Args:
        model: without numbers, its layers in the modes in which they will train.
        run: what the images go through.
    """
    if shape[0] > 1:
        return False
    try:
        run(model, torch.zeros(*shape, device=META), domain)
    except (ValueError, RuntimeError) as error:  # RuntimeError: an operator asks for numbers
        return SINGLE in str(error)
    return False
