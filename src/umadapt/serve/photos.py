"""Photos that people give to the page: looked over, made smaller, and kept as JPEG until they leave."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image

from umadapt.data import viz
from umadapt.data.camera import FILM_DIAGONAL_MM, focal_of
from umadapt.data.files import read_stored, upright_rgb
from umadapt.data.pictures import decode_picture, open_picture
from umadapt.errors import UserError
from umadapt.inference.enlarge import check_size

SIDE = 1024  # pixels of the longer side on the page: the network sees fewer
SMALL = 96  # and of the small picture to choose by
QUALITY = 95


@dataclass(frozen=True)
class Limits:
    """Of a photo that is taken, and of their number."""

    megabytes: int = 30
    megapixels: int = 50
    photos: int = 300


class Photo(NamedTuple):
    """A photo that was taken."""

    name: str  # of the file that was given
    size: tuple[int, int]  # (H, W) that it came in, upright
    file: Path  # JPEG of at most SIDE pixels a side, with the camera's focal length in its EXIF
    small: Path  # the same with SMALL
    fov: float | None  # degrees along its longer side by the EXIF; None = unknown


def take(given: Path, folder: Path, limits: Limits) -> Photo:
    """Read a photo that a user gave and keep it, made smaller, in `folder`.

    Raises:
        UserError: it is too large, or cannot be read. The name in it is the user's, without folders.
    """
    name = given.name
    data = read_stored(given)
    if len(data) > limits.megabytes * 1e6:
        raise UserError(f"{name} has {len(data) / 1e6:.0f} MB; expected at most {limits.megabytes}: make it smaller")
    refuse_large(data, name, limits.megapixels)
    image = decode_picture(data, name)
    rgb = upright_rgb(image, name, data)
    size = (rgb.shape[0], rgb.shape[1])
    try:
        check_size(size)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    focal = focal_of(image)
    fov = None if focal is None else math.degrees(2 * math.atan(max(size) / 2 / focal))
    folder.mkdir(parents=True, exist_ok=True)
    stem = plain_stem(name, folder)
    return Photo(
        name,
        size,
        keep(folder / f"{stem}.jpg", rgb, SIDE, fov),
        keep(folder / "small" / f"{stem}.jpg", rgb, SMALL, None),
        fov,
    )


def refuse_large(data: bytes, name: str, megapixels: int) -> None:
    """Raise a UserError where the header of a picture tells of too many pixels; what has none passes."""
    try:
        with open_picture(data) as image:
            width, height = image.size
    except Exception:  # of many kinds; who decodes it says what it is
        return
    if width * height > megapixels * 1e6:
        raise UserError(
            f"{name} is {height}x{width}, {width * height / 1e6:.0f} megapixels; expected at most {megapixels}: make "
            "it smaller"
        )


def plain_stem(name: str, folder: Path) -> str:
    """The stem of a name in letters that every system takes, another than those in the folder."""
    stem = re.sub(r"[^\w-]+", "-", Path(name).stem, flags=re.ASCII).strip("-")[:60] or "photo"
    number, free = 1, stem
    while (folder / f"{free}.jpg").exists():
        number += 1
        free = f"{stem}-{number}"
    return free


def keep(path: Path, rgb: np.ndarray, side: int, fov: float | None) -> Path:
    """Write (H, W, 3) uint8 as a JPEG of at most `side` pixels a side, and in its EXIF what its camera sees."""
    height, width = rgb.shape[:2]
    factor = min(1.0, side / max(height, width))
    shown = viz.thumbnail_photo(rgb, max(1, round(width * factor))) if factor < 1 else rgb
    exif = Image.Exif()
    if fov is not None:
        focal = max(height, width) / 2 / math.tan(math.radians(fov) / 2)
        equivalent_mm = round(focal / math.hypot(height, width) * FILM_DIAGONAL_MM)
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = max(1, equivalent_mm)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(shown).save(path, quality=QUALITY, exif=exif)
    return path
