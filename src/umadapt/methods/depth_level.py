"""Depth keeps the level and the contrast that the source model sees on the photos.

OURS. Statistics of photos move depth as a whole, on NYUDv2 to .93 of what the source model says, and farther from the
truth; and a student that learns what several looks agree on, from harder views, sees less difference between near and
far (docs/results.md). Mean and deviation of the logarithm of all depths of all photos are put back by the last layer,
before self-training and after it; images of the source, which keep their own statistics, are rehearsed without that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from umadapt.distributed import process_group
from umadapt.nets.model import UMAdapt
from umadapt.tasks import Task

SPARSE = 4  # of the maps every so many rows and columns are looked at
HALVINGS = 24  # of the spans in which gain and shift are sought
GAINS, SHIFTS = (0.5, 2.0), (-4.0, 4.0)
NEAR = 1e-4  # network units; what is nearer counts as this


class Line(NamedTuple):
    """gain * x + shift, of what a decoder says before its activation."""

    gain: float = 1.0
    shift: float = 0.0

    def __call__(self, raw: Tensor) -> Tensor:
        return self.gain * raw + self.shift

    def back(self, raw: Tensor) -> Tensor:
        """The x of this."""
        return (raw - self.shift) / self.gain


class Moments(NamedTuple):
    """Of the logarithm of depth."""

    mean: float
    deviation: float


class Levels:
    """Mean and deviation of the source model's depth on some photos, and of any other task that has a level.

    Args:
        model: as it is before it learns from photos; its decoders are those of the source model.
        photos: gives whole photos, batches (B, 3, h, w), of which each rank has a part, or nothing.
    """

    def __init__(self, model: UMAdapt, photos: Callable[[], Iterable[Tensor]]):
        self.photos = photos
        self.names = tuple(name for name, task in model.tasks.items() if task.has_level)
        raws = self._raws(model, "source")
        self.wanted = {name: moments(model.tasks[name], raws[name]) for name in self.names}

    @torch.no_grad()
    def restore(self, model: UMAdapt) -> dict[str, Line]:
        """Change the last layer of each such task until the target's photos have the moments; returns the changes."""
        raws, lines = self._raws(model, "target"), {}
        for name in self.names:
            head = model.decoders[name].head
            assert isinstance(head, nn.Conv2d)
            assert head.bias is not None
            line = lines[name] = fit(model.tasks[name], raws[name], self.wanted[name])
            head.weight *= line.gain
            head.bias.copy_(line(head.bias))
        return lines

    @torch.no_grad()
    def _raws(self, model: UMAdapt, domain: str) -> dict[str, Tensor]:
        """What the decoders say before their activation, (pixels,), of all ranks in one order."""
        found: dict[str, list[Tensor]] = {name: [] for name in self.names}
        mode = model.training
        model.eval()
        for images in self.photos() if self.names else ():
            if len(images):
                features = model.encode(images.to(model.mean.device), domain)
                for name, parts in found.items():
                    parts.append(model.decoders[name](features)[..., ::SPARSE, ::SPARSE].double().flatten().cpu())
        model.train(mode)
        return {
            name: torch.cat([part for rank in process_group.gather(parts) for part in rank])
            for name, parts in found.items()
        }


def moments(task: Task, raw: Tensor) -> Moments:
    """Of raw outputs (pixels,)."""
    logarithm = task.activate(raw).clamp(min=NEAR).log()
    return Moments(float(logarithm.mean()), float(logarithm.std()))


def fit(task: Task, raw: Tensor, wanted: Moments) -> Line:
    """The line that gives raw outputs (pixels,) the wanted moments, by halving: both grow with what is sought."""
    middle = float(raw.mean())

    def level(gain: float) -> Line:
        return halve(
            lambda shift: Line(gain, (1 - gain) * middle + shift),
            lambda line: moments(task, line(raw)).mean < wanted.mean,
            SHIFTS,
        )

    return halve(level, lambda line: moments(task, line(raw)).deviation < wanted.deviation, GAINS)


def halve(make: Callable[[float], Line], below: Callable[[Line], bool], span: tuple[float, float]) -> Line:
    """The line that `make` gives where it stops being below."""
    low, high = span
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if below(make(middle)) else (low, middle)
    return make((low + high) / 2)
