"""Batches from several folders at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from umadapt.data.batch import Batch
from umadapt.data.folder import Folder
from umadapt.training.batches import Batches, Shuffled
from umadapt.training.frozen_views import FrozenViews


class Union:
    """`union(k)` is the k-th batch of an endless pass over several folders, as `Batches` is over one.

    Args:
        parts: batches or frozen views of each folder, all with the same tasks, sizes, number of samples, rank and
            world. Each process takes its share of every batch, as with `Batches`.
        mix: "union" shuffles all images together, so that each is seen once a pass; "alternate" takes a whole batch of
            each folder in turn, so that a small folder is seen as often as a large one. OURS: both; the paper says no
            more than that two data sets are used.
        seed: of the order.
    """

    def __init__(self, parts: Sequence[Batches | FrozenViews], mix: str = "union", seed: int = 0):
        self.parts, self.mix = tuple(parts), mix
        self.members = [(k, name) for k, part in enumerate(parts) for name in part.ids]
        self.place = Shuffled(len(self.members), seed, 3)

    def __call__(self, step: int) -> Batch:
        if self.mix == "alternate" or len(self.parts) == 1:
            lap = step // len(self.parts)  # who begins changes with the lap, so that every tenth step sees all folders
            return self.parts[(step + lap) % len(self.parts)](lap)
        numbers = self.parts[0].numbers(step)
        chosen = [self.pick(number) for number in numbers]
        samples: list[Any] = [  # of the kind that the parts make: all are batches or all are views
            self.parts[k].sample(name, number) for (k, name), number in zip(chosen, numbers, strict=True)
        ]
        return self.parts[0].collate([name for _, name in chosen], samples)

    def pick(self, number: int) -> tuple[int, str]:
        """The number of the folder and the id of a sample."""
        return self.members[self.place(number)]

    def seen(self, steps: int) -> list[tuple[Folder, str]]:
        """The images that so many steps of all processes will see."""
        parts = [part for part in self.parts if isinstance(part, Batches)]
        if self.mix == "alternate" or len(self.parts) == 1:
            return [image for part in parts for image in part.seen(-(-steps // len(parts)))]
        count = min(steps * parts[0].batch, len(self.members))
        return [(parts[k].folder, name) for k, name in map(self.pick, range(count))]
