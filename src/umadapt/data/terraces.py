"""Depth that was stored in coarse steps: how coarse, and its slopes back from the terraces. numpy only."""

from __future__ import annotations

import numpy as np

# OURS: distance in pixels of the neighbours that a pixel moves between, and how often, coarse to fine
SCALES = ((24, 3), (16, 4), (8, 6), (4, 6), (2, 6), (1, 4))


def quantum(depth_m: np.ndarray) -> float:
    """The step in metres that depth is stored in, to the millimetre: the median gap of the values present.

    0 unless a quarter of the pixels equal their neighbours: fine depth of few pixels has gaps too, but no terraces.
    """
    level = np.abs(np.diff(depth_m, axis=0))[:, 1:] + np.abs(np.diff(depth_m, axis=1))[1:] < 0.0005
    values = depth_m[(depth_m > 0) & (depth_m < 65)]
    levels = np.flatnonzero(np.bincount(np.round(values * 1000).astype(np.int64)))
    if len(levels) < 2 or level[depth_m[1:, 1:] > 0].mean() < 0.25:
        return 0.0
    return float(np.median(np.diff(levels))) / 1000


def smooth_terraces(depth_m: np.ndarray, step_m: float) -> np.ndarray:
    """(H, W) float32 metres, 0 = missing: terraces become slopes, and no pixel leaves its own step.

    OURS: NYUDv2's 39 mm steps at 3 m are as high as a 20 degree slope rises over the whole window, so that a plane fit
    alone is off by 10 degrees and more. Each pixel moves to the mean of two opposite neighbours (straight ramps stay
    as they are) if both are within a step and a half of it, so never across a depth edge, and is clamped to its step.
    """
    low, high = depth_m - np.float32(step_m / 2), depth_m + np.float32(step_m / 2)
    smooth = depth_m.copy()
    for distance, passes in SCALES:
        across = _triples(distance, smooth, depth_m, low, high, step_m)
        down = _triples(distance, smooth.T, depth_m.T, low.T, high.T, step_m)
        for _ in range(passes):
            for before, here, after, least, most, rate in (across, down):
                moved = before + after
                moved -= here
                moved -= here
                moved *= rate
                moved += here
                np.maximum(moved, least, out=moved)
                np.minimum(moved, most, out=here)
    return smooth


def _triples(
    distance: int, smooth: np.ndarray, depth_m: np.ndarray, low: np.ndarray, high: np.ndarray, step_m: float
) -> tuple[np.ndarray, ...]:
    """Of the pixels that have both neighbours in their row: views of `smooth` before, at and after them, their bounds,
    and how far they go for each metre that the sum of both neighbours is beyond twice their own depth."""

    def view(x: np.ndarray, shift: int) -> np.ndarray:
        return x[:, distance + shift : max(0, x.shape[1] - distance + shift)]

    here = view(depth_m, 0)
    near = [np.abs(view(depth_m, shift) - here) < 1.5 * step_m for shift in (-distance, distance)]
    rate = np.where(near[0] & near[1] & (here > 0), np.float32(0.25), np.float32(0))  # halfway to the mean
    return view(smooth, -distance), view(smooth, 0), view(smooth, distance), view(low, 0), view(high, 0), rate
