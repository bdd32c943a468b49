"""A photo's pinhole camera."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from umadapt.data.window import Window
from umadapt.errors import UserError


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in pixels of a width x height picture; pixel (i, j) is centred at (j + 0.5, i + 0.5)."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def scaled(self, height: int, width: int) -> Camera:
        """The same camera for the picture resized to height x width (with half-pixel centres all is linear)."""
        x, y = width / self.width, height / self.height
        return Camera(self.fx * x, self.fy * y, self.cx * x, self.cy * y, width, height)

    def cropped(self, window: Window) -> Camera:
        """The same camera for a window of the picture."""
        height, width = window.size
        return Camera(self.fx, self.fy, self.cx - window.left, self.cy - window.top, width, height)

    def matrix(self) -> np.ndarray:
        """(3, 3) float64: camera coordinates (x right, y down, z forward) to pixels."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])


def read_camera(value: Any, path: Path) -> Camera | None:
    """The camera of a dataset.json; None where it is unknown. Raises UserError when it is malformed."""
    if value is None:
        return None
    try:
        sizes = {key: int(value[key]) for key in ("width", "height")}
        camera = Camera(**{key: float(value[key]) for key in ("fx", "fy", "cx", "cy")}, **sizes)
    except KeyError as error:
        raise UserError(f"{path}: camera lacks {error}; expected fx, fy, cx, cy, width, height, or null") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{path}: malformed camera ({error}); expected numbers fx, fy, cx, cy, width, height"
        ) from error
    positive = [camera.fx, camera.fy, camera.width, camera.height]
    if not all(0 < side < float("inf") for side in positive):
        raise UserError(f"{path}: fx, fy, width and height must be positive; found {positive}")
    return camera
