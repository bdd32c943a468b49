"""A Mitsuba texture for a mesh of many materials. To be imported after the variant is chosen; not for the scalar one,
which would call Python for every ray.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from umadapt.scenes.engine import mitsuba

dr, mi = importlib.import_module("drjit"), mitsuba()


class Tiles(mi.Texture):
    """One texture for each face, looked up as Mitsuba's `bitmap` does: linear between texels, repeated for ever."""

    def __init__(self, textures: list[np.ndarray], of_face: np.ndarray) -> None:
        """`textures` are (N, M, 3) or single colours (3,); `of_face` (F,) is the index of each face's."""
        super().__init__(mi.Properties())
        tiles = [_bordered(texture.reshape(1, 1, 3) if texture.ndim == 1 else texture) for texture in textures]
        counts = np.array([tile.shape[0] * tile.shape[1] for tile in tiles])
        self.first = self._each([*np.cumsum(counts) - counts], of_face)
        self.height, self.width = (self._each([tile.shape[k] - 1 for tile in tiles], of_face) for k in (0, 1))
        self.texels = mi.Float(np.concatenate([tile.reshape(-1, 3) for tile in tiles]).ravel())

    @staticmethod
    def _each(values: list[int], of_face: np.ndarray) -> Any:
        return mi.UInt32(np.array(values, np.uint32)[of_face])

    def eval(self, si: Any, active: Any = True) -> Any:
        """The colour at a surface interaction."""
        first, height, width = (
            dr.gather(mi.UInt32, values, si.prim_index, active) for values in (self.first, self.height, self.width)
        )
        column, u = self._texel(si.uv.x, width)
        row, v = self._texel(si.uv.y, height)
        index = first + row * (width + 1) + column
        a, b, c, d = (dr.gather(mi.Color3f, self.texels, index + step, active) for step in (0, 1, width + 1, width + 2))
        return dr.lerp(dr.lerp(a, b, u), dr.lerp(c, d, u), v)

    @staticmethod
    def _texel(uv: Any, count: Any) -> tuple[Any, Any]:
        """The texel whose centre comes before a coordinate, and how far behind that centre it lies, 0 to 1."""
        place = uv * mi.Float(count) - 0.5
        place -= dr.floor(uv - 0.5 / mi.Float(count)) * mi.Float(count)
        texel = dr.minimum(mi.UInt32(place), count - 1)
        return texel, place - mi.Float(texel)

    def eval_3(self, si: Any, active: Any = True) -> Any:
        """The same, as Mitsuba asks for it elsewhere."""
        return self.eval(si, active)

    def is_spatially_varying(self) -> bool:
        """Not to Mitsuba, which would choose points on a light by their texel, and of two panes find but one."""
        return False

    def to_string(self) -> str:
        """For Mitsuba's messages."""
        return "Tiles"


def _bordered(texture: np.ndarray) -> np.ndarray:
    """(N + 1, M + 1, 3): with its first row and column repeated behind its last."""
    return np.pad(np.float32(texture), ((0, 1), (0, 1), (0, 0)), "wrap")
