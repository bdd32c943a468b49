"""Photos on their way to the network (fitted sizes, batches, decoding ahead of it), and as thumbnails."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from umadapt import ranks
from umadapt.data.augment import fit_size, resize_image, to_sample
from umadapt.data.batches import share_of
from umadapt.data.folder import Folder
from umadapt.data.pool import data_pool
from umadapt.nets.model import UMAdapt

T = TypeVar("T")
WORKERS = 2  # threads that decode while the network runs


def fitted(rgb: np.ndarray, net_size: tuple[int, int]) -> Tensor:
    """A whole photo (H, W, 3) uint8 at the size at which the network sees it (`fit_size`): (3, h, w) in [0, 1]."""
    size = fit_size((rgb.shape[0], rgb.shape[1]), net_size)
    return resize_image(to_sample({"image": rgb})["image"], size)


def thumbnail(map_: np.ndarray, width: int) -> np.ndarray:
    """(H, W, ...) labels, depth or normals to about `width` columns; picks pixels, so that no label is invented."""
    height, full = map_.shape[:2]
    width = min(width, full)
    rows = ((np.arange(max(1, round(height * width / full))) + 0.5) * full / width).astype(int).clip(max=height - 1)
    columns = ((np.arange(width) + 0.5) * full / width).astype(int)
    return np.ascontiguousarray(map_[rows][:, columns])


def thumbnail_photo(rgb: np.ndarray, width: int) -> np.ndarray:
    """(H, W, 3) uint8 to about `width` columns, antialiased."""
    height, full = rgb.shape[:2]
    width = min(width, full)
    size = (width, max(1, round(height * width / full)))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR))


def run_model(model: UMAdapt, images: Tensor, domain: str) -> dict[str, Tensor]:
    """(B, 3, H, W) in [0, 1], on any device, to task -> prediction in network units, on the model's device."""
    device = next(model.parameters()).device
    return model(images.to(device, non_blocking=True, memory_format=torch.channels_last), domain)


def own_photos(ids: Sequence[str], batch: int) -> Sequence[str]:
    """This rank's share of photos, in blocks of `batch`: the network sees the same batches on any number of ranks."""
    starts = share_of(range(0, len(ids), batch), ranks.rank(), ranks.size())
    return ids[starts.start : starts.stop]


def photo_batches(
    folder: Folder,
    ids: Sequence[str],
    net_size: tuple[int, int],
    batch: int,
    read: Callable[[str], T],
    progress: bool = False,
) -> Iterator[tuple[list[str], Tensor, list[T]]]:
    """Whole photos of a folder at their fitted size, those of one size together; of several ranks, this one's share.

    Each block of `batch` photos makes a batch, or one for each size in it, so that the batches are the same on any
    number of ranks. Yields (ids, images (B, 3, h, w) in [0, 1], what `read` gave for each id). `read` is called by
    threads.
    """

    def load(id: str) -> tuple[Tensor, T]:
        return fitted(folder.read_image(id), net_size), read(id)

    mine = own_photos(ids, batch)
    waiting: dict[tuple[int, ...], list[tuple[str, Tensor, T]]] = {}  # by size
    for number, (id, (image, extra)) in enumerate(prefetch(load, mine, progress, ahead=2 * batch), 1):
        waiting.setdefault(tuple(image.shape), []).append((id, image, extra))
        if number % batch == 0 or number == len(mine):
            yield from map(_stack, waiting.values())
            waiting.clear()


def _stack(group: list[tuple[str, Tensor, T]]) -> tuple[list[str], Tensor, list[T]]:
    return [id for id, _, _ in group], torch.stack([image for _, image, _ in group]), [extra for _, _, extra in group]


def prefetch(
    load: Callable[[str], T], ids: Sequence[str], progress: bool = False, ahead: int = 8
) -> Iterator[tuple[str, T]]:
    """(id, load(id)) in order, loaded by threads at most `ahead` of the consumer; a bar on stderr if `progress`."""
    pending: deque[tuple[str, Future[T]]] = deque()
    left = iter(ids)
    with (
        data_pool(WORKERS) as pool,
        tqdm(total=len(ids), unit="photo", disable=not progress or ranks.rank() > 0, leave=False) as bar,
    ):
        try:
            while True:
                while len(pending) < ahead and (id := next(left, None)) is not None:
                    pending.append((id, pool.submit(load, id)))
                if not pending:
                    return
                id, future = pending.popleft()
                yield id, future.result()
                bar.update()
        finally:  # an error or Ctrl-C: what was not begun is not wanted any more
            for _, future in pending:
                future.cancel()
