"""Coarse depth is recognised, and smoothed as a plain reference does it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umadapt.data.terraces import SCALES, quantum, smooth_terraces


def ramp(across: float, down: float, height: int = 60, width: int = 80) -> np.ndarray:
    return 2.5 + across * np.linspace(-1, 1, width) + down * np.linspace(-1, 1, height)[:, None]


def coarse(depth_m: np.ndarray, step_m: float = 0.039) -> np.ndarray:
    return np.round(np.round(depth_m / step_m) * step_m, 3).astype(np.float32)


def test_quantum() -> None:
    assert quantum(coarse(ramp(0.1, 0.5, 480, 640))) == pytest.approx(0.039)
    assert quantum(ramp(0.1, 0.5, 480, 640)) < 0.002
    assert quantum(np.zeros((4, 4))) == 0
    assert quantum(ramp(0.5, 1, 12, 16)) == 0, "wide gaps between few values are no terraces"


def reference(depth_m: np.ndarray, step_m: float) -> np.ndarray:
    """The same with one way of reaching a neighbour: by index, pixel by pixel, in double precision."""
    smooth = depth_m.astype(np.float64)
    height, width = depth_m.shape
    for distance, passes in SCALES:
        for dy, dx in [(0, distance), (distance, 0)] * passes:
            old = smooth.copy()
            for y in range(dy, height - dy):
                for x in range(dx, width - dx):
                    here, sides = depth_m[y, x], ((y - dy, x - dx), (y + dy, x + dx))
                    if here > 0 and all(abs(depth_m[side] - here) < 1.5 * step_m for side in sides):
                        moved = (old[sides[0]] + old[sides[1]]) / 4 + old[y, x] / 2
                        smooth[y, x] = np.clip(moved, here - step_m / 2, here + step_m / 2)
    return smooth


def test_as_the_reference() -> None:
    depth_m = coarse(ramp(0.2, 0.1, 14, 60))
    depth_m[3:7, 20:30] = 0
    depth_m[8:, 40:] += np.float32(0.7)
    np.testing.assert_allclose(smooth_terraces(depth_m, 0.04), reference(depth_m, 0.04), atol=2e-6)


@settings(max_examples=20, deadline=None)
@given(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), st.integers(0, 9))
def test_no_pixel_leaves_its_step_and_slopes_come_back(across: float, down: float, seed: int) -> None:
    depth_m = coarse(ramp(across, down))
    depth_m[np.random.default_rng(seed).random(depth_m.shape) < 0.02] = 0
    smooth = smooth_terraces(depth_m, 0.04)
    assert np.abs(smooth - depth_m).max() < 0.0201
    assert not smooth[depth_m == 0].any()
    error = np.where(depth_m > 0, np.abs(smooth - ramp(across, down)), 0)
    assert error.mean() <= np.abs(np.where(depth_m > 0, depth_m - ramp(across, down), 0)).mean() + 1e-4
