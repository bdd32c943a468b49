"""Files that nothing reads are counted by reason; where nothing can be read, the error shows what was nearest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from umadapt.cli import main
from umadapt.data.atomic import write_json
from umadapt.data.files import write_depth, write_image, write_seg
from umadapt.data.folder import Folder
from umadapt.data.listing import kind_of, list_folder, nearest_name
from umadapt.errors import UserError
from umadapt.inference.photo_files import find_photos

PHOTO = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)


def photos(root: Path, *names: str) -> Path:
    for name in names:
        write_image(root / name, PHOTO)
    return root


def labelled(root: Path, count: int = 3) -> Path:
    for k in range(count):
        write_image(root / f"image/{k:04d}.png", PHOTO)
        write_depth(root / f"depth/{k:04d}.png", np.full((12, 16), 2.0))
    return root


def test_what_is_not_read_is_counted_by_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = labelled(tmp_path)
    for name in ("a.npy", "b.npy", "c.exr"):
        (root / "depth" / name).write_bytes(b"x")
    folder = Folder(root)
    line = capsys.readouterr().err
    assert "3 of 9 files not read: 2 .npy (" in line
    assert "1 .exr (" in line
    assert line.count("\n") == 1
    assert len(folder.ids) == 3
    Folder(root)  # once in a process is enough
    assert capsys.readouterr().err == ""
    assert main(["check", str(root)]) == 0
    out = capsys.readouterr()
    assert "warning: 3 of 9 files not read: 2 .npy" in out.out
    assert "all files that are read are good" in out.out


def test_where_all_is_read_nothing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = labelled(tmp_path)
    (root / "README.md").write_text("about")
    (root / "image/Thumbs.db").write_bytes(b"x")
    write_image(root / "check.png", PHOTO)
    assert Folder(root).unread_line() is None
    assert capsys.readouterr().err == ""


def test_images_in_place_of_image(tmp_path: Path) -> None:
    root = labelled(tmp_path)
    (root / "image").rename(root / "images")
    with pytest.raises(UserError, match="no image/; rename images/ to image/"):
        Folder(root)


def test_photos_loose_beside_labels(tmp_path: Path) -> None:
    root = labelled(tmp_path)
    for path in sorted((root / "image").iterdir()):
        path.rename(root / path.name)
    (root / "image").rmdir()
    with pytest.raises(UserError, match=r"0000\.png lie beside the folders of labels; move them into image/"):
        Folder(root)


def test_folders_of_other_names_are_told(tmp_path: Path) -> None:
    root = labelled(tmp_path)
    write_seg(root / "Semantic_Labels/0000.png", np.zeros((12, 16), np.uint8))
    assert "folder Semantic_Labels/; the format's is seg/" in str(Folder(root).unread_line())


@pytest.mark.parametrize("suffix", ["npy", "exr", "tif"])
def test_labels_that_are_no_png(tmp_path: Path, suffix: str) -> None:
    root = labelled(tmp_path)
    for path in sorted((root / "depth").iterdir()):
        path.rename(path.with_suffix(f".{suffix}"))
    with pytest.raises(UserError, match=rf"depth: none of its files is read \(3 \.{suffix}.*expected ID\.png"):
        Folder(root)


@pytest.mark.parametrize(
    ("label", "photo", "cure"),
    [
        ("depth_0001", "rgb_0001", "call depth_0001.png rgb_0001.png"),
        ("0001_depth", "0001", "call 0001_depth.png 0001.png"),
        ("kitchen-z", "kitchen-rgb", "call kitchen-z.png kitchen-rgb.png"),
    ],
)
def test_labels_named_otherwise(tmp_path: Path, label: str, photo: str, cure: str) -> None:
    photos(tmp_path, "image/zz.jpg", f"image/{photo}.jpg")
    write_depth(tmp_path / f"depth/{label}.png", np.ones((12, 16)))
    with pytest.raises(UserError, match="none of its 1 files has the name of a photo") as error:
        Folder(tmp_path)
    assert cure in str(error.value)


def test_a_label_without_a_photo_is_counted(tmp_path: Path) -> None:
    root = labelled(tmp_path)
    (root / "image/0002.png").unlink()
    folder = Folder(root)
    assert "1 of 5 files not read: 1 depth without a photo of that name (0002.png)" in str(folder.unread_line())


def test_subfolders_of_photos_are_read(tmp_path: Path) -> None:
    root = photos(tmp_path / "p", "a.jpg", "kitchen/a.jpg", "kitchen/2/b.png", "hall/a.jpg")
    folder = Folder(root)
    assert folder.ids == ("a", "hall/a", "kitchen/2/b", "kitchen/a")
    assert folder.read_image("kitchen/2/b").shape == (12, 16, 3)
    assert set(find_photos([root])) == set(folder.ids)


def test_subfolders_of_a_data_set_are_read(tmp_path: Path) -> None:
    photos(tmp_path, "image/one/0.png", "image/two/0.png")
    write_depth(tmp_path / "depth/two/0.png", np.ones((12, 16)))
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits/val.txt").write_text("two/0\n")
    folder = Folder(f"{tmp_path}:val")
    assert folder.ids == ("two/0",)
    assert folder.tasks == ("depth",)


def test_what_is_no_photo_of_the_user_is_left_out(tmp_path: Path) -> None:
    root = photos(tmp_path / "p", "a.jpg", "masks/a.png", "mine/image/a.png", "runs/base/samples/0.png")
    write_json(root / "mine/dataset.json", {"name": "mine"})
    write_json(root / "runs/base/config.json", {})
    folder = Folder(root)
    assert folder.ids == ("a",)
    line = str(folder.unread_line())
    for part in ("named as labels are (masks/)", "of its own (mine/)", "of its own (runs/base/)"):
        assert part in line


def test_nothing_to_read_shows_what_lies_there(tmp_path: Path) -> None:
    root = photos(tmp_path / "p", "images/a.jpg")
    (root / "image").mkdir()
    (root / "image/film.mov").write_bytes(b"x")
    with pytest.raises(UserError, match=r"no photos \(1 \.mov \(take frames.*Is it images/ that should be called"):
        Folder(root)


def test_links_that_go_round_end(tmp_path: Path) -> None:
    root = photos(tmp_path / "p", "a/b.jpg")
    (root / "a/up").symlink_to(root, target_is_directory=True)
    assert Folder(root).ids == ("a/b",)


def test_pack_keeps_subfolders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = photos(tmp_path / "p", "a.jpg", "kitchen/a.jpg")
    assert main(["pack", str(root), str(tmp_path / "packed")]) == 0
    assert "left out" not in capsys.readouterr().out
    packed = Folder(tmp_path / "packed")
    assert packed.ids == ("a", "kitchen/a")
    np.testing.assert_array_equal(packed.read_image("kitchen/a"), Folder(root).read_image("kitchen/a"))


def test_names_of_folders() -> None:
    names = {"Images": "image", "rgb_left": "image", "gt_depth": "depth", "normal": "normals", "depht": "depth"}
    names |= {"semantic segmentation": "seg", "masks": "seg", "kitchen": None, "100APPLE": None}
    assert {name: kind_of(name) for name in names} == names
    assert nearest_name("x_7", ["a_6", "b_7"]) == "b_7"
    assert list_folder(Path("/nowhere/at/all"), [".png"]).files == {}
