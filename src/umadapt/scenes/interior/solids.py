"""What of its box a piece of furniture really fills, so that chairs go under tables and things lie on beds."""

from __future__ import annotations

import numpy as np

from umadapt.scenes.shapes import Item, Top

_CELL_M = 0.07
_KNEE_M = 0.55  # what begins higher than this leaves room for a seat below
_MOST = 32


def solids(item: Item) -> np.ndarray:
    """(N, 6) boxes x0, x1, y0, y1, z0, z1 in the item's frame that hold its mesh.

    Between the tops of an item and what hangs or stands well above them there is nothing; within such a layer the boxes
    are disjoint in plan.
    """
    corners = np.concatenate([p.vertices[p.faces] for p in item.parts])  # (T, 3, 3)
    lowest = corners[..., 2].min(1)
    cuts = np.unique([z for t in item.tops for z in (t.z - 0.08, t.z + min(0.2, 0.6 * t.headroom))])
    layer = np.searchsorted(cuts, lowest, side="right")
    lo, hi, n = _cells(item)
    flat = np.unique([t.z for t in item.tops])
    boxes = [_boxes(corners[layer == k], lo, hi, n, flat, _KNEE_M if k == 0 else 0.0) for k in np.unique(layer)]
    return np.concatenate(boxes)


def _boxes(
    corners: np.ndarray, lo: np.ndarray, hi: np.ndarray, n: np.ndarray, flat: np.ndarray, knee_m: float
) -> np.ndarray:
    tlo, thi = corners.min(1), corners.max(1)
    cell = (hi - lo) / n
    first = np.clip(np.floor((tlo[:, :2] - lo) / cell + 1e-6), 0, n - 1).astype(np.int64)
    last = np.clip(np.ceil((thi[:, :2] - lo) / cell - 1e-6) - 1, first, n - 1).astype(np.int64)
    # One row for each cell that each triangle's box touches.
    span = last - first + 1
    count = span.prod(1)
    t = np.repeat(np.arange(len(corners)), count)
    k = np.arange(len(t)) - np.repeat(np.cumsum(count) - count, count)
    x, y = first[t, 0] + k % span[t, 0], first[t, 1] + k // span[t, 0]
    box = np.full((n[0], n[1], 6), np.inf) * [1, -1, 1, -1, 1, -1]
    for axis, c in enumerate((x, y)):
        np.minimum.at(box[..., 2 * axis], (x, y), np.maximum(tlo[t, axis], lo[axis] + c * cell[axis]))
        np.maximum.at(box[..., 2 * axis + 1], (x, y), np.minimum(thi[t, axis], lo[axis] + (c + 1) * cell[axis]))
    np.minimum.at(box[..., 4], (x, y), tlo[t, 2])
    np.maximum.at(box[..., 5], (x, y), thi[t, 2])
    box[..., 4] = np.where(box[..., 4] < knee_m, 0.0, box[..., 4])
    for step in (0.05, 0.1, 0.2, 0.5, 3.0):
        boxes = _merged(box, flat, step)
        if len(boxes) <= _MOST:
            return boxes
    return _hull(box)[None]


def _cells(item: Item) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    points = np.concatenate([p.vertices[:, :2] for p in item.parts])
    lo, hi = points.min(0) - 1e-6, points.max(0) + 1e-6
    return lo, hi, np.clip(np.round((hi - lo) / _CELL_M), 1, 24).astype(np.int64)


def _merged(box: np.ndarray, flat: np.ndarray, step: float) -> np.ndarray:
    """Rectangles of cells whose tops and bottoms agree to a step of so many metres; those as high as a top apart."""
    empty = ~np.isfinite(box[..., 5])
    level = np.where(empty, -1, np.ceil(np.where(empty, 0, box[..., 5]) / step) * 2 + (box[..., 4] > 0))
    for k, z in enumerate(flat):
        level[np.abs(box[..., 5] - z) < 1e-4] = 10_000 + k
    return np.array([_hull(box[a:b, c:d]) for a, b, c, d in rectangles(level)])


def _hull(cells: np.ndarray) -> np.ndarray:
    flat = cells.reshape(-1, 6)
    return np.stack([flat.min(0), flat.max(0)], 1)[np.arange(6), np.arange(6) % 2]


def rectangles(level: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Cut a map of numbers into half-open rectangles (row, row, column, column) of equal ones; -1 is left out."""
    left, out = level >= 0, []
    for i, j in np.ndindex(*level.shape):
        if not left[i, j]:
            continue
        same = left & (level == level[i, j])
        b = j + 1
        while b < level.shape[1] and same[i, b]:
            b += 1
        a = i + 1
        while a < level.shape[0] and same[a, j:b].all():
            a += 1
        left[i:a, j:b] = False
        out.append((i, a, j, b))
    return out


def flat_top(item: Item) -> list[Top]:
    """The largest free rectangle of an item's uppermost flat surface, found in its mesh; [] when there is none."""
    h = max(float(p.vertices[:, 2].max()) for p in item.parts)
    corners = np.concatenate([p.vertices[p.faces] for p in item.parts])
    upper = corners[(corners[..., 2] > h - 0.03).all(1)]
    area = np.abs(_cross((upper[:, 1] - upper[:, 0])[:, :2], (upper[:, 2] - upper[:, 0])[:, :2]))
    a, b, c = upper[np.argsort(-area)[:600]].transpose(1, 0, 2)  # the rest are rounded edges
    lo, hi, n = _cells(item)
    x, y = (lo[k] + (np.arange(n[k]) + 0.5) * (hi[k] - lo[k]) / n[k] for k in (0, 1))
    p = np.stack(np.meshgrid(x, y, indexing="ij"), -1).reshape(-1, 1, 2)
    side = [_cross(p - u[:, :2], (v - u)[:, :2]) for u, v in ((a, b), (b, c), (c, a))]
    flat = _cross((b - a)[:, :2], (c - a)[:, :2])
    inside = ((np.stack(side) >= -1e-9).all(0) | (np.stack(side) <= 1e-9).all(0)) & (np.abs(flat) > 1e-7)
    i, j, k, m = _largest(inside.any(1).reshape(n[0], n[1]))
    cell = (hi - lo) / n
    low, high = lo + cell * (i + 0.5, k + 0.5), lo + cell * (j - 0.5, m - 0.5)
    if (high - low < 0.12).any():
        return []
    return [Top((float(low[0]), float(low[1])), (float(high[0]), float(high[1])), h)]


def _largest(free: np.ndarray) -> tuple[int, int, int, int]:
    """The half-open rectangle (row, row, column, column) of most free cells."""
    best, area = (0, 0, 0, 0), 0
    for i in range(len(free)):
        for j in range(i + 1, len(free) + 1):
            edge = np.flatnonzero(np.diff(np.concatenate([[0], free[i:j].all(0), [0]]).astype(np.int8)))
            for k, m in zip(edge[::2], edge[1::2], strict=True):
                if (j - i) * (m - k) > area:
                    best, area = (i, j, int(k), int(m)), (j - i) * (m - k)
    return best


def _cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
