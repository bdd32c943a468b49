"""Batches by number: which samples step k sees, and how they are augmented, follows from the seed alone."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from umadapt.data.augment import (
    LABELS,
    Augment,
    Sample,
    fit_size,
    nearer,
    random_view,
    resize_image,
    resize_labels,
    resize_sample,
    to_sample,
)
from umadapt.data.batch import ABSENT, Batch
from umadapt.data.camera import Camera
from umadapt.data.colours import Colours, draw, paint
from umadapt.data.contours import soft_contours
from umadapt.data.folder import Folder
from umadapt.data.rare import RareClasses
from umadapt.data.window import Window
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.tasks import TASKS, derive_truth, label_of

CACHE_BYTES = 3 << 30  # decoded samples that are kept in memory,
CACHE_IDS = 20_000  # unless there are more: little of so large a set would come again before the end
DETAIL = 2  # larger photos are shrunk to this multiple of the network's size before augmentation


Detector = Callable[[Folder, str], Tensor]  # an image of a folder -> its contour map (1, h, w) in [0, 1]


class Shuffled:
    """Places 0 … count - 1 in an endless pass, in a fresh order each time through, which follows from the seed alone.

    Several threads may ask at once.
    """

    def __init__(self, count: int, *seed: int):
        self.count, self.seed = count, seed
        self.orders: dict[int, np.ndarray] = {}  # of the pass that was asked for last

    def __call__(self, number: int) -> int:
        epoch, place = divmod(number, self.count)
        order = self.orders.get(epoch)
        if order is None:
            order = np.random.default_rng((*self.seed, epoch)).permutation(self.count)
            self.orders = {epoch: order}
        return int(order[place])


class Drawn(NamedTuple):
    """One sample of a batch to come."""

    truths: dict[str, Tensor]  # of each task
    image: Tensor | None
    contour: Tensor | None
    colours: Colours | None  # which its image gets with those of the batch; None = it has its own


def refuse_huge(batch: int, size: tuple[int, int]) -> None:
    """Raise a UserError where the images of a process's share of a batch alone would not fit into memory."""
    needed, there = batch * 12 * size[0] * size[1], os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise UserError(
            f"--batch: {batch} images of {size[0]}x{size[1]} take {needed / 1e9:.0f} GB before any network sees them, "
            f"and this machine has {there / 1e9:.0f}; give a smaller --batch"
        )


class Batches:
    """`batches(k)` is the k-th batch of an endless shuffled pass over a folder.

    Truths are on the output grid, in the reader's units: depth (B, 1, h, w) metres, normals (B, 3, h, w), seg (B, h, w)
    int64, and what tasks derive from these there (edges (B, 1, h, w)).

    Args:
        folder: where samples come from.
        ids: which of them.
        size: network input (H, W).
        focal: focal length in pixels at `size` of the canonical camera, by which depth and normals are to be seen;
            None = each picture's by its own.
        grid: network output (h, w).
        tasks: labels to read; an image that lacks one gets a map that is missing everywhere.
        batch: samples in each batch.
        seed: of order and augmentation.
        recipe: augmentation, or None for whole images as they are.
        rare: share of the samples that are drawn for a class of seg, see `RareClasses`.
        views: augmented views of each image, which come again in turn; 0 = a new one each time.
        images: read the images too; without them only labels are decoded, and ids that have none of them left out.
        contours: add contour maps, which are gradients of the augmented images,
        detector: or what this finds in whole images, zoomed, cropped and mirrored as they are.
        device: where pictures get their colours and contours; pictures and contours of a batch are there.
        rank: which of `world` processes this is. `batch` is that of all together: each takes its share of the numbers
            of every batch, in the order of ranks, so that they see what one process would.
        world: number of processes.

    Raises:
        UserError: no id has a label, or a batch is too small for every process to get a sample.
    """

    def __init__(
        self,
        folder: Folder,
        ids: Sequence[str],
        size: tuple[int, int],
        grid: tuple[int, int],
        *,
        tasks: Sequence[str] = (),
        focal: float | None = None,
        batch: int = 16,
        seed: int = 0,
        recipe: Augment | None = None,
        rare: float = 0.0,
        views: int = 0,
        images: bool = True,
        contours: bool = False,
        detector: Detector | None = None,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world: int = 1,
    ):
        if batch < world:
            raise UserError(f"a batch of {batch} cannot be shared by {world} processes; give --batch {world} or more")
        refuse_huge(-(-batch // world), size)
        self.rank, self.world = rank, world
        self.folder, self.tasks, self.batch, self.seed = folder, tuple(tasks), batch, seed
        self.labels = tuple(dict.fromkeys(label_of(task) for task in self.tasks))  # to read
        self.ids = tuple(i for i in ids if images or any(folder.has(label, i) for label in self.labels))
        if not self.ids:
            raise UserError(f"{folder.root}: none of {len(ids)} ids has a label of {', '.join(self.labels)}")
        self.size, self.grid, self.recipe, self.views, self.focal = size, grid, recipe, views, focal
        self.places = {name: place for place, name in enumerate(self.ids)}
        self.images, self.contours, self.device = images, contours, torch.device(device)
        self.detector = detector if contours else None
        self.lock = threading.Lock()  # of the cache: several threads may make batches
        self.cache: dict[str, Sample] = {}
        self.cached_bytes = 0
        self.keep_bytes = CACHE_BYTES // process_group.local_size()
        self.place: Callable[[int], int] = Shuffled(len(self.ids), seed, 1)
        if rare:
            self.place = RareClasses(folder, self.ids, rare, self.place, seed)

    def __call__(self, step: int) -> Batch:
        numbers = self.numbers(step)
        names = [self.pick(number) for number in numbers]
        return self.collate(names, [self.sample(n, number) for n, number in zip(names, numbers, strict=True)])

    def numbers(self, step: int) -> range:
        """The numbers of the samples of a step, of this process."""
        return process_group.share_of(range(step * self.batch, (step + 1) * self.batch), self.rank, self.world)

    def view(self, name: str, number: int) -> int:
        """Which augmentation the sample with this number gets: its number, or, of few views, that of one of them."""
        count = len(self.ids)
        return number // count % self.views * count + self.places[name] if self.views else number

    @torch.no_grad()
    def sample(self, name: str, number: int) -> Drawn:
        """The image and the truth of each task, in the view that belongs to the number, and the colours to come."""
        view, colours = self.make(name, self.view(name, number))
        truths = {task: truth_of(task, view[label_of(task)]) for task in self.tasks}
        return Drawn(truths, view.get("image"), view.get("contour"), colours)

    @torch.no_grad()
    def collate(self, names: list[str], samples: Sequence[Drawn]) -> Batch:
        """One batch of samples, with their colours."""
        plain = stack((sample.image for sample in samples), self.device)
        colours = [sample.colours for sample in samples if sample.colours is not None]
        images = paint(plain, colours) if colours else plain
        contours = stack((sample.contour for sample in samples), self.device)
        if self.contours and self.detector is None:
            contours = soft_contours(images, self.grid)
        return Batch(
            names,
            images,
            plain if self.recipe is not None and self.recipe.plain else ABSENT,
            contours,
            {task: torch.stack([sample.truths[task] for sample in samples]) for task in self.tasks},
        )

    def pick(self, number: int) -> str:
        """The id of the sample with this number."""
        return self.ids[self.place(number)]

    def seen(self, steps: int) -> list[tuple[Folder, str]]:
        """The images that so many steps of all processes will see."""
        return [(self.folder, self.pick(k)) for k in range(min(steps * self.batch, len(self.ids)))]

    def make(self, name: str, view: int) -> tuple[Sample, Colours | None]:
        """One sample in a random view, with labels, and the colours of its image."""
        sample = {k: from_compact(k, v) for k, v in self.load(name).items()}
        if self.recipe is None:
            whole = {k: resize_image(v, self.size) for k, v in sample.items() if k == "image"}
            return nearer(resize_labels(sample | whole, self.grid), self.magnification(name)), None
        rng = np.random.default_rng((self.seed, 2, view))
        sample = random_view(sample, self.size, rng, self.recipe, self.grid, self.magnification(name))
        return sample, draw(rng, self.recipe, self.size) if "image" in sample else None

    def magnification(self, name: str) -> float:
        """How much larger things look in this picture, at the network's size, than to the canonical camera."""
        camera = self.folder.camera_of(name)
        if self.focal is None or camera is None:
            return 1.0
        return focal_at(camera, self.folder.window_of(name), self.size) / self.focal

    def load(self, name: str) -> Sample:
        """The decoded sample in compact types, from memory where it fits."""
        if name in self.cache:
            return self.cache[name]
        sample = read_sample(self.folder, name, self.labels, images=self.images)
        if self.detector is not None:
            contour = self.detector(self.folder, name)
            sample["contour"] = resize_image(contour, (sample["image"].shape[-2], sample["image"].shape[-1]))
        limit = (self.size[0] * DETAIL, self.size[1] * DETAIL)
        height, width = next(iter(sample.values())).shape[-2:]
        if height > 1.5 * limit[0] and width > 1.5 * limit[1]:
            sample = resize_sample(sample, fit_size((height, width), limit))
        compact = {k: to_compact(k, v) for k, v in sample.items()}
        size = sum(v.numel() * v.element_size() for v in compact.values())
        with self.lock:
            room = self.cached_bytes + size <= self.keep_bytes and len(self.ids) <= CACHE_IDS
            if room and name not in self.cache:
                self.cached_bytes += size
                self.cache[name] = compact
        return compact


def stack(parts: Iterable[Tensor | None], device: torch.device) -> Tensor:
    """The parts of samples as one tensor there, ABSENT where they have none."""
    there = [part for part in parts if part is not None]
    return torch.stack(there).to(device) if there else ABSENT


def read_sample(folder: Folder, name: str, tasks: Sequence[str], *, images: bool = True) -> Sample:
    """Read an image and its labels as tensors; a label file that is missing becomes a map of missing pixels."""
    sample = to_sample(folder.read(name, tasks, images), folder.ignore)
    if not sample:
        raise UserError(f"{folder.root}: {name} has none of the labels {', '.join(tasks)}")
    h, w = next(iter(sample.values())).shape[-2:]
    for task in tasks:
        if task not in sample:
            sample[task] = torch.full((*LABELS[task].channels, h, w), LABELS[task].missing)
    return sample


def truth_of(task: str, label: Tensor) -> Tensor:
    """What a loss reads of one sample, (C, h, w) or ids (h, w), from an entry of it: labels of one channel have an axis
    for it there."""
    truth = derive_truth(task, label.squeeze(0) if LABELS[label_of(task)].channels == (1,) else label)
    return truth if TASKS[task].categorical or truth.ndim == 3 else truth.unsqueeze(0)


def to_compact(key: str, x: Tensor) -> Tensor:
    """A quarter of the memory: images and contours as bytes, labels as `LABELS` says."""
    return x.to(LABELS[key].compact) if key in LABELS else (x * 255).round().to(torch.uint8)


def from_compact(key: str, x: Tensor) -> Tensor:
    if key not in LABELS:
        return x.float() / 255
    return x.float() if LABELS[key].compact.is_floating_point else x.long()


def focal_at(camera: Camera, window: Window | None, size: tuple[int, int]) -> float:
    """Focal length in pixels of a picture, or of its window, that is cropped to the aspect of `size` and resized to it.

    As `crop_window` does without a zoom, but for its rounding.
    """
    height, width = (camera.height, camera.width) if window is None else window.size
    return camera.fx / min(height / size[0], width / size[1])
