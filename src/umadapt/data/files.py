"""Pictures and labels of the folder format, in and out. numpy and PIL."""

from __future__ import annotations

import io
from pathlib import Path, PurePath
from typing import Protocol

import numpy as np
from PIL import Image, ImageOps

from umadapt.data.atomic import write_bytes
from umadapt.data.pictures import decode_picture, describe_mode, eight_bits, open_picture, png_header, stored_numbers
from umadapt.errors import UserError

PHOTO_FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
PHOTO_SUFFIXES = (*PHOTO_FORMATS, ".heic", ".heif", ".hif", ".avif")  # of photos that are read
# What a label file must be: the PIL modes that hold it losslessly, and its name for people.
LABEL_MODES = {
    "depth": (("I;16", "I;16B", "I"), "16-bit grey"),
    "normals": (("RGB",), "8-bit RGB"),
    "seg": (("L", "P", "1", "I;16", "I;16B", "I"), "8-bit grey or palette"),
}
SHARE_MODES = (("L",), "8-bit grey")  # of every other task: a map of shares, such as edges


class Stored(Protocol):
    """A file, wherever it lies: a `Path`, or a member of a shard. Its `str` names it for people."""

    @property
    def stem(self) -> str: ...

    def read_bytes(self) -> bytes: ...

    def resolve(self) -> PurePath: ...


def hxw(array: np.ndarray) -> str:
    """The size of (H, W, ...) as people write it here: `480x640`."""
    return f"{array.shape[0]}x{array.shape[1]}"


def other_size(found: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """How a size (H, W, …) differs from that of the picture, which is upright."""
    turned = found[0] == expected[1] and found[1] == expected[0]
    hint = " (on its side: transposed, or not turned as the photo's EXIF entry turns the photo)" if turned else ""
    return f"found {found[0]}x{found[1]}{hint}, expected {expected[0]}x{expected[1]}"


# --- Writing


def _write_pil(path: str | Path, image: Image.Image, **options: int) -> None:
    suffix = Path(path).suffix.lower()
    if suffix not in PHOTO_FORMATS:
        raise UserError(f"{path}: cannot write a picture of type {suffix!r}; expected .png or .jpg")
    buffer = io.BytesIO()
    image.save(buffer, PHOTO_FORMATS[suffix], **options)
    write_bytes(path, buffer.getvalue())


def write_image(path: str | Path, rgb: np.ndarray, quality: int = 90) -> None:
    """Write (H, W, 3) uint8 RGB; the format follows the name; `quality` is that of JPEG and WebP. PNG is written in a
    third of the time that PIL's own level takes, a fifth larger."""
    _write_pil(path, Image.fromarray(np.ascontiguousarray(rgb)), quality=quality, compress_level=1)


def write_depth(path: str | Path, depth_m: np.ndarray, scale_m: float = 0.001) -> None:
    """Write (H, W) metres, planar z, as a 16-bit PNG; NaN, infinity, <= 0 and what overflows become 0, missing."""
    write_pixels(path, depth_pixels(depth_m, scale_m))


def depth_pixels(depth_m: np.ndarray, scale_m: float = 0.001) -> np.ndarray:
    """What `write_depth` writes: (H, W) uint16."""
    with np.errstate(over="ignore"):
        steps = np.round(np.asarray(depth_m, np.float64) / scale_m)
    valid = (steps > 0) & (steps <= 65535)  # False for NaN
    return np.where(valid, steps, 0).astype(np.uint16)


def write_normals(path: str | Path, normals: np.ndarray) -> None:
    """Write (H, W, 3) normals of any length; zero and non-finite vectors become bytes (0, 0, 0), missing.

    A normal that is present never takes those bytes: they would decode to (-1, -1, -1), which no unit vector is near.
    """
    write_pixels(path, normals_pixels(normals))


def normals_pixels(normals: np.ndarray) -> np.ndarray:
    """What `write_normals` writes: (H, W, 3) uint8."""
    vectors = np.asarray(normals, np.float64)
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    valid = np.isfinite(largest) & (largest > 0)
    vectors = np.divide(vectors, largest, out=np.ones_like(vectors), where=valid)  # first: squares may overflow
    unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.where(valid, np.round((unit + 1) * 127.5), 0).astype(np.uint8)


def write_seg(path: str | Path, seg: np.ndarray) -> None:
    """Write (H, W) uint8 class ids."""
    write_pixels(path, seg)


def write_pixels(path: str | Path, stored: np.ndarray) -> None:
    """Write the stored numbers of a label, (H, W) uint8 or uint16, or (H, W, 3) uint8."""
    _write_pil(path, Image.fromarray(np.ascontiguousarray(stored)))


def write_share(path: str | Path, share: np.ndarray) -> None:
    """Write (H, W) shares in [0, 1], such as probabilities, as 8-bit grey: 1 + 254 * share; NaN and < 0 become 0,
    missing."""
    write_pixels(path, share_pixels(share))


def share_pixels(share: np.ndarray) -> np.ndarray:
    """What `write_share` writes: (H, W) uint8."""
    share = np.nan_to_num(np.asarray(share, np.float64), nan=-1)
    return np.where(share >= 0, 1 + np.round(254 * np.clip(share, 0, 1)), 0).astype(np.uint8)


# --- Reading


def read_stored(path: Stored) -> bytes:
    """A file's bytes. Raises UserError naming the file; a shard that cannot be had does so itself."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error


def read_photo(path: str | Stored) -> np.ndarray:
    """Read any picture as (H, W, 3) uint8 RGB, upright (EXIF orientation applied).

    Grey is repeated, more than 8 bits are scaled to 8 by the range that the camera has (see `eight_bits`), alpha is
    composited on white. Raises UserError naming the file.
    """
    data = read_stored(Path(path) if isinstance(path, str) else path)
    return upright_rgb(decode_picture(data, str(path)), path, data)


def upright_rgb(image: Image.Image, path: object, data: bytes = b"") -> np.ndarray:
    """A decoded picture as `read_photo` gives it. Raises UserError that begins with `path`, its name for people.

    Args:
        data: what it was decoded from; without it colours of 16 bits a channel come as PIL gives them.
    """
    try:
        image = ImageOps.exif_transpose(eight_bits(image, data, str(path)))
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return np.array(image.convert("RGB"))
    except UserError:
        raise
    except Exception as error:  # damaged EXIF, or a colour space that PIL cannot convert
        raise UserError(f"{path}: {image.mode} picture cannot be read as RGB ({error})") from error


def is_upright_jpeg(data: bytes) -> bool:
    """Whether any viewer shows the bytes of this picture as `read_photo` reads it."""
    with open_picture(data) as image:
        return image.format == "JPEG" and image.mode in ("RGB", "L") and image.getexif().get(0x0112, 1) == 1


def read_label_bytes(path: str | Stored, task: str) -> np.ndarray:
    """The stored numbers of a label file: depth (H, W) uint16, normals (H, W, 3) uint8, all others (H, W) uint8.

    They are as the file has them, at every bit depth that a PNG allows. Raises UserError naming the file when it is
    damaged or of another kind, such as a JPEG, whose numbers are not those that were written.
    """
    modes, expected = LABEL_MODES.get(task, SHARE_MODES)
    data = read_stored(Path(path) if isinstance(path, str) else path)
    image = decode_picture(data, str(path))
    found = describe_mode(image, data)
    if image.format != "PNG":
        raise UserError(f"{path}: found a {image.format} file, expected {task} as a PNG in {expected}")
    stored = stored_numbers(image, data)
    if image.mode in ("LA", "RGBA") and (stored[..., -1] == 255).all():  # opaque: nothing is lost without it
        stored = stored[..., 0] if image.mode == "LA" else stored[..., :3]
        mode = {"LA": "L", "RGBA": "RGB"}[image.mode]
    else:
        mode = image.mode
    bits = png_header(data)[0]
    if mode not in modes or (bits == 16 and mode in ("L", "RGB")) or (bits < 8 and task != "seg"):
        raise UserError(f"{path}: found a picture in {found}, expected {task} as a PNG in {expected}")
    limit = 65535 if task == "depth" else 255
    if not 0 <= stored.min() <= stored.max() <= limit:
        raise UserError(f"{path}: found values {stored.min()} to {stored.max()}, expected {task} in 0 to {limit}")
    return stored.astype(np.uint16 if task == "depth" else np.uint8)


def decode_normals(stored: np.ndarray) -> np.ndarray:
    """Bytes (H, W, 3) uint8 -> (H, W, 3) float32 unit normals, 0 = missing."""
    vectors = stored.astype(np.float32) / 127.5 - 1
    unit = vectors / np.sqrt(np.einsum("hwc,hwc->hw", vectors, vectors))[..., None]  # 127.5 is no byte: never 0
    return unit * stored.any(axis=-1, keepdims=True)
