"""Do labels lie on their photos? The eight symmetries of a picture and small shifts, by the edges of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from umadapt.data.folder import Folder

SMALL, FINE = 64, 256  # largest widths of the maps that are compared, for symmetries and for shifts
SURE = 4.0  # standard errors that moved labels must fit better by,
CLEAR = 0.02  # and the least gain in correlation
FITS = 0.2  # the correlation that moved labels must come to
LEAST = 4  # views
SHIFT = 2  # pixels of the compared maps below which a shift is no fault
DENSE = 0.5  # share of the pixels that must have a label: the holes of sparse ones are edges everywhere

Turn = Callable[[np.ndarray], np.ndarray]
KEPT: dict[str, Turn] = {  # symmetries of any picture: what would make the labels fit -> how
    "mirrored left to right": lambda x: x[:, ::-1],
    "flipped top to bottom": lambda x: x[::-1],
    "turned by 180 degrees (EXIF?)": lambda x: x[::-1, ::-1],
}
SQUARE: dict[str, Turn] = {  # of a square
    "turned by 90 degrees clockwise (EXIF?)": lambda x: np.rot90(x, -1),
    "turned by 90 degrees counterclockwise (EXIF?)": lambda x: np.rot90(x),
    "transposed": lambda x: x.T,
    "transposed about the other diagonal": lambda x: x[::-1, ::-1].T,
}


def misplaced(folder: Folder, ids: Sequence[str], task: str) -> str | None:
    """A warning when the labels of a task fit the edges of their photos better once they are turned or moved.

    The best symmetry or shift must be the same in both halves of the views, and better in nearly all of them.
    """
    found = [pair for id in ids if (pair := _pair(folder, id, task)) is not None]
    pairs = list({pair[1].tobytes(): pair for pair in found}.values())  # the same label says the same again
    if len(pairs) < LEAST:
        return None
    turn = _best_turn(pairs)
    if turn is not None:
        return f"{task}: the labels fit the photos better when {turn} ({len(pairs)} views compared)"
    shift = _best_shift(pairs)
    return shift and f"{task}: the labels fit the photos better when moved {shift} ({len(pairs)} views compared)"


def _pair(folder: Folder, id: str, task: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Photo (H, W, 3) and label (H, W, channels), in which what differs is far apart; None of sparse labels."""
    label = folder.read_label(task, id)
    if label is None:
        return None
    photo = folder.read_image(id)
    known = label != folder.ignore if task == "seg" else label > 0 if task == "depth" else label.any(axis=-1)
    if known.mean() < DENSE:
        return None
    if task == "seg":
        label = np.random.default_rng(0).random((256, 3), np.float32)[label]  # a random colour for each class
    elif task == "depth":
        label = np.log(np.maximum(label, 0.1))
    return photo.astype(np.float32) / 255, label.astype(np.float32)


def _best_turn(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> str | None:
    edges = [(_edges(_shrink(photo, SMALL)), _edges(_shrink(label, SMALL))) for photo, label in pairs]
    turns = KEPT | (SQUARE if all(a.shape[0] == a.shape[1] for a, _ in edges) else {})
    straight = np.array([_correlation(a, b) for a, b in edges])
    gains = {name: np.array([_correlation(a, turn(b)) for a, b in edges]) - straight for name, turn in turns.items()}
    best = max(gains, key=lambda name: gains[name].mean())
    if any(max(gains, key=lambda name: gains[name][half::2].mean()) != best for half in (0, 1)):
        return None
    return best if _sure(gains[best]) else None


def _best_shift(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> str | None:
    """Such as `3 pixels to the left and 2 down`, in pixels of the photos."""
    shape = pairs[0][0].shape
    if any(photo.shape != shape for photo, _ in pairs):
        return None
    width = min(FINE, shape[1])
    reach = max(6, width // 20)
    maps = np.stack([_shifted(_edges(_shrink(a, width)), _edges(_shrink(b, width)), reach) for a, b in pairs])
    peaks = [_peak(maps[half].mean(0)) for half in (slice(None), slice(0, None, 2), slice(1, None, 2))]
    down, right = peaks[0] - reach
    if max(abs(down), abs(right)) < SHIFT or any(np.abs(peak - peaks[0]).max() > 1 for peak in peaks[1:]):
        return None
    there = maps[:, peaks[0][0], peaks[0][1]]
    if there.mean() < FITS or not _sure(there - maps[:, reach, reach]):
        return None
    told = []
    for steps, names in ((right, ("left", "right")), (down, ("up", "down"))):
        pixels = round(abs(steps) * shape[1] / width)
        if pixels:
            told.append(f"{pixels} pixels {'to the ' if names[0] == 'left' else ''}{names[int(steps > 0)]}")
    return " and ".join(told)


def _shifted(a: np.ndarray, b: np.ndarray, reach: int) -> np.ndarray:
    """(2 reach + 1, 2 reach + 1): the correlation of (h, w) maps, b moved down and right by row - reach, ..."""
    a, b = ((x - x.mean()) / max(float(x.std()), 1e-9) for x in (a, b))
    size = tuple(-(-(n + 2 * reach) // 32) * 32 for n in a.shape)  # quick to transform
    product = np.fft.irfft2(np.fft.rfft2(a, size) * np.conj(np.fft.rfft2(b, size)), size)
    rows = np.arange(-reach, reach + 1)
    overlap = (a.shape[0] - np.abs(rows))[:, None] * (a.shape[1] - np.abs(rows))[None]
    return product[rows[:, None], rows[None]] / np.maximum(overlap, 1)


def _peak(map_: np.ndarray) -> np.ndarray:
    return np.array(np.unravel_index(int(map_.argmax()), map_.shape))


def _sure(gains: np.ndarray) -> bool:
    """Whether the views agree that there is a gain."""
    mean, error = float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))
    return mean > SURE * error and mean >= CLEAR


def _shrink(values: np.ndarray, width: int) -> np.ndarray:
    """(h, width, channels): every channel resized by PIL's box filter."""
    values = values.reshape(*values.shape[:2], -1)
    height = max(3, round(width * values.shape[0] / values.shape[1]))
    planes = [Image.fromarray(plane) for plane in np.moveaxis(values, -1, 0)]
    return np.stack([np.asarray(plane.resize((width, height), Image.Resampling.BOX)) for plane in planes], -1)


def _edges(values: np.ndarray) -> np.ndarray:
    """(h - 1, w - 1) strength of the edges, compressed so that a few strong ones do not decide."""
    down, right = np.diff(values, axis=0)[:, :-1], np.diff(values, axis=1)[:-1]
    return np.sqrt(np.sqrt((down**2 + right**2).sum(-1)))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-9))
