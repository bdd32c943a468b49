"""Moving averages of a network's weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import nn


@torch.no_grad()
def follow(average: nn.Module, module: nn.Module, trained: Iterable[nn.Parameter], decay: float, step: int) -> None:
    """Move `average` towards `module` after step `step` (from 0); its buffers become the module's.

    Args:
        trained: the parameters of `module`, in its order.
        decay: share that the average keeps; in the first steps less, so that it begins as their plain mean (Tarvainen
            and Valpola, NeurIPS 2017, Section 3).
    """
    keep = min(decay, (step + 1) / (step + 2))
    for slow, fast in zip(average.parameters(), trained, strict=True):
        slow.lerp_(fast, 1 - keep)
    for slow, fast in zip(average.buffers(), module.buffers(), strict=True):
        slow.copy_(fast)


def teaching(
    average: nn.Module, student: nn.Module, trained: Sequence[nn.Parameter], decay: float, steps: int
) -> Callable[[int], None]:
    """What a stage of so many steps does after each: `follow`, and at the end the student is its average."""

    @torch.no_grad()
    def after(step: int) -> None:
        follow(average, student, trained, decay, step)
        if step + 1 == steps:
            student.load_state_dict(average.state_dict())

    return after
