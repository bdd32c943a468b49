"""Do labels make sense? What their numbers say of units, of what depth is, and of a mirrored half."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from umadapt.data.folder import Camera, Folder

PER_VIEW = 4000  # triples of pixels that one view gives
SURFACE = 0.05  # three depths whose second difference is above this share of the middle one lie on different surfaces
SLANT = 0.1  # change over a triple, as a share: a wall that faces the camera bends in no unit
CLEAR = 1.15  # OURS: another kind must fit this much better; sensors' planar depth gives .95, their disparity 1.2
FEW = 200  # triples below which nothing is said
COARSE_M = 0.05  # largest sensible step of stored depth
TYPICAL_M = (0.5, 300.0)  # where the median depth of photos lies; rooms in centimetres taken for millimetres: 0.25
STREET_M = 2.5  # and of streets at least: KITTI's laser has 10, in centimetres taken for millimetres 1
STREETS = ("road", "sidewalk")  # classes that tell them
SMALL = 64  # width of the maps that are compared for a mirrored half
SURE = 4.0  # standard errors that mirrored labels must fit better by


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
        return f"depth: the median is {median_m:.2g} m. Is scale_m too small (0.01 for centimetres, 1 for metres)?"
    if median_m > high:
        return f"depth: the median is {median_m:.0f} m. Is scale_m too large (0.001 for millimetres)?"
    if step_m > COARSE_M:
        return f"depth: one step is {step_m:g} m, too coarse to learn from; store millimetres or centimetres"
    return None


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


def mirrored(folder: Folder, ids: Sequence[str], task: str) -> str | None:
    """A warning when the mirrored labels of a task fit the photos' edges better than the labels themselves do."""
    gains = []
    for id in ids:
        label = folder.read_label(task, id)
        if label is None:
            continue
        photo = _edges(_shrink(folder.read_image(id).astype(np.float32) / 255))
        if task == "seg":
            label = np.random.default_rng(0).random((256, 3), np.float32)[label]  # a random colour for each class
        elif task == "depth":
            label = np.log(np.maximum(label, 0.1))
        marks = _edges(_shrink(label.astype(np.float32)))
        straight, turned = _correlation(photo, marks), _correlation(photo, marks[:, ::-1])
        gains.append(turned - straight)
    if len(gains) < 4:
        return None
    mean, error = float(np.mean(gains)), float(np.std(gains, ddof=1) / np.sqrt(len(gains)))
    if mean <= SURE * error or mean < 0.02:
        return None
    return f"{task}: the labels fit the photos better when mirrored left to right ({len(gains)} views compared)"


def _shrink(values: np.ndarray) -> np.ndarray:
    """(h, SMALL, channels): every channel resized by PIL's box filter."""
    values = values.reshape(*values.shape[:2], -1)
    height = max(3, round(SMALL * values.shape[0] / values.shape[1]))
    planes = [Image.fromarray(plane) for plane in np.moveaxis(values, -1, 0)]
    return np.stack([np.asarray(plane.resize((SMALL, height), Image.Resampling.BOX)) for plane in planes], -1)


def _edges(values: np.ndarray) -> np.ndarray:
    """(h - 1, w - 1) strength of the edges, compressed so that a few strong ones do not decide."""
    down, right = np.diff(values, axis=0)[:, :-1], np.diff(values, axis=1)[:-1]
    return np.sqrt(np.sqrt((down**2 + right**2).sum(-1)))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-9))
