"""One batch shared out among the ranks: losses, random draws and BatchNorm of the whole of it.

THE CONVENTION. Inside `shared` every rank computes the same loss, that of the whole batch, from its own samples: sums
over samples pass `total`, means `mean`, maxima `largest`. A gradient on a rank is the derivative of that one loss by
way of the samples of that rank. So the gradients of parameters are to be *added* over the ranks
(`process_group.all_reduce`, once after the backward pass), and behind a `total` nothing may differ between ranks.
Outside of `shared`, and in a process alone, samples stand for themselves, and the functions here return what they are
given.

Random numbers are drawn for the whole batch on every rank, from generators in the same state, and each takes the rows
of its samples. That costs every rank the drawing of all; it is what makes N processes take the steps of one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from umadapt.distributed import process_group


@dataclass(frozen=True)
class Rows:
    """Which samples of a batch are here: those numbered `mine` of `total`, in order."""

    total: int
    mine: Tensor  # (n,) int64

    def draw(self, make: Callable[[int], Tensor]) -> Tensor:
        """`make(total)`, (total, ...) random numbers, of the samples that are here: (n, ...)."""
        drawn = make(self.total)
        return drawn if len(self.mine) == self.total else drawn[self.mine.to(drawn.device)]

    def pick(self, chosen: Tensor) -> tuple[Tensor, Rows]:
        """Of samples chosen by number, all different: (places here of those that are here, their rows of `chosen`)."""
        places = torch.full((self.total,), -1)
        places[self.mine] = torch.arange(len(self.mine))
        here = places[chosen]
        return here[here >= 0], Rows(len(chosen), torch.nonzero(here >= 0).squeeze(1))


_rows: Rows | None = None  # of the batch that is shared at present


@contextmanager
def shared(count: int) -> Iterator[None]:
    """The `count` samples of a batch here, and those of the other ranks, are one batch, in the order of ranks."""
    global _rows
    if process_group.size() == 1:
        yield
        return
    counts = torch.zeros(process_group.size(), dtype=torch.int64)
    counts[process_group.rank()] = count
    ends = process_group.add(counts).cumsum(0).tolist()
    before, _rows = _rows, Rows(ends[-1], torch.arange(ends[process_group.rank()] - count, ends[process_group.rank()]))
    try:
        with BatchNormOverRanks():
            yield
    finally:
        _rows = before


def rows(count: int) -> Rows:
    """The place in the whole batch of the `count` samples that are here."""
    if _rows is None:
        return Rows(count, torch.arange(count))
    if count != len(_rows.mine):
        raise RuntimeError(f"{count} samples in a shared batch of which {len(_rows.mine)} are here")
    return _rows


# --- Losses of the whole batch


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return process_group.add(x.clone())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]  # the same on every rank, for each holds the same loss


def total(x: Tensor) -> Tensor:
    """A sum over the samples here to that over all."""
    return x if _rows is None else _Total.apply(x)  # type: ignore[return-value]


def mean(x: Tensor) -> Tensor:
    """A mean in which the samples here weigh the same, to that over all."""
    return x if _rows is None else total(x * (len(_rows.mine) / _rows.total))


@torch.no_grad()
def largest(x: Tensor) -> Tensor:
    """A maximum over the samples here to that over all; carries no gradient."""
    return x if _rows is None else process_group.largest(x.clone())


@torch.no_grad()
def std(x: Tensor) -> Tensor:
    """Standard deviation of all numbers of (B, ...); carries no gradient."""
    if _rows is None:
        return x.std()
    count = _rows.total * math.prod(x.shape[1:])
    return (total((x - total(x.sum()) / count).square().sum()) / (count - 1)).sqrt()


# --- BatchNorm


class BatchNormOverRanks(TorchFunctionMode):
    """Inside, BatchNorm in training mode takes the moments of the whole batch, whatever module calls it.

    torch's SyncBatchNorm refuses CPUs, and backbones have subclasses of BatchNorm that it would have to know.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return (batch_norm if func is F.batch_norm else func)(*args, **(kwargs or {}))


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`F.batch_norm` with the moments of all ranks, which may hold different numbers of samples, also none.

    Args:
        x: (B, C, ...), B differs between ranks.

    Raises:
        ValueError: one value a channel on all ranks together.
    """
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    mean, var = _moments(x.detach())
    count = rows(len(x)).total * math.prod(x.shape[2:])
    if count < 2:
        raise ValueError(f"expected more than 1 value a channel when training, got {tuple(x.shape)} on all ranks")
    if running_mean is not None and running_var is not None:
        running_mean.lerp_(mean.to(running_mean), momentum)
        running_var.lerp_((var * count / (count - 1)).to(running_var), momentum)
    narrow = x.dtype in (torch.float16, torch.bfloat16)
    mean, var = (m.to(torch.float32 if narrow else x.dtype) for m in (mean, var))
    return _BatchNorm.apply(x, weight, bias, mean, var, count, eps)  # type: ignore[return-value]


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance (C,) over all ranks, in float64."""
    n = x.numel() // x.shape[1]
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    moments = torch.zeros(3, x.shape[1], dtype=torch.float64, device=x.device)
    if n:
        var, mean = torch.var_mean(wide, _but_channels(x), correction=0)
        moments = torch.stack([mean.double(), var.double(), torch.full_like(mean, n, dtype=torch.float64)])
    means, variances, counts = process_group.stack(moments).unbind(1)  # each (ranks, C)
    count = counts.sum(0)
    mean = (counts * means).sum(0) / count
    var = (counts * (variances + (means - mean).square())).sum(0) / count  # Chan et al. 1979: nothing cancels
    return mean, var


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        var: Tensor,
        count: int,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, (var + eps).rsqrt())
        ctx.count = count
        return F.batch_norm(x, mean, var, weight, bias, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale = ctx.saved_tensors
        shape = (1, -1, *[1] * (x.dim() - 2))
        grad = grads[0].to(mean.dtype)
        normal = (x - mean.view(shape)) * scale.view(shape)
        here = torch.stack([grad.sum(_but_channels(x)), (grad * normal).sum(_but_channels(x))])  # (2, C)
        # the moments are those of all samples, and so pass the gradients of all back to each
        of_mean, of_normal = (process_group.add(here.clone()) / ctx.count).unbind(0)
        out = (grad - of_mean.view(shape) - normal * of_normal.view(shape)) * scale.view(shape)
        if weight is None:
            return out.to(x.dtype), None, None, None, None, None, None
        # of weight and bias only what comes by way of the samples here: gradients of parameters are added later
        return (out * weight.view(shape)).to(x.dtype), here[1].to(weight), here[0].to(weight), None, None, None, None


def _but_channels(x: Tensor) -> list[int]:
    return [axis for axis in range(x.dim()) if axis != 1]
