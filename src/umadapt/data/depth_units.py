"""Stored depth and its unit: what a file's numbers can be."""

from __future__ import annotations

import numpy as np

from umadapt.data.files import Stored
from umadapt.errors import UserError

MOST_STEPS = 65534  # 65535 stands for "none" or "too far" wherever it is met
SCENE_M = (0.02, 1000.0)  # OURS: where the median depth of a picture may lie; wrong units are off by more
FACTORS = {1.0: "1", 0.01: "0.01", 0.001: "0.001", 1 / 256: "0.00390625 (1/256)", 1 / 5000: "0.0002 (1/5000)"}


def factor_hint(median_steps: float) -> str:
    """Which scale_m would make rooms or streets of depth files with this median."""
    rooms = [name for factor, name in FACTORS.items() if 1 <= median_steps * factor < 6]
    streets = [name for factor, name in FACTORS.items() if 6 <= median_steps * factor <= 40]
    made = [
        f"{what} with scale_m = {' or '.join(names)}"
        for what, names in (("rooms", rooms), ("streets", streets))
        if names
    ]
    return f"it would be {' and '.join(made)}" if made else "no usual scale_m makes a room or a street of it"


def refuse_no_scene(steps: np.ndarray, scale_m: float, path: Stored) -> None:
    """Raise a UserError where stored depth (H, W) uint16, 0 = missing, in steps of `scale_m` cannot be a scene's."""
    few = steps[::8, ::8]  # the median is only asked for its order of magnitude
    few = few[few > 0]
    if len(few) == 0:
        return
    median, (low, high) = float(np.median(few)), SCENE_M
    if not low <= median * scale_m <= high:
        raise UserError(
            f"{path}: half of it is {'nearer' if median * scale_m < low else 'farther'} than "
            f"{median * scale_m:.2g} m, which cannot be a scene; {factor_hint(median)}"
        )
