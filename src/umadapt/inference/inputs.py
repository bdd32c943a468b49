"""A photo as a user has it, in a file, in bytes, in PIL, NumPy or torch, as the networks take it. No torch."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from umadapt.data.camera import exif_focal, focal_of
from umadapt.data.files import Stored, read_photo, upright_rgb
from umadapt.errors import UserError

CHANNELS = (1, 3, 4)  # grey, RGB, RGBA
EXPECTED = (
    "expected a file's name or bytes, a PIL image, or one photo (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), in an array "
    "or a torch tensor there also with the channels first, of uint8, uint16, or floats from 0 to 1"
)
ROUNDING = 1e-4  # by how much a resized float picture may be outside of [0, 1]
STRIP = 1 << 20  # values that are converted at once


class Given(NamedTuple):
    """A photo that is to be predicted."""

    rgb: np.ndarray  # (H, W, 3) uint8, upright
    focal: float | None  # focal length in pixels, where the picture tells it
    name: str  # for messages


@dataclass(frozen=True)
class InMemory:
    """The bytes of a picture file, which has no name."""

    data: bytes
    stem: str = "photo"

    def __str__(self) -> str:
        return f"the photo given as {len(self.data)} bytes"

    def read_bytes(self) -> bytes:
        return self.data

    def resolve(self) -> PurePath:
        return PurePath(self.stem)


def open_photo(photo: Any) -> Given:
    """A photo of any of the kinds in EXPECTED.

    Grey is repeated and alpha composited on white, as in files; EXIF turns PIL images and files upright.

    Raises:
        UserError: it is of another kind, empty, not a picture, has NaN or values out of range, or cannot be read.
    """
    if isinstance(photo, str | os.PathLike):
        path = Path(photo)
        return _of_file(path, str(path))
    if isinstance(photo, bytes | bytearray | memoryview):
        return _of_file(InMemory(bytes(photo)), "photo")
    if isinstance(photo, Image.Image):
        return Given(_rgb_of_pil(photo), focal_of(photo), "photo")
    return Given(rgb_of_array(photo), None, "photo")


def _of_file(file: Stored, name: str) -> Given:
    return Given(read_photo(file), exif_focal(file), name)


def _rgb_of_pil(image: Image.Image) -> np.ndarray:
    what = f"a PIL image of mode {image.mode}, {image.width}x{image.height}"
    if not image.width or not image.height:
        raise UserError(f"found {what}, which has no pixels; {EXPECTED}")
    if image.mode in ("I", "F"):  # whose values may mean anything
        values = np.asarray(image)
        if not np.isfinite(values).all():
            raise UserError(f"found {what} with NaN or infinity; {EXPECTED}")
        if image.mode == "I" and values.max() <= 255:
            raise UserError(
                f"found {what}, with values up to {values.max()} of 65535, which would be black; "
                'give image.convert("L") where 255 is white'
            )
    return upright_rgb(image, what)


def rgb_of_array(photo: Any) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an array or a tensor; of an RGB array of bytes a view, where it can be one.

    Raises:
        UserError: see `open_photo`.
    """
    array, is_tensor = _array(photo)
    what = f"{'a tensor' if is_tensor else 'an array'} of {array.dtype} {array.shape}"
    array = _channels_last(_not_empty(array, what), what, is_tensor)
    pixels = _bytes_of(array, what)
    if pixels.shape[2] == 4:
        return upright_rgb(Image.fromarray(np.ascontiguousarray(pixels)), what)
    rgb = pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)
    return rgb if rgb.flags.writeable else rgb.copy()  # torch warns of memory that it must not write


def _array(photo: Any) -> tuple[np.ndarray, bool]:
    """As a NumPy array, and whether it was a tensor of torch, which is not imported for that."""
    kind = type(photo)
    if isinstance(photo, np.ndarray):
        return photo, False
    if kind.__module__.split(".")[0] == "torch" and hasattr(photo, "detach"):
        try:
            tensor = photo.detach().cpu()
            return (tensor.float() if tensor.is_floating_point() else tensor).numpy(), True
        except Exception as error:  # sparse, meta, complex views, …: of many kinds
            reason = str(error).splitlines()[0][:200] if str(error) else kind.__name__
            raise UserError(f"found a tensor that is no plain picture ({reason}); {EXPECTED}") from error
    if hasattr(photo, "__array__"):  # of other array libraries
        return np.asarray(photo), False
    if isinstance(photo, list | tuple):
        raise UserError(f"found a {kind.__name__} of {len(photo)}; predict takes one photo at a time: {EXPECTED}")
    raise UserError(f"found {'None' if photo is None else f'a photo of type {kind.__name__}'}; {EXPECTED}")


def _not_empty(array: np.ndarray, what: str) -> np.ndarray:
    if not array.size:
        raise UserError(f"found {what}, which has no pixels; {EXPECTED}")
    return array


def _channels_last(array: np.ndarray, what: str, is_tensor: bool) -> np.ndarray:
    """(H, W), (H, W, C) or (C, H, W) to (H, W, C): a view."""
    if array.ndim == 2:
        return array[..., None]
    if array.ndim != 3:
        cure = "; of a batch give one photo, such as x[0]" if array.ndim == 4 else ""
        raise UserError(f"found {what}, {array.ndim} dimensions{cure}; {EXPECTED}")
    first, last = (array.shape[axis] in CHANNELS for axis in (0, 2))
    if first and last and is_tensor:
        raise UserError(
            f"found {what}, whose channels may be the first or the last dimension; "
            "give x.permute(1, 2, 0).numpy() or x.numpy(), an array with the channels last"
        )
    if not (first or last):
        raise UserError(f"found {what}, no dimension of 1 (grey), 3 (RGB) or 4 (RGBA) channels; {EXPECTED}")
    return array if last else np.moveaxis(array, 0, 2)  # an array (H, W, C) is taken for what it is documented as


def _bytes_of(array: np.ndarray, what: str) -> np.ndarray:
    """uint8, uint16 or floats in [0, 1], (H, W, C), to uint8."""
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "f":
        white, low, high = 1.0, float(array.min()), float(array.max())
        if math.isnan(low):
            raise UserError(f"found {what} with NaN; {EXPECTED}")
        if low < -ROUNDING or high > 1 + ROUNDING:
            cure = "; divide by 255" if low >= 0 and 1 < high <= 255 else ""
            raise UserError(f"found {what} from {low:g} to {high:g}, not from 0 to 1{cure}; {EXPECTED}")
    elif array.dtype.kind == "u" and array.dtype.itemsize == 2:
        white = 65535.0
    else:
        cure = "; give .astype('uint8') where the values are 0 to 255" if array.dtype.kind in "iu" else ""
        raise UserError(f"found {what}{cure}; {EXPECTED}")
    out = np.empty(array.shape, np.uint8)
    step = max(1, STRIP // (array.shape[1] * array.shape[2]))
    for top in range(0, len(array), step):
        strip = array[top : top + step].astype(np.float64) * (255 / white)
        out[top : top + step] = np.rint(strip.clip(0, 255))
    return out
