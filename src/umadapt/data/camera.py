"""A photo's pinhole camera."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from umadapt.data.files import Stored
from umadapt.data.pictures import open_picture
from umadapt.data.window import Window
from umadapt.errors import UserError

ASPECT = 0.01  # share by which an aspect may differ: KITTI's days have cameras of 1224x370 to 1242x376
FILM_DIAGONAL_MM = math.hypot(36, 24)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in pixels of a width x height picture; pixel (i, j) is centred at (j + 0.5, i + 0.5)."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def scaled(self, height: int, width: int) -> Camera:
        """The same camera for the picture resized to height x width (with half-pixel centres all is linear).

        Raises UserError when a picture of that size is no resized one.
        """
        self.check((height, width), f"a picture of {height}x{width}")
        return self.stretched(height, width)

    def stretched(self, height: int, width: int) -> Camera:
        """The same view at another resolution, of any aspect."""
        x, y = width / self.width, height / self.height
        return Camera(self.fx * x, self.fy * y, self.cx * x, self.cy * y, width, height)

    def check(self, size: tuple[int, ...], name: object) -> None:
        """Raise a UserError that names the picture, (H, W, …), when its aspect is not this camera's: a portrait
        picture or a crop has a camera of its own. What rounding to whole pixels may do passes, and ASPECT."""
        height, width = size[:2]
        off = abs(width * self.height - height * self.width)
        if off > max(width, height, self.width, self.height, ASPECT * self.width * height):
            raise UserError(
                f"{name}: found {height}x{width} (height x width), but its camera in dataset.json is of "
                f"{self.height}x{self.width}, another aspect; give the camera of this very picture under "
                '"cameras": {id: {"fx", "fy", "cx", "cy", "width", "height"}}'
            )

    def cropped(self, window: Window) -> Camera:
        """The same camera for a window of the picture."""
        height, width = window.size
        return Camera(self.fx, self.fy, self.cx - window.left, self.cy - window.top, width, height)

    def matrix(self) -> np.ndarray:
        """(3, 3) float64: camera coordinates (x right, y down, z forward) to pixels."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])

    def rays(self) -> np.ndarray:
        """(H, W, 3) directions x right, y down, z forward with z = 1, so that ray * planar depth = point."""
        u = (np.arange(self.width) + 0.5 - self.cx) / self.fx
        v = (np.arange(self.height) + 0.5 - self.cy) / self.fy
        return np.stack([*np.meshgrid(u, v), np.ones((self.height, self.width))], -1)


def read_cameras(meta: Mapping[str, Any], path: Path) -> dict[str, Camera | None]:
    """The cameras of single pictures by id, from the entry "cameras" of a dataset.json; what one does not say is as in
    "camera". Raises UserError when one is malformed."""
    own = meta.get("cameras") or {}
    shared = meta.get("camera") or {}
    if not isinstance(own, dict) or not all(isinstance(camera, dict) for camera in own.values()):
        raise UserError(
            f'{path}: malformed "cameras"; expected {{id: {{"fx", "fy", …}}}} with what differs from "camera"'
        )
    return {id: read_camera({**shared, **camera}, path) for id, camera in own.items()}


def exif_focal(picture: Stored) -> float | None:
    """Focal length in pixels of a picture by its EXIF entry FocalLengthIn35mmFilm, which is one for the same diagonal
    (CIPA DCG-001); None where it has none or cannot be read."""
    try:
        with open_picture(picture.read_bytes()) as image:
            return focal_of(image)
    except Exception:  # a damaged file is named by who reads its pixels
        return None


def focal_of(image: Image.Image) -> float | None:
    """`exif_focal` of an opened picture."""
    try:
        exif = image.getexif().get_ifd(ExifTags.IFD.Exif)
        equivalent_mm = float(exif.get(ExifTags.Base.FocalLengthIn35mmFilm, 0))
    except Exception:  # damaged EXIF
        return None
    return equivalent_mm * math.hypot(*image.size) / FILM_DIAGONAL_MM if equivalent_mm > 0 else None


def read_camera(value: Any, path: Path) -> Camera | None:
    """The camera of a dataset.json; None where it is unknown. Raises UserError when it is malformed."""
    if value is None:
        return None
    try:
        sizes = {key: int(value[key]) for key in ("width", "height")}
        camera = Camera(**{key: float(value[key]) for key in ("fx", "fy", "cx", "cy")}, **sizes)
    except KeyError as error:
        raise UserError(f"{path}: camera lacks {error}; expected fx, fy, cx, cy, width, height, or null") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{path}: malformed camera ({error}); expected numbers fx, fy, cx, cy, width, height"
        ) from error
    positive = [camera.fx, camera.fy, camera.width, camera.height]
    if not all(0 < side < float("inf") for side in positive):
        raise UserError(f"{path}: fx, fy, width and height must be positive; found {positive}")
    return camera
