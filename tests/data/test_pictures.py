"""What a file is, is told by its content: unsupported, truncated, too large and empty are four sentences."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from umadapt.data import pictures
from umadapt.data.camera import exif_focal
from umadapt.data.convert.base import decode
from umadapt.data.files import read_label_bytes, read_photo, write_image
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.inference.photo_files import find_photos

PHOTO = np.kron(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))


def encoded(format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    if format == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    Image.fromarray(PHOTO).save(buffer, format, **options)
    return buffer.getvalue()


@pytest.fixture
def without_heif(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "heif_opener", lambda: None)


@pytest.mark.parametrize("format", ["HEIF", "AVIF"])
@pytest.mark.parametrize("suffix", ["heic", "HEIF", "avif", "jpg"])
def test_phone_photos_are_read_whatever_their_name(tmp_path: Path, format: str, suffix: str) -> None:
    (tmp_path / f"a.{suffix}").write_bytes(encoded(format, quality=95))
    found = Folder(tmp_path).read_image("a")
    assert np.abs(found.astype(int) - PHOTO).mean() < 12
    assert set(find_photos([tmp_path])) == {"a"}


def test_exif_of_phone_photos(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0xA405] = 28
    (tmp_path / "a.heic").write_bytes(encoded("HEIF", exif=exif.tobytes()))
    assert read_photo(tmp_path / "a.heic").shape == (64, 48, 3)
    assert exif_focal(tmp_path / "a.heic") == pytest.approx(28 * 80 / 43.27, rel=0.01)


@pytest.mark.usefixtures("without_heif")
def test_without_the_extra_heic_is_counted_with_its_cure(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(encoded("HEIF"))
    (tmp_path / "b.HEIC").write_bytes(encoded("JPEG"))  # a JPEG under that name
    folder = Folder(tmp_path)
    assert folder.ids == ("b",)
    folder.read_image("b")
    assert '1 of 2 files not read: 1 .heic (to read it type: pip install "umadapt[heic]"' in str(folder.unread_line())
    (tmp_path / "b.HEIC").unlink()
    with pytest.raises(UserError, match=r"no photos \(1 \.heic \(to read it type: pip install"):
        Folder(tmp_path)


@pytest.mark.usefixtures("without_heif")
def test_heic_named_jpg_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded("HEIF"))
    with pytest.raises(UserError, match=r"a\.jpg: a HEIC picture, which is not read here; .*pip install"):
        read_photo(tmp_path / "a.jpg")


def test_a_heic_beside_its_jpeg_is_no_second_photo(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(encoded("HEIF"))
    (tmp_path / "a.jpg").write_bytes(encoded("JPEG"))
    folder = Folder(tmp_path)
    assert str(folder.image_path("a")).endswith("a.jpg")
    assert folder.unread == {".heic beside .jpg of the same name": 1}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\x76\x2f\x31\x01" + bytes(99), "OpenEXR.*16-bit PNGs"),
        (b"\0\0\0\x18ftypqt  " + bytes(99), "a film.*umadapt predict.*take frames out"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(99), "raw file.*develop"),
        (b"\xff\x0a" + bytes(99), "JPEG XL.*convert it"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS.*git lfs pull"),
        (b"\n<!DOCTYPE html><title>404</title>", "web page"),
        (b"\x93NUMPY\x01\0", "NumPy array"),
        (b"", "empty"),
        (b"some words", "not a picture"),
    ],
)
def test_other_kinds_are_named_with_their_cure(tmp_path: Path, data: bytes, told: str) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(UserError, match=rf"a\.jpg: .*{told}") as error:
        read_photo(tmp_path / "a.jpg")
    assert "truncated" not in str(error.value)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "HEIF", "AVIF"])
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_truncated_files_are_called_so(tmp_path: Path, format: str, keep: float) -> None:
    data = encoded(format)
    (tmp_path / "a.jpg").write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(UserError, match=r"a\.jpg: truncated or damaged (JPEG|PNG|WebP|TIFF|BMP|HEIC|AVIF)"):
        read_photo(tmp_path / "a.jpg")


@pytest.mark.parametrize("format", ["PNG", "TIFF", "GIF"])
def test_too_large_is_no_damage(tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(encoded(format))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UserError, match=r"a\.png: too large \(0 megapixels\); shrink it"):
        read_photo(tmp_path / "a.png")


def test_the_start_of_damaged_files_is_shown(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", PHOTO)
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(b"XX" + data[2:])
    with pytest.raises(UserError, match=r"its start is damaged \(\d+ bytes from 'XXNG"):
        read_photo(tmp_path / "a.png")


# --- Numbers


def png(array: np.ndarray, bits: int, colours: int) -> bytes:
    """A PNG of any bit depth and colour type (0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGBA)."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    def line(row: np.ndarray) -> bytes:
        if bits >= 8:
            return b"\0" + row.astype(">u2" if bits == 16 else "u1").tobytes()
        return b"\0" + np.packbits(np.unpackbits(row.astype("u1")[:, None], axis=1)[:, 8 - bits :].ravel()).tobytes()

    height, width = array.shape[:2]
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0))
    if colours == 3:
        head += chunk(b"PLTE", bytes(range(256))[: 3 * 2**bits] if bits < 8 else bytes(range(256)) * 3)
    lines = b"".join(line(row) for row in array.reshape(height, -1))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def tiff(array: np.ndarray, bits: int, photometric: int = 1) -> bytes:
    """A little-endian grey TIFF in one strip, of 12 or 16 bits."""
    values = array.astype(np.uint16)
    if bits == 12:
        pairs = values.reshape(-1, 2)
        strip = np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], -1)
        body = strip.astype(np.uint8).tobytes()
    else:
        body = values.astype("<u2").tobytes()
    height, width = array.shape
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1), (278, height)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in [*tags, (279, len(body))])
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + struct.pack("<H", 9) + entries + bytes(4)


IDS = np.arange(24).reshape(4, 6)


@pytest.mark.parametrize("colours", [0, 3])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_ids_are_read_as_they_are_stored(tmp_path: Path, bits: int, colours: int) -> None:
    ids = IDS % min(2**bits, 16)
    (tmp_path / "a.png").write_bytes(png(ids, bits, colours))
    found = read_label_bytes(tmp_path / "a.png", "seg")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, ids)
    np.testing.assert_array_equal(decode((tmp_path / "a.png").read_bytes(), "a"), ids)  # so do converters


def test_ids_of_16_bits_and_with_alpha(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(IDS, 16, 0))
    np.testing.assert_array_equal(read_label_bytes(path, "seg"), IDS)
    path.write_bytes(png(IDS * 20, 16, 0))
    with pytest.raises(UserError, match="found values 0 to 460, expected seg in 0 to 255"):
        read_label_bytes(path, "seg")
    path.write_bytes(png(np.stack([IDS, np.full_like(IDS, 255)], -1), 8, 4))
    np.testing.assert_array_equal(read_label_bytes(path, "seg"), IDS)
    path.write_bytes(png(np.stack([IDS, IDS], -1), 8, 4))
    with pytest.raises(UserError, match="grey with alpha, expected seg"):
        read_label_bytes(path, "seg")


@pytest.mark.parametrize(
    ("task", "bits", "colours", "told"),
    [
        ("seg", 8, 2, "8-bit RGB"),
        ("seg", 16, 4, "16-bit grey with alpha"),
        ("depth", 4, 0, "4-bit grey"),
        ("depth", 8, 0, "8-bit grey"),
        ("normals", 16, 2, "16-bit RGB"),
        ("normals", 16, 6, "16-bit RGB with alpha"),
        ("normals", 8, 3, "palette"),
        ("edges", 2, 0, "2-bit grey"),
        ("edges", 16, 0, "16-bit grey"),
    ],
)
def test_numbers_that_mean_nothing_known_are_refused(
    tmp_path: Path, task: str, bits: int, colours: int, told: str
) -> None:
    channels = {0: (), 2: (3,), 3: (), 4: (2,), 6: (4,)}[colours]
    (tmp_path / "a.png").write_bytes(png(np.ones((4, 6, *channels), int), bits, colours))
    with pytest.raises(UserError, match=rf"a\.png: found a picture in {told}, expected {task} as a PNG"):
        read_label_bytes(tmp_path / "a.png", task)


def test_opaque_normals_are_read_and_lossy_labels_refused(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(1, 255, (4, 6, 3))
    (tmp_path / "a.png").write_bytes(png(np.concatenate([colours, np.full((4, 6, 1), 255)], -1), 8, 6))
    np.testing.assert_array_equal(read_label_bytes(tmp_path / "a.png", "normals"), colours)
    (tmp_path / "b.png").write_bytes(encoded("JPEG"))
    with pytest.raises(UserError, match=r"b\.png: found a JPEG file, expected normals as a PNG"):
        read_label_bytes(tmp_path / "b.png", "normals")


RAMP = np.linspace(0, 1, 24).reshape(4, 6)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("kind", ["grey", "colour", "alpha", "tiff", "inverted", "float"])
def test_photos_have_the_range_of_their_sensor(tmp_path: Path, kind: str, bits: int) -> None:
    values = np.round(RAMP * (2**bits - 1))
    opaque = np.stack([values, values, values, np.full_like(values, 65535)], -1)
    path = tmp_path / "a.png"
    if kind == "float":
        Image.fromarray(values.astype(np.float32)).save(path, "TIFF")
    else:
        data = {
            "grey": png(values, 16, 0),
            "colour": png(opaque[..., :3], 16, 2),
            "alpha": png(opaque, 16, 6),
            "tiff": tiff(values, 12 if bits == 12 else 16),
            "inverted": tiff(values.max() - values, 16, 0),
        }
        path.write_bytes(data[kind])
    found = read_photo(path)
    assert np.abs(found - RAMP[..., None] * 255).max() <= 1


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_photos_of_few_bits(tmp_path: Path, bits: int) -> None:
    values = IDS % 2**bits
    (tmp_path / "a.png").write_bytes(png(values, bits, 0))
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png")[..., 0], values * 255 // (2**bits - 1))


@pytest.mark.parametrize("high", [-1.0, 4.5, 1e6])
def test_what_white_is_cannot_be_told(tmp_path: Path, high: float) -> None:
    Image.fromarray((RAMP * high).astype(np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match=r"a\.tif: found values .* cannot tell which is white"):
        read_photo(tmp_path / "a.tif")
    Image.fromarray(np.linspace(0, 1e6, 24).reshape(4, 6).astype(np.int32)).save(tmp_path / "b.tif")
    with pytest.raises(UserError, match="cannot tell which is white"):
        read_photo(tmp_path / "b.tif")


def test_12_bits_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.round(RAMP * 4095).astype(np.uint16)).save(tmp_path / "a.png", exif=exif)
    assert np.abs(read_photo(tmp_path / "a.png")[..., 0] - np.rot90(RAMP, -1) * 255).max() <= 1
