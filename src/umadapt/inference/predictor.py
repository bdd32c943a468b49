"""What predicts: photos in, maps out, whether a run folder stands behind it or an exported file. No torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from umadapt.data.maps import Map
from umadapt.data.window import Window
from umadapt.errors import UserError
from umadapt.inference.enlarge import Filled, Maps, check_size
from umadapt.inference.inputs import open_photo


@dataclass(frozen=True)
class Predictor:
    """A network, ready for photos: `umadapt.load("runs/adapted").predict("photo.jpg")`."""

    maps: Mapping[str, Map]  # how the map of each task is written and shown
    trust: Mapping[str, Mapping[str, Any]]  # {task: {"white", "unit"}}, of the tasks with a trust map
    infer: Callable[[np.ndarray, float | None], dict[str, Any]]  # (H, W, 3) uint8, focal length: what `look` gives
    fov: float | None = None  # degrees along the longer side that an unknown camera is assumed to see; None = no matter

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the ids in "seg"."""
        return tuple(self.maps["seg"].stored()["classes"]) if "seg" in self.maps else ()

    def predict(self, photo: Any, window: Window | None = None, focal: float | None = None) -> dict[str, Any]:
        """A photo to maps at its own size.

        Args:
            photo: a file's name or bytes, a PIL image, or one photo (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), grey,
                RGB or RGBA, in a NumPy array or a torch tensor, there also with the channels first; uint8, uint16, or
                floats from 0 to 1.
            window: what the network sees of the photo; the maps outside hold the nearest prediction. Default: all.
            focal: focal length in pixels of the whole photo. Default: that of the file's EXIF, or the one assumed.

        Returns:
            "depth" (H, W) float32 metres, "normals" (H, W, 3) float32 unit vectors, "seg" (H, W) uint8 class ids,
            "edges" (H, W) float32 probabilities, as far as the network has the task, and "trust": {task: (H, W)
            float32}, how far the other tasks disagree (low = good): a share of the depth, 1 - cos of normals, nats.
            Each map is made when it is first read.

        Raises:
            UserError: the photo is none of these, cannot be read, or is larger than MAX_PIXELS, the focal length is
                none, the window does not fit, or the prediction is not finite.
        """
        rgb, told, name = open_photo(photo)
        found = self.look(rgb, window, told if focal is None else checked_focal(focal), name)
        return Maps({**found, "trust": Maps(found["trust"])})

    def look(
        self, rgb: np.ndarray, window: Window | None = None, focal: float | None = None, name: object = "photo"
    ) -> dict[str, Any]:
        """`predict` of (H, W, 3) uint8, its maps as arrays or as `Enlarged`, of which `enlarge.strips` makes rows.

        Args:
            name: of the photo, for messages.
        """
        if window is not None:
            window.check(rgb, name)
        seen = rgb if window is None else window.crop(rgb)
        for picture in (rgb, seen):
            check_size((picture.shape[0], picture.shape[1]))
        found = self.infer(seen, focal)
        if window is None:
            return found
        size = (rgb.shape[0], rgb.shape[1])
        trust = {task: Filled(map_, window, size) for task, map_ in found.pop("trust").items()}
        return {**{task: Filled(map_, window, size) for task, map_ in found.items()}, "trust": trust}


def checked_focal(focal: Any) -> float:
    """A focal length in pixels. Raises UserError where it is none."""
    try:
        found = float(focal)
    except (TypeError, ValueError):
        found = math.nan
    if not 0 < found < math.inf:
        raise UserError(f"focal is {focal!r}; expected the focal length in pixels of the whole photo, above 0")
    return found
