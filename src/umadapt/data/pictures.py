"""Pictures from bytes: what kind of file it is, by its content, and what to do where it cannot be decoded."""

from __future__ import annotations

import functools
import importlib.util
import io
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, features

from umadapt.errors import UserError

HEAD = 64  # bytes that tell the kind
MODE_NAMES = {"1": "1-bit grey", "L": "8-bit grey", "P": "palette", "LA": "grey with alpha", "RGB": "8-bit RGB"}
MODE_NAMES |= {"RGBA": "8-bit RGB with alpha", "I;16": "16-bit grey", "I": "32-bit integer", "F": "32-bit float"}
GREY, COLOUR, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 4, 6  # colour types of PNG
SENSOR_BITS = (8, 10, 12, 14, 16)  # of cameras; wider files hold their numbers as they are
CONVERT = "convert it to JPEG or PNG"
HEIC = 'to read it type: pip install "umadapt[heic]"'
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")
AVIF_BRANDS = (b"avif", b"avis")


class Kind(NamedTuple):
    """A kind of file."""

    name: str  # with its article
    cure: str = ""  # what reads it; "" = decoded here


READ = [  # start of the file -> kind that is decoded here
    (rb"\xff\xd8\xff", Kind("a JPEG")),
    (rb"\x89PNG\r\n\x1a\n", Kind("a PNG")),
    (rb"RIFF....WEBP", Kind("a WebP")),
    (rb"(II\*\0|MM\0\*|II\+\0|MM\0\+)", Kind("a TIFF")),
    (rb"BM.{12}", Kind("a BMP")),
    (rb"GIF8[79]a", Kind("a GIF")),
    (rb"(\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51)", Kind("a JPEG 2000")),
]
OTHER = [
    (rb"(\xff\x0a|\0\0\0\x0cJXL )", Kind("a JPEG XL picture", CONVERT)),
    (rb"\x76\x2f\x31\x01", Kind("an OpenEXR picture", "write labels as 16-bit PNGs, photos as JPEG or PNG")),
    (rb"#\?(RADIANCE|RGBE)", Kind("a Radiance HDR picture", CONVERT)),
    (rb"8BPS", Kind("a Photoshop file", CONVERT)),
    (rb"\s*(<\?xml[^>]*>\s*)?<svg", Kind("an SVG drawing", CONVERT)),
    (rb"%PDF", Kind("a PDF", CONVERT)),
    (rb"(FUJIFILMCCD-RAW|IIRO|IIU\0)", Kind("a camera's raw file", "develop it to JPEG")),
    (rb"....ftypcrx ", Kind("a camera's raw file", "develop it to JPEG")),
    (
        rb"(....ftyp(isom|iso\d|mp4\d|qt  |M4V |3gp)|\x1a\x45\xdf\xa3|RIFF....AVI )",
        Kind("a film", "give it to `umadapt predict` by its name, or take frames out"),
    ),
    (rb"\x93NUMPY", Kind("a NumPy array", "write it by the functions of umadapt.data.files")),
    (rb"\x89HDF\r\n", Kind("an HDF5 file", "write its pictures as PNGs")),
    (rb"PK\x03\x04", Kind("a zip archive", "unpack it")),
    (rb"(\x1f\x8b|7z\xbc\xaf|Rar!|BZh|\xfd7zXZ)", Kind("a compressed archive", "unpack it")),
    (rb"version https://git-lfs", Kind("the pointer of a file in Git LFS", "type: git lfs pull")),
    (rb"\s*(?i:<!doctype html|<html)", Kind("a web page", "download the picture anew")),
]


def kind_of_content(head: bytes) -> Kind | None:
    """What a file is, by its first `HEAD` bytes; None where they tell nothing."""
    if head[4:8] == b"ftyp":
        brands = [head[i : i + 4] for i in range(8, min(len(head), int.from_bytes(head[:4]) or HEAD), 4) if i != 12]
        if any(brand in AVIF_BRANDS for brand in brands):
            return Kind("an AVIF picture", "" if features.check("avif") else "to read it type: pip install -U pillow")
        if any(brand in HEIF_BRANDS for brand in brands):
            return Kind("a HEIC picture", "" if heif_opener() else f"{HEIC}, or {CONVERT}")
    return next((kind for start, kind in (*READ, *OTHER) if re.match(start, head, re.DOTALL)), None)


@functools.cache
def heif_opener() -> Callable[[], None] | None:
    """What makes PIL read HEIC; None without the extra `heic`."""
    if importlib.util.find_spec("pillow_heif") is None:
        return None
    import pillow_heif

    return pillow_heif.register_heif_opener


def open_picture(data: bytes) -> Image.Image:
    """`PIL.Image.open`, of HEIC too where it can be read."""
    kind = kind_of_content(data[:HEAD])
    if kind is not None and kind.name == "a HEIC picture" and (register := heif_opener()):
        register()
    return Image.open(io.BytesIO(data))


def decode_picture(data: bytes, where: str) -> Image.Image:
    """Decode a picture wholly.

    Raises UserError that begins with `where`, the file's name for people; whether it is empty, of a kind that is not
    read (and what reads it), too large, or truncated is told by its content.
    """
    if not data:
        raise UserError(f"{where}: empty (0 bytes); copy it again")
    kind = kind_of_content(data[:HEAD])
    if kind is not None and kind.cure:
        raise UserError(f"{where}: {kind.name}, which is not read here; {kind.cure}")
    try:
        with open_picture(data) as image:
            image.load()
            return image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        pixels = re.search(r"\d+", str(error))
        found = f"{int(pixels[0]) / 1e6:.0f} megapixels" if pixels else "no memory for it"
        raise UserError(f"{where}: too large ({found}); shrink it") from error
    except Exception as error:  # a decoder may raise anything on a damaged file (OSError, SyntaxError, struct.error, …)
        size = f"{len(data)} bytes"
        if kind is None:
            start = data[:8].decode("ascii", "backslashreplace")
            raise UserError(f"{where}: not a picture, or its start is damaged ({size} from {start!r})") from error
        told = f"{size}: {error}" if not isinstance(error, Image.UnidentifiedImageError) else f"{size}, no whole header"
        layout = "; or of a layout that is not read: convert it to PNG" if kind.name == "a TIFF" else ""
        raise UserError(
            f"{where}: truncated or damaged {kind.name.split(' ', 1)[1]} ({told.strip()}){layout}"
        ) from error


# --- Numbers


def png_header(data: bytes) -> tuple[int, int]:
    """(bits a channel, colour type) of a PNG; (8, -1) of any other file."""
    return (data[24], data[25]) if data[1:4] == b"PNG" and len(data) > 25 else (8, -1)


def describe_mode(image: Image.Image, data: bytes) -> str:
    """How the numbers of a picture are stored, for people."""
    bits, colours = png_header(data)
    if colours == GREY and bits < 8:
        return f"{bits}-bit grey"
    if bits == 16 and colours != GREY:
        return {GREY_ALPHA: "16-bit grey with alpha", COLOUR_ALPHA: "16-bit RGB with alpha"}.get(colours, "16-bit RGB")
    return MODE_NAMES.get(image.mode, f"mode {image.mode}")


def stored_numbers(image: Image.Image, data: bytes) -> np.ndarray:
    """(H, W) or (H, W, channels): the numbers in the file `data` of a decoded picture. PIL multiplies grey of 2 and 4
    bits so that its white is 255."""
    numbers = np.array(image)  # a copy: PIL's own memory is read-only
    bits, colours = png_header(data)
    return numbers // (255 // (2**bits - 1)) if colours == GREY and bits in (2, 4) else numbers


def eight_bits(image: Image.Image, data: bytes, where: str) -> Image.Image:
    """A photo of more than 8 bits a channel, as one of 8 bits, with its EXIF orientation; others as they are.

    White is the highest number of the sensor: of as many bits as the file names, else of the fewest of 8, 10, 12, 14
    and 16 that hold its numbers (OURS: a 12-bit photo in a 16-bit file would come out nearly black). Of floats it is 1,
    or 255 and more where they are that large.

    Raises:
        UserError: it cannot be told what is white.
    """
    if image.mode == "F" or image.mode.startswith("I"):
        numbers = np.nan_to_num(np.asarray(image).astype(np.float64), posinf=0, neginf=0)
        tags = getattr(image, "tag_v2", {})
        white = _white(numbers, image.mode, tags.get(258, (16,))[0], where)
        inverted = white - numbers if tags.get(262) == 0 else numbers  # WhiteIsZero
        return _like(image, np.clip(inverted / white, 0, 1))
    if not _wide(image, data):
        return image
    colour = np.asarray(image)[..., :3]
    if colour.max() >= 64:  # the upper bytes, which are what PIL gives: of 16 bits
        return image
    numbers = _decode_wide(data, where)  # (H, W, channels) uint16
    alpha = numbers.shape[-1] == 4
    white = _white(numbers[..., :3] if alpha else numbers, image.mode, 16, where)
    shares = np.clip(numbers / white, 0, 1)
    if alpha:
        shares[..., 3] = numbers[..., 3] / (65535 if numbers[..., 3].max() > white else white)
    return _like(image, shares)


def _white(numbers: np.ndarray, mode: str, named_bits: int, where: str) -> float:
    """The number of white."""
    low, high = float(numbers.min()), float(numbers.max())
    cure = "store 8 or 16 bits a channel"
    if low < 0 or high > 65535 or (mode == "F" and 1 < high <= 16):
        raise UserError(f"{where}: found values {low:g} to {high:g}, and cannot tell which is white; {cure}")
    if mode == "F" and high <= 1:
        return 1.0
    bits = [named_bits] if named_bits not in (8, 16, 32) else [b for b in SENSOR_BITS if high < 2**b]
    return float(2 ** bits[0] - 1)


def _wide(image: Image.Image, data: bytes) -> bool:
    """Whether it has several channels of 16 bits, of which PIL gives the upper bytes."""
    bits, colours = png_header(data)
    tags = getattr(image, "tag_v2", {}).get(258, ())
    return (bits == 16 and colours in (COLOUR, GREY_ALPHA, COLOUR_ALPHA)) or (len(tags) > 1 and max(tags) == 16)


def _decode_wide(data: bytes, where: str) -> np.ndarray:
    """(H, W, 3 or 4) uint16 RGB, RGBA."""
    try:
        import cv2
    except ImportError as error:
        raise UserError(
            f"{where}: 16 bits a channel, of which little is used: to read them type: pip install "
            "opencv-python-headless, or store 8 bits a channel"
        ) from error
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None or array.dtype != np.uint16 or array.ndim != 3 or array.shape[2] not in (3, 4):
        raise UserError(f"{where}: 16 bits a channel that cannot be read; store 8 bits a channel")
    return np.concatenate([array[..., 2::-1], array[..., 3:]], -1)


def _like(image: Image.Image, shares: np.ndarray) -> Image.Image:
    """Shares of white as 8 bits, with the orientation of `image`."""
    made = Image.fromarray(np.round(shares * 255).astype(np.uint8))
    made.getexif()[0x0112] = image.getexif().get(0x0112, 1)
    return made
