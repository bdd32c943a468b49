"""Do depths make sense? What their numbers say of units, of numbers that are none, and of what depth is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from umadapt.data.camera import Camera
from umadapt.data.depth_units import FACTORS, MOST_STEPS, factor_hint
from umadapt.data.folder import Folder

PER_VIEW = 4000  # triples of pixels that one view gives
SURFACE = 0.05  # three depths whose second difference is above this share of the middle one lie on different surfaces
SLANT = 0.1  # change over a triple, as a share: a wall that faces the camera bends in no unit
CLEAR = 1.15  # OURS: another kind must fit this much better; sensors' planar depth gives .95, their disparity 1.2
FEW = 200  # triples below which nothing is said
COARSE_M = 0.05  # largest sensible step of stored depth
TYPICAL_M = (0.5, 300.0)  # where the median depth of photos lies; rooms in centimetres taken for millimetres: 0.25
STREET_M = 2.5  # and of streets at least: KITTI's laser has 10, in centimetres taken for millimetres 1
STREET_FAR_M = 60.0
ROOM_M = 6.0  # a room's median depth is below
FLOOR_M, EYE_M = (0.45, 6.0), 1.5  # how far below the camera the lowest things are, and usually
SPIKE = 0.002  # share of the pixels that one number must have to be told
STREETS = ("road", "sidewalk")  # classes that tell them


def depth_units(median_m: float, step_m: float, classes: Sequence[str] = ()) -> str | None:
    """A warning when metres are hardly metres.

    Args:
        median_m: of all depths, with dataset.json's scale.
        step_m: metres of one step of the stored numbers.
        classes: of seg, which tell streets from rooms.
    """
    low, high = TYPICAL_M
    if any(name in classes for name in STREETS):
        low = STREET_M
    if median_m < low:
        asked = "Is scale_m too small (0.01 for centimetres, 1 for metres)?"
        return f"depth: the median is {median_m:.2g} m. {asked} {_sentence(factor_hint(median_m / step_m))}"
    if median_m > high:
        return f"depth: the median is {median_m:.0f} m. Is scale_m too large (0.001 for millimetres)? " + _sentence(
            factor_hint(median_m / step_m)
        )
    if step_m > COARSE_M:
        return f"depth: one step is {step_m:g} m, too coarse to learn from; store millimetres or centimetres"
    return None


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def depth_factor(
    depths_m: Sequence[np.ndarray], scale_m: float, camera: Camera | None, classes: Sequence[str] = ()
) -> str | None:
    """A warning when another usual scale would make a room or a street of depths that are hardly one.

    Seen by a person or a car, the floor lies one to two metres below: that tells factors of four and five apart, which
    the depths alone do not, as streets are that much larger than rooms.

    Args:
        depths_m: (H, W) maps of one set with `scale_m`, 0 = missing.
        camera: None where unknown, then of a usual field of view.
        classes: of seg.
    """
    heights, medians = [], []
    for depth in depths_m:
        known = depth > 0
        height, width = depth.shape
        lens = Camera(width, width, width / 2, height / 2, width, height) if camera is None else camera
        lens = lens.scaled(height, width)
        below = depth * ((np.arange(height) + 0.5 - lens.cy) / lens.fy)[:, None].astype(np.float32)
        if np.count_nonzero(known[height // 2 :]) > known.size / 8:
            heights.append(float(np.percentile(below[height // 2 :][known[height // 2 :]], 95)))
            medians.append(float(np.median(depth[known])))
    if len(heights) < 4:
        return None
    floor, middle = float(np.median(heights)), float(np.median(medians))
    if _sensible(floor, middle, classes):
        return None
    better = [factor for factor in FACTORS if _sensible(floor * factor / scale_m, middle * factor / scale_m, classes)]
    if not better:
        return None
    best = min(better, key=lambda factor: abs(np.log(floor * factor / scale_m / EYE_M)))
    of = "a street" if middle * best / scale_m > ROOM_M else "a room"
    return (
        f"depth: the camera would stand {floor:.2g} m above the floor, and half of all be within {middle:.2g} m; "
        f"with scale_m = {FACTORS[best]} it would be {of} (median {middle * best / scale_m:.2g} m)"
    )


def _sensible(floor_m: float, median_m: float, classes: Sequence[str]) -> bool:
    low, high = (STREET_M, STREET_FAR_M) if any(name in classes for name in STREETS) else (TYPICAL_M[0], STREET_FAR_M)
    return FLOOR_M[0] <= floor_m <= FLOOR_M[1] and low <= median_m <= high


class Ends(NamedTuple):
    """The ends of the range of one depth map, in stored steps."""

    low: int
    low_share: float  # of the valid pixels that have exactly this number
    above: int  # the next larger number
    high: int
    high_share: float
    below: int  # the next smaller one


def ends_of(steps: np.ndarray) -> Ends | None:
    """The ends of a stored map, 0 = missing; None where all is missing or one number."""
    counts = np.bincount(steps.ravel())
    numbers = np.flatnonzero(counts[1:]) + 1
    if len(numbers) < 2:
        return None
    valid = counts[1:].sum()
    low, above, below, high = (int(numbers[i]) for i in (0, 1, -2, -1))
    return Ends(low, counts[low] / valid, above, high, counts[high] / valid, below)


def spikes(ends: Sequence[Ends], folder: Folder) -> Iterator[tuple[str, bool]]:
    """Numbers at the ends of the range that stand for "missing" or "too far" (nothing is near them, or they are the
    largest of a file, or a round number of metres in most maps): a line, and whether no truth holds them."""
    for which, number, share, next_ in (
        ("largest", [e.high for e in ends], [e.high_share for e in ends], [e.below for e in ends]),
        ("smallest", [e.low for e in ends], [e.low_share for e in ends], [e.above for e in ends]),
    ):
        end = (max if which == "largest" else min)(number, default=0)
        at = [i for i, n in enumerate(number) if n == end]
        part = sum(share[i] for i in at) / max(1, len(ends))
        if part < SPIKE or len(at) < min(len(ends), 2):
            continue
        nearest = float(np.median([next_[i] for i in at]))
        metres = end * folder.depth_scale_m
        alone = nearest < end / 2 if which == "largest" else nearest > end * 5
        full = which == "largest" and (end > MOST_STEPS or end in (32767, 32768))
        cut = (
            which == "largest"
            and part > 0.01
            and len(at) > len(ends) / 2
            and abs(metres / 5 - round(metres / 5)) < 1e-3
        )
        if alone or full or cut:
            left_out = end > folder.most_steps
            cure = "it is left out of all truth" if left_out else "it is taken for a distance; write 0 there"
            if which == "largest" and not left_out:
                cure += f", or a max_m below {metres:.4g}"
            told = f"{part:.1%} of the pixels hold the {which} number {end} ({metres:.4g} m)"
            yield f'depth: {told}, as if it stood for "missing" or "too far"; {cure}', left_out


def upside_down(depths_m: Sequence[np.ndarray]) -> str | None:
    """A warning when what is low in the pictures is farther than their middle, as in inverse depth."""
    ratios = []
    for depth in depths_m:
        third = depth.shape[0] // 3
        low, middle = depth[-max(1, third // 2) :], depth[third : 2 * third]
        if (low > 0).mean() > 0.3 and (middle > 0).mean() > 0.3:
            ratios.append(float(np.median(low[low > 0]) / np.median(middle[middle > 0])))
    if len(ratios) < 4 or np.mean(np.array(ratios) > 1) < 0.9 or np.median(ratios) < CLEAR:
        return None
    return (
        "depth: the bottom of the pictures is farther than their middle, as in inverse depth or upside down; expected "
        "metres along the optical axis"
    )


def depth_kind(depths_m: Sequence[np.ndarray], camera: Camera | None) -> str | None:
    """A warning when the maps look like disparity, or like distance along the ray, and not like planar depth.

    A plane has an inverse planar depth that is linear over the picture; so 1 / z bends less than z does. Of disparity
    the opposite holds, and of a distance r along the ray |ray| / r is linear.

    Args:
        depths_m: (H, W) maps of one set, 0 = missing.
        camera: of the maps, None where unknown: then distance cannot be told.
    """
    bends: dict[str, list[np.ndarray]] = {"planar depth": [], "disparity": [], "distance along the ray": []}
    for depth in depths_m:
        values = depth.astype(np.float64)
        height, width = values.shape
        kinds = {"planar depth": _inverse(values), "disparity": values}
        if camera is not None:
            kinds["distance along the ray"] = _inverse(values) * _ray_lengths(camera.scaled(height, width))
        for across in (False, True):
            step = max(2, (width if across else height) // 16)
            found = {name: _bend(map_.T if across else map_, step) for name, map_ in kinds.items()}
            same = np.logical_and.reduce([bend < SURFACE for bend in found.values()])
            same &= _slanted(values.T if across else values, step)
            at = np.flatnonzero(same)
            at = at[:: max(1, len(at) // PER_VIEW)]
            for name, bend in found.items():
                bends[name].append(bend.ravel()[at])
    if sum(map(len, bends["planar depth"])) < FEW:
        return None
    medians = {name: np.median(np.concatenate(parts)) for name, parts in bends.items() if parts}
    best = min(medians, key=lambda name: medians[name])
    if best == "planar depth" or medians["planar depth"] < CLEAR * medians[best]:
        return None
    return f"depth: flat surfaces bend as if the files held {best}; expected depth along the optical axis"


def _inverse(values: np.ndarray) -> np.ndarray:
    return np.divide(1, values, out=np.zeros_like(values), where=values > 0)


def _ray_lengths(camera: Camera) -> np.ndarray:
    """(H, W): the length of the ray that reaches depth 1 through each pixel."""
    x = (np.arange(camera.width) + 0.5 - camera.cx) / camera.fx
    y = (np.arange(camera.height) + 0.5 - camera.cy) / camera.fy
    return np.sqrt(1 + x[None] ** 2 + y[:, None] ** 2)


def _bend(map_: np.ndarray, step: int) -> np.ndarray:
    """Second differences down the columns as shares of the middle value; infinite where a pixel is missing."""
    before, middle, after = map_[: -2 * step : 2], map_[step:-step:2], map_[2 * step :: 2]
    there = (before > 0) & (middle > 0) & (after > 0)
    bend = np.abs(before + after - 2 * middle)
    return np.divide(bend, middle, out=np.full_like(middle, np.inf), where=there)


def _slanted(map_: np.ndarray, step: int) -> np.ndarray:
    """Whether the values change clearly down the columns, for the triples of `_bend`."""
    before, middle, after = map_[: -2 * step : 2], map_[step:-step:2], map_[2 * step :: 2]
    return np.abs(after - before) > SLANT * middle
