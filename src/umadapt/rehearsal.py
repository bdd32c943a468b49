"""A step without numbers: how many bytes it needs.

The networks are copied with tensors that have shapes and no contents (torch's meta device), a step runs on them as the
loop would run it, and the bytes of all tensors that are alive are counted. That takes seconds and no memory, and it
knows every loss, method and task graph without a formula for any of them.
"""

from __future__ import annotations

import copy
import resource
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from umadapt.loop import Batch, Stage, Turn, add_gradient, to_device
from umadapt.nets.model import UMAdapt

META = torch.device("meta")


class Need(NamedTuple):
    """Bytes that a step adds to what is there before it."""

    peak: int
    largest: int  # of them the largest single tensor


def rehearse(stage: Stage, batch: Batch) -> Need:
    """Take a step of a stage that was built for a hollow model, gradients term by term as when the loop logs."""
    prepared = to_device(batch, META)
    there = [*tree_leaves(prepared), *(p for turn in stage.turns for p in turn.parameters)]
    with torch.random.fork_rng(devices=[]), Live(there) as live:
        prepared = stage.prepare(prepared)
        for turn in stage.turns:
            differentiate(turn, prepared)
    return Need(live.peak, live.largest)


def differentiate(turn: Turn, batch: Batch) -> None:
    for parameter in turn.parameters:
        parameter.grad = None
    for term in turn.loss(batch).terms.values():
        if term.requires_grad:
            add_gradient(term, turn.parameters)


def hollow(model: UMAdapt) -> UMAdapt:
    """A copy of a model whose tensors have shapes, strides and sharing of the original's, and no numbers."""
    empty: dict[int, Any] = {}
    for tensor in [*model.parameters(), *model.buffers()]:
        shape = torch.empty_like(tensor, device=META)
        empty[id(tensor)] = nn.Parameter(shape, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else shape
    return copy.deepcopy(model, empty)


class Live(TorchDispatchMode):
    """Counts the bytes of hollow tensors that are alive, but for those of `there`."""

    def __init__(self, there: Iterable[Any]):
        super().__init__()
        self.now = self.peak = self.largest = 0
        self.known = {key(x) for x in there if isinstance(x, Tensor)}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if function is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            return 1.0  # the number of a tensor that has none: a loss that is not 0, a finite norm
        out = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor) and tensor.is_meta and key(tensor) not in self.known:
                self.add(tensor)
        return out

    def add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        self.known.add(key(tensor))
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        self.largest = max(self.largest, storage.nbytes())
        weakref.finalize(storage, self.drop, key(tensor), storage.nbytes()).atexit = False

    def drop(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


def key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def held(device: torch.device) -> tuple[int, int]:
    """Bytes that this process holds, and the most that it has held: resident memory, or what torch took of a GPU."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device), torch.cuda.max_memory_allocated(device)
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    return resident, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
