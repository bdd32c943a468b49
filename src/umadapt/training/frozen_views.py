"""A few augmented views of every photo, with what frozen networks make of them: computed once, kept on disk."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from umadapt.data import json_schema
from umadapt.data.atomic import alone, write_json
from umadapt.data.batch import ABSENT, Batch
from umadapt.errors import UserError
from umadapt.training.batches import Batches

CHUNK = 4  # views that go through the networks at once
FREE = 0.5  # share of the free disk space that may be taken
CONTOUR, TRUNK = "contour", "trunk."  # names of the files, the latter before a layer
COMPLETE = json_schema.record({"arrays": json_schema.items(json_schema.text())})  # of complete.json


class NoRoom(Exception):
    """The disk has no room for the views; without them all goes on, a little slower."""


class FrozenViews:
    """Stands in the place of `Batches` of few views, and gives the frozen networks' results in place of pictures.

    Args:
        batches: the photos, and how many views of each there are.
        frozen: a batch with pictures -> the same with what the networks make of it, `Batch.trunk`.
        folder: where the arrays are; complete ones from an earlier call are taken as they are.
        shared: other runs keep views there, too. Each kind lies in a folder of its own, named by the photos and by what
            the networks make of the first views, and is computed once: another process waits for it.

    Raises:
        NoRoom: of the disk.
    """

    def __init__(
        self,
        batches: Batches,
        frozen: Callable[[Batch], Batch],
        folder: Path,
        shared: bool = False,
    ):
        self.batches, self.frozen = batches, frozen
        self.folder = folder / self._fingerprint() if shared else folder
        self.ids, self.numbers, self.pick = batches.ids, batches.numbers, batches.pick
        self.arrays: dict[str, np.ndarray] = {}
        with alone(self.folder / "lock") if shared else contextlib.nullcontext():
            if not self._open():
                self.arrays = {}
                self._make()
                self._open()

    def _open(self) -> bool:
        """Map the arrays of an earlier call; whether they are there, and sound as far as can be seen at once."""
        try:
            names = json_schema.read(self._mark, COMPLETE, "")["arrays"]
            self.arrays = {name: np.load(self._file(name), mmap_mode="r") for name in names}
        except (OSError, ValueError, EOFError, UserError):
            return False
        return bool(names) and all(len(array) == len(self) for array in self.arrays.values())

    @property
    def _mark(self) -> Path:
        return self.folder / "complete.json"

    def _make(self) -> None:
        with tqdm(total=len(self), desc="views", unit="view", dynamic_ncols=True, mininterval=1) as bar:
            for start in range(0, len(self), CHUNK):
                views = range(start, min(start + CHUNK, len(self)))
                try:
                    self._store(start, self._look(views))
                except NoRoom:
                    shutil.rmtree(self.folder)  # what was taken of the disk before it was full
                    raise
                bar.update(len(views))
        write_json(self._mark, {"arrays": sorted(self.arrays)})

    def _fingerprint(self) -> str:
        """Of the photos, and of what networks, augmentation and options make of the first views."""
        known = hashlib.sha256(f"{self.batches.views} {self.batches.seed}".encode())
        folder = self.batches.folder
        for id, seen in zip(self.batches.ids, folder.known_as(self.batches.ids), strict=True):
            known.update(b"\0" + os.fsencode(seen) + hashlib.sha256(folder.image_path(id).read_bytes()).digest())
        for name, values in sorted(self._look(range(min(CHUNK, len(self)))).items()):
            known.update(f"{name} {values.dtype} {tuple(values.shape)}".encode() + values.numpy().tobytes())
        return known.hexdigest()[:16]

    def __len__(self) -> int:
        return self.batches.views * len(self.batches.ids)

    def __call__(self, step: int) -> Batch:
        numbers = self.numbers(step)
        names = [self.pick(number) for number in numbers]
        return self.collate(names, [self.sample(n, number) for n, number in zip(names, numbers, strict=True)])

    def sample(self, name: str, number: int) -> dict[str, Tensor]:
        """What is kept of the view of this photo that belongs to the number, by the name of its file."""
        view = self.batches.view(name, number)
        return {file: torch.from_numpy(np.array(array[view])) for file, array in self.arrays.items()}

    def collate(self, names: list[str], samples: Sequence[dict[str, Tensor]]) -> Batch:
        """One batch of samples."""
        return unpack(
            names,
            {
                file: torch.stack([sample[file] for sample in samples]).contiguous(memory_format=torch.channels_last)
                for file in self.arrays
            },
        )

    def _look(self, views: range) -> dict[str, Tensor]:
        """What the networks make of these views, as it is stored."""
        names = [self.batches.ids[view % len(self.batches.ids)] for view in views]
        samples = [self.batches.sample(*pair) for pair in zip(names, views, strict=True)]
        found = pack(self.frozen(self.batches.collate(names, samples)))
        # NumPy has no bfloat16
        return {name: (x.float() if x.dtype == torch.bfloat16 else x).cpu() for name, x in found.items()}

    def _store(self, start: int, found: dict[str, Tensor]) -> None:
        for name, values in found.items():
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
        try:
            array = np.lib.format.open_memmap(self._file(name), mode="w+", dtype=values.numpy().dtype, shape=shape)
            with self._file(name).open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
        except OSError as error:
            raise NoRoom(f"{self.folder}: {error.strerror}") from error
        return array

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.npy"


def pack(batch: Batch) -> dict[str, Tensor]:
    """What is kept of a batch, by the name of its file: all that is read of it but ids and pictures."""
    contours = {CONTOUR: batch.contours} if len(batch.contours) else {}
    return contours | {TRUNK + layer: x for layer, x in batch.trunk.items()}


def unpack(ids: list[str], kept: Mapping[str, Tensor]) -> Batch:
    """The batch of which this was kept."""
    trunk = {name.removeprefix(TRUNK): x for name, x in kept.items() if name.startswith(TRUNK)}
    return Batch(ids, contours=kept.get(CONTOUR, ABSENT), trunk=trunk)
