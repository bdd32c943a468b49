"""Textures of a catalogue's models, out of the zip and shrunk."""

from __future__ import annotations

import io
import posixpath
import zipfile

import numpy as np
from PIL import Image

_LONGEST_PX = 160


def member_of(archive: zipfile.ZipFile, beside: str, name: str) -> str | None:
    """A file that a model names, inside the zip: relative to it, or what lies beside it with the same last name."""
    known = set(archive.namelist())
    folder = posixpath.dirname(beside)
    name = name.replace("\\", "/")
    for guess in (posixpath.normpath(posixpath.join(folder, name)), posixpath.join(folder, posixpath.basename(name))):
        if guess in known:
            return guess
    return None


class Textures:
    """The distinct textures of one model: `images` are (N, M, 3) uint8 sRGB, at most 160 pixels a side.

    Where a model has one material alone and its texture is missing, the one picture beside the model is taken for it.
    """

    def __init__(self, archive: zipfile.ZipFile, path: str, alone: bool) -> None:
        self.images: list[np.ndarray] = []
        self._archive, self._path, self._alone = archive, path, alone
        self._pictures: dict[str, Image.Image | None] = {}
        self._numbers: dict[str, int] = {}

    def clear(self, name: str) -> float:
        """The transparent share of a texture."""
        picture = self._picture(name)
        if picture is None or picture.mode != "RGBA":
            return 0.0
        return float((np.asarray(picture.getchannel("A")) < 128).mean())

    def number(self, name: str) -> int | None:
        """Which of the images a texture is; None where it is missing or no picture."""
        picture = self._picture(name)
        if picture is None:
            return None
        if name not in self._numbers:
            self._numbers[name] = len(self.images)
            self.images.append(_shrunk(picture))
        return self._numbers[name]

    def _picture(self, name: str) -> Image.Image | None:
        if name not in self._pictures:
            member = member_of(self._archive, self._path, name) or (self._only() if self._alone else None)
            self._pictures[name] = None if member is None else _decoded(self._archive.read(member))
        return self._pictures[name]

    def _only(self) -> str | None:
        folder = posixpath.dirname(self._path)
        beside = [name for name in self._archive.namelist() if posixpath.dirname(name) == folder]
        pictures = [name for name in beside if name.lower().endswith((".jpg", ".jpeg", ".png"))]
        return pictures[0] if len(pictures) == 1 else None


def _decoded(data: bytes) -> Image.Image | None:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.convert("RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _shrunk(picture: Image.Image) -> np.ndarray:
    if picture.mode == "RGBA":
        picture = _filled_in(picture)
    if max(picture.size) > _LONGEST_PX:
        scale = _LONGEST_PX / max(picture.size)
        width, height = (max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BOX)
    return np.array(picture)


def _filled_in(picture: Image.Image) -> Image.Image:
    """RGB; what is transparent takes the mean colour of the rest: parts know one opacity alone."""
    pixels = np.asarray(picture, dtype=np.float64).reshape(-1, 4)
    weight = pixels[:, 3:].sum()
    mean = (pixels[:, :3] * pixels[:, 3:]).sum(0) / weight if weight else np.full(3, 128.0)
    ground = Image.new("RGBA", picture.size, (int(mean[0]), int(mean[1]), int(mean[2]), 255))
    return Image.alpha_composite(ground, picture).convert("RGB")
