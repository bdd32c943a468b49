"""A folder's window: what networks see of its pictures, wherever they are read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from umadapt.cli import main
from umadapt.data.atomic import write_json
from umadapt.data.augment import Augment
from umadapt.data.camera import Camera
from umadapt.data.files import write_depth, write_image, write_normals, write_seg
from umadapt.data.folder import Folder
from umadapt.data.joined import join
from umadapt.data.window import Window
from umadapt.errors import UserError
from umadapt.tasks.resize import fill
from umadapt.training.batches import Batches
from umadapt.training.whole_sets import class_frequencies, whole_images

SIZE = (64, 96)
WINDOW = [9, 6, 90, 61]
TASKS = ("depth", "normals", "seg")


def write_framed(root: Path, window: list[int] | None, count: int = 4, size: tuple[int, int] = SIZE) -> Path:
    """Grey photos of a wall 2 m away within WINDOW, magenta with labels of another kind around it."""
    rng = np.random.default_rng(7)
    left, top, right, bottom = WINDOW
    inside = np.zeros(size, bool)
    inside[top:bottom, left:right] = True
    for i in range(count):
        grey = np.broadcast_to(rng.integers(100, 120, (*size, 1)), (*size, 3))
        write_image(root / f"image/{i}.png", np.where(inside[..., None], grey, [255, 0, 255]).astype(np.uint8))
        write_depth(root / f"depth/{i}.png", np.where(inside, 2.0, 9.0))
        write_normals(root / f"normals/{i}.png", np.where(inside[..., None], [0, 0, 1.0], [0, 1.0, 0]))
        write_seg(root / f"seg/{i}.png", np.where(inside, 0, 1).astype(np.uint8))
    tasks = {"depth": {"scale_m": 0.001}, "normals": {}, "seg": {"classes": ["wall", "frame"]}}
    write_json(root / "dataset.json", {"name": "framed", "window": window, "tasks": tasks})
    return root


@pytest.fixture(scope="module")
def framed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_framed(tmp_path_factory.mktemp("window") / "framed", WINDOW)


@pytest.fixture(scope="module")
def packed(framed: Path) -> Path:
    assert main(["pack", str(framed), str(framed.parent / "packed")]) == 0
    return framed.parent / "packed"


def grey(images: torch.Tensor) -> bool:
    return bool(((images > 99 / 255) & (images < 121 / 255)).all())


def batches(address: Path, **options: object) -> Batches:
    folder = Folder(address)
    recipe = Augment(plain=True)
    return Batches(folder, folder.ids, SIZE, (32, 48), tasks=TASKS, batch=8, recipe=recipe, seed=2, **options)  # type: ignore[arg-type]


def test_no_reader_of_photos_sees_the_border(framed: Path) -> None:
    for step in range(4):
        batch = batches(framed)(step)
        assert grey(batch.plain)
        assert (batch.truths["seg"] == 0).all()
        assert batch.truths["depth"].max() < 2.01
        assert (batch.truths["normals"][:, 2] > 0.99).all()
        assert (batches(framed, images=False)(step).truths["seg"] == 0).all()
    folder = Folder(framed)
    assert all(grey(images) for images in whole_images(folder, folder.ids, SIZE, 2))
    assert class_frequencies(folder, folder.ids) == (1.0, 0.0)


def test_without_a_window_it_does(tmp_path: Path) -> None:
    folder = Folder(write_framed(tmp_path, None))
    assert not grey(next(iter(whole_images(folder, folder.ids, SIZE, 4))))
    assert folder.known_as(["1"]) == ["1"]


def test_joined_photos_keep_their_own_windows(framed: Path, tmp_path: Path) -> None:
    other = write_framed(tmp_path / "other", [10, 7, 50, 40])
    both = join([framed, other])
    assert both.read_window("0-1").shape == (55, 81, 3)
    assert both.read_window("1-1").shape == (33, 40, 3)
    assert both.known_as(["0-1", "1-1"]) == ["0-1 [9, 6, 90, 61]", "1-1 [10, 7, 50, 40]"]


def test_a_packed_set_has_the_folders_window(framed: Path, packed: Path) -> None:
    ours, theirs = batches(packed)(1), batches(framed)(1)
    assert torch.equal(ours.images, theirs.images)
    assert torch.equal(ours.plain, theirs.plain)
    assert all(torch.equal(ours.truths[task], theirs.truths[task]) for task in TASKS)


@given(st.data(), st.integers(1, 9), st.integers(1, 9))
def test_outside_the_window_stands_the_nearest_value(data: st.DataObject, height: int, width: int) -> None:
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    right, bottom = data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))
    window = Window(left, top, right, bottom)
    inner = window.crop(np.random.default_rng(0).random((height, width, 3)))
    expected = np.pad(inner, ((top, height - bottom), (left, width - right), (0, 0)), mode="edge")
    np.testing.assert_array_equal(inner[window.nearest((height, width))], expected)
    filled = fill(torch.from_numpy(inner).permute(2, 0, 1), window, (height, width))
    np.testing.assert_array_equal(filled.permute(1, 2, 0), expected)


def test_a_crops_camera_sees_along_the_same_rays() -> None:
    camera = Camera(50.0, 60.0, 33.0, 20.0, 64, 48)
    window = Window(5, 7, 60, 40)
    whole, inner = (np.linalg.inv(each.matrix()) for each in (camera, camera.cropped(window)))
    np.testing.assert_allclose(whole @ [30.5, 22.5, 1], inner @ [30.5 - 5, 22.5 - 7, 1])


@pytest.mark.parametrize(
    "window",
    [
        "8",
        '"8,8,632,472"',
        "[1, 2, 3]",
        "[1, 2, 3, 4.5]",
        "[1, 2, 3, true]",
        "[5, 0, 5, 9]",
        "[0, 9, 9, 3]",
        "[-1, 0, 9, 9]",
    ],
)
def test_a_malformed_window_is_named(tmp_path: Path, window: str) -> None:
    write_framed(tmp_path, None, count=1)
    (tmp_path / "dataset.json").write_text(f'{{"window": {window}}}')
    with pytest.raises(UserError, match=r'dataset\.json: "window" is .*; expected .*left'):
        Folder(tmp_path)


def test_photos_in_which_it_does_not_fit_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_framed(tmp_path / "data", [0, 0, 97, 64])
    folder = Folder(tmp_path / "data")
    expected = r"1\.png: found 64x96, expected at least 64x97, because .*dataset\.json has "
    with pytest.raises(UserError, match=r"image/" + expected):
        folder.read("1", TASKS)
    (tmp_path / "data" / "image" / "1.png").unlink()
    folder = Folder(tmp_path / "data")
    with pytest.raises(UserError, match="labels of 1: found 64x96"):
        folder.read("1", TASKS, images=False)
    capsys.readouterr()
    assert main(["check", str(tmp_path / "data")]) == 1
    assert capsys.readouterr().out.count("expected at least 64x97") == 3
    assert main(["pack", str(tmp_path / "data"), str(tmp_path / "packed")]) == 1
    assert capsys.readouterr().out.count("expected at least 64x97") == 3


def test_a_camera_of_another_size_is_refused(tmp_path: Path) -> None:
    """What a window is worth in pixels of the camera nobody could say."""
    write_framed(tmp_path, WINDOW, count=1)
    meta = json.loads((tmp_path / "dataset.json").read_text())
    camera = {"fx": 160.0, "fy": 160.0, "cx": 96.0, "cy": 64.0, "width": 192, "height": 128}
    write_json(tmp_path / "dataset.json", meta | {"camera": camera})
    with pytest.raises(UserError, match=r"0\.png: found 64x96, but its camera .* is of 128x192; with a .window."):
        Folder(tmp_path).read("0", TASKS)


def test_a_folder_of_links_has_a_window_of_its_own(framed: Path, tmp_path: Path) -> None:
    """The way of those who cannot write to the folder."""
    for name in ("image", *TASKS):
        (tmp_path / name).symlink_to(framed / name)
    meta = json.loads((framed / "dataset.json").read_text())
    write_json(tmp_path / "dataset.json", meta | {"window": [9, 6, 20, 20]})
    assert Folder(tmp_path).read_window("0").shape == (14, 11, 3)
