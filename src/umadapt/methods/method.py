"""What `umadapt adapt` must know of a method. Each file that makes one ends in its record; `methods/__init__.py` lists
them, and nothing else names them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from torch import Tensor

from umadapt.config import Adapt
from umadapt.data.batch import Batch
from umadapt.nets.ensemble import Shares
from umadapt.nets.model import UMAdapt
from umadapt.training.stage import Stage


class Given(NamedTuple):
    """What training has measured, beside the batches."""

    real: Mapping[str, float] = {}  # energy of real tuples, by task with a transfer net
    votes: Shares | None = None  # what the looks that vote are worth; None = as where that is not known
    photos: Callable[[], Iterable[Tensor]] | None = None  # whole photos, in batches of which each rank has a part


NOTHING = Given()
Builder = Callable[[UMAdapt, Adapt, Callable[[int], Batch], Given], Stage[Any]]


@dataclass(frozen=True)
class Method:
    """A way to adapt to photos without labels."""

    name: str  # of --method
    stage: Builder | None = None  # (model, options, batches of photos, what is known); None: it takes no steps
    variant: Callable[[Adapt], str] | None = None  # what its runs are called; None = its name
    lr: float = 0.0  # default learning rate
    trains: Literal["res5", "encoder", "all"] = "res5"  # default of --adapt
    share: float = 0.5  # default of --statistics-share; 1 = AdaBN
    source: Literal["", "images", "tuples"] = ""  # what it reads of the labelled source, as `Batch.source`
    source_tasks: Callable[[UMAdapt], tuple[str, ...]] = lambda model: tuple(model.tasks)  # whose labels
    source_every: Callable[[Adapt], int] = lambda options: 1  # steps from one batch of the source to the next
    rehearses: bool = False  # learns from labelled source images in every step, as others do with --rehearse
    transfers: bool = False  # needs transfer nets
    contours: bool = False  # reads contours of the photos
    plain: Callable[[Adapt], bool] = lambda options: False  # wants the photos in their own colours too
    votes: Callable[[Adapt], tuple[str, ...]] = lambda options: ()  # looks whose shares it asks for
    keeps_views: bool = True  # of --kept-views
    selects: bool = True  # whether the label-free selector may choose its checkpoint
    refuse: Callable[[Adapt, UMAdapt], str | None] = field(default=lambda options, model: None)  # why not, and the cure


def no_tasks(model: UMAdapt) -> tuple[str, ...]:
    """A method that reads the source's images alone."""
    return ()
