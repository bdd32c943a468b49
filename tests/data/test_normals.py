"""Normals of analytic scenes, and of a real kitchen where it is at hand."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umadapt.data.camera import Camera
from umadapt.data.folder import Folder
from umadapt.data.normals import TOLERANCES, normals_from_depth

CAMERA = Camera(519, 520, 325, 253, 640, 480)
SHARED = Path(os.environ.get("UMADAPT_SHARED", Path(__file__).parents[2].parent / "shared"))
KITCHEN = SHARED / "data/redkitchen"


def _rays(height, width):
    camera = CAMERA.scaled(height, width)
    x = (np.arange(width) + 0.5 - camera.cx) / camera.fx
    y = (np.arange(height) + 0.5 - camera.cy) / camera.fy
    return np.stack(np.broadcast_arrays(x[None], -y[:, None], -1.0), axis=-1)  # x right, y up, z to the viewer


def _plane(normal, distance, height=240, width=320):
    """Depth (0 where the plane is not seen within 10 m) and the unit normal."""
    normal = np.array(normal, float) / np.linalg.norm(normal)
    towards = -(_rays(height, width) @ normal)
    depth = np.where(towards > distance / 10, distance / np.maximum(towards, 1e-6), 0)
    return depth, normal


def _degrees(found, expected):
    known = found.any(axis=-1)
    cosine = (found * expected).sum(axis=-1)[known]
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


NORMALS = [(0, 0, 1), (0.3, 0, 1), (0, 0.5, 1), (-1, 0.2, 1), (0, 1, 0.4), (0, 1, 0), (0, -1, 0), (1, 0, 0.2)]


@pytest.mark.parametrize("normal", NORMALS)
def test_planes(normal):
    depth, expected = _plane(normal, 1.5)
    found = normals_from_depth(depth, CAMERA)
    assert found.dtype == np.float32
    assert found[depth > 0].any(axis=-1).mean() > 0.98
    assert not found[depth == 0].any()
    assert _degrees(found, expected).max() < 0.5


@settings(max_examples=15, deadline=None)
@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.5, 6))
def test_any_plane_on_a_small_map(a, b, distance):
    depth, expected = _plane((a, b, 1.5), distance, 60, 80)
    assert _degrees(normals_from_depth(depth, CAMERA), expected).max() < 0.5


@pytest.mark.parametrize("normal", NORMALS[:5])
def test_planes_in_steps_of_39_mm(normal):
    depth, expected = _plane(normal, 2.2 if normal != (0, 1, 0.4) else 1.5, 480, 640)
    stored = np.round(np.round(depth / 0.039) * 0.039, 3)
    found = normals_from_depth(stored, CAMERA)
    found[(depth < 2) | (depth > 3)] = 0
    assert found.any()
    assert np.median(_degrees(found, expected)) < 1
    assert np.percentile(_degrees(found, expected), 90) < 8


def test_sphere():
    rays, centre, radius = _rays(240, 320), np.array([0, 0, -2.0]), 0.6
    a, b, c = (rays**2).sum(-1), rays @ centre, centre @ centre - radius**2
    inside = b * b - a * c
    t = np.where(inside > 0, (b - np.sqrt(np.maximum(inside, 0))) / a, 0)  # planar depth, as rays have z = -1
    expected = (rays * t[..., None] - centre) / radius
    found = normals_from_depth(t, CAMERA)
    found[expected[..., 2] < 0.5] = 0  # near the silhouette the window is not flat
    assert found.any(axis=-1).mean() > 0.1
    assert np.median(_degrees(found, expected)) < 1
    assert _degrees(found, expected).max() < 6


def test_holes_are_skipped():
    depth, expected = _plane((0.3, 0.2, 1), 2.5)
    holes = np.random.default_rng(0).random(depth.shape) < 0.3
    depth[holes] = 0
    depth[0, 0], depth[0, 1] = np.nan, np.inf
    found = normals_from_depth(depth, CAMERA)
    assert found[depth > 0][2:].any(axis=-1).all()
    assert not found[holes].any()
    assert not found[0, :2].any()
    assert _degrees(found, expected).max() < 0.5


@pytest.mark.parametrize("behind", [2.8, 3.5, 9.0])
def test_depth_step_bends_nothing(behind):
    (front, expected), (back, _) = _plane((0.3, 0.2, 1), 2.5), _plane((0.3, 0.2, 1), behind)
    depth = np.where(np.arange(320) < 160, front, back)
    assert _degrees(normals_from_depth(depth, CAMERA), expected).max() < 0.5


def test_corner_of_two_walls():
    (left, a), (right, b) = _plane((1, 0, 1), 2.0), _plane((-1, 0, 1), 2.0)
    depth = np.minimum(left, right)
    expected = np.where((left <= right)[..., None], a, b)
    found = normals_from_depth(depth, CAMERA)
    far = np.abs(np.arange(320) - np.argmax(right[120] < left[120])) > 6
    assert _degrees(found[:, far], expected[:, far]).max() < 0.5


def test_camera_is_scaled_and_window_given():
    depth, expected = _plane((0.2, 0.4, 1), 2.0, 120, 160)
    for window in (None, 5, 9, 21):
        assert _degrees(normals_from_depth(depth, CAMERA, window), expected).max() < 0.5


def test_nothing_to_fit():
    assert not normals_from_depth(np.zeros((21, 28)), CAMERA).any()
    line = np.zeros((30, 40))
    line[15] = 2.0
    assert not normals_from_depth(line, CAMERA).any()
    assert normals_from_depth(np.full((3, 4), 2.0), CAMERA).shape == (3, 4, 3)


def _reference(depth, camera, radius, stride):
    """One pixel at a time in double precision: regression on the neighbours that are near the plane so far."""
    camera = camera.scaled(*depth.shape)
    normals, count = np.zeros((*depth.shape, 3)), (2 * (radius // stride) + 1) ** 2
    for row, column in np.argwhere(depth > 0):
        dy, dx = np.mgrid[-radius : radius + 1 : stride, -radius : radius + 1 : stride].reshape(2, -1)
        inside = (row + dy >= 0) & (row + dy < len(depth)) & (column + dx >= 0) & (column + dx < len(depth[0]))
        dy, dx = dy[inside], dx[inside]
        z = depth[row + dy, column + dx]
        dy, dx, z = dy[z > 0], dx[z > 0], z[z > 0]
        points, here, plane = np.stack([np.ones_like(dx), dx, dy], axis=1), 1 / depth[row, column], np.zeros(3)
        for tolerance in TOLERANCES:
            near = np.abs(1 / z - here - points @ plane) < tolerance * here
            spread = np.cov(points[near, 1:].T, ddof=0) if near.sum() > 2 else np.zeros((2, 2))
            if near.sum() < 0.2 * count or np.linalg.det(spread) <= 0.02 * np.trace(spread) ** 2 / 4:
                break
            plane = np.linalg.lstsq(points[near], 1 / z[near] - here, rcond=None)[0]
        else:
            c, a, b = plane * [1, camera.fx, camera.fy]
            x, y = (column + 0.5 - camera.cx) / camera.fx, (row + 0.5 - camera.cy) / camera.fy
            normals[row, column] = -a, b, here + c - a * x - b * y
    return normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)


@pytest.mark.parametrize(("window", "radius", "stride"), [(None, 2, 1), (9, 4, 1), (21, 10, 2)])
def test_as_the_reference(window, radius, stride):
    """Two walls, a box before them, noise, holes."""
    rng = np.random.default_rng(radius)
    depth = np.minimum(_plane((0.5, 0.1, 1), 2.0, 42, 56)[0], _plane((-0.3, 0, 1), 2.2, 42, 56)[0])
    depth[12:30, 20:33] = _plane((0.2, 0.3, 1), 1.4, 42, 56)[0][12:30, 20:33]
    depth *= 1 + rng.normal(0, 0.004, depth.shape)
    depth[rng.random(depth.shape) < 0.05] = 0
    depth[5:15, 40:50] = 0
    found, expected = normals_from_depth(depth, CAMERA, window), _reference(depth, CAMERA, radius, stride)
    assert ((found != 0).any(-1) == (expected != 0).any(-1)).mean() > 0.998, "single precision may decide otherwise"
    apart = _degrees(found, expected)
    assert np.median(apart) < 0.01
    assert np.mean(apart < 0.05) > 0.995


@pytest.mark.skipif(not KITCHEN.is_dir(), reason="the shared kitchen frames are not here")
@pytest.mark.parametrize("number", [0, 50])
def test_real_kitchen(number):
    folder = Folder(KITCHEN)
    assert folder.camera is not None
    depth = folder.read_depth(folder.ids[number])
    assert depth is not None
    found = normals_from_depth(depth, folder.camera)
    known = (found != 0).any(axis=-1, keepdims=True)[..., 0]
    np.testing.assert_allclose(np.linalg.norm(found[known], axis=-1), 1, atol=1e-5)
    rays = _rays(480, 640) * [519 / 585, 520 / 585, 1]
    rays += [(325 - 320) / 585, -(253 - 240) / 585, 0]
    assert ((found * -rays).sum(axis=-1)[known] > 0).all()  # facing the viewer
    assert known.mean() > 0.7
    # A kitchen is smooth (but for the sensor's noise, 2 cm at 2.5 m), and made of planes at right angles.
    both = known[:, :-8] & known[:, 8:]
    assert np.median(np.degrees(np.arccos(np.clip((found[:, :-8] * found[:, 8:]).sum(-1)[both], -1, 1)))) < 8
    sample = found[known][:: known.sum() // 1000]
    angles = np.degrees(np.arccos(np.clip(sample @ sample.T, -1, 1)))
    histogram = np.histogram(angles, bins=[0, 10, 50, 60, 80, 100])[0] / [10, 40, 10, 20, 20]
    assert histogram[0] > histogram[2]
    assert histogram[4] > histogram[2]
