"""What predicts: photos in, maps out, whether a run folder stands behind it or an exported file. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from umadapt.data.files import read_photo
from umadapt.maps import Map


@dataclass(frozen=True)
class Predictor:
    """A network, ready for photos: `umadapt.load("runs/noadv").predict("photo.jpg")`."""

    maps: Mapping[str, Map]  # how the map of each task is written and shown
    trust: Mapping[str, Mapping[str, Any]]  # {task: {"white", "unit"}}, of the tasks with a trust map
    infer: Callable[[np.ndarray], dict[str, Any]]  # (H, W, 3) uint8 to what `predict` gives

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the ids in "seg"."""
        return tuple(self.maps["seg"].stored()["classes"]) if "seg" in self.maps else ()

    def predict(self, photo: str | Path | np.ndarray) -> dict[str, Any]:
        """A photo file, or (H, W, 3) uint8 RGB, to maps at its own size.

        Returns:
            "depth" (H, W) float32 metres, "normals" (H, W, 3) float32 unit vectors, "seg" (H, W) uint8 class ids,
            "edges" (H, W) float32 probabilities, as far as the network has the task, and "trust": {task: (H, W)
            float32}, how far the other tasks disagree (low = good): a share of the depth, 1 - cos of normals, nats.

        Raises:
            UserError: the file cannot be read, or the prediction is not finite.
        """
        return self.infer(photo if isinstance(photo, np.ndarray) else read_photo(photo))
