"""Every public set, from its owner's format to the folder format, through the real command line."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from originals import ORIGINALS, PBRS_AXES, pbrs
from umadapt.cli import main
from umadapt.data.camera import Camera
from umadapt.data.convert import digests, nyudv2, synthia, vkitti2
from umadapt.data.convert.hypersim import CAMERA
from umadapt.data.folder import Folder
from umadapt.data.normals import normals_from_depth

NAMES = list(ORIGINALS)
EXTRA = {"cityscapes": ["--disparity"], "hypersim": ["--tone-map"]}


def convert(name: str, source: Path, out: Path, *more: str) -> int:
    return main(["convert", name, str(source), str(out), *EXTRA.get(name, []), *more])


@pytest.mark.parametrize("name", NAMES)
def test_an_original_becomes_a_sound_folder(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for streets in (vkitti2, synthia):  # the originals of the tests have small pictures
        monkeypatch.setattr(streets, "CAMERA", Camera(20.0, 20.0, 16.0, 12.0, 32, 24))
    original = ORIGINALS[name](tmp_path / "src")
    out = tmp_path / "out"
    assert convert(name, tmp_path / "src", out, "--json", str(tmp_path / "j.json")) == 0
    folder = Folder(out)
    assert folder.ids == tuple(sorted(original.ids))
    first = original.ids[0]
    image = folder.read_image(first)
    if original.seg is not None:
        seg = folder.read_seg(first)
        assert seg is not None
        np.testing.assert_array_equal(seg, original.seg)
        assert seg.shape == image.shape[:2]
    if original.depth_m is not None:
        depth = folder.read_depth(first)
        assert depth is not None
        step = max(folder.depth_scale_m, 0.004 * original.depth_m.max() if name == "hypersim" else 0)
        truth = np.where(original.depth_m > folder.depth_max_m, 0, original.depth_m)
        np.testing.assert_allclose(depth, truth, atol=step, rtol=2e-3 if name == "cityscapes" else 0)
    about = json.loads((out / "dataset.json").read_text())
    assert about["license"]
    assert about["citation"]
    assert json.loads((tmp_path / "j.json").read_text())["images"] == len(original.ids)
    capsys.readouterr()
    assert main(["check", str(out)]) == 0
    assert "warning" not in capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_one_bad_file_is_named_and_the_rest_converted(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    original = ORIGINALS[name](tmp_path / "src")
    second = original.ids[1]
    if original.wrong is not None:
        original.wrong()
        assert convert(name, tmp_path / "src", tmp_path / "wrong") == 1
        assert "unknown label" in capsys.readouterr().out
        assert second not in Folder(tmp_path / "wrong").ids
        assert len(Folder(tmp_path / "wrong").ids) == len(original.ids) - 1
    if name == "nyudv2":  # one file holds all
        original.image.write_bytes(original.image.read_bytes()[:3000])
        assert convert(name, tmp_path / "src", tmp_path / "cut") == 2
        assert "is the download complete?" in capsys.readouterr().err
        return
    shutil.rmtree(tmp_path / "src")
    original = ORIGINALS[name](tmp_path / "src")
    data = original.image.read_bytes()
    original.image.write_bytes(data[: len(data) * 2 // 3])
    assert convert(name, tmp_path / "src", tmp_path / "cut") == 1
    out = capsys.readouterr().out
    assert original.image.name in out or second in out
    assert set(Folder(tmp_path / "cut").ids) == set(original.ids) - {second}
    for path in (tmp_path / "cut" / "splits").glob("*.txt"):
        assert second not in path.read_text().split()
    # mended, the same command converts what was left out
    original.image.write_bytes(data)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "cut" / "image").iterdir()}
    assert convert(name, tmp_path / "src", tmp_path / "cut") == 0
    assert set(Folder(tmp_path / "cut").ids) == set(original.ids)
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "nyudv2"])
@pytest.mark.parametrize("share", [0.6, 0.0])
def test_a_cut_file_of_any_kind_is_named_and_costs_one_image(
    name: str, share: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Colour, depth, normals, classes, calibration: whatever of the second image breaks off or is empty."""
    original = ORIGINALS[name](tmp_path / "src")
    second = original.ids[1]
    own = second.rsplit("-", 1)[-1]  # the frame's number
    files = [path for path in sorted((tmp_path / "src").rglob("*")) if path.is_file() and own in path.name]
    assert len(files) > 1
    for number, path in enumerate(files):
        data, out = path.read_bytes(), tmp_path / f"out-{number}"
        path.write_bytes(data[: int(len(data) * share) // 16 * 16 + (share > 0)])
        assert convert(name, tmp_path / "src", out) == 1, path
        path.write_bytes(data)
        told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("bad: ")]
        assert len(told) == 1
        assert str(path) in told[0]
        assert set(Folder(out).ids) == set(original.ids) - {second}


def test_a_cut_calibration_costs_the_images_that_need_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    original = ORIGINALS["kitti"](tmp_path / "src")
    for number, name in enumerate(("calib_cam_to_cam.txt", "calib_velo_to_cam.txt")):
        path = tmp_path / "src" / "2011_09_26" / name
        data = path.read_bytes()
        path.write_bytes(data[: len(data) * 2 // 3])
        assert convert("kitti", tmp_path / "src", tmp_path / str(number)) == 1
        assert name in capsys.readouterr().out
        assert Folder(tmp_path / str(number)).ids == original.ids[:1]  # which has official depth
        path.write_bytes(data)


def test_a_download_that_differs_from_the_published_one_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = ORIGINALS["nyudv2"](tmp_path / "src")
    command = ["convert", "nyudv2", str(tmp_path / "src"), str(tmp_path / "out"), "--json", str(tmp_path / "j.json")]
    assert main(command) == 0
    assert "that of the published file 520609c519fba3ba5ac58c8fefcc3530" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "j.json").read_text())["warnings"]) == 1
    monkeypatch.setattr(digests, "digest", lambda *_: pytest.fail("it is known from before"))
    assert main(command) == 0
    assert "warning" in capsys.readouterr().out
    monkeypatch.undo()
    right = hashlib.md5(original.image.read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(nyudv2, "SET", dataclasses.replace(nyudv2.SET, digests={nyudv2.FILE: f"md5:{right}"}))
    assert main([*command[:3], str(tmp_path / "again")]) == 0
    assert "warning" not in capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_archives_are_read_in_place_and_hostile_members_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    original = ORIGINALS[name](tmp_path / "src")
    assert convert(name, tmp_path / "src", tmp_path / "plain", "--workers", "1") == 0
    packed = tmp_path / "packed"
    packed.mkdir()
    with zipfile.ZipFile(packed / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((tmp_path / "src").rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(tmp_path / "src").as_posix())
        archive.writestr("../escaped.png", b"x")
    capsys.readouterr()
    assert convert(name, packed, tmp_path / "out", "--workers", "3") == 1
    out = capsys.readouterr().out
    assert "'../escaped.png' leaves the archive" in out
    assert not (tmp_path / "escaped.png").exists()
    assert set(Folder(tmp_path / "out").ids) == set(original.ids)
    for path in (p for p in (tmp_path / "plain").rglob("*") if p.is_file() and p.name != "convert.json"):
        assert path.read_bytes() == (tmp_path / "out" / path.relative_to(tmp_path / "plain")).read_bytes(), path


def test_help_lists_the_eight_sets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_there_says_where_the_owner_offers_it(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "readme.txt").write_text("x")
    assert convert(name, tmp_path / "src", tmp_path / "out") == 2
    assert "owner offers it at" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert convert(name, tmp_path / "nowhere", tmp_path / "out") == 2


def test_missing_frames_are_counted_and_the_rest_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ORIGINALS["vkitti2"](tmp_path / "src")
    (tmp_path / "src/Scene01/clone/frames/depth/Camera_0/depth_00002.png").unlink()
    assert convert("vkitti2", tmp_path / "src", tmp_path / "out") == 0
    assert "depth: 1 of 3 images have none" in capsys.readouterr().out
    folder = Folder(tmp_path / "out")
    assert [folder.has("depth", id) for id in folder.ids] == [True, False, True]


def test_nyudv2_options(tmp_path: Path) -> None:
    original = ORIGINALS["nyudv2"](tmp_path / "src")
    assert convert("nyudv2", tmp_path / "src", tmp_path / "out", "--classes", "13", "--raw-depth") == 0
    folder = Folder(tmp_path / "out")
    assert folder.classes[11] == "wall"
    seg, depth, normals = folder.read_seg("0001"), folder.read_depth("0001"), folder.read_normals("0001")
    assert seg is not None
    assert depth is not None
    assert normals is not None
    assert set(np.unique(seg)) == {4, 11, 255}  # floor, wall, unlabelled
    assert original.depth_m is not None
    np.testing.assert_allclose(depth, np.where(original.depth_m > 3, 0, original.depth_m), atol=1e-3)
    known = normals.any(-1)
    assert known.any()
    assert (normals[known][:, 2] > 0).all()  # towards the viewer
    assert {p.stem for p in (tmp_path / "out" / "splits").iterdir()} == {"train", "test"}
    assert (tmp_path / "out" / "splits" / "test.txt").read_text().split() == ["0001", "0002"]
    assert (tmp_path / "out" / "splits" / "train.txt").read_text().split() == ["0003"]


def test_nyudv2_normals_of_ones_own(tmp_path: Path) -> None:
    from PIL import Image

    ORIGINALS["nyudv2"](tmp_path / "src")
    (tmp_path / "n").mkdir()
    Image.fromarray(np.full((48, 64, 3), (128, 128, 255), np.uint8)).save(tmp_path / "n" / "0002.png")
    assert convert("nyudv2", tmp_path / "src", tmp_path / "out", "--normals", str(tmp_path / "n")) == 0
    folder = Folder(tmp_path / "out")
    assert [folder.has("normals", id) for id in folder.ids] == [False, True, False]


@pytest.mark.parametrize(
    "axes",
    [
        PBRS_AXES,
        ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        ((1, 0, 0), (0, 1, 0), (0, 0, -1)),  # left-handed: z away from the viewer
        ((-1, 0, 0), (0, 1, 0), (0, 0, 1)),  # left-handed: x left
        ((1, 0, 0), (0, -1, 0), (0, 0, -1)),  # y down, as OpenCV has it
    ],
)
def test_pbrs_axes_are_told_from_depth(tmp_path: Path, axes: tuple[tuple[int, ...], ...]) -> None:
    pbrs(tmp_path / "src", axes)
    assert convert("pbrs", tmp_path / "src", tmp_path / "out") == 0
    normals = Folder(tmp_path / "out").read_normals(Folder(tmp_path / "out").ids[0])
    assert normals is not None
    np.testing.assert_allclose(normals[-1, 80], [0, 1, 0], atol=0.02)  # the floor looks up
    np.testing.assert_allclose(normals[20, 120], [0, 0, 1], atol=0.02)  # the wall at the viewer
    np.testing.assert_allclose(normals[60, 5], [1, 0, 0], atol=0.02)  # the one on the left to the right


def test_hypersim_turns_normals_and_obeys_its_own_lists(tmp_path: Path) -> None:
    original = ORIGINALS["hypersim"](tmp_path / "src")
    head = "scene_name,camera_name,frame_id,included_in_public_release,exclude_reason,split_partition_name\n"
    lines = ["ai_001_002,cam_00,0,True,,train", "ai_001_002,cam_00,1,False,bad,", "ai_001_002,cam_00,2,True,,val"]
    (tmp_path / "src" / "metadata_images_split_scene_v1.csv").write_text(head + "\n".join(lines) + "\n")
    keys = ",".join(f"M_cam_from_uv_{i}{j}" for i in range(3) for j in range(3))
    lens = "0.57735,0,0,0,0.43301,0,0,0,-1"
    (tmp_path / "src" / "metadata_camera_parameters.csv").write_text(f"scene_name,{keys}\nai_001_002,{lens}\n")
    assert convert("hypersim", tmp_path / "src", tmp_path / "out") == 0
    folder = Folder(tmp_path / "out")
    assert folder.ids == (original.ids[0], original.ids[2])
    assert Folder(f"{tmp_path / 'out'}:val").ids == (original.ids[2],)
    normals, depth = folder.read_normals(folder.ids[0]), folder.read_depth(folder.ids[0])
    assert normals is not None
    assert depth is not None
    assert original.depth_m is not None
    assert (normals[..., 2] > 0.3).all()
    plane = normals_from_depth(depth, CAMERA)
    inner = np.s_[8:-8, 8:-8]
    assert np.median((normals * plane).sum(-1)[inner]) > 0.995  # away from the viewer they would give -1
    np.testing.assert_allclose(depth, original.depth_m, atol=0.02)


@pytest.mark.parametrize("name", ["metadata_images_split_scene_v1.csv", "metadata_camera_parameters.csv"])
def test_hypersim_refuses_lists_that_break_off(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Frames that should be left out, or rays of another lens, would go unnoticed."""
    ORIGINALS["hypersim"](tmp_path / "src")
    (tmp_path / "src" / name).write_text("scene_name,camera_name,M_cam_from_uv_00\nai_001_002,cam_00,0.57\nai_0")
    assert convert("hypersim", tmp_path / "src", tmp_path / "out") == 2
    assert f"{name}: truncated" in capsys.readouterr().err


def test_cityscapes_few_shots_come_from_train(tmp_path: Path) -> None:
    ORIGINALS["cityscapes"](tmp_path / "src")
    for seed, out in ((0, "a"), (0, "b"), (3, "c")):
        assert convert("cityscapes", tmp_path / "src", tmp_path / out, "--labelled", "2", "--seed", str(seed)) == 0
    few = {out: Folder(f"{tmp_path / out}:labelled").ids for out in "abc"}
    assert few["a"] == few["b"]
    assert all(id.startswith("aachen") for ids in few.values() for id in ids)
    rest = Folder(f"{tmp_path / 'a'}:unlabelled").ids
    assert set(rest) | set(few["a"]) == set(Folder(f"{tmp_path / 'a'}:train").ids)
    assert not set(rest) & set(few["a"])
    test = Folder(f"{tmp_path / 'a'}:test")
    assert not any(test.has("seg", id) for id in test.ids)  # dummies


def test_gta5_takes_depth_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ORIGINALS["gta5"](tmp_path / "src")
    (tmp_path / "d").mkdir()
    np.save(tmp_path / "d" / "00001.npy", np.full((24, 32), 40.0, np.float32))
    assert convert("gta5", tmp_path / "src", tmp_path / "out", "--depth", str(tmp_path / "d")) == 0
    assert "2 of 3 images have none" in capsys.readouterr().out
    depth = Folder(tmp_path / "out").read_depth("00001")
    assert depth is not None
    np.testing.assert_allclose(depth, 40.0, atol=0.01)


def test_nyudv2_writes_the_window_of_its_bordered_photos(tmp_path: Path) -> None:
    for name, size in (("own", (480, 640)), ("other", (48, 64))):
        (tmp_path / name).mkdir()
        with h5py.File(tmp_path / name / nyudv2.FILE, "w") as file:
            file["images"] = np.zeros((1, 3, *size[::-1]), np.uint8)
        assert convert("nyudv2", tmp_path / name, tmp_path / f"{name}-out") == 0
    window = Folder(tmp_path / "own-out").window_of("0001")
    assert window is not None
    assert str(window) == "[8, 8, 632, 472]"
    assert Folder(tmp_path / "other-out").window_of("0001") is None
