"""Tone curves: what a folder of photos says of the camera that took them, without a label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from umadapt.data.folder import Folder

PERCENTS = (1, 5, 25, 50, 75, 95, 99)
PHOTOS = 500  # are read at the most, evenly spaced
MARGIN = 0.02  # of each side, left out: photos may have a frame
STEP = 4  # pixels between those that count
Percentiles = list[list[float]]  # (3, 7): display values 0..255 of each channel at PERCENTS


def histogram(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (3, 256) how often each value of each channel stands in it."""
    return np.stack([np.bincount(channel.ravel(), minlength=256) for channel in np.moveaxis(image, -1, 0)])


def percentiles(counts: np.ndarray) -> Percentiles:
    """(3, 256) counts -> the values below which so many per cent of the pixels lie, to a hundredth of a grey level."""
    out = []
    for channel in counts:
        share = np.concatenate([[0.0], np.cumsum(channel) / channel.sum()])
        values = np.interp(np.array(PERCENTS) / 100, share, np.arange(257.0)) - 0.5  # of 256 bins, each a level wide
        out.append([round(float(x), 2) for x in values.clip(0.0, 255.0)])
    return out


def photo_percentiles(address: str) -> Percentiles:
    """Of the photos of DATA or DATA:SPLIT. Raises UserError as Folder does."""
    folder = Folder(address)
    counts = np.zeros((3, 256), dtype=np.int64)
    for name in folder.ids[:: -(-len(folder.ids) // PHOTOS)]:
        photo = folder.read_window(name)
        top, left = (round(MARGIN * side) for side in photo.shape[:2])
        counts += histogram(photo[top : photo.shape[0] - top : STEP, left : photo.shape[1] - left : STEP])
    return percentiles(counts)


@dataclass(frozen=True)
class ToneCurve:
    """Gives an image of `rooms` the tones of `photos`: a monotone curve a channel through their percentiles."""

    rooms: Percentiles
    photos: Percentiles

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 -> (H, W, 3) uint8."""
        channels = zip(np.moveaxis(image, -1, 0), self.rooms, self.photos, strict=True)
        return np.stack([curve(rooms, photos)[channel] for channel, rooms, photos in channels], -1)


def curve(rooms: list[float], photos: list[float]) -> np.ndarray:
    """(256,) uint8: the new value of each, black and white kept, linear between the percentiles."""
    values = np.interp(np.arange(256), [0.0, *np.maximum.accumulate(rooms), 255.0], [0.0, *photos, 255.0])
    return np.round(values).astype(np.uint8)
