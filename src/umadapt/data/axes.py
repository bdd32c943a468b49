"""In which axes are normals stored? All changes of signs and channels, against depth and camera, or without a camera
against what holds in every photo."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from umadapt.data.folder import Folder
from umadapt.data.normals import normals_from_depth

SAMPLES = 1000  # normals of a view
DISAGREE_DEG = 35.0  # OURS: true normals are within 10 to 25 degrees of plane fits on average
CHANGED = 0.7  # OURS: in the right axes they fit this much better, however few surfaces look that way
LEAST = 4  # views, where there is no depth
SURE, CLEAR = 4.0, 0.25  # standard errors and least gain, there
FACING = 0.2  # a surface that is seen may look away from the middle of the picture by this much at its sides


class Axes(NamedTuple):
    """Stored channels as x, y, z: `normals[..., order] * signs` are the true ones."""

    order: tuple[int, ...]
    signs: tuple[int, ...]

    @property
    def change(self) -> int:
        """How much it differs from what the format asks."""
        return sum(a != b for a, b in zip(self.order, range(3), strict=True)) * 2 + sum(s < 0 for s in self.signs)

    def of(self, normals: np.ndarray) -> np.ndarray:
        return normals[..., list(self.order)] * np.array(self.signs, np.float32)

    def __str__(self) -> str:
        flipped = " and ".join(axis for axis, sign in zip("xyz", self.signs, strict=True) if sign < 0)
        parts = []
        if self.order != (0, 1, 2):
            names = ", ".join(f"{'xyz'[c]} is stored in {'RGB'[self.order[c]]}" for c in range(3) if self.order[c] != c)
            parts.append(f"channels swapped ({names})")
        if flipped:
            opencv = " (OpenCV's axes: negate y and z)" if self.signs == (1, -1, -1) and not parts else ""
            parts.append(f"flipped in {flipped}{opencv}")
        return " and ".join(parts)


EVERY = sorted(
    itertools.starmap(Axes, itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3))),
    key=lambda axes: axes.change,
)


def strange_axes(folder: Folder, ids: Sequence[str]) -> str | None:
    """A warning when stored normals are in other axes than x right, y up, z towards the viewer."""
    stored, fitted = [], []
    for id in ids:
        camera = folder.camera_of(id)
        depth_m, normals = folder.read_depth(id), folder.read_normals(id)
        if depth_m is None or normals is None or camera is None or depth_m.shape != normals.shape[:2]:
            continue
        plane = normals_from_depth(depth_m, camera)
        both = plane.any(axis=-1) & normals.any(axis=-1)
        stored.append(_thin(normals[both]))
        fitted.append(_thin(plane[both]))
    a, b = (np.concatenate(vectors) if vectors else np.zeros((0, 3)) for vectors in (stored, fitted))
    if len(a):
        return _against_depth(a, b, len(stored))
    return _against_rules([normals for id in ids if (normals := folder.read_normals(id)) is not None])


def _against_depth(stored: np.ndarray, fitted: np.ndarray, views: int) -> str | None:
    """Of (n, 3) normals beside those of depth and camera."""
    angles = []
    for axes in EVERY:
        cosine = np.clip((axes.of(stored) * fitted).sum(axis=-1), -1, 1)
        angles.append(float(np.degrees(np.arccos(cosine)).mean()))
    best = next(i for i, angle in enumerate(angles) if angle <= min(angles) + 0.5)  # the least change of the best
    changed = angles[best] < CHANGED * angles[0]
    if angles[0] <= DISAGREE_DEG and not changed:
        return None
    hint = f"; they look {EVERY[best]}" if changed else ""
    return f"normals disagree with depth and camera by {angles[0]:.0f} degrees (mean of {views} views){hint}"


def _against_rules(views: Sequence[np.ndarray]) -> str | None:
    """Of maps (H, W, 3) alone. What is seen faces the viewer; what lies low in a picture looks up rather than what is
    high (floors, ceilings); what is on the left looks to the right rather than what is on the right."""
    found = np.array([_score(normals) for normals in views if np.count_nonzero(normals.any(-1)) > 100])
    if len(found) < LEAST:
        return None
    gains = found - found[:, :1]  # (views, axes)
    mean = gains.mean(axis=0)
    best = next(i for i, gain in enumerate(mean) if gain >= mean.max() - 0.02)
    error = gains[:, best].std(ddof=1) / np.sqrt(len(gains))
    if mean[best] < CLEAR or mean[best] <= SURE * error:
        return None
    return (
        f"normals look {EVERY[best]}: then what is seen faces the viewer, what is low looks up ({len(found)} views); "
        "expected x right, y up, z towards the viewer"
    )


def _score(normals: np.ndarray) -> np.ndarray:
    """(48,): how well one map (H, W, 3) keeps the rules in each of `EVERY`."""
    rows, columns = np.nonzero(normals.any(axis=-1))
    step = max(1, len(rows) // SAMPLES)
    rows, columns = rows[::step], columns[::step]
    vectors = normals[rows, columns]
    low = rows / normals.shape[0] * 2 - 1
    right = columns / normals.shape[1] * 2 - 1
    looks_up = [_trend(vectors[:, c], low) for c in range(3)]
    looks_left = [_trend(vectors[:, c], right) for c in range(3)]
    faces = {sign: [float(np.mean(sign * vectors[:, c] > -FACING)) for c in range(3)] for sign in (1, -1)}
    return np.array(
        [
            2 * faces[axes.signs[2]][axes.order[2]]
            + axes.signs[1] * looks_up[axes.order[1]]
            - axes.signs[0] * looks_left[axes.order[0]]
            for axes in EVERY
        ]
    )


def _trend(values: np.ndarray, place: np.ndarray) -> float:
    """By how much the values grow from one side of the picture to the other."""
    place = place - place.mean()
    spread = float((place**2).sum())
    return float((values * place).sum()) / spread if spread > 0 else 0.0


def _thin(values: np.ndarray) -> np.ndarray:
    return values[:: max(1, len(values) // SAMPLES)]
