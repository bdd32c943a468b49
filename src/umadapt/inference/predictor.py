"""What predicts: photos in, maps out, whether a run folder stands behind it or an exported file. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from umadapt.data.camera import exif_focal
from umadapt.data.files import read_photo
from umadapt.data.maps import Map
from umadapt.data.window import Window


@dataclass(frozen=True)
class Predictor:
    """A network, ready for photos: `umadapt.load("runs/noadv").predict("photo.jpg")`."""

    maps: Mapping[str, Map]  # how the map of each task is written and shown
    trust: Mapping[str, Mapping[str, Any]]  # {task: {"white", "unit"}}, of the tasks with a trust map
    infer: Callable[[np.ndarray, float | None], dict[str, Any]]  # (H, W, 3) uint8, focal length: what `predict` gives
    fov: float | None = None  # degrees along the longer side that an unknown camera is assumed to see; None = no matter

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the ids in "seg"."""
        return tuple(self.maps["seg"].stored()["classes"]) if "seg" in self.maps else ()

    def predict(
        self, photo: str | Path | np.ndarray, window: Window | None = None, focal: float | None = None
    ) -> dict[str, Any]:
        """A photo file, or (H, W, 3) uint8 RGB, to maps at its own size.

        Args:
            window: what the network sees of the photo; the maps outside hold the nearest prediction. Default: all.
            focal: focal length in pixels of the whole photo. Default: that of the file's EXIF, or the one assumed.

        Returns:
            "depth" (H, W) float32 metres, "normals" (H, W, 3) float32 unit vectors, "seg" (H, W) uint8 class ids,
            "edges" (H, W) float32 probabilities, as far as the network has the task, and "trust": {task: (H, W)
            float32}, how far the other tasks disagree (low = good): a share of the depth, 1 - cos of normals, nats.

        Raises:
            UserError: the file cannot be read, the window does not fit, or the prediction is not finite.
        """
        rgb = photo if isinstance(photo, np.ndarray) else read_photo(photo)
        if focal is None and not isinstance(photo, np.ndarray):
            focal = exif_focal(Path(photo))
        if window is None:
            return self.infer(rgb, focal)
        window.check(rgb, "photo" if isinstance(photo, np.ndarray) else photo)
        found = self.infer(window.crop(rgb), focal)
        trust: Mapping[str, np.ndarray] = found.pop("trust")
        whole = window.nearest((rgb.shape[0], rgb.shape[1]))
        maps = {task: map_[whole] for task, map_ in found.items()}
        return {**maps, "trust": {task: map_[whole] for task, map_ in trust.items()}}
