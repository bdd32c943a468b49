"""Pooled features of photos, computed once and kept: FOLDER/SPLIT-00000.npy, (N, C) in half precision, a row a photo.

A file holds the photos of its number and nothing else, so that a pass which was stopped goes on behind the last one.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from umadapt.data.files import write_bytes
from umadapt.distributed import process_group
from umadapt.downstream.photos import Photos, Reader, batches_of
from umadapt.errors import UserError

ROWS = 1024  # of a file
BATCH = 32  # photos that go through the network at once


class Features:
    """The features of a split, read from disk as they are asked for.

    Args:
        folder: where they are kept.
        split: "train" or "val".
        photos: of the split.
    """

    def __init__(self, folder: Path, split: str, photos: Photos):
        starts = range(0, len(photos.names), ROWS)
        self.split, self.photos = split, photos
        self.files = [folder / f"{split}-{k:05d}.npy" for k in range(len(starts))]
        self.parts: list[np.ndarray] = []

    def compute(self, pooled: Callable[[Tensor], Tensor], side: int, device: torch.device, read: Reader) -> None:
        """Make the files that are not there; of several processes each makes a share.

        Args:
            pooled: (B, 3, side, side) in [0, 1] to (B, C).

        Raises:
            UserError: a feature is not finite in half precision, or a file cannot be written.
        """
        missing = [k for k, file in enumerate(self.files) if not file.exists()]
        process_group.barrier()  # all have looked
        bar = tqdm(total=len(missing), desc=f"features of {self.split}", unit="file", file=sys.stderr, delay=1)
        with bar:
            for k in missing[process_group.rank() :: process_group.size()]:
                self._write(k, pooled, side, device, read)
                bar.update()
        process_group.barrier()
        self.open()

    def open(self) -> None:
        """Raises UserError where a file is damaged."""
        for k, file in enumerate(self.files):
            try:
                part = np.load(file, mmap_mode="r")
            except (ValueError, EOFError, OSError) as error:
                raise UserError(f"{file} is damaged ({error}); delete it, and give the command again") from error
            if len(part) != len(self._names(k)):
                raise UserError(f"{file} has {len(part)} rows, expected {len(self._names(k))}; delete it")
            self.parts.append(part)

    @torch.inference_mode()
    def _write(self, k: int, pooled: Callable[[Tensor], Tensor], side: int, device: torch.device, read: Reader) -> None:
        names = self._names(k)
        paths, rows = [self.photos.root / name for name in names], None
        for places, images in batches_of(paths, side, BATCH, read, device):
            found = pooled(images).half().cpu().numpy()
            if not np.isfinite(found).all():
                raise UserError(f"{self.photos.root / names[places[0]]} or one after it has features beyond 65504")
            if rows is None:
                rows = np.full((len(names), found.shape[1]), np.nan, np.float16)
            rows[places] = found
        buffer = io.BytesIO()
        np.save(buffer, np.full((len(names), 1), np.nan, np.float16) if rows is None else rows)
        write_bytes(self.files[k], buffer.getvalue())

    def _names(self, k: int) -> tuple[str, ...]:
        return self.photos.names[k * ROWS : (k + 1) * ROWS]

    def readable(self) -> np.ndarray:
        """Places of the photos that could be read. Raises UserError where there are none."""
        there = np.flatnonzero(np.concatenate([~np.isnan(part[:, 0]) for part in self.parts]))
        if not len(there):
            raise UserError(f"{self.photos.root}: none of {len(self.photos.names)} photos can be read")
        return there

    def take(self, places: np.ndarray) -> Tensor:
        """(N,) places to (N, C) float32."""
        return torch.from_numpy(np.stack([self.parts[p // ROWS][p % ROWS] for p in places]).astype(np.float32))

    def moments(self, places: np.ndarray) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (C,) over the photos at these places."""
        total = square = np.zeros(self.take(places[:1]).shape[1])
        for start in range(0, len(places), ROWS):
            x = self.take(places[start : start + ROWS]).numpy().astype(np.float64)
            total, square = total + x.sum(0), square + (x * x).sum(0)
        mean = total / len(places)
        std = np.sqrt(np.maximum(square / len(places) - mean**2, 0))
        return torch.from_numpy(mean).float(), torch.from_numpy(std).float()
