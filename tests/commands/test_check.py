"""`check` finds what is wrong with a folder, and says what is in it."""

import json
import time

import numpy as np
import pytest
from PIL import Image

from umadapt.commands.check import run
from umadapt.config.data import Check
from umadapt.data.atomic import write_json
from umadapt.data.files import read_photo, write_depth, write_image, write_normals, write_seg
from umadapt.data.folder import Folder
from umadapt.errors import UserError

CAMERA = {"fx": 50.0, "fy": 50.0, "cx": 32.0, "cy": 24.0, "width": 64, "height": 48}


@pytest.fixture
def data(tmp_path):
    """Four views of a slanted wall."""
    root = tmp_path / "data"
    x = (np.arange(64) + 0.5 - 32) / 50
    normal = np.array([0.6, 0.0, 0.8])
    depth = np.broadcast_to(2.0 / (0.8 - 0.6 * x), (48, 64))
    for k in range(4):
        id = f"{k:04d}"
        write_image(root / f"image/{id}.png", np.random.default_rng(k).integers(0, 256, (48, 64, 3), dtype=np.uint8))
        write_depth(root / f"depth/{id}.png", depth)
        write_normals(root / f"normals/{id}.png", np.broadcast_to(normal, (48, 64, 3)))
        seg = np.zeros((48, 64), np.uint8)
        seg[:12], seg[12:24] = 1, 255
        write_seg(root / f"seg/{id}.png", seg)
    tasks = {"depth": {"scale_m": 0.001}, "normals": {}, "seg": {"classes": ["wall", "floor"], "ignore": 255}}
    write_json(root / "dataset.json", {"name": "toy", "camera": CAMERA, "tasks": tasks})
    return root


def _run(data, tmp_path, capsys):
    code = run(Check(str(data), json=tmp_path / "found.json"))
    return code, capsys.readouterr().out, json.loads((tmp_path / "found.json").read_text())


def test_good_folder(data, tmp_path, capsys):
    code, out, found = _run(data, tmp_path, capsys)
    assert code == 0
    assert "all files are good" in out
    assert (found["n"], found["bad"], found["warnings"], found["sizes"]) == (4, [], [], {"48x64": 4})
    assert found["tasks"]["seg"]["missing"] == 0.25
    assert found["tasks"]["seg"]["classes"] == pytest.approx({"wall": 2 / 3, "floor": 1 / 3})
    depth = Folder(data).read_depth("0000")
    assert depth is not None
    percentiles = found["tasks"]["depth"]["percentiles"]
    np.testing.assert_allclose(list(percentiles.values()), np.percentile(depth, (5, 50, 95)), rtol=0.02)
    assert found["tasks"]["normals"]["not_unit"] == 0
    sheet = read_photo(data / "check.png")
    assert sheet.shape[1] > sheet.shape[0] > 400
    assert _run(data, tmp_path, capsys)[2]["n"] == 4  # the sheet is no photo


def test_every_bad_file_has_a_line(data, tmp_path, capsys):
    path = data / "image/0001.png"
    path.write_bytes(path.read_bytes()[:2000])
    Image.new("L", (64, 48)).save(data / "depth/0002.png")
    write_seg(data / "seg/0002.png", np.full((48, 64), 9, np.uint8))
    write_normals(data / "normals/0003.png", np.ones((24, 32, 3)))
    code, out, found = _run(data, tmp_path, capsys)
    assert code == 1
    starts = ["image/0001.png: truncated", "depth/0002.png: found", "seg/0002.png: unknown", "normals/0003.png: found"]
    assert len(found["bad"]) == len(starts)
    for line, start in zip(found["bad"], starts, strict=True):
        assert line.startswith(start)
        assert line in out.splitlines()


def test_a_task_without_any_label_is_bad(data, tmp_path, capsys):
    write_depth(data / "depth/0000.png", np.zeros((48, 64)))
    code, _, found = _run(data, tmp_path, capsys)
    assert code == 0
    assert found["warnings"] == ["depth: 1 files hold no label, such as 0000.png"]
    for k in range(1, 4):
        write_depth(data / f"depth/{k:04d}.png", np.zeros((48, 64)))
    code, _, found = _run(data, tmp_path, capsys)
    assert code == 1
    assert found["bad"] == ["depth: every pixel of every file is missing"]


def test_flipped_normals_are_told(data, tmp_path, capsys):
    for k in range(4):
        write_normals(data / f"normals/{k:04d}.png", np.broadcast_to([-0.6, 0, 0.8], (48, 64, 3)))
    code, _, found = _run(data, tmp_path, capsys)
    assert code == 0
    assert len(found["warnings"]) == 1
    assert "flipped in x" in found["warnings"][0]


def test_a_flip_that_few_surfaces_show_is_told(data, tmp_path, capsys):
    """A wall in front, and one on the right: left and right differ in a quarter of the pixels."""
    x = (np.arange(64) + 0.5 - 32) / 50
    side = 0.8 / np.maximum(x, 0.01)
    depth, right = np.broadcast_to(np.minimum(side, 2.0), (48, 64)), np.broadcast_to(side < 2, (48, 64))
    for flip, told in ((1, False), (-1, True)):
        normals = np.where(right[..., None], [-1.0 * flip, 0, 0], [0, 0, 1.0])
        for k in range(4):
            write_depth(data / f"depth/{k:04d}.png", depth)
            write_normals(data / f"normals/{k:04d}.png", normals)
        warnings = _run(data, tmp_path, capsys)[2]["warnings"]
        assert any("flipped in x" in line for line in warnings) == told


def test_normals_of_another_encoding(data, tmp_path, capsys):
    write_image(data / "normals/0000.png", np.full((48, 64, 3), 128, np.uint8))
    assert any("not unit" in line for line in _run(data, tmp_path, capsys)[2]["warnings"])


def test_missing_labels_and_no_classes(data, tmp_path, capsys):
    (data / "seg/0000.png").unlink()
    (data / "dataset.json").unlink()
    code, out, found = _run(data, tmp_path, capsys)
    assert code == 0
    assert "seg     3 of 4 views" in out
    assert found["warnings"] == ["seg: dataset.json names no classes, so that ids cannot be checked"]


def test_photos_get_no_sheet_unless_asked(tmp_path, capsys):
    write_image(tmp_path / "photos/a.jpg", np.zeros((20, 30, 3), np.uint8))
    assert run(Check(str(tmp_path / "photos"))) == 0
    assert "no contact sheet" in capsys.readouterr().out
    assert run(Check(str(tmp_path / "photos"), sheet=tmp_path / "sheet.png")) == 0
    assert (tmp_path / "sheet.png").exists()
    assert [p.name for p in (tmp_path / "photos").iterdir()] == ["a.jpg"]


def test_read_only_folder_gets_no_sheet(data, tmp_path, capsys):
    data.chmod(0o555)
    try:
        code, out, _ = _run(data, tmp_path, capsys)
    finally:
        data.chmod(0o755)
    assert code == 0
    assert "is read-only; use --sheet FILE" in out
    assert not (data / "check.png").exists()


def test_no_folder(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        run(Check(str(tmp_path / "nowhere")))


def test_a_hundred_views_are_quick(tmp_path, capsys):
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8).repeat(5, 0).repeat(5, 1)
    for k in range(100):
        write_image(tmp_path / f"image/{k}.jpg", image)
        write_depth(tmp_path / f"depth/{k}.png", image[..., 0] / 50)
    start = time.process_time()
    run(Check(str(tmp_path)))
    assert time.process_time() - start < 10  # 240x320; about half a second alone


def _frame(root, count, framed, inside=(3, 4, 60, 43)):
    """JPEGs of noise, so many of them with a white frame."""
    left, top, right, bottom = inside
    for k in range(count):
        picture = np.full((48, 64, 3), 255, np.uint8)
        noise = np.random.default_rng(k).integers(0, 180, (48, 64, 3), dtype=np.uint8)
        where = np.s_[top:bottom, left:right] if k < framed else np.s_[:, :]
        picture[where] = noise[where]
        write_image(root / f"image/{k:04d}.jpg", picture)


def test_a_border_is_told_with_its_cure(tmp_path, capsys):
    root = tmp_path / "data"
    _frame(root, 10, 10)
    code, _, found = _run(root, tmp_path, capsys)
    assert code == 0
    (line,) = found["warnings"]
    path = root / "dataset.json"
    assert line == f'photos have a border of one colour; write "window": [4, 5, 59, 42] into {path}'
    write_json(path, {"window": [4, 5, 59, 42]})
    assert _run(root, tmp_path, capsys)[2]["warnings"] == []
    write_json(path, {"window": [1, 1, 64, 48]})  # too large a window
    assert "[4, 5, 59, 42]" in _run(root, tmp_path, capsys)[2]["warnings"][0]


@pytest.mark.parametrize(("count", "framed"), [(7, 7), (10, 8), (10, 0)])
def test_what_few_photos_have_is_no_border(tmp_path, capsys, count, framed):
    _frame(tmp_path / "data", count, framed)
    assert _run(tmp_path / "data", tmp_path, capsys)[2]["warnings"] == []
