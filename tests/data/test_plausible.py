"""Labels of the right form and the wrong meaning: units, disparity, distance along the ray, mirrored halves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from umadapt.cli import main
from umadapt.data.folder import Camera, Folder, write_depth, write_image, write_json, write_normals, write_seg
from umadapt.data.plausible import depth_kind, depth_units, mirrored

CAMERA = Camera(100.0, 100.0, 64.0, 48.0, 128, 96)


def rays() -> np.ndarray:
    """(96, 128, 3) through the pixel centres, z = 1; x right, y up."""
    x = (np.arange(128) + 0.5 - 64) / 100
    y = (48 - np.arange(96) - 0.5) / 100
    return np.stack(np.broadcast_arrays(x[None], y[:, None], 1.0), -1)


def corner(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(depth, seg, photo) of a floor, two walls that meet in a corner, and a box on the left."""
    rng = np.random.default_rng(seed)
    turn = rng.uniform(0.3, 0.6)
    planes = [
        ((0.0, -1.0, 0.0), 1.4),
        ((np.cos(turn), 0.0, np.sin(turn)), rng.uniform(2, 3)),
        ((-np.sin(turn), 0.0, np.cos(turn)), rng.uniform(2.5, 3.5)),
    ]
    depths = []
    for normal, offset in planes:
        facing = rays() @ np.array(normal)
        depths.append(np.where(facing > 1e-3, offset / np.maximum(facing, 1e-3), 99.0))
    seg = np.argmin(depths, 0).astype(np.uint8)
    depth = np.min(depths, 0)
    left, top = rng.integers(4, 30), rng.integers(30, 50)
    box = np.s_[top : top + 35, left : left + 25]
    depth[box], seg[box] = 1.2, 3
    photo = np.array([[90, 60, 40], [200, 190, 180], [120, 130, 150], [20, 90, 30]], np.uint8)[seg]
    noise = rng.integers(-8, 9, photo.shape)
    return depth, seg, np.clip(photo + noise, 0, 255).astype(np.uint8)


def test_planar_depth_is_told_from_disparity_and_distance() -> None:
    planar = [corner(seed)[0] for seed in range(4)]
    assert depth_kind(planar, CAMERA) is None
    assert depth_kind([d[::2, ::2] for d in planar], CAMERA) is None  # another size
    assert depth_kind([np.where(d > 4, 0, d) for d in planar], CAMERA) is None  # with holes
    assert "disparity" in str(depth_kind([1 / d for d in planar], CAMERA))
    distance = [d * np.linalg.norm(rays(), axis=-1) for d in planar]
    assert "distance along the ray" in str(depth_kind(distance, CAMERA))


def test_nothing_is_said_of_too_little() -> None:
    assert depth_kind([], CAMERA) is None
    assert depth_kind([np.zeros((96, 128))], CAMERA) is None
    assert depth_kind([np.full((96, 128), 2.0)], None) is None  # a wall that faces the camera bends in no unit


@pytest.mark.parametrize(
    ("median", "step", "told"),
    [
        (2.5, 0.001, None),
        (0.0025, 0.001, "too small"),  # metres
        (0.25, 0.001, "too small"),  # centimetres
        (2500.0, 1.0, "too large"),
        (3.0, 1.0, "too coarse"),
    ],
)
def test_units(median: float, step: float, told: str | None) -> None:
    found = depth_units(median, step)
    assert (found is None) if told is None else told in str(found)


def test_units_of_streets() -> None:
    """A street at one metre is one in centimetres; a room may be that small."""
    assert depth_units(1.1, 0.001, ("wall", "floor")) is None
    assert "too small" in str(depth_units(1.1, 0.001, ("road", "car")))
    assert depth_units(11.0, 1 / 256, ("road", "car")) is None


@pytest.mark.parametrize(
    ("factor", "told"), [(1.0, None), (0.1, "too small (0.01 for centimetres"), (0.001, "too small")]
)
def test_check_tells_centimetres_and_metres_from_millimetres(
    rooms: Path, factor: float, told: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Folder(rooms)
    for id in folder.ids:
        depth = folder.read_depth(id)
        assert depth is not None
        write_depth(rooms / "depth" / f"{id}.png", np.maximum(depth * factor, 0.001))
    assert main(["check", str(rooms)]) == 0
    out = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: depth")]
    assert len(out) == (0 if told is None else 1)
    assert told is None or told in out[0]


@pytest.fixture
def rooms(tmp_path: Path) -> Path:
    for seed in range(8):
        depth, seg, photo = corner(seed)
        write_image(tmp_path / "image" / f"{seed}.png", photo)
        write_depth(tmp_path / "depth" / f"{seed}.png", depth)
        write_seg(tmp_path / "seg" / f"{seed}.png", seg)
        write_normals(tmp_path / "normals" / f"{seed}.png", np.eye(3)[[1, 0, 2, 2]][seg])
    tasks = {"depth": {"scale_m": 0.001, "max_m": 10}, "normals": {}, "seg": {"classes": ["floor", "a", "b", "box"]}}
    write_json(tmp_path / "dataset.json", {"name": "corners", "camera": CAMERA.__dict__, "tasks": tasks})
    return tmp_path


@pytest.mark.parametrize("task", ["depth", "normals", "seg"])
def test_mirrored_labels_are_told(rooms: Path, task: str, capsys: pytest.CaptureFixture[str]) -> None:
    ids = Folder(rooms).ids
    assert mirrored(Folder(rooms), ids, task) is None
    for id in ids:
        folder = Folder(rooms)
        label = folder.read_label(task, id)
        assert label is not None
        writer = {"depth": write_depth, "normals": write_normals, "seg": write_seg}[task]
        writer(rooms / task / f"{id}.png", np.ascontiguousarray(label[:, ::-1]))
    assert "mirrored" in str(mirrored(Folder(rooms), ids, task))
    assert main(["check", str(rooms)]) == 0  # a warning: no single file is at fault
    assert f"warning: {task}: the labels fit the photos better when mirrored" in capsys.readouterr().out
