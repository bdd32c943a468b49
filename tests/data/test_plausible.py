"""Labels of the right form and the wrong meaning: units, disparity, distance along the ray, mirrored halves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from umadapt.cli import main
from umadapt.data.aligned import misplaced
from umadapt.data.atomic import write_json
from umadapt.data.camera import Camera
from umadapt.data.files import read_label_bytes, write_depth, write_image, write_normals, write_seg
from umadapt.data.folder import Folder
from umadapt.data.plausible import depth_factor, depth_kind, depth_units, upside_down
from umadapt.errors import UserError

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
    ("factor", "told"),
    [
        (1.0, None),
        (0.1, "too small (0.01 for centimetres, 1 for metres)? It would be rooms with scale_m = 0.01"),
        (0.256, "with scale_m = 0.00390625 (1/256) it would be a room"),
        (5.0, "with scale_m = 0.0002 (1/5000) it would be a room"),
    ],
)
def test_check_tells_other_units_from_millimetres(
    rooms: Path, factor: float, told: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Folder(rooms)
    for id in folder.ids:
        depth = folder.read_depth(id)
        assert depth is not None
        write_depth(rooms / "depth" / f"{id}.png", np.maximum(depth * factor, 0.001))
    assert main(["check", str(rooms)]) == 0
    out = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: depth")]
    assert bool(out) == (told is not None)
    assert told is None or any(told in line for line in out)


def test_metres_as_millimetres_cannot_be_a_scene(rooms: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Folder(rooms)
    for id in folder.ids:
        depth = folder.read_depth(id)
        assert depth is not None
        write_depth(rooms / "depth" / f"{id}.png", depth * 0.001)
    with pytest.raises(UserError, match=r"cannot be a scene; it would be rooms with scale_m = 1$"):
        Folder(rooms).read_depth("0")
    assert main(["check", str(rooms)]) == 1
    assert capsys.readouterr().out.count("cannot be a scene") == len(folder.ids)
    rewrite(rooms, lambda depth: depth * 1000)
    set_depth(rooms, scale_m=10.0)
    with pytest.raises(UserError, match=r"0\.png: half of it is farther than"):
        Folder(rooms).read_depth("0")


def set_depth(root: Path, **entries: float) -> None:
    """Change the entry of depth in dataset.json; max_m goes unless it is given."""
    meta = json.loads((root / "dataset.json").read_text())
    meta["tasks"]["depth"] = {"scale_m": 0.001, **entries}
    write_json(root / "dataset.json", meta)


def rewrite(root: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Depth of every file in metres, changed and stored in millimetres."""
    for path in sorted((root / "depth").iterdir()):
        write_depth(path, change(read_label_bytes(path, "depth") * 0.001))


@pytest.mark.parametrize("sentinel", [65.535, 32.767, 40.0])
def test_beyond_max_m_is_no_truth(rooms: Path, sentinel: float) -> None:
    def mark(depth: np.ndarray) -> np.ndarray:
        depth[:10, :20] = sentinel
        return depth

    rewrite(rooms, mark)
    depth = Folder(rooms).read_depth("0")
    assert depth is not None
    assert (depth[:10, :20] == 0).all()
    assert (depth[20:] > 0).all()
    assert Folder(rooms).read("0", ["depth"])["depth"] is not None
    stored = Folder(rooms).read_depth("0", truth=False)  # predictions have no largest number
    assert stored is not None
    assert stored.max() == pytest.approx(sentinel)
    set_depth(rooms)
    depth = Folder(rooms).read_depth("0")
    assert depth is not None
    assert depth[:10, :20].max() == (0 if sentinel > 65 else pytest.approx(sentinel))


@pytest.mark.parametrize("number", [65535, 32767, 9999, 1])
def test_spikes_at_the_ends_are_told(rooms: Path, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    def mark(depth: np.ndarray) -> np.ndarray:
        depth = depth.clip(max=4.9)
        depth[:5, :20] = number * 0.001
        return depth

    set_depth(rooms)
    rewrite(rooms, lambda depth: depth.clip(max=4.9) + np.random.default_rng(0).uniform(0, 0.1, depth.shape))
    main(["check", str(rooms)])
    assert "as if it stood" not in capsys.readouterr().out
    rewrite(rooms, mark)
    main(["check", str(rooms)])
    out = capsys.readouterr().out
    assert f"{'smallest' if number == 1 else 'largest'} number {number} (" in out
    assert out.count("note: depth") == (number == 65535)
    assert ("is left out of all truth" in out) == (number == 65535)


def test_depths_that_were_cut_are_told(rooms: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_depth(rooms)
    rewrite(rooms, lambda depth: (depth * 4).clip(max=10))
    main(["check", str(rooms)])
    assert "the largest number 10000 (10 m)" in capsys.readouterr().out


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_inverse_metres_are_told(rooms: Path, scale: float, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(rooms, lambda depth: scale / depth)
    main(["check", str(rooms)])
    out = capsys.readouterr().out
    assert "disparity" in out or "as in inverse depth" in out


def test_inverse_walls_are_told_by_what_is_low() -> None:
    rows = np.linspace(1, 3, 96)[:, None].repeat(128, 1)
    assert "inverse depth" in str(upside_down([rows] * 4))
    assert upside_down([rows[::-1]] * 4) is None
    assert upside_down([np.full((96, 128), 2.0)] * 4) is None


def test_streets_in_other_units() -> None:
    """A road 1.6 m below the camera, cut at 40 m."""
    below = np.maximum((np.arange(96) + 0.5 - 48) / 100, 1.6 / 40)[:, None]
    street = np.broadcast_to(1.6 / below, (96, 128)).astype(np.float32)
    maps = [street] * 4
    assert depth_factor(maps, 1 / 256, CAMERA, ("road",)) is None
    assert "(1/256) it would be a street" in str(depth_factor([street * 0.256] * 4, 0.001, CAMERA, ("road",)))
    assert "0.01 it would be a street" in str(depth_factor([street * 0.1] * 4, 0.001, None, ("road",)))


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
    assert misplaced(Folder(rooms), ids, task) is None
    for id in ids:
        folder = Folder(rooms)
        label = folder.read_label(task, id)
        assert label is not None
        writer = {"depth": write_depth, "normals": write_normals, "seg": write_seg}[task]
        writer(rooms / task / f"{id}.png", np.ascontiguousarray(label[:, ::-1]))
    assert "mirrored" in str(misplaced(Folder(rooms), ids, task))
    assert main(["check", str(rooms)]) == 0  # a warning: no single file is at fault
    assert f"warning: {task}: the labels fit the photos better when mirrored" in capsys.readouterr().out
