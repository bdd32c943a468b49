"""Trading time for memory: activations that are computed again for the backward pass, a few samples at a time.

A network whose BatchNorm is frozen treats every sample alone. So it can take a batch in small parts, keep their
outputs alone, and compute a part again when its gradient is wanted: all losses still see the whole batch, and the
gradients are those of the whole batch, which per-part losses (gradient accumulation as it is usually done) would not
give. The price is one more forward pass. Where BatchNorm trains, it normalises by the part that it sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

BatchNorm = nn.modules.batchnorm._BatchNorm


class Economy(NamedTuple):
    """How a network saves memory."""

    micro: int = 0  # samples that go through at once; 0 = the whole batch, and nothing is computed again
    blocks: bool = False  # keep only what passes from block to block, and compute the inside of a block again

    def __bool__(self) -> bool:
        return self.micro > 0 or self.blocks


SPEND = Economy()


class Chain(nn.Sequential):
    """A sequence of modules, which saves memory as `economise` says."""

    economy = SPEND

    def forward(self, input: Tensor) -> Tensor:
        return forward(self, units(self), input)


def economise(economy: Economy, *modules: nn.Module) -> None:
    """Set how all networks inside `modules` save memory; those that cannot stay as they are."""
    for module in modules:
        for net in module.modules():
            if hasattr(net, "economy"):
                net.economy = economy  # type: ignore[assignment]


def forward(net: Any, blocks: Sequence[Callable[..., Tensor]], *inputs: Tensor) -> Tensor:
    """Apply `blocks`, parts of `net`, one after the other; the first to `inputs`, whose samples stand first.

    No block may change its input in place.
    """
    if not net.economy:
        return chain(blocks)(*inputs)
    x = inputs
    for block in blocks if net.economy.blocks else [chain(blocks)]:
        x = (in_parts(net, block, x, net.economy.micro),)
    return x[0]


def in_parts(net: nn.Module, block: Callable[..., Tensor], inputs: Sequence[Tensor], micro: int) -> Tensor:
    """block(*inputs), `micro` samples at a time, of which the backward pass keeps the inputs alone."""
    parts = list(zip(*(x.split(micro) for x in inputs), strict=True)) if micro else [tuple(inputs)]
    if torch.is_grad_enabled():
        again = lambda: (Once(), Still(net))  # noqa: E731
        outputs = [checkpoint(block, *part, use_reentrant=False, context_fn=again) for part in parts]
    else:
        outputs = [block(*part) for part in parts]
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def chain(blocks: Sequence[Callable[..., Tensor]]) -> Callable[..., Tensor]:
    """The blocks one after the other as one function."""

    def run(*inputs: Tensor) -> Tensor:
        x = blocks[0](*inputs)
        for block in blocks[1:]:
            x = block(x)
        return x

    return run


def units(net: Iterable[nn.Module]) -> list[Callable[[Tensor], Tensor]]:
    """The blocks of a sequence: those of the sequences inside it each alone, the layers between them together.

    A block then begins with a convolution, and an activation that works in place finds the layer before it in the
    same block.
    """
    out: list[Callable[[Tensor], Tensor]] = []
    layers: list[nn.Module] = []
    for child in net:
        if isinstance(child, nn.Sequential) and all(any(True for _ in block.children()) for block in child):
            out += [chain(layers)] if layers else []
            out += list(child)
            layers = []
        else:
            layers.append(child)
    return out + ([chain(layers)] if layers else [])


class Once:
    """The first pass through a block: nothing is special."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


class Still:
    """The second pass: BatchNorm that trains normalises by the batch, but its running statistics do not move again.

    May be entered several times, because gradients that are taken term by term need several second passes.
    """

    def __init__(self, net: nn.Module):
        self.norms = [m for m in net.modules() if isinstance(m, BatchNorm) and m.training and m.track_running_stats]
        self.before: list[tuple[float | None, Tensor | None]] = []

    def __enter__(self) -> None:
        self.before = [(norm.momentum, copy_of(norm.num_batches_tracked)) for norm in self.norms]
        for norm in self.norms:
            norm.momentum = 0.0

    def __exit__(self, *_: object) -> None:
        for norm, (momentum, count) in zip(self.norms, self.before, strict=True):
            norm.momentum = momentum
            if norm.num_batches_tracked is not None and count is not None:
                norm.num_batches_tracked.copy_(count)


def copy_of(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.clone()
