"""Passes over a whole set: what training is told of it, and all its photos as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import chain, islice

import numpy as np
import torch
from torch import Tensor

from umadapt.data.augment import fit_size, resize_image, to_sample
from umadapt.data.folder import Folder
from umadapt.data.prefetch import prefetch
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.tasks import Seg
from umadapt.training.batches import focal_at

COUNTED = 5_000  # images whose labels are read for class frequencies: enough, and 100,000 would take minutes
READERS, AHEAD = 2, 8  # threads that read, and what they have ready


def class_frequencies(folder: Folder, ids: Sequence[str]) -> tuple[float, ...]:
    """Share of each class among the labelled pixels; of COUNTED images, evenly spaced, where there are more.

    Raises:
        UserError: no pixel is labelled.
    """
    counts = np.zeros(256, dtype=np.int64)
    ids = ids[:: max(1, -(-len(ids) // COUNTED))]

    def count(name: str) -> np.ndarray:
        seg = folder.read(name, [Seg.label], images=False)[Seg.label]
        return np.zeros(256, dtype=np.int64) if seg is None else np.bincount(seg.ravel(), minlength=256)

    mine = process_group.share_of(ids, process_group.rank(), process_group.size())
    for part in prefetch(count, mine, READERS, AHEAD):
        counts += part
    counts = np.sum(process_group.gather(counts), 0)
    counts[folder.ignore] = 0
    counts = counts[: len(folder.classes)]
    if not folder.classes:
        raise UserError(f"{folder.root}/dataset.json names no classes for seg; leave seg out of --tasks, or list them")
    if not counts.sum():
        raise UserError(f"{folder.root} has no labelled pixel in seg; leave seg out of --tasks, or check the labels")
    return tuple(float(x) for x in counts / counts.sum())


def canonical_focal(folder: Folder, ids: Sequence[str], size: tuple[int, int]) -> float | None:
    """The median over the pictures of `focal_at`; None where no camera is known."""
    cameras = [(camera, folder.window_of(id)) for id in ids if (camera := folder.camera_of(id)) is not None]
    focals = sorted(focal_at(camera, window, size) for camera, window in cameras)
    return focals[len(focals) // 2] if focals else None


def whole_images(
    folder: Folder, ids: Sequence[str], size: tuple[int, int], batch: int, seed: int = 0
) -> Iterator[Tensor]:
    """All photos once, whole and unaugmented, in a shuffled order (neighbours are often one scene): batches
    (B, 3, h, w) of photos of one fitted size; decoded ahead by threads. Each rank reads a share and yields its part of
    every batch, which may be empty."""
    order = [ids[int(i)] for i in np.random.default_rng((seed, 3)).permutation(len(ids))]
    waiting: dict[tuple[int, int], list[Tensor | None]] = {}  # None = on another rank

    def read(name: str) -> Tensor:
        image = to_sample({"image": folder.read_window(name)})["image"]
        return resize_image(image, fit_size((image.shape[-2], image.shape[-1]), size))

    rank, ranks = process_group.rank(), process_group.size()
    shares = [process_group.share_of(order[k : k + batch], rank, ranks) for k in range(0, len(order), batch)]
    with closing(prefetch(read, chain.from_iterable(shares), READERS, AHEAD)) as images:
        for share in shares:
            mine = list(islice(images, len(share)))
            shapes = process_group.gather([(image.shape[-2], image.shape[-1]) for image in mine])
            for other, found in enumerate(shapes):
                for k, shape in enumerate(found):
                    alike = waiting.setdefault(shape, [])
                    alike.append(mine[k] if other == rank else None)
                    if len(alike) == batch:
                        yield stack_here(alike, shape)
                        alike.clear()
    for shape, alike in waiting.items():
        if alike:
            yield stack_here(alike, shape)


def stack_here(images: Sequence[Tensor | None], size: tuple[int, int]) -> Tensor:
    """Images of one size to (B, 3, H, W); those of other ranks are left out, and it may be that none is left."""
    here = [image for image in images if image is not None]
    return torch.stack(here) if here else torch.zeros(0, 3, *size)
