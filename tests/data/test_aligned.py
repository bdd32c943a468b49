"""Labels that lie turned or moved on their photos, and normals in other axes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from umadapt.cli import main
from umadapt.data.aligned import misplaced
from umadapt.data.atomic import write_json
from umadapt.data.axes import EVERY, strange_axes
from umadapt.data.files import write_depth, write_image, write_normals, write_seg
from umadapt.data.folder import Folder
from umadapt.errors import UserError

FOCAL = 90.0


def room(seed: int, shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """Depth, normals, seg and photo of a box of a room with furniture, seen from within."""
    rng = np.random.default_rng(seed)
    height, width = shape
    y, x = np.mgrid[:height, :width] + 0.5
    rays = np.stack([(x - width / 2) / FOCAL, (height / 2 - y) / FOCAL, np.ones(shape)], -1)  # y up, z forward
    planes = [((0, -1, 0), 1.4), ((0, 1, 0), 1.2), ((-1, 0, 0), rng.uniform(1, 2)), ((1, 0, 0), rng.uniform(1, 2))]
    planes.append(((0, 0, 1), rng.uniform(3, 4)))
    reach = [offset / np.maximum(rays @ np.array(normal, float), 1e-6) for normal, offset in planes]
    seg, depth = np.argmin(reach, 0).astype(np.uint8), np.min(reach, 0)
    normals = np.array([[0, 1, 0], [0, -1, 0], [1, 0, 0], [-1, 0, 0], [0, 0, 1]], np.float32)[seg]
    for k in range(3):
        top, left = rng.integers(height // 3, height - 20), rng.integers(0, width - 20)
        box = np.s_[top : top + rng.integers(12, 30), left : left + rng.integers(10, 25)]
        seg[box], depth[box], normals[box] = 5 + k, rng.uniform(0.8, 1.0), (0, 0, 1)
    photo = rng.integers(30, 220, (8, 3))[seg] + rng.integers(-8, 9, (*shape, 3))
    return {"depth": depth, "normals": normals, "seg": seg, "photo": photo.clip(0, 255).astype(np.uint8)}


WRITERS: dict[str, Callable[..., None]] = {"depth": write_depth, "normals": write_normals, "seg": write_seg}


def write_rooms(
    root: Path,
    shape: tuple[int, int] = (96, 128),
    change: Callable[[np.ndarray], np.ndarray] = lambda x: x,
    tasks: tuple[str, ...] = ("depth", "normals", "seg"),
    camera: bool = True,
    axes: Callable[[np.ndarray], np.ndarray] = lambda n: n,
) -> Folder:
    for seed in range(8):
        maps = room(seed, shape)
        maps["normals"] = axes(maps["normals"])
        write_image(root / f"image/{seed}.png", maps["photo"])
        for task in tasks:
            WRITERS[task](root / task / f"{seed}.png", np.ascontiguousarray(change(maps[task])))
    lens = {"fx": FOCAL, "fy": FOCAL, "cx": shape[1] / 2, "cy": shape[0] / 2, "width": shape[1], "height": shape[0]}
    classes = ["floor", "ceiling", "left", "right", "back", "a", "b", "c"]
    meta = {"camera": lens if camera else None, "tasks": {"depth": {"max_m": 10.0}, "seg": {"classes": classes}}}
    write_json(root / "dataset.json", meta)
    return Folder(root)


TURNS = {
    "mirrored left to right": lambda x: x[:, ::-1],
    "flipped top to bottom": lambda x: x[::-1],
    "turned by 180 degrees": lambda x: x[::-1, ::-1],
    "turned by 90 degrees clockwise": lambda x: np.rot90(x),
    "turned by 90 degrees counterclockwise": lambda x: np.rot90(x, -1),
    "transposed": lambda x: np.swapaxes(x, 0, 1),
    "transposed about the other diagonal": lambda x: np.swapaxes(x[::-1, ::-1], 0, 1),
}


@pytest.mark.parametrize("task", ["depth", "normals", "seg"])
@pytest.mark.parametrize("turn", TURNS)
def test_every_symmetry_is_told(tmp_path: Path, task: str, turn: str) -> None:
    square = "90" in turn or "transposed" in turn
    folder = write_rooms(tmp_path, (96, 96) if square else (96, 128), TURNS[turn], (task,))
    told = str(misplaced(folder, folder.ids, task))
    assert f"{task}: the labels fit the photos better when {turn} (" in told.replace(" (EXIF?)", "")


@pytest.mark.parametrize("shape", [(96, 96), (96, 128), (240, 320)])
@pytest.mark.parametrize("task", ["depth", "normals", "seg"])
def test_labels_in_place_are_left_alone(tmp_path: Path, task: str, shape: tuple[int, int]) -> None:
    folder = write_rooms(tmp_path, shape, tasks=(task,))
    assert misplaced(folder, folder.ids, task) is None


@pytest.mark.parametrize(("down", "right"), [(0, 4), (-3, 0), (3, -5)])
def test_shifts_are_told_in_pixels(tmp_path: Path, down: int, right: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The labels lie too low by `down` and too far right by `right`."""
    write_rooms(tmp_path, change=lambda x: np.roll(x, (down, right), (0, 1)), tasks=("seg",))
    assert main(["check", str(tmp_path)]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "better when moved" in line)
    if right:
        assert f"{abs(right)} pixels to the {'left' if right > 0 else 'right'}" in line
    if down:
        assert f"{abs(down)} pixels {'up' if down > 0 else 'down'}" in line


def test_photos_of_nothing_tell_nothing(tmp_path: Path) -> None:
    folder = write_rooms(tmp_path, tasks=("seg",))
    for id in folder.ids:
        noise = np.random.default_rng(int(id)).integers(0, 256, (96, 128, 3), dtype=np.uint8)
        write_image(tmp_path / f"image/{id}.png", noise)
    assert misplaced(folder, folder.ids, "seg") is None


@pytest.mark.parametrize("how", ["exif", "transposed", "rotated"])
def test_a_label_that_lies_on_its_side(tmp_path: Path, how: str) -> None:
    folder = write_rooms(tmp_path, tasks=("seg",))
    if how == "exif":
        exif = Image.Exif()
        exif[0x0112] = 6
        for id in folder.ids:
            Image.open(tmp_path / f"image/{id}.png").save(tmp_path / f"image/{id}.png", exif=exif)
    else:
        turn = TURNS["transposed"] if how == "transposed" else TURNS["turned by 90 degrees clockwise"]
        write_rooms(tmp_path, change=turn, tasks=("seg",))
    with pytest.raises(UserError, match="another aspect" if how == "exif" else "on its side"):
        Folder(tmp_path).read("0", ["seg"])
    assert main(["check", str(tmp_path)]) == 1


AXES = {
    "flipped in y and z (OpenCV's axes": lambda n: n * (1, -1, -1),
    "flipped in z": lambda n: n * (1, 1, -1),
    "flipped in x": lambda n: n * (-1, 1, 1),
    "channels swapped (x is stored in B, z is stored in R)": lambda n: n[..., ::-1],
    "channels swapped (y is stored in B, z is stored in G)": lambda n: n[..., [0, 2, 1]],
    "channels swapped (y is stored in B, z is stored in G) and flipped in z": lambda n: n[..., [0, 2, 1]] * (1, -1, 1),
}


@pytest.mark.parametrize("camera", [True, False])
@pytest.mark.parametrize("axes", AXES)
def test_axes_of_normals_are_told(tmp_path: Path, axes: str, camera: bool, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = ("depth", "normals") if camera else ("normals",)
    write_rooms(tmp_path, camera=camera, axes=AXES[axes], tasks=tasks)
    assert main(["check", str(tmp_path)]) == 0
    assert f"look {axes}" in capsys.readouterr().out


@pytest.mark.parametrize("camera", [True, False])
def test_right_axes_are_left_alone(tmp_path: Path, camera: bool) -> None:
    folder = write_rooms(tmp_path, camera=camera)
    assert strange_axes(folder, folder.ids) is None


def test_cameras_of_single_pictures_serve_too(tmp_path: Path) -> None:
    folder = write_rooms(tmp_path, axes=AXES["flipped in z"])
    camera = {key: getattr(folder.camera, key) for key in ("fx", "fy", "cx", "cy", "width", "height")}
    write_json(tmp_path / "dataset.json", {"cameras": dict.fromkeys(folder.ids, camera)})
    assert "flipped in z" in str(strange_axes(Folder(tmp_path), folder.ids))


def test_every_change_of_axes_is_there_once() -> None:
    assert len(set(EVERY)) == 48
    assert EVERY[0].change == 0
