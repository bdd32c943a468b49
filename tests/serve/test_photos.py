"""What the page takes, and what it refuses in a sentence."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from serve.conftest import write_photo
from umadapt.data.camera import exif_focal
from umadapt.errors import UserError
from umadapt.serve.photos import SIDE, Limits, take


def test_a_large_photo_is_kept_small_and_with_its_camera(tmp_path: Path) -> None:
    photo = take(write_photo(tmp_path / "x.jpg", (1500, 2000), focal_mm=28), tmp_path / "kept", Limits())
    with Image.open(photo.file) as kept:
        assert kept.size == (SIDE, SIDE * 3 // 4)
    assert photo.size == (1500, 2000)
    assert photo.fov == pytest.approx(63.4, abs=0.5)  # 2 atan(36 / 2 / 28), for a picture of 4:3
    focal = exif_focal(photo.file)
    assert focal is not None
    assert focal / SIDE == pytest.approx(exif_focal(tmp_path / "x.jpg") / 2000, rel=0.02)  # type: ignore[operator]


def test_names_of_files_never_meet_nor_leave_the_folder(tmp_path: Path) -> None:
    given = [write_photo(tmp_path / str(i) / "..weird: näme/.jpg".replace("/", "")) for i in range(3)]
    files = {take(path, tmp_path / "kept", Limits()).file for path in given}
    assert len(files) == 3
    assert {file.parent for file in files} == {tmp_path / "kept"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "x.jpg: empty"),
        (b"these are words, no picture", "x.jpg: not a picture"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 50, "x.jpg: truncated or damaged"),
        (b"%PDF-1.7", "x.jpg: a PDF"),
        (b"\x00\x00\x00\x20ftypisom", "x.jpg: a film"),
    ],
)
def test_what_is_no_photo_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(UserError) as error:
        take(tmp_path / "x.jpg", tmp_path / "kept", Limits())
    assert str(error.value).startswith(says)
    assert str(tmp_path) not in str(error.value)  # a visitor is told no paths of the machine


def test_limits(tmp_path: Path) -> None:
    large = write_photo(tmp_path / "x.png", (1000, 1200))
    with pytest.raises(UserError, match=r"x.png is 1000x1200, 1 megapixels; expected at most 1"):
        take(large, tmp_path / "kept", Limits(megapixels=1))
    large.write_bytes(b"\0" * 1_600_000)
    with pytest.raises(UserError, match=r"x.png has .* MB; expected at most 1"):
        take(large, tmp_path / "kept", Limits(megabytes=1))


def test_a_header_that_lies_of_its_size_takes_no_memory(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("1", (12_000, 10_000)).save(buffer, "PNG")  # 120 megapixels in a few kilobytes
    (tmp_path / "bomb.png").write_bytes(buffer.getvalue())
    with pytest.raises(UserError, match=r"bomb\.png"):
        take(tmp_path / "bomb.png", tmp_path / "kept", Limits())
