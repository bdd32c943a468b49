"""The photos that a user names, in files and folders, by the name under which their predictions are written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from umadapt.data.camera import Camera, exif_focal
from umadapt.data.files import Stored, read_photo
from umadapt.data.folder import Folder
from umadapt.data.ids import check_id
from umadapt.data.window import Window
from umadapt.errors import UserError


class Photo(NamedTuple):
    """A photo to predict."""

    file: Stored
    window: Window | None  # of its folder; a file that was given by itself is seen whole
    camera: Camera | None  # of its folder

    def read(self) -> np.ndarray:
        """(H, W, 3) uint8, the whole photo. Raises UserError when it cannot be read or the window does not fit."""
        rgb = read_photo(self.file)
        if self.window is not None:
            self.window.check(rgb, self.file)
        if self.camera is not None:
            self.camera.check(rgb.shape, self.file)
        return rgb

    def focal(self, rgb: np.ndarray, fov: float) -> float | None:
        """Its focal length in pixels: by --fov, its folder, or its EXIF; None = unknown."""
        height, width = rgb.shape[:2]
        if fov:
            return max(height, width) / 2 / math.tan(math.radians(fov) / 2)
        return self.camera.fx * width / self.camera.width if self.camera else exif_focal(self.file)


def find_photos(photos: Sequence[Path], some: bool = True) -> dict[str, Photo]:
    """Stem, or id in its folder -> photo, of photo files and folders (plain, DATA, or DATA:SPLIT).

    Raises:
        UserError: nothing there, or two photos of one name (their predictions would overwrite each other).
    """
    given: list[tuple[str, Photo]] = []
    for path in photos:
        if path.is_file():
            given.append((path.stem, Photo(path, None, None)))
        else:
            folder = Folder(path)
            for id in folder.ids:
                given.append((id, Photo(folder.image_path(id), folder.window_of(id), folder.camera_of(id))))
    found: dict[str, Photo] = {}
    for id, photo in given:
        file, twin = photo.file, found.setdefault(check_id(id, photo.file), photo).file
        if twin.resolve() != file.resolve():
            raise UserError(
                f"{twin} and {file} would both be written as {id}.png. "
                "Rename one of them, or predict them into two folders"
            )
    if not found and some:
        raise UserError("no photos given; expected files or folders, for example: umadapt predict RUN PHOTO --out DIR")
    return found
