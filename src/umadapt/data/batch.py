"""Samples side by side, on their way from disk to the losses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
ABSENT = torch.empty(0)  # what nobody asked for


@dataclass(frozen=True, eq=False)
class Batch:
    """B samples. Every tensor has the sample first; those that nobody asked for are ABSENT."""

    ids: list[str]
    images: Tensor = ABSENT  # (B, 3, H, W) in [0, 1], as the network sees them
    plain: Tensor = ABSENT  # the same views in their own colours
    contours: Tensor = ABSENT  # (B, 1, h, w) in [0, 1], on the output grid
    truths: dict[str, Tensor] = field(default_factory=dict)  # task -> truth on that grid, in the reader's units
    # layer -> features of the target's trunk where that stands still: the same at every step that sees these views, so
    # that they may be kept (`--kept-views`)
    trunk: dict[str, Tensor] = field(default_factory=dict)
    source: Batch | None = None  # labelled images of the source, where the method reads some
    labelled: Batch | None = None  # others: of the target (`semi`, `--labelled`), or of the source (`--rehearse`)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def names(self) -> list[str]:
        """Each sample by its id, and by that of the one beside it: "004 with labelled 017"."""
        kind, other = ("labelled", self.labelled) if self.source is None else ("source", self.source)
        if other is None:
            return self.ids
        return [f"{id} with {kind} {beside}" for id, beside in zip(self.ids, other.ids, strict=True)]

    def only(self, index: int) -> Self:
        """One sample, and the one beside it."""
        return only(self, index)

    def to(self, device: torch.device) -> Self:
        """On a device. To a GPU from pinned memory the copy is queued before the step's work; nobody waits for it."""
        return each(self, lambda tensor: tensor.to(device, non_blocking=device.type == "cuda"))

    def pinned(self, device: torch.device) -> Self:
        """In memory that a GPU reads by itself; for another device as it is."""
        if device.type != "cuda":
            return self
        with torch.cuda.device(device):  # a thread begins with the first GPU, where each rank would leave a context
            return each(self, lambda tensor: tensor.pin_memory() if len(tensor) and not tensor.is_cuda else tensor)


def only(samples: T, index: int) -> T:
    """One sample of a dataclass whose tensors and lists have the sample first."""
    return each(samples, lambda part: part[index : index + 1], (Tensor, list))


def each(value: T, change: Callable[[Any], Any], kinds: tuple[type, ...] = (Tensor,)) -> T:
    """A value in which all parts of some kinds are changed, also in the dicts and dataclasses inside it."""
    inner: Any = value
    if isinstance(inner, kinds):
        return change(inner)
    if isinstance(inner, dict):
        return {key: each(part, change, kinds) for key, part in inner.items()}  # type: ignore[return-value]
    if not dataclasses.is_dataclass(inner) or isinstance(inner, type):
        return value
    parts = {part.name: each(getattr(inner, part.name), change, kinds) for part in dataclasses.fields(inner)}
    return dataclasses.replace(inner, **parts)  # type: ignore[return-value]
