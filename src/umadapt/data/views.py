"""A few augmented views of every photo, with what frozen networks make of them: computed once, kept on disk."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from umadapt.data.batches import Batches
from umadapt.data.folder import write_json

CHUNK = 4  # views that go through the networks at once
FREE = 0.5  # share of the free disk space that may be taken
PICTURES = ("image", "plain")  # what nobody reads any more


class NoRoom(Exception):
    """The disk has no room for the views; without them all goes on, a little slower."""


class FrozenViews:
    """Stands in the place of `Batches` of few views, and gives the frozen networks' results in place of pictures.

    Args:
        batches: the photos, and how many views of each there are.
        frozen: a batch with pictures -> the same batch and what the networks make of it, tensors or dicts of them.
        folder: where the arrays are; complete ones from an earlier call are taken as they are.

    Raises:
        NoRoom: of the disk.
    """

    def __init__(self, batches: Batches, frozen: Callable[[dict[str, Any]], dict[str, Any]], folder: Path):
        self.batches, self.folder = batches, folder
        self.ids, self.numbers, self.pick = batches.ids, batches.numbers, batches.pick
        self.arrays: dict[str, np.ndarray] = {}
        mark = folder / "complete.json"
        if not mark.exists():
            with tqdm(total=len(self), desc="views", unit="view", dynamic_ncols=True, mininterval=1) as bar:
                for start in range(0, len(self), CHUNK):
                    views = range(start, min(start + CHUNK, len(self)))
                    self._store(start, _flat(frozen(self._pictures(views))))
                    bar.update(len(views))
            write_json(mark, {"arrays": sorted(self.arrays)})
        names = json.loads(mark.read_text())["arrays"]
        self.arrays = {name: np.load(self._file(name), mmap_mode="r") for name in names}

    def __len__(self) -> int:
        return self.batches.views * len(self.ids)

    def __call__(self, step: int) -> dict[str, Any]:
        numbers = self.numbers(step)
        names = [self.pick(number) for number in numbers]
        return self.collate(names, [self.sample(n, number) for n, number in zip(names, numbers, strict=True)])

    def sample(self, name: str, number: int) -> dict[str, Tensor]:
        """What the networks made of the view of this photo that belongs to the number."""
        view = self.batches.view(name, number)
        return {key: torch.from_numpy(np.array(array[view])) for key, array in self.arrays.items()}

    def collate(self, names: list[str], samples: Sequence[dict[str, Tensor]]) -> dict[str, Any]:
        """One batch of samples."""
        batch: dict[str, Any] = {"ids": names}
        for key in samples[0]:
            stacked = torch.stack([sample[key] for sample in samples]).contiguous(memory_format=torch.channels_last)
            outer, _, inner = key.partition(".")
            if inner:
                batch.setdefault(outer, {})[inner] = stacked
            else:
                batch[outer] = stacked
        return batch

    def _pictures(self, views: range) -> dict[str, Any]:
        """The batch of these views."""
        names = [self.ids[view % len(self.ids)] for view in views]
        return self.batches.collate(names, [self.batches.sample(*pair) for pair in zip(names, views, strict=True)])

    def _store(self, start: int, found: dict[str, Tensor]) -> None:
        for name, there in found.items():
            values = (there.float() if there.dtype == torch.bfloat16 else there).cpu()  # which NumPy has not
            if name not in self.arrays:
                self.arrays[name] = self._new(name, values)
            self.arrays[name][start : start + len(values)] = values.numpy()

    def _new(self, name: str, values: Tensor) -> np.ndarray:
        """An array of every view's values; all of its disk space is taken now, because a full disk would kill later."""
        shape = (len(self), *values.shape[1:])
        size = values.element_size() * math.prod(shape)
        self.folder.mkdir(parents=True, exist_ok=True)
        if size > FREE * shutil.disk_usage(self.folder).free:
            raise NoRoom(f"{size / 1e9:.1f} GB, more than {FREE:.0%} of what is free on the disk of {self.folder}")
        array = np.lib.format.open_memmap(self._file(name), mode="w+", dtype=values.numpy().dtype, shape=shape)
        try:
            with self._file(name).open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
        except OSError as error:
            raise NoRoom(f"{self.folder}: {error.strerror}") from error
        return array

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.npy"


def _flat(batch: dict[str, Any]) -> dict[str, Tensor]:
    """Tensors by name, those of inner dicts by outer.inner, without pictures."""
    flat: dict[str, Tensor] = {}
    for name, value in batch.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": x for inner, x in value.items()}
        elif isinstance(value, Tensor) and name not in PICTURES:
            flat[name] = value
    return flat
