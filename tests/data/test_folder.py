"""The folder format: what is written is read back, and every mistake is told by the file's name."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from umadapt.data.atomic import write_json
from umadapt.data.camera import Camera
from umadapt.data.files import decode_normals, read_photo, write_depth, write_image, write_normals, write_seg
from umadapt.data.folder import Folder
from umadapt.data.packed.remote import split_address
from umadapt.errors import UserError
from umadapt.inference.photo_files import find_photos

META = {
    "name": "toy",
    "camera": {"fx": 60.0, "fy": 61.0, "cx": 32.0, "cy": 24.0, "width": 64, "height": 48},
    "tasks": {"depth": {"scale_m": 0.001, "max_m": 10.0}, "seg": {"classes": ["wall", "floor"], "ignore": 255}},
}


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for i in ("0001", "0002"):
        write_image(tmp_path / f"image/{i}.png", rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        write_depth(tmp_path / f"depth/{i}.png", rng.uniform(0.5, 9, (12, 16)))
        write_normals(tmp_path / f"normals/{i}.png", rng.normal(size=(12, 16, 3)))
        write_seg(tmp_path / f"seg/{i}.png", rng.choice(np.array([0, 1, 255], np.uint8), (12, 16)))
    write_json(tmp_path / "dataset.json", META)
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits/val.txt").write_text("0002\n\n0001\n")
    return tmp_path


def test_reads_a_whole_folder(data):
    folder = Folder(data)
    assert (folder.name, folder.ids, folder.tasks) == ("toy", ("0001", "0002"), ("depth", "normals", "seg"))
    assert folder.camera == Camera(60, 61, 32, 24, 64, 48)
    assert folder.classes == ("wall", "floor")
    sample = {k: v for k, v in folder.read("0001", folder.tasks).items() if v is not None}
    assert {k: (v.shape, v.dtype.name) for k, v in sample.items()} == {
        "image": ((12, 16, 3), "uint8"),
        "depth": ((12, 16), "float32"),
        "normals": ((12, 16, 3), "float32"),
        "seg": ((12, 16), "uint8"),
    }
    assert all(v.flags.writeable for v in sample.values())  # torch.from_numpy warns about others
    np.testing.assert_allclose(np.linalg.norm(sample["normals"], axis=-1), 1, atol=1e-5)


def test_split_keeps_the_order_of_its_file(data):
    assert Folder(f"{data}:val").ids == ("0002", "0001")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("a/b:val", ("a/b", "val")),
        ("a/b", ("a/b", None)),
        ("host:dir/photos", ("host:dir/photos", None)),
        ("host:dir/photos:val-a", ("host:dir/photos", "val-a")),
        ("C:\\photos", ("C:\\photos", None)),
        ("data:", ("data:", None)),
    ],
)
def test_split_address(address, expected):
    root, split = split_address(address)
    assert (str(root), split) == expected


def test_folder_whose_own_name_has_a_colon(data):
    odd = data.rename(data.parent / "odd:name")
    assert len(Folder(odd).ids) == 2
    assert Folder(f"{odd}:val").ids[0] == "0002"


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.float64, (3, 4), elements=st.floats(allow_nan=True, allow_infinity=True)))
def test_depth_round_trip(tmp_path_factory, depth_m):
    root = tmp_path_factory.mktemp("depth")
    write_depth(root / "depth/a.png", depth_m)
    read = Folder(root).read_depth("a", truth=False)
    assert read is not None
    with np.errstate(invalid="ignore"):
        kept = (depth_m >= 0.0006) & (depth_m < 65.535)
        gone = ~np.isfinite(depth_m) | (depth_m < 0.0004) | (depth_m > 65.536)
    np.testing.assert_allclose(read[kept], depth_m[kept], atol=0.000501, rtol=1e-6)
    assert (read[gone] == 0).all()


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.float64, (2, 3, 3), elements=st.floats(allow_nan=True, allow_infinity=True)))
def test_normals_round_trip(tmp_path_factory, normals):
    root = tmp_path_factory.mktemp("normals")
    write_normals(root / "normals/a.png", normals)
    read = Folder(root).read_normals("a")
    assert read is not None
    valid = np.isfinite(normals).all(axis=-1) & (normals != 0).any(axis=-1)
    assert (read[~valid] == 0).all()
    assert (np.abs(np.linalg.norm(read[valid], axis=-1) - 1) < 1e-5).all()  # so none was taken for missing
    for vector, found in zip(normals[valid], read[valid], strict=True):
        unit = vector / np.abs(vector).max()
        unit /= np.linalg.norm(unit)
        assert np.degrees(np.arccos(np.clip(unit @ found, -1, 1))) < 0.5


def test_decode_normals_matches_the_formula():
    stored = np.array([[[0, 0, 0], [255, 128, 0]]], np.uint8)
    vector = stored[0, 1] / 127.5 - 1
    np.testing.assert_allclose(decode_normals(stored)[0, 1], vector / np.linalg.norm(vector), atol=1e-6)
    assert (decode_normals(stored)[0, 0] == 0).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 500))
def test_scaled_camera_sees_the_same_rays(size):
    height, width = 3 * size, 4 * size
    camera = Camera(60, 61, 32, 24, 64, 48)
    point = np.array([0.3, -0.2, 2.0])
    old, new = camera.matrix() @ point, camera.scaled(height, width).matrix() @ point
    np.testing.assert_allclose(new[:2] / new[2], old[:2] / old[2] * [width / 64, height / 48], rtol=1e-9)
    assert camera.scaled(48, 64) == camera


@pytest.mark.parametrize("size", [(64, 48), (48, 48), (48, 70), (4000, 2252)])
def test_a_camera_of_another_aspect_is_an_error(data, size):
    height, width = size
    write_image(data / "image/0001.png", np.zeros((height, width, 3), np.uint8))
    with pytest.raises(UserError, match=rf"image/0001\.png: found {height}x{width} .* its camera .* is of 48x64"):
        Folder(data).read_image("0001")
    with pytest.raises(UserError, match=f"found {height}x{width}"):
        Folder(data).read("0001", ())
    with pytest.raises(UserError, match=f"found {height}x{width}"):
        find_photos([data])["0001"].read()
    own = {**META["camera"], "width": width, "height": height}
    write_json(data / "dataset.json", {**META, "cameras": {"0001": own}})
    assert Folder(data).read_image("0001").shape == (height, width, 3)


@pytest.mark.parametrize("size", [(48, 64), (24, 32), (25, 33), (13, 17), (479, 640), (1200, 1600)])
def test_rounding_to_whole_pixels_is_no_other_aspect(size):
    Camera(60, 61, 32, 24, 64, 48).check(size, "a")


def test_labels_of_another_aspect_than_the_camera(data):
    write_depth(data / "depth/0001.png", np.ones((16, 12)))
    with pytest.raises(UserError, match=r"depth/0001\.png: found 16x12"):
        Folder(data).read("0001", ("depth",), images=False)


def test_folder_of_photos(tmp_path):
    for name in ("b.JPG", "a.png", "c.webp", "d.Tif", ".hidden.png"):
        Image.new("RGB", (8, 6), "red").save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    folder = Folder(tmp_path)
    assert folder.ids == ("a", "b", "c", "d")
    assert folder.photos_in_root
    assert folder.name == tmp_path.name
    assert (folder.tasks, folder.camera, folder.classes) == ((), None, ())
    assert folder.read("a", ("depth",))["depth"] is None


def test_labels_alone_make_a_folder(data):
    for path in (data / "image").iterdir():
        path.unlink()
    (data / "image").rmdir()
    write_image(data / "check.png", np.zeros((4, 4, 3), np.uint8))  # no photo
    folder = Folder(data)
    assert folder.ids == ("0001", "0002")
    assert not folder.has("image", "0001")
    with pytest.raises(UserError, match="no image with id '0001'"):
        folder.read_image("0001")


def _noise(mode):
    rng = np.random.default_rng(1)
    return {
        "L": rng.integers(0, 256, (6, 8), dtype=np.uint8),
        "I;16": rng.integers(0, 65536, (6, 8), dtype=np.uint16),
        "F": rng.random((6, 8), dtype=np.float32),
    }[mode]


@pytest.mark.parametrize(("mode", "suffix"), [("L", "png"), ("I;16", "png"), ("F", "tif")])
def test_grey_photos_become_rgb(tmp_path, mode, suffix):
    grey = _noise(mode)
    Image.fromarray(grey).save(tmp_path / f"a.{suffix}")
    expected = np.round(grey / {"L": 255, "I;16": 65535, "F": 1}[mode] * 255)
    np.testing.assert_array_equal(read_photo(tmp_path / f"a.{suffix}"), np.repeat(expected[..., None], 3, axis=-1))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_is_white(tmp_path, mode):
    image = Image.new("RGBA", (8, 6), (10, 10, 10, 0))
    image.paste((10, 10, 10, 255), (0, 0, 4, 6))
    if mode == "P":
        image = image.quantize(4)
    elif mode == "LA":
        image = image.convert("LA")
    image.save(tmp_path / "a.png")
    rgb = read_photo(tmp_path / "a.png")
    assert (rgb[:, :4] == 10).all()
    assert (rgb[:, 4:] == 255).all()


def test_cmyk_and_bilevel(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    assert np.abs(read_photo(tmp_path / "a.jpg").astype(int) - [255, 0, 0]).max() < 8
    Image.new("1", (4, 4), 1).save(tmp_path / "b.png")
    assert (read_photo(tmp_path / "b.png") == 255).all()


def test_exif_orientation(tmp_path):
    image = Image.new("RGB", (16, 8), "black")
    image.paste((255, 255, 255), (0, 0, 8, 8))  # left half white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees: left becomes top
    image.save(tmp_path / "a.jpg", exif=exif, quality=95)
    rgb = read_photo(tmp_path / "a.jpg")
    assert rgb.shape == (16, 8, 3)
    assert rgb[:6].min() > 200
    assert rgb[10:].max() < 50


# --- mistakes


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        Folder(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"photo\.JPG: no such file$"):
        Folder(tmp_path / "photo.JPG")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="a file; expected"):
        Folder(tmp_path / "file")
    (tmp_path / "x").mkdir()
    with pytest.raises(UserError, match="no files"):
        Folder(tmp_path / "x")
    (tmp_path / "x/a.gif").write_text("")
    with pytest.raises(UserError, match=r"1 \.gif"):
        Folder(tmp_path / "x")


def test_two_photos_of_one_id(tmp_path):
    for name in ("a.jpg", "a.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    with pytest.raises(UserError, match=r"a\.jpg and a\.png share"):
        Folder(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0001\n9999\n", "1 of 2 ids have no image, such as '9999'"),
        ("0001.png\n", "write ids without the suffix"),
        ("0001\n0001\n", "more than once"),
        ("\n", "empty"),
    ],
)
def test_bad_splits(data, text, message):
    (data / "splits/val.txt").write_text(text)
    with pytest.raises(UserError, match=message) as error:
        Folder(f"{data}:val")
    assert "splits/val.txt" in str(error.value)


def test_unknown_split_lists_those_there_are(data):
    with pytest.raises(UserError, match="no split 'test'; it has: val"):
        Folder(f"{data}:test")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"camera": 3}',
        '{"camera": {"fx": 1}}',
        '{"tasks": null}',
        '{"tasks": {"depth": {"scale_m": 0}}}',
        '{"tasks": {"depth": {"scale_m": "x"}}}',
        '{"tasks": {"seg": {"ignore": 300}}}',
        '{"tasks": {"seg": {"classes": "wall"}}}',
    ],
)
def test_malformed_dataset_json(data, text):
    (data / "dataset.json").write_text(text)
    with pytest.raises(UserError, match=r"dataset\.json"):
        Folder(data)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("keep", [0.0, 0.005, 0.5])
def test_damaged_photo_is_named(tmp_path, suffix, keep):
    path = tmp_path / f"a.{suffix}"
    write_image(path, np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(UserError, match=rf"a\.{suffix}: "):
        Folder(tmp_path).read_image("a")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=40))
def test_no_damage_escapes_as_another_error(tmp_path_factory, place, garbage):
    root = tmp_path_factory.getbasetemp() / "garbage"
    path = root / "a.jpg"
    write_image(path, np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8))
    stored = bytearray(path.read_bytes())
    place %= len(stored)
    stored[place : place + len(garbage)] = garbage
    path.write_bytes(stored)
    try:
        assert read_photo(path).dtype == np.uint8
    except UserError as error:
        message = str(error)
    else:
        message = str(path)
    assert "a.jpg" in message


def test_wrong_kinds_of_labels(data):
    Image.new("L", (16, 12)).save(data / "depth/0001.png")
    Image.new("RGBA", (16, 12)).save(data / "normals/0001.png")
    Image.new("RGB", (16, 12)).save(data / "seg/0001.png")
    folder = Folder(data)
    for task, found in (("depth", "8-bit grey"), ("normals", "alpha"), ("seg", "8-bit RGB")):
        with pytest.raises(UserError, match=rf"{task}/0001\.png: found a picture in .*{found}"):
            folder.read_label(task, "0001")


def test_palette_seg_gives_its_indices(data):
    image = Image.fromarray(np.array([[0, 1], [1, 255]], np.uint8)).convert("L")
    image.putpalette(list(range(256)) * 3)
    image.save(data / "seg/0001.png")
    np.testing.assert_array_equal(Folder(data).read_seg("0001"), [[0, 1], [1, 255]])


def test_unknown_class_ids_and_sizes(data):
    write_seg(data / "seg/0001.png", np.full((12, 16), 7, np.uint8))
    with pytest.raises(UserError, match=r"seg/0001\.png: unknown class ids 7; expected 0 to 1, or 255"):
        Folder(data).read_seg("0001")
    write_depth(data / "depth/0001.png", np.ones((6, 8)))
    with pytest.raises(UserError, match=r"depth/0001\.png: found 6x8, expected 12x16"):
        Folder(data).read("0001", ("depth",))


def test_writing_is_whole_or_not_at_all(tmp_path, monkeypatch):
    write_seg(tmp_path / "a.png", np.zeros((4, 4), np.uint8))
    before = (tmp_path / "a.png").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match=r"a\.png: cannot be written \(No space left"):
        write_seg(tmp_path / "a.png", np.ones((4, 4), np.uint8))
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == before


def test_writing_where_a_file_is_in_the_way(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_json(tmp_path / "x/y.json", {})
    with pytest.raises(UserError, match=r"type '\.gif'"):
        write_image(tmp_path / "a.gif", np.zeros((2, 2, 3), np.uint8))


def test_json_holds_arrays_paths_and_gaps(tmp_path):
    write_json(tmp_path / "a.json", {"a": np.float32(0.5), "b": (np.arange(2), float("nan")), "c": tmp_path})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 0.5, "b": [[0, 1], None], "c": str(tmp_path)}


def test_imports_no_torch():
    code = "import sys, umadapt.data.folder, umadapt.data.normals, umadapt.data.viz; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_json_of_file_names_that_are_no_text(tmp_path):
    write_json(tmp_path / "a.json", {"id": "caf\udce9 ü"})
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == {"id": "caf\udce9 ü"}
