"""What takes long and never changes, kept between runs in the user's cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import io
import zipfile
from collections.abc import Callable

import numpy as np
from PIL import Image

from umadapt.data.files import Stored, cache_folder, decode_picture, read_stored, write_bytes
from umadapt.data.folder import Camera
from umadapt.data.normals import METHOD, normals_from_depth
from umadapt.errors import UserError

_UNIT = 32767  # normals are kept as 16-bit integers of this many to 1: exact to 0.002 degrees


def cached_normals(depth_m: np.ndarray, camera: Camera) -> np.ndarray:
    """`normals_from_depth`, about a second for a photo of 480 x 640, computed once for each depth map.

    The first answer is rounded as the later ones are, so that all are equal. A cache that cannot be written or read is
    no error.
    """
    numbers = np.array([METHOD, camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height], np.float64)
    key = hashlib.sha256(numbers.tobytes() + str(depth_m.shape).encode() + depth_m.tobytes()).hexdigest()[:32]
    path = cache_folder() / "normals" / key[:2] / f"{key}.npz"
    try:
        with path.open("rb") as file, np.load(file) as stored:
            packed = stored["normals"]
        if packed.shape == (*depth_m.shape, 3):
            return packed / np.float32(_UNIT)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # not there yet, or cut off by a kill
    packed = np.round(normals_from_depth(depth_m, camera) * _UNIT).astype(np.int16)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, normals=packed)
    with contextlib.suppress(UserError):
        write_bytes(path, buffer.getvalue())
    return packed / np.float32(_UNIT)


def cached_contours(photo: Stored, detector: str, detect: Callable[[], np.ndarray]) -> np.ndarray:
    """(h, w) uint8, what `detect` makes of a photo, computed once for each file and name of a detector.

    Raises:
        UserError: the photo cannot be read, or the map cannot be kept: detectors are too slow to run again and again.
    """
    key = hashlib.sha256(detector.encode() + b"\0" + read_stored(photo)).hexdigest()[:32]
    path = cache_folder() / "contours" / key[:2] / f"{key}.png"
    with contextlib.suppress(OSError, UserError):  # not there yet, or cut off by a kill
        return np.array(decode_picture(path.read_bytes(), str(path)))
    contours = detect()
    buffer = io.BytesIO()
    Image.fromarray(contours).save(buffer, "PNG")
    try:
        write_bytes(path, buffer.getvalue())
    except UserError as error:
        raise UserError(f"{error}; set XDG_CACHE_HOME to a folder for what is kept between runs") from error
    return contours
