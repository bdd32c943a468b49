"""What takes long and never changes, kept between runs in the user's cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import io
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from umadapt.data.atomic import cache_folder, write_bytes
from umadapt.data.camera import Camera
from umadapt.data.files import Stored, read_stored
from umadapt.data.normals import METHOD, normals_from_depth
from umadapt.data.pictures import decode_picture
from umadapt.errors import UserError

_UNIT = 1023  # normals are kept as integers of this many to 1: exact to a twentieth of a degree, .02 on average


def cached_normals(depth_m: np.ndarray, camera: Camera) -> np.ndarray:
    """`normals_from_depth`, computed once for each depth map; 160 kB and 3 ms for one of 240 x 320.

    The first answer is rounded as the later ones are, so that all are equal. A cache that cannot be written or read is
    no error.
    """
    numbers = np.array([METHOD, camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height], np.float64)
    key = hashlib.sha256(numbers.tobytes() + str(depth_m.shape).encode() + depth_m.tobytes()).hexdigest()[:32]
    path = cache_folder() / "normals" / key[:2] / f"{key}.z"
    try:
        packed = np.frombuffer(zlib.decompress(path.read_bytes()), np.int16).reshape(3, *depth_m.shape)
    except (OSError, ValueError, zlib.error):  # not there yet, or cut off by a kill
        packed = np.round(normals_from_depth(depth_m, camera).transpose(2, 0, 1) * _UNIT).astype(np.int16)
        with contextlib.suppress(UserError):
            write_bytes(path, zlib.compress(packed.tobytes(), level=1))
    return _unit(packed)


def _unit(packed: np.ndarray) -> np.ndarray:
    """(3, H, W) int16 -> (H, W, 3) float32 unit vectors, 0 as they are."""
    vectors = packed.astype(np.float32)
    length = np.sqrt(np.einsum("chw,chw->hw", vectors, vectors))
    return (vectors / np.maximum(length, 1)).transpose(1, 2, 0)


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
