"""Surface normals from a depth map: a plane fitted around each pixel. numpy only.

With x = (column - cx) / fx and y = (row - cy) / fy, the points of a plane n . P = 1 have 1 / z = n_x x + n_y y + n_z:
inverse depth is *affine* in the pixel, so a plane fit is a linear regression whose regressors are the same everywhere.
"""

from __future__ import annotations

import numpy as np

from umadapt.data.folder import Camera

METHOD = 1  # raise it when the same depth gives other normals: kept ones are then made anew
WINDOW, WINDOW_HEIGHT = 21, 480  # interfaces: 21x21 at 480x640
# OURS: a neighbour counts when its depth lies this near, relative to the centre's: first to the centre's own depth
# (steep floors need the slack), then to the plane fitted so far. Three passes leave what lies beyond a depth edge out.
TOLERANCES = (0.10, 0.04, 0.02)
COARSE_M = 0.010  # depth stored in coarser steps than this is smoothed within its steps first
ROWS = 16  # rows handled at once: the work arrays stay in the cache


def _shift(x: np.ndarray, dy: int, dx: int, fill: float) -> np.ndarray:
    """y[i, j] = x[i + dy, j + dx], `fill` outside."""
    out = np.full_like(x, fill)
    h, w = x.shape
    if abs(dy) < h and abs(dx) < w:
        out[max(0, -dy) : h - max(0, dy), max(0, -dx) : w - max(0, dx)] = x[
            max(0, dy) : h - max(0, -dy), max(0, dx) : w - max(0, -dx)
        ]
    return out


def quantum(depth_m: np.ndarray) -> float:
    """The step in metres that depth is stored in, to the millimetre: the median gap of the values present.

    0 unless a quarter of the pixels equal their neighbours: fine depth of few pixels has gaps too, but no terraces.
    """
    level = np.abs(np.diff(depth_m, axis=0))[:, 1:] + np.abs(np.diff(depth_m, axis=1))[1:] < 0.0005
    values = depth_m[(depth_m > 0) & (depth_m < 65)]
    levels = np.flatnonzero(np.bincount(np.round(values * 1000).astype(np.int64)))
    if len(levels) < 2 or level[depth_m[1:, 1:] > 0].mean() < 0.25:
        return 0.0
    return float(np.median(np.diff(levels))) / 1000


def _dequantise(depth_m: np.ndarray, step_m: float) -> np.ndarray:
    """Smooth terraces into slopes without leaving any pixel's own step.

    OURS: NYUDv2's 39 mm steps at 3 m are as high as a 20 degree slope rises over the whole window, so that a plane fit
    alone is off by 10 degrees and more. Each pixel moves to the mean of two opposite neighbours (straight ramps stay
    as they are) if both are within a step and a half of it, so never across a depth edge, and is clamped to its step.
    """
    half = step_m / 2
    low, high = depth_m - half, depth_m + half
    smooth = depth_m.copy()
    for distance, passes in ((24, 3), (16, 4), (8, 6), (4, 6), (2, 6), (1, 4)):
        pairs = []
        for dy, dx in ((0, distance), (distance, 0)):
            near = [np.abs(_shift(depth_m, s * dy, s * dx, -1.0) - depth_m) < 1.5 * step_m for s in (1, -1)]
            pairs.append((dy, dx, near[0] & near[1] & (depth_m > 0)))
        for _ in range(passes):
            for dy, dx, usable in pairs:
                middle = (_shift(smooth, dy, dx, 0.0) + _shift(smooth, -dy, -dx, 0.0)) / 2
                smooth = np.where(usable, np.clip((middle + smooth) / 2, low, high), smooth)
    return smooth


def _solve(m: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Solve the symmetric 3x3 systems of regressors (1, dx, dy): moments m (6, N), right sides v (3, N).

    Gives coefficients (3, N) and whether each system is well conditioned (N,).
    """
    n, sx, sy, xx, xy, yy = m
    count = np.maximum(n, 1)
    cxx, cxy, cyy = xx - sx * sx / count, xy - sx * sy / count, yy - sy * sy / count  # central moments
    vx, vy = v[1] - v[0] * sx / count, v[2] - v[0] * sy / count
    det = cxx * cyy - cxy * cxy
    # Points on a line have det 0 and fix no plane; a full window has cxx = cyy, det = cxx * cyy.
    good = det > 0.02 * (cxx + cyy) ** 2 / 4
    det = np.where(good, det, 1)
    a, b = (vx * cyy - vy * cxy) / det, (vy * cxx - vx * cxy) / det
    return np.stack([(v[0] - a * sx - b * sy) / count, a, b]), good


def normals_from_depth(depth_m: np.ndarray, camera: Camera, window: int | None = None) -> np.ndarray:
    """(H, W) metres, planar z, 0 = missing -> (H, W, 3) float32 unit normals, x right, y up, z to the viewer; 0 = none.

    `camera` is scaled to the map. `window` is the side in pixels, odd; by default 21 at 480 rows and in proportion, at
    least 5. Missing pixels are skipped and get no normal; so do those with under a fifth of a window on their surface.
    """
    height, width = depth_m.shape
    camera = camera.scaled(height, width)
    radius = window // 2 if window else max(2, round((WINDOW - 1) / 2 * height / WINDOW_HEIGHT))
    stride = 2 if radius >= 6 else 1  # OURS: every other pixel of a wide window says as much, in a quarter of the time
    depth_m = np.where(np.isfinite(depth_m) & (depth_m > 0), depth_m, 0).astype(np.float32)
    step_m = quantum(depth_m)
    if step_m >= COARSE_M:
        depth_m = _dequantise(depth_m, step_m + 0.001)  # stored steps are rounded to whole millimetres

    offsets = np.arange(-(radius // stride) * stride, radius + 1, stride)
    dy, dx = (grid.ravel() for grid in np.meshgrid(offsets, offsets, indexing="ij"))
    ones = np.ones(len(dx))
    basis = np.stack([ones, dx, dy]).astype(np.float32)  # (3, K)
    moments = np.stack([ones, dx, dy, dx * dx, dx * dy, dy * dy]).astype(np.float32)  # (6, K)
    away = np.float32(-1e6)  # the inverse depth of a hole: near to nothing
    inverse = np.full((height + 2 * radius, width + 2 * radius), away, np.float32)
    inner = inverse[radius : radius + height, radius : radius + width]
    np.divide(1, depth_m, out=inner, where=depth_m > 0)

    x = ((np.arange(width) + 0.5 - camera.cx) / camera.fx).astype(np.float32)
    normals = np.zeros((height, width, 3), np.float32)
    for top in range(0, height, ROWS):
        rows = min(ROWS, height - top)
        centre = inner[top : top + rows]  # (rows, W)
        apart = np.empty((len(dx), rows, width), np.float32)  # inverse depth beyond the centre's
        for k, (j, i) in enumerate(zip(dx, dy, strict=True)):
            shifted = inverse[radius + top + i : radius + top + i + rows, radius + j : radius + j + width]
            np.subtract(shifted, centre, out=apart[k])
        apart = apart.reshape(len(dx), -1)  # (K, N)
        d = centre.ravel()
        plane, good = np.zeros((3, d.size), np.float32), d > 0
        for tolerance in TOLERANCES:
            residual = apart - basis.T @ plane if plane.any() else apart
            # d(1/z) / (1/z) = -dz / z: the same relative tolerance; at least one step of coarse depth.
            limit = np.maximum(tolerance, step_m * np.abs(d)) * np.abs(d)
            near = (np.abs(residual) < limit).astype(np.float32)
            m = moments @ near
            plane, solvable = _solve(m, basis @ (near * apart))
            good &= solvable & (m[0] >= 0.2 * len(dx))
            plane *= good
        c, a, b = plane
        a, b = a * camera.fx, b * camera.fy  # a pixel is 1 / fx wide
        y = np.repeat(((np.arange(top, top + rows) + 0.5 - camera.cy) / camera.fy).astype(np.float32), width)
        # n . P = 1 > 0 points away from the viewer; turned to face it, and from y down, z forward to y up, z back.
        n = np.stack([-a, b, d + c - a * np.tile(x, rows) - b * y], axis=-1)
        n = n / np.linalg.norm(n, axis=-1, keepdims=True) * good[:, None]
        normals[top : top + rows] = n.reshape(rows, width, 3)
    return normals
