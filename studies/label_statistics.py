"""What the labels of a folder say: shares of the classes, depth, and the camera's height and pitch.

Read by `studies/domain_gap.py`, which prints the tables of rooms beside those of photos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from umadapt.data.camera import Camera
from umadapt.data.files import hxw
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.inference.photos import read_ahead

QUANTILES = (5, 25, 50, 75, 95)  # of depth
RANGE = (5, 50, 95)  # of the camera's height and pitch over views
LABELLED_VIEWS = 500  # labels of so many are read at most
SEEN_SHARE = 0.004  # of a view: a class that covers more is in it
FLOOR_SHARE = 0.02  # of a view: floor enough to fit a plane to
TOLERANCE = 0.03  # relative to a pixel's depth: how near to the plane the floor lies
FLAT_SHARE = 0.75  # of the floor must lie on it: noisy or badly labelled floors fit walls as well
TRIPLES, TRIED, REFITS = 200, 1000, 3  # of the plane fit
Crop = tuple[int, int, int, int]  # left, top, right, bottom


def window(pixels: np.ndarray, crop: Crop, where: Path) -> tuple[slice, slice]:
    """Rows and columns that a crop leaves of (H, W, …)."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = crop
    if left + right >= width or top + bottom >= height:
        raise UserError(f"{where}: nothing is left of {hxw(pixels)} pixels behind --crop {','.join(map(str, crop))}")
    return slice(top, height - bottom), slice(left, width - right)


def above_floor(depth_m: np.ndarray, floor: np.ndarray, camera: Camera) -> tuple[float, float] | None:
    """Height of the camera above the floor in metres, and degrees by which it looks down, from a plane fit.

    Args:
        depth_m: (H, W), planar z, 0 = missing.
        floor: (H, W), which pixels show the floor.
        camera: scaled to the map.

    Returns:
        None where the floor is under `FLOOR_SHARE` of the view, or too much of it off the plane.
    """
    row, column = np.nonzero(floor & (depth_m > 0))
    if len(row) < FLOOR_SHARE * depth_m.size:
        return None
    camera = camera.scaled(depth_m.shape[0], depth_m.shape[1])
    # n . P = 1 with P = z (x, y, 1): inverse depth is linear in the pixel.
    x, y = (column + 0.5 - camera.cx) / camera.fx, (row + 0.5 - camera.cy) / camera.fy
    rays = np.stack([x, y, np.ones_like(x)], 1)
    inverse = 1 / depth_m[row, column].astype(np.float64)
    # RANSAC: the plane through three pixels that most of some others lie on, then least squares over all near to it.
    rng = np.random.default_rng(0)
    chosen = rng.integers(len(row), size=(TRIPLES, 3))
    planes = (np.linalg.pinv(rays[chosen]) @ inverse[chosen][..., None])[..., 0]
    some = rng.integers(len(row), size=TRIED)
    lie_on = np.abs(rays[some] @ planes.T - inverse[some, None]) < TOLERANCE * inverse[some, None]
    n = planes[lie_on.sum(0).argmax()]
    near = np.zeros(len(row), bool)
    for _ in range(REFITS):
        near = np.abs(rays @ n - inverse) < TOLERANCE * inverse
        n = np.linalg.lstsq(rays[near], inverse[near])[0]
    if near.mean() < FLAT_SHARE:
        return None
    length = np.linalg.norm(n)
    return float(1 / length), float(np.degrees(np.arcsin(n[2] / length)))


@dataclass(frozen=True)
class Labels:
    """What the labels of a folder say; shares are of 1, absent kinds of labels leave theirs empty."""

    views: int  # read
    pixels: dict[str, float]  # class -> share of the labelled pixels
    images: dict[str, float]  # class -> share of the views that it is in
    unlabelled: float | None  # share of all pixels
    depth_m: list[float]  # QUANTILES over pixels
    floors: int  # views with a floor
    height_m: list[float]  # RANGE over them
    pitch_deg: list[float]


def read_labels(folder: Folder, ids: Sequence[str], crop: Crop = (0, 0, 0, 0)) -> Labels:
    """Read classes and depth of these views; those without are passed over."""
    names = folder.classes or tuple(map(str, range(256)))
    known = np.arange(256) < len(names)
    known[folder.ignore] = False

    def one(id: str) -> tuple[np.ndarray | None, np.ndarray, tuple[float, float] | None]:
        seg, depth = folder.read_seg(id), folder.read_depth(id)
        counts, values, posed = None, np.zeros(0, np.float32), None
        if seg is not None:
            seg = seg[window(seg, crop, folder.root)]
            counts = np.bincount(seg.ravel(), minlength=256)
        if depth is not None:
            full, inner = depth, window(depth, crop, folder.root)
            depth = depth[inner]
            step = max(1, depth.shape[0] // 120)  # a fine map says no more
            values = depth[::step, ::step]
            values = values[values > 0]
            camera = folder.camera_of(id)
            if seg is not None and seg.shape == depth.shape and camera is not None and "floor" in names:
                floor = np.zeros(full.shape, bool)
                floor[inner] = seg == names.index("floor")
                posed = above_floor(full, floor, camera)
        return counts, values, posed

    found = [result for _, result in read_ahead(one, ids, progress=True)]
    per_view = np.array([counts for counts, _, _ in found if counts is not None]).reshape(-1, 256)
    pixels, seen = per_view.sum(0), (per_view > SEEN_SHARE * per_view.sum(1, keepdims=True)).mean(0)
    poses = np.array([posed for _, _, posed in found if posed is not None])
    depths = np.concatenate([values for _, values, _ in found])
    labelled = pixels[known].sum()
    present = np.flatnonzero(known & (pixels > 0))
    return Labels(
        len(found),
        {names[k]: float(pixels[k] / labelled) for k in present},
        {names[k]: float(seen[k]) for k in present},
        float(1 - labelled / pixels.sum()) if len(per_view) else None,
        np.percentile(depths, QUANTILES).tolist() if len(depths) else [],
        len(poses),
        np.percentile(poses[:, 0], RANGE).tolist() if len(poses) else [],
        np.percentile(poses[:, 1], RANGE).tolist() if len(poses) else [],
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An aligned Markdown table: the first column to the left, numbers to the right."""
    widths = [max(3, *map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return f"| {first[0].ljust(first[1])} | " + " | ".join(cell.rjust(width) for cell, width in others) + " |"

    rule = "|" + "-" * (widths[0] + 2) + "|" + "|".join("-" * (width + 1) + ":" for width in widths[1:]) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


def class_table(labels: dict[str, Labels]) -> str:
    """Shares of the classes, those frequent in the last folder first."""
    last = next(reversed(labels.values()))
    everything = dict.fromkeys(name for found in labels.values() for name in found.pixels)
    order = sorted(everything, key=lambda name: -last.pixels.get(name, 0))
    rows = [
        [
            name,
            *(f"{100 * share.get(name, 0):.2f}" for found in labels.values() for share in (found.pixels, found.images)),
        ]
        for name in order
    ]
    rows.append(["(unlabelled)", *(x for f in labels.values() for x in (f"{100 * (f.unlabelled or 0):.2f}", ""))])
    head = [f"{name}, % of {what}" for name in labels for what in ("pixels", "views")]
    return table([f"class (in a view: over {100 * SEEN_SHARE:.1f} %)", *head], rows)


def depth_table(labels: dict[str, Labels]) -> str:
    """Quantiles of depth over pixels."""
    rows = [[name, str(found.views), *(f"{x:.2f}" for x in found.depth_m)] for name, found in labels.items()]
    return table(["depth, m", "views", *(f"{q} %" for q in QUANTILES)], rows)


def camera_table(labels: dict[str, Labels]) -> str:
    """Height above the floor and pitch, over views."""
    rows = [
        [name, str(f.floors), *(f"{x:.2f}" for x in f.height_m), *(f"{x:.1f}" for x in f.pitch_deg)]
        for name, f in labels.items()
    ]
    head = [f"{what}, {q} %" for what in ("height, m", "pitch down, °") for q in RANGE]
    return table(["camera above the floor", "views", *head], rows)
