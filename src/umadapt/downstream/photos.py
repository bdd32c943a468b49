"""Photos by class folders, as ImageNet is laid out, and crops of them; one that is damaged is named and left out."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.transforms.v2 import functional as F

from umadapt.data.files import read_photo
from umadapt.data.prefetch import data_pool
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.training.batches import Shuffled
from umadapt.training.run_folder import digest
from umadapt.training.trainer import loaders

MARGIN = 256 / 224  # a photo's shorter side over that of its centre crop
AREA, ASPECT = (0.08, 1.0), (3 / 4, 4 / 3)  # of random crops (Szegedy et al., CVPR 2015)
TRIES = 10  # draws of a crop that fits


@dataclass(frozen=True)
class Photos:
    """A split: files and their classes."""

    root: Path
    names: tuple[str, ...]  # paths under root
    labels: tuple[int, ...]
    classes: tuple[str, ...]

    def digest(self) -> str:
        """Which photos these are."""
        return digest(self.names)


def open_split(root: Path, split: str, classes: Sequence[str] | None = None) -> Photos:
    """ROOT/SPLIT/CLASS/*.

    Args:
        classes: of the training split, which those here must be among.

    Raises:
        UserError: no such folders, a class without photos, or a photo without a class.
    """
    folder = root / split
    if not folder.is_dir():
        raise UserError(f"{root} has no folder {split}; expected {split}/CLASS/PHOTO.jpg, as ImageNet has it")
    stray = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in IMG_EXTENSIONS and path.is_file()]
    if stray:
        raise UserError(f"{stray[0]} has no class; move it to {folder}/CLASS/{stray[0].name}")
    try:
        found = ImageFolder(str(folder))
    except (FileNotFoundError, OSError) as error:
        reason = str(error).split(" Supported")[0].rstrip(".")
        raise UserError(f"{folder}: {reason}; expected photos in {split}/CLASS/") from error
    known = tuple(classes or found.classes)
    odd = [name for name in found.classes if name not in known]
    if odd:
        raise UserError(f"{folder / odd[0]} is a class that train has not; remove it, or add train/{odd[0]}")
    names = tuple(str(Path(path).relative_to(folder)) for path, _ in found.samples)
    labels = tuple(known.index(found.classes[label]) for _, label in found.samples)
    return Photos(folder, names, labels, known)


class Reader:
    """Reads photos as (3, H, W) uint8. One that cannot be read is named once, on stderr, and is None."""

    def __init__(self) -> None:
        self.damaged: set[Path] = set()
        self.lock = threading.Lock()

    def __call__(self, path: Path) -> Tensor | None:
        if path in self.damaged:
            return None
        try:
            return torch.from_numpy(read_photo(path)).permute(2, 0, 1)
        except UserError as error:
            with self.lock:
                if path not in self.damaged:
                    self.damaged.add(path)
                    print(f"left out: {error}", file=sys.stderr, flush=True)
            return None


def centre_crop(image: Tensor, side: int) -> Tensor:
    """(3, H, W) to (3, side, side), of the photo with a shorter side of 256/224 of that."""
    return F.center_crop(F.resize(image, [round(side * MARGIN)], antialias=True), [side, side])


def random_crop(image: Tensor, side: int, rng: np.random.Generator) -> Tensor:
    """(3, H, W) to (3, side, side): torchvision's `RandomResizedCrop` and a flip, drawn by `rng`.

    Not by torchvision itself, whose draws come from one generator of the process, which threads share.
    """
    height, width = image.shape[-2:]
    top, left, h, w = 0, 0, height, width
    for _ in range(TRIES):
        area, aspect = height * width * rng.uniform(*AREA), np.exp(rng.uniform(*np.log(ASPECT)))
        h, w = round(np.sqrt(area / aspect)), round(np.sqrt(area * aspect))
        if 0 < h <= height and 0 < w <= width:
            top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
            break
    else:
        h = w = min(height, width)
        top, left = (height - h) // 2, (width - w) // 2
    crop = F.resized_crop(image, top, left, h, w, [side, side], antialias=True)
    return F.horizontal_flip(crop) if rng.random() < 0.5 else crop


def numbers_of(step: int, batch: int) -> range:
    """Numbers of the samples of a step, of this process. Raises UserError where some process would have none."""
    size = process_group.size()
    if batch < size:
        raise UserError(f"a batch of {batch} cannot be shared by {size} processes; give --batch {size} or more")
    return process_group.share_of(range(step * batch, (step + 1) * batch), process_group.rank(), size)


class Draws:
    """An endless pass over photos in a fresh order each time through; a damaged one gives its place to the next."""

    def __init__(self, paths: Sequence[Path], batch: int, seed: int, read: Reader):
        self.paths, self.batch, self.read = paths, batch, read
        self.place = Shuffled(len(paths), seed, 1)

    def numbers(self, step: int) -> range:
        """Of the samples of a step, of this process."""
        return numbers_of(step, self.batch)

    def __call__(self, number: int) -> tuple[int, Tensor]:
        """(place, image) of the sample with this number."""
        first = self.place(number)
        for place in (*range(first, len(self.paths)), *range(first)):
            image = self.read(self.paths[place])
            if image is not None:
                return place, image
        raise UserError(f"{self.paths[0].parent}: none of {len(self.paths)} photos can be read")


def batches_of(
    paths: Sequence[Path], side: int, batch: int, read: Reader, device: torch.device
) -> Iterator[tuple[list[int], Tensor]]:
    """(places, (B, 3, side, side) in [0, 1] on the device) of the centre crops of photos that can be read.

    They are decoded ahead, in threads.
    """

    def crop(path: Path) -> Tensor | None:
        image = read(path)
        return None if image is None else centre_crop(image, side)

    with data_pool(loaders(device)) as pool:
        starts = range(0, len(paths), batch)
        ahead = [pool.submit(crop, path) for path in paths[:batch]]
        for start in starts:
            coming = [pool.submit(crop, path) for path in paths[start + batch : start + 2 * batch]]
            found = [(start + k, x) for k, future in enumerate(ahead) if (x := future.result()) is not None]
            ahead = coming
            if found:
                yield [place for place, _ in found], torch.stack([x for _, x in found]).to(device).float() / 255
