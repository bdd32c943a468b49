"""Which of several processes this one is, and what they tell each other. In a process alone every call is idle.

torchrun starts the processes of a job and tells each its rank by environment variables. They meet at the first call
that needs the others: over gloo for tensors on the CPU and over nccl for those on a GPU. All must make the same calls
in the same order. Only rank 0 writes and speaks, and the others must be able to read what it wrote.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, overload

from umadapt.errors import LostRank

if TYPE_CHECKING:  # `render` shares out rooms and has no other use for torch
    from torch import Tensor

T = TypeVar("T")


def size() -> int:
    """Number of processes of this job."""
    told = all(name in os.environ for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"))
    return int(os.environ["WORLD_SIZE"]) if told else 1


def rank() -> int:
    """This process among them, from 0."""
    return int(os.environ["RANK"]) if size() > 1 else 0


def local_rank() -> int:
    """This process among those of its machine: the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", 0)) if size() > 1 else 0


def local_size() -> int:
    """Number of processes on this machine: they share its cores and memory."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if size() > 1 else 1


@overload
def share_of(ids: range, rank: int, world: int) -> range: ...
@overload
def share_of(ids: Sequence[T], rank: int, world: int) -> Sequence[T]: ...
def share_of(ids: Sequence[Any], rank: int, world: int) -> Sequence[Any]:
    """The part of `ids` that is the business of one of `world` processes: contiguous, sizes differ by one at most.

    The parts in the order of ranks are `ids`, without repeats or gaps; a part is empty where there are fewer ids than
    processes.
    """
    return ids[len(ids) * rank // world : len(ids) * (rank + 1) // world]


@contextmanager
def _meeting() -> Iterator[Any]:
    """`torch.distributed`, with the processes met.

    Raises:
        LostRank: one of the others is gone, or was never there.
    """
    import torch
    from torch import distributed

    try:
        if not distributed.is_initialized():
            both = torch.cuda.is_available() and distributed.is_nccl_available()
            distributed.init_process_group("cpu:gloo,cuda:nccl" if both else "gloo")
        yield distributed
    except RuntimeError as error:  # of every backend and of the store
        reason = str(error).strip().splitlines()[0].split(". This is", 1)[0]  # gloo goes on with guesses
        here = f"rank {rank()} of {size()}"
        raise LostRank(f"{here} lost another one, which has ended or was killed ({reason})") from error


def met() -> bool:
    """Whether the processes have met: until then, what goes wrong does so in each of them alike."""
    import sys

    torch = sys.modules.get("torch")
    return size() > 1 and torch is not None and torch.distributed.is_initialized()


def close() -> None:
    """Leave the others, at the very end."""
    if met():
        with _meeting() as distributed:
            distributed.destroy_process_group()


# --- Of tensors


def add(tensor: Tensor) -> Tensor:
    """The sum over all ranks, in place; bit for bit the same on each."""
    if size() > 1:
        with _meeting() as distributed:
            distributed.all_reduce(tensor)
    return tensor


def largest(tensor: Tensor) -> Tensor:
    """The maximum over all ranks, in place."""
    if size() > 1:
        with _meeting() as distributed:
            distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
    return tensor


def stack(tensor: Tensor) -> Tensor:
    """(...) of every rank to (ranks, ...)."""
    import torch

    if size() == 1:
        return tensor.unsqueeze(0)
    parts = [torch.empty_like(tensor) for _ in range(size())]
    with _meeting() as distributed:
        distributed.all_gather(parts, tensor.contiguous())
    return torch.stack(parts)


def all_reduce(tensors: Sequence[Tensor]) -> None:
    """`add` for many tensors, in one message a type: gradients."""
    import torch

    for alike in _alike(tensors):
        flat = add(torch.cat([tensor.reshape(-1) for tensor in alike]))
        _pour(flat, alike)


def broadcast(tensors: Iterable[Tensor]) -> None:
    """Rank 0's values of many tensors to all ranks, in place."""
    import torch

    for alike in _alike(tensors):
        flat = torch.cat([tensor.reshape(-1) for tensor in alike])
        with _meeting() as distributed:
            distributed.broadcast(flat, 0)
        _pour(flat, alike)


def _alike(tensors: Iterable[Tensor]) -> list[list[Tensor]]:
    """The tensors by type and device; nothing in a process alone."""
    kinds: dict[Any, list[Tensor]] = {}
    for tensor in tensors if size() > 1 else ():
        kinds.setdefault((tensor.dtype, tensor.device), []).append(tensor)
    return list(kinds.values())


def _pour(flat: Tensor, into: Sequence[Tensor]) -> None:
    for tensor, part in zip(into, flat.split([tensor.numel() for tensor in into]), strict=True):
        tensor.copy_(part.view(tensor.shape))


# --- Of everything else


def gather(value: T) -> list[T]:
    """What each rank holds, in the order of ranks, on every rank."""
    if size() == 1:
        return [value]
    found: list[Any] = [None] * size()
    with _meeting() as distributed:
        distributed.all_gather_object(found, value)
    return found


def any_of(flag: bool) -> bool:
    """Whether the flag is set on a rank at least."""
    if size() == 1:
        return flag  # `predict` of an exported file has no torch
    import torch

    return bool(largest(torch.tensor(float(flag))))


def barrier() -> None:
    """Wait for the others."""
    any_of(False)


@contextmanager
def first() -> Iterator[None]:
    """Rank 0 goes through the body, then the others do: they find the files that it has made."""
    if rank():
        barrier()
    yield
    if not rank():
        barrier()
