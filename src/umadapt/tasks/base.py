"""What a task is: everything that training, measuring and showing ask of depth, normals, seg, …, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from umadapt.config import ModelSpec
from umadapt.data.maps import Map, Trust
from umadapt.distributed import global_batch


class Column(NamedTuple):
    """A figure of a task's meter as a column of the report."""

    key: str  # of the evaluation JSON
    heading: str
    more: bool  # whether more is better


class Counting(NamedTuple):
    """How figures of pixels become one, by the protocol of a measurement."""

    never: tuple[int, ...] = ()  # class ids that are never predicted
    per_image: bool = False  # depth: the mean over images of each image's figures; else over all pixels
    mean_over: tuple[int, ...] | None = None  # class ids whose mean is taken; None = all
    official_mean: bool = False  # a class that is predicted and has no truth counts as 0; else it does not count


PLAIN = Counting()


class Meter(Protocol):
    """Errors streamed over photos: sums of each and histograms only, in no order."""

    def update(self, prediction: Tensor, truth: Tensor) -> None:
        """Add one photo: what `Task.resize` gives, and truth of the same size."""
        ...

    def merge(self, other: Any) -> None:
        """Add what another meter of this kind has seen."""
        ...

    def compute(self) -> dict[str, Any]:
        """The figures by key; empty when there was no valid pixel."""
        ...


class Task(Map, Protocol):
    """One dense task. B is the batch, (h, w) the output grid, C the task's channels, (H, W) the size of a photo.

    A *prediction* is (B, C, h, w) in network units with gradients (depth / scale, unit normals, logits).
    *Truth* is a map on the same grid in which missing pixels are marked (depth 0, normals 0, seg the ignore id).
    A *map* is a NumPy array as `data.folder` reads it: depth (H, W), normals (H, W, 3), seg (H, W) ids.
    """

    name: str
    title: str  # for headings
    label: str  # folder of DATA that the truth comes from: the task's own, or the one that `derive` makes it of
    channels: int
    columns: tuple[Column, ...]
    error: str  # what `pixel_error` is, with its unit
    has_level: bool  # whether predictions have an overall size, as depth has, that adaptation keeps
    categorical: bool  # whether a prediction is the logits of `ModelSpec.classes`
    metric: bool  # whether it is in metres along the optical axis, which a protocol may align, clip and mask

    @classmethod
    def from_spec(cls, spec: ModelSpec) -> Task:
        """The task of a model."""
        ...

    # --- Training

    @staticmethod
    def derive(label: Tensor) -> Tensor:
        """Truth, in the reader's units, from the label that it is made of; the identity where there is a label.

        Asked by `derive_truth` alone: a channel axis, the first, only where there are several. depth (H, W), normals
        (3, H, W), ids (H, W). It sees one label of one photo: no image, no camera, no names of classes."""
        ...

    def activate(self, raw: Tensor) -> Tensor:
        """A network's last layer (B, C, h, w) to a prediction."""
        ...

    def to_physical(self, prediction: Tensor) -> Tensor:
        """Network units to metres, unit vectors, logits."""
        ...

    def prepare(self, truth: Tensor) -> Tensor:
        """Truth from a reader's units (metres, unit vectors, ids) to the network's."""
        ...

    def encode(self, prediction: Tensor) -> Tensor:
        """What a transfer net reads of a prediction: (B, C, h, w), differentiable."""
        ...

    def encode_truth(self, truth: Tensor, generator: torch.Generator | None = None, *, soften: bool = True) -> Tensor:
        """What a transfer net reads of ground truth: (B, C, h, w); some of it like a prediction, if `soften`."""
        ...

    def as_prediction(self, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Truth, in the network's units, as a prediction that is sure of it, (B, C, h, w); and where it is known,
        (B, h, w)."""
        ...

    def loss(self, prediction: Tensor, truth: Tensor) -> Tensor:
        """L_t(prediction, truth), a scalar over the valid pixels; 0 with zero gradient where there are none."""
        ...

    def energy_map(self, cross: Tensor, direct: Tensor) -> Tensor:
        """Disagreement of a cross-task and a direct prediction for each pixel, (B, h, w), at least 0."""
        ...

    def energy(self, cross: Tensor, direct: Tensor) -> Tensor:
        """L_t(cross, direct) of Algorithm 2, a scalar; gradients flow through both."""
        ...

    def real_energy(self, cross: Tensor, truth: Tensor) -> Tensor:
        """The energy of a real tuple, whose direct map is ground truth: a scalar over the valid pixels."""
        ...

    def accuracy(self, prediction: Tensor, truth: Tensor) -> dict[str, float]:
        """A few plain figures for the log, such as {"rel": 0.1}."""
        ...

    def mirror(self, prediction: Tensor) -> Tensor:
        """The prediction (B, C, h, w) of a picture, from that of its mirror image."""
        ...

    def shrink(self, prediction: Tensor, s: float | Tensor) -> Tensor:
        """What a prediction (B, C, h, w) of a picture s times as large says of the picture itself: there everything
        looks s times nearer to the same camera (`data.augment.nearer` is the way back). `s` may be (B, 1, 1, 1)."""
        ...

    def in_front(self, truth: Tensor, prediction: Tensor) -> Tensor:
        """Where what truth, in the network's units, shows would hide what a prediction shows, (B, h, w); everywhere for
        a task that knows no distance."""
        ...

    def merge(self, predictions: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
        """One prediction from several of the same picture, whose weights sum to 1."""
        ...

    # --- Measuring and showing

    @property
    def trust(self) -> Trust:
        """How `energy_map` is shown."""
        ...

    def resize(self, physical: Tensor, size: tuple[int, int], never: Sequence[int] = ()) -> Tensor:
        """One image's prediction in physical units (C, h, w), at the size of a photo or of its truth: depth (H, W),
        normals (3, H, W), seg (H, W) ids, none of them in `never`."""
        ...

    def meter(self, counting: Counting = PLAIN) -> Meter:
        """A new meter."""
        ...

    def constant(self, truths: Iterable[Tensor]) -> Tensor:
        """The one prediction, in physical units (C, h, w), that suits many photos: their truths in the reader's units,
        of one size."""
        ...

    def pixel_error(self, found: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """What is wrong with each pixel of what `resize` gives, at least 0, and where truth is valid: both (H, W)."""
        ...


def excess(task: Task, found: Tensor, wanted: Tensor) -> Tensor:
    """L_t(found, wanted) less what `wanted` has with itself, which is the entropy of a prediction of seg: a scalar.

    Of a cross-entropy that leaves the Kullback-Leibler divergence; depth and normals have nothing with themselves.
    """
    return task.energy(found, wanted) - task.energy(wanted, wanted)


def excess_map(task: Task, found: Tensor, wanted: Tensor) -> Tensor:
    """The same for each pixel: (B, h, w), at least 0 but for rounding."""
    return task.energy_map(found, wanted) - task.energy_map(wanted, wanted)


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of `values` over the pixels where `valid`; 0 with zero gradient when there are none."""
    total = global_batch.total(torch.where(valid, values, torch.zeros_like(values)).sum())
    return total / global_batch.total(valid.sum()).clamp(min=1)


def weighted_sum(maps: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Of tensors of one shape."""
    return torch.stack([weight * map_ for map_, weight in zip(maps, weights, strict=True)]).sum(0)


def mean_map(maps: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """Mean of maps (C, h, w) over those that are valid (h, w) at a pixel; where none is, the mean of all pixels."""
    total, count = torch.zeros(()), torch.zeros(())
    for values, valid in maps:
        total = total + torch.where(valid, values, torch.zeros_like(values)).double()
        count = count + valid
    overall = total.sum((-2, -1), keepdim=True) / count.sum().clamp(min=1)
    return torch.where(count > 0, total / count.clamp(min=1), overall).float()
