"""Between a photo's size and the network's, a strip of rows at a time: no copy of a large photo is made. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from PIL import Image

from umadapt.data.window import Window
from umadapt.errors import UserError

STRIP = 1 << 18  # pixels of a strip: fits the cache
MAX_PIXELS = 100_000_000  # of a photo: its maps alone are 2.5 GB
MAX_ASPECT = 200  # of a photo: beyond it what the network sees, with sides of 32 at least, is many times its own size
SMALLEST = 1e-6  # length of a normal that is divided by


def check_size(size: tuple[int, int]) -> None:
    """Raise a UserError where a photo of that size (H, W) is too large, or too long, to be predicted."""
    height, width = size
    if height * width > MAX_PIXELS:
        raise UserError(
            f"the photo is {height}x{width}, {height * width / 1e6:.0f} megapixels; expected at most "
            f"{MAX_PIXELS / 1e6:.0f}: make it smaller, which loses nothing, for the network sees it smaller still"
        )
    if max(size) > MAX_ASPECT * min(size):
        raise UserError(
            f"the photo is {height}x{width}, one side {max(size) / min(size):.0f} times the other; "
            f"expected at most {MAX_ASPECT} times: cut it into pieces"
        )


class Enlarged:
    """A map of the network's grid at a photo's size (H, W), of which rows are made when they are asked for.

    Bilinear, antialiased where it shrinks. NumPy takes it for an array: `np.asarray(map_)` makes all of it.

    Args:
        grid: (C, h, w) float32.
        kind: "normals" (made unit again), "seg" (the id of the largest of bilinear logits), or of one channel: "depth",
            "share", or another.
        size: (H, W).
    """

    def __init__(self, grid: np.ndarray, kind: str, size: tuple[int, int]):
        self.grid, self.kind = np.ascontiguousarray(grid, np.float32), kind
        self.shape = (*size, 3) if kind == "normals" else size
        self.dtype = np.dtype(np.uint8 if kind == "seg" else np.float32)

    def rows(self, top: int, bottom: int) -> np.ndarray:
        """Rows [top, bottom) of the map."""
        if self.kind == "normals":
            found = np.stack([self.plane(c, top, bottom) for c in range(3)], axis=-1)
            length = np.sqrt(np.einsum("hwc,hwc->hw", found, found))
            return np.divide(found, np.maximum(length, SMALLEST)[..., None], out=found)
        best = self.plane(0, top, bottom)
        if self.kind != "seg":
            return best
        ids = np.zeros(best.shape, np.uint8)
        for c in range(1, len(self.grid)):
            plane = self.plane(c, top, bottom)
            np.copyto(ids, c, where=plane > best)
            np.maximum(best, plane, out=best)
        return ids

    def plane(self, channel: int, top: int, bottom: int) -> np.ndarray:
        """Rows [top, bottom) of one channel, (rows, W)."""
        plane = self.grid[channel]
        (h, w), (height, width) = plane.shape, self.shape[:2]
        if (h, w) == (height, width):
            return plane[top:bottom].copy()
        box = (0, top * h / height, w, bottom * h / height)
        return np.array(Image.fromarray(plane).resize((width, bottom - top), Image.Resampling.BILINEAR, box))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = np.empty(self.shape, self.dtype)
        for top, strip in strips(self):
            whole[top : top + len(strip)] = strip
        return whole if dtype is None else whole.astype(dtype, copy=False)


class Filled:
    """A map of a window as one of the whole picture (H, W): what is outside gets the nearest; see `Window.nearest`."""

    def __init__(self, inside: Any, window: Window, size: tuple[int, int]):
        self.inside, self.nearest = inside, window.nearest(size)
        self.shape, self.dtype = (*size, *inside.shape[2:]), inside.dtype

    def rows(self, top: int, bottom: int) -> np.ndarray:
        """Rows [top, bottom) of the map."""
        rows, columns = self.nearest[0][top:bottom, 0], self.nearest[1][0]
        first = int(rows[0])
        return rows_of(self.inside, first, int(rows[-1]) + 1)[rows - first][:, columns]

    __array__ = Enlarged.__array__


def rows_of(map_: Any, top: int, bottom: int) -> np.ndarray:
    """Rows [top, bottom) of a map that is whole, or made when it is asked for."""
    return map_[top:bottom] if isinstance(map_, np.ndarray) else map_.rows(top, bottom)


def strips(map_: Any) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, its rows) of a map from top to bottom."""
    height, width = map_.shape[:2]
    step = max(1, STRIP // width)
    for top in range(0, height, step):
        yield top, rows_of(map_, top, min(top + step, height))


def reduced(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8 to (3, h, w) float32 in [0, 1], antialiased bilinear: first each row, then each column."""
    (height, width), (h, w) = rgb.shape[:2], size
    step = max(1, STRIP // width)
    narrow = np.empty((3, height, w), np.float32)
    for top in range(0, height, step):
        strip = rgb[top : top + step].astype(np.float32)
        for c in range(3):
            plane = Image.fromarray(np.ascontiguousarray(strip[..., c]))
            narrow[c, top : top + step] = np.asarray(plane.resize((w, len(strip)), Image.Resampling.BILINEAR))
    small = [np.asarray(Image.fromarray(plane).resize((w, h), Image.Resampling.BILINEAR)) for plane in narrow]
    return np.stack(small) / np.float32(255)


class Maps(dict[str, Any]):
    """The maps of a photo by name: a dict, of which each map is made whole when it is first asked for.

    So a photo of 50 megapixels, whose maps are gigabytes, costs the memory of those that are read.
    """

    def __getitem__(self, name: str) -> Any:
        map_ = super().__getitem__(name)
        if isinstance(map_, Enlarged | Filled):
            map_ = np.asarray(map_)
            self[name] = map_
        return map_

    def __iter__(self) -> Iterator[str]:  # with it `dict(maps)` and `{**maps}` read by `__getitem__`
        return super().__iter__()

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401

    def pop(self, name: str, *default: Any) -> Any:
        if name in self:
            whole = self[name]
            del self[name]
            return whole
        return super().pop(name, *default)

    def popitem(self) -> tuple[str, Any]:
        name = next(reversed(self))
        return name, self.pop(name)

    def setdefault(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self[name] = default
        return self[name]

    def values(self) -> Any:
        return dict(self).values()

    def items(self) -> Any:
        return dict(self).items()

    def copy(self) -> dict[str, Any]:
        return dict(self)

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:  # type: ignore[override]
        return dict(self) | dict(other)

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:  # type: ignore[override]
        return dict(other) | dict(self)

    def __repr__(self) -> str:
        return repr(dict(self))

    def __reduce__(self) -> Any:
        return dict, (dict(self),)


def finite(name: str, grid: np.ndarray) -> np.ndarray:
    """The same. Raises UserError where it holds NaN or infinity."""
    if grid.dtype.kind == "f" and not np.isfinite(grid).all():
        raise UserError(f"the prediction of {name} holds NaN or infinity; the run's training probably diverged")
    return grid
