"""What the loop needs to know of a stage: its batches, and turns of optimisers with their losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Self, TypeVar

import torch
from torch import Tensor, nn

from umadapt.data.batch import Batch, only


class Loss(NamedTuple):
    """What a step minimises (the sum of `terms`) and what it only shows (`watch`)."""

    terms: dict[str, Tensor]
    watch: dict[str, Tensor] = {}  # noqa: RUF012


@dataclass(frozen=True, eq=False)
class Prepared:
    """A batch, and beside it what a step computes once, before its turns: each stage that does names the parts."""

    batch: Batch

    def __len__(self) -> int:
        return len(self.batch)

    @property
    def names(self) -> list[str]:
        """Those of the batch."""
        return self.batch.names

    def only(self, index: int) -> Self:
        """One sample."""
        return only(self, index)


Seen = TypeVar("Seen", bound=Batch | Prepared)  # what the losses of a stage read


class SGD(NamedTuple):
    """Stochastic gradient descent, in the place of AdamW."""

    momentum: float = 0.9
    weight_decay: float = 1e-4


@dataclass
class Turn(Generic[Seen]):
    """One optimiser and its loss. The turns of a stage are taken one after the other, each with a fresh forward."""

    name: str
    parameters: list[nn.Parameter]
    loss: Callable[[Seen], Loss]
    lr: float
    every: int = 1  # taken only after each so many steps
    betas: tuple[float, float] = (0.9, 0.999)  # of Adam
    sgd: SGD | None = None  # None = AdamW
    slow: tuple[Sequence[nn.Parameter], float] = (
        (),
        1.0,
    )  # some of the parameters, and their share of the learning rate
    option: str = "--lr"  # what is too high where its loss diverges, joined by " or "

    def groups(self) -> list[dict[str, Any]]:
        """The parameters as an optimiser takes them, each group with its "share" of the learning rate."""
        slow, share = self.slow
        theirs = {id(p) for p in slow}
        groups = [([p for p in self.parameters if id(p) not in theirs], 1.0), (list(slow), share)]
        return [{"params": parameters, "share": share} for parameters, share in groups if parameters]

    def optimiser(self, weight_decay: float) -> torch.optim.Optimizer:
        """A fresh one; `weight_decay` is AdamW's."""
        if self.sgd is not None:
            return torch.optim.SGD(self.groups(), self.lr, self.sgd.momentum, weight_decay=self.sgd.weight_decay)
        # fused: on two cores a step of 12 million parameters takes 0.007 s instead of 0.017 s
        return torch.optim.AdamW(self.groups(), lr=self.lr, betas=self.betas, weight_decay=weight_decay, fused=True)


def as_it_is(batch: Any) -> Any:
    """Of a batch to which a step has nothing to add."""
    return batch


@dataclass
class Stage(Generic[Seen]):
    """Turns over batches."""

    name: str
    turns: list[Turn[Seen]]
    batch: Callable[[int], Batch]  # step (from 0) -> batch on the CPU, a pure function
    steps: int
    prepare: Callable[[Batch], Seen] = as_it_is  # once a step, before the turns
    frozen: Callable[[Batch], Batch] | None = None  # the part of it that fills in `Batch.trunk`: may be kept
    extra: dict[str, nn.Module] = field(default_factory=dict)  # modules beside the model that change too
    shadows: tuple[nn.Module, ...] = ()  # networks that it runs beside these, of their weights: nothing to store
    after: Callable[[int], None] = lambda step: None  # once a step (from 0), after the turns: moving averages
    warm_up: int = 0  # steps over which learning rates rise, where the options do not say
    data: tuple[Any, ...] = ()  # the `Batches` behind `batch`, which keep decoded samples in memory

    def networks(self, model: nn.Module) -> list[nn.Module]:
        """All that run: what saves memory, or is compiled."""
        return [model, *self.extra.values(), *self.shadows]
