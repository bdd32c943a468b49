"""Kinds of maps outside a network: how each is stored, written and shown. numpy and PIL, so that it needs no torch.

The folder format knows four kinds; a task is of one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from umadapt.data import viz
from umadapt.data.files import depth_pixels, normals_pixels, share_pixels

MAX_STEPS = 65535  # of a 16-bit PNG


class Trust(NamedTuple):
    """How a disagreement (`Task.energy_map`) is shown."""

    white: float  # what white (255) of a trust map stands for; more disagreement is white too
    unit: str


class Map(Protocol):
    """What is asked of a predicted map, a NumPy array as `data.folder` reads it: (H, W) or (H, W, 3)."""

    kind: str  # depth, normals, seg or share
    npy: type[Any]  # NumPy type of predict's npy files

    def stored(self) -> dict[str, Any]:
        """The entry in the dataset.json of a folder of predictions; with it `make_map` makes the same again."""
        ...

    def pixels(self, map_: np.ndarray) -> np.ndarray:
        """A predicted map, or rows of it, as the folder format stores it: (H, W) uint8 or uint16, (H, W, 3) uint8."""
        ...

    def picture(self, map_: np.ndarray, scale: float | None = None) -> np.ndarray:
        """A map as (H, W, 3) uint8; `scale` is `picture_scale` of another map, to make the two comparable."""
        ...

    def picture_scale(self, map_: np.ndarray) -> float | None:
        """What decides the colours of pictures that stand side by side; None where all pictures compare anyway."""
        ...


class DepthMap:
    """(H, W) metres along the optical axis; `step_m` is one step of the 16-bit file."""

    kind = "depth"
    npy = np.float32

    def __init__(self, step_m: float = 0.001):
        self.step_m = step_m

    def stored(self) -> dict[str, Any]:
        return {"scale_m": self.step_m, "max_m": self.step_m * MAX_STEPS}

    def pixels(self, map_: np.ndarray) -> np.ndarray:
        # a pixel is never missing in a prediction: less than a step is one step, more than the file holds is its most
        return depth_pixels(map_.clip(self.step_m, self.step_m * MAX_STEPS), self.step_m)

    def picture(self, map_: np.ndarray, scale: float | None = None) -> np.ndarray:
        return viz.depth_to_rgb(map_, scale)

    def picture_scale(self, map_: np.ndarray) -> float | None:
        """The farthest depth of a picture in metres: a few wild pixels must not turn all others dark."""
        known = map_[map_ > 0]
        return float(np.percentile(known, 99)) if known.size else 10.0


class NormalsMap:
    """(H, W, 3) unit vectors: x right, y up, z towards the viewer."""

    kind = "normals"
    npy = np.float16

    def stored(self) -> dict[str, Any]:
        return {}

    def pixels(self, map_: np.ndarray) -> np.ndarray:
        return normals_pixels(map_)

    def picture(self, map_: np.ndarray, scale: float | None = None) -> np.ndarray:
        return viz.normals_to_rgb(map_)

    def picture_scale(self, map_: np.ndarray) -> float | None:
        return None


class SegMap:
    """(H, W) uint8 ids of `classes`; `ignore` stands for unlabelled."""

    kind = "seg"
    npy = np.uint8

    def __init__(self, classes: Sequence[str], ignore: int = 255):
        self.classes = tuple(classes)
        self.ignore = ignore

    def stored(self) -> dict[str, Any]:
        return {"classes": list(self.classes), "ignore": self.ignore}

    def pixels(self, map_: np.ndarray) -> np.ndarray:
        return map_

    def picture(self, map_: np.ndarray, scale: float | None = None) -> np.ndarray:
        return viz.seg_to_rgb(map_, viz.palette(len(self.classes)))

    def picture_scale(self, map_: np.ndarray) -> float | None:
        return None


class ShareMap:
    """(H, W) shares in [0, 1], such as probabilities."""

    kind = "share"
    npy = np.float16

    def stored(self) -> dict[str, Any]:
        return {}

    def pixels(self, map_: np.ndarray) -> np.ndarray:
        return share_pixels(map_)

    def picture(self, map_: np.ndarray, scale: float | None = None) -> np.ndarray:
        return viz.share_to_rgb(map_)

    def picture_scale(self, map_: np.ndarray) -> float | None:
        return None


def make_map(kind: str, stored: dict[str, Any]) -> Map:
    """The map whose `kind` and `stored()` these are.

    Raises:
        KeyError: no such kind, or an entry is missing.
    """
    makers = {
        "depth": lambda: DepthMap(stored["scale_m"]),
        "normals": NormalsMap,
        "seg": lambda: SegMap(stored["classes"], stored["ignore"]),
        "share": ShareMap,
    }
    return makers[kind]()
