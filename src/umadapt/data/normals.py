"""Surface normals from a depth map: a plane fitted around each pixel. numpy only.

With x = (column - cx) / fx and y = (row - cy) / fy, the points of a plane n . P = 1 have 1 / z = n_x x + n_y y + n_z:
inverse depth is *affine* in the pixel, so a plane fit is a linear regression whose regressors are the same everywhere.

Sums over whole windows are separable, and where all of a window lies near the plane of its points, as three in four do,
that is the answer. Only windows that hold something else are gathered point by point.
"""

from __future__ import annotations

import numpy as np

from umadapt.data.camera import Camera
from umadapt.data.terraces import quantum, smooth_terraces

METHOD = 2  # raise it when the same depth gives other normals: kept ones are then made anew
WINDOW, WINDOW_HEIGHT = 21, 480  # interfaces: 21x21 at 480x640
# OURS: a neighbour counts when its depth lies this near, relative to the centre's: first to the centre's own depth
# (steep floors need the slack), then to the plane fitted so far. Three passes leave what lies beyond a depth edge out.
TOLERANCES = (0.10, 0.04, 0.02)
COARSE_M = 0.010  # depth stored in coarser steps than this is smoothed within its steps first
LEAST = 0.2  # share of a window that fixes a plane
PIXELS, POINTS = 10_000, 120_000  # handled at once, of whole and of gathered windows: the work arrays stay in the cache

Planes = tuple[np.ndarray, np.ndarray]  # inverse depth (3, N): less the centre's, a column, a row; fixed or not (N,)


def normals_from_depth(depth_m: np.ndarray, camera: Camera, window: int | None = None) -> np.ndarray:
    """(H, W) metres, planar z, 0 = missing -> (H, W, 3) float32 unit normals, x right, y up, z to the viewer; 0 = none.

    `camera` is scaled to the map. `window` is the side in pixels, odd; by default 21 at 480 rows and in proportion, at
    least 5. Missing pixels are skipped and get no normal; so do those with under a fifth of a window on their surface.
    """
    height, width = depth_m.shape
    radius = window // 2 if window else max(2, round((WINDOW - 1) / 2 * height / WINDOW_HEIGHT))
    depth_m = np.where(np.isfinite(depth_m) & (depth_m > 0), depth_m, 0).astype(np.float32)
    step_m = quantum(depth_m)
    if step_m >= COARSE_M:
        depth_m = smooth_terraces(depth_m, step_m + 0.001)  # stored steps are rounded to whole millimetres
    windows = _Windows(depth_m, radius, step_m)
    planes, good = windows.fit_whole()
    good &= windows.hold(planes)
    rest = np.flatnonzero((depth_m.ravel() > 0) & ~good)
    planes[:, rest], good[rest] = windows.fit_gathered(rest)
    return _to_normals(planes, good, windows.centre, camera.scaled(height, width))


class _Windows:
    """The windows around the pixels of a depth map (H, W): K points each, at every offset in both directions."""

    def __init__(self, depth_m: np.ndarray, radius: int, step_m: float):
        stride = 2 if radius >= 6 else 1  # OURS: every other pixel of a wide window says as much, in a quarter the time
        reach = self.reach = radius // stride * stride
        self.offsets = range(-reach, reach + 1, stride)
        self.step_m = np.float32(step_m)
        self.shape = height, width = depth_m.shape
        self.padded = np.zeros((height + 2 * reach, width + 2 * reach), np.float32)  # inverse depth, 0 = none
        self.centre = self.padded[reach : reach + height, reach : reach + width]
        np.divide(1, depth_m, out=self.centre, where=depth_m > 0)

    def limit(self, inverse: np.ndarray, tolerance: float) -> np.ndarray:
        """How far inverse depth may be off. d(1/z) / (1/z) = -dz / z: the same relative tolerance; at least one step of
        coarse depth."""
        return np.maximum(np.float32(tolerance), self.step_m * inverse) * inverse

    def fit_whole(self) -> Planes:
        """The plane of all points of each window."""
        offsets = self.offsets
        n, x, xx = _sums((self.padded > 0).astype(np.float32), offsets, 1, 2)  # (H + 2 reach, W), along rows
        z, zx = _sums(self.padded, offsets, 1, 1)
        (n, y, yy), (x, xy), (xx,) = _sums(n, offsets, 0, 2), _sums(x, offsets, 0, 1), _sums(xx, offsets, 0, 0)
        (z, zy), (zx,) = _sums(z, offsets, 0, 1), _sums(zx, offsets, 0, 0)
        moments = np.stack([n, x, y, xx, xy, yy]).reshape(6, -1)
        right = np.stack([z, zx, zy]).reshape(3, -1) - self.centre.ravel() * moments[:3]
        return _solve(moments, right, LEAST * len(offsets) ** 2)

    def hold(self, planes: np.ndarray) -> np.ndarray:
        """(N,) whether all points of a window lie within the last tolerance of its plane (3, N)."""
        height, width = self.shape
        known = np.where(self.padded > 0, self.padded, np.float32(np.nan))
        c, a, b = planes.reshape(3, height, width)
        limit = self.limit(self.centre, TOLERANCES[-1])
        held = np.empty(self.shape, bool)
        rows = max(1, PIXELS // width)
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            block = slice(top, bottom)
            start, stride = self.centre[block] + c[block] - a[block] * self.reach, a[block] * self.offsets.step
            worst, residual = np.zeros_like(start), np.empty_like(start)
            for dy in self.offsets:
                fitted = start + b[block] * dy
                for dx in self.offsets:
                    left = self.reach + dx
                    np.subtract(fitted, known[self.reach + dy :][block, left : left + width], out=residual)
                    np.abs(residual, out=residual)
                    np.fmax(worst, residual, out=worst)  # NaN is passed over
                    fitted += stride
            held[block] = worst < limit[block]
        return held.ravel()

    def fit_gathered(self, pixels: np.ndarray) -> Planes:
        """The planes of the surfaces that these pixels (N,) lie on, of the points of their windows that do too."""
        row, column = np.divmod(pixels, self.shape[1])
        places = (row + self.reach) * self.padded.shape[1] + column + self.reach
        dy, dx = (grid.ravel() for grid in np.meshgrid(self.offsets, self.offsets, indexing="ij"))
        affine = np.stack([np.ones_like(dx), dx, dy]).astype(np.float32)  # (3, K)
        squares = np.stack([*affine, dx * dx, dx * dy, dy * dy]).astype(np.float32)  # (6, K)
        jumps = (dy * self.padded.shape[1] + dx)[:, None]
        inverse = np.where(self.padded > 0, self.padded, np.float32(-1e6)).ravel()  # a hole is near to nothing
        planes, good = np.empty((3, len(pixels)), np.float32), np.empty(len(pixels), bool)
        for begin in range(0, len(pixels), POINTS // len(dx)):
            block = slice(begin, begin + POINTS // len(dx))
            centre = inverse[places[block]]
            apart = inverse[places[block] + jumps]  # (K, block)
            apart -= centre
            plane, sound = np.zeros((3, len(centre)), np.float32), np.ones(len(centre), bool)
            for tolerance in TOLERANCES:
                residual = affine.T @ plane
                residual -= apart
                near = (np.abs(residual, out=residual) < self.limit(centre, tolerance)).astype(np.float32)
                moments = squares @ near
                near *= apart
                plane, solvable = _solve(moments, affine @ near, LEAST * len(dx))
                sound &= solvable
                plane *= sound
            planes[:, block], good[block] = plane, sound
        return planes, good


def _sums(padded: np.ndarray, offsets: range, axis: int, highest: int) -> list[np.ndarray]:
    """Sums of offset ** power * padded[pixel + offset] along an axis, which loses its padding; powers 0 to highest."""
    along = padded if axis == 0 else padded.T
    reach = offsets[-1]
    here = along[reach : len(along) - reach]
    sums = [here.copy(order="K"), *(np.zeros_like(here) for _ in range(highest))]
    for offset in offsets[len(offsets) // 2 + 1 :]:
        after = along[reach + offset : len(along) - reach + offset]
        before = along[reach - offset : len(along) - reach - offset]
        for power, total in enumerate(sums):
            pair = after - before if power % 2 else after + before
            pair *= offset**power
            total += pair
    return sums if axis == 0 else [total.T for total in sums]


def _solve(m: np.ndarray, v: np.ndarray, least: float) -> Planes:
    """Solve the symmetric 3x3 systems of regressors (1, dx, dy): moments m (6, N), right sides v (3, N).

    Fixed are those with `least` points and a well-conditioned system.
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
    return np.stack([(v[0] - a * sx - b * sy) / count, a, b]), good & (n >= least)


def _to_normals(planes: np.ndarray, good: np.ndarray, centre: np.ndarray, camera: Camera) -> np.ndarray:
    """(H, W, 3) unit normals of planes around pixels with inverse depth `centre` (H, W); 0 where not `good`."""
    height, width = centre.shape
    x = ((np.arange(width) + 0.5 - camera.cx) / camera.fx).astype(np.float32)
    y = ((np.arange(height) + 0.5 - camera.cy) / camera.fy).astype(np.float32)[:, None]
    c, a, b = (planes * good).reshape(3, height, width)
    a, b = a * np.float32(camera.fx), b * np.float32(camera.fy)  # a pixel is 1 / fx wide
    # n . P = 1 > 0 points away from the viewer; turned to face it, and from y down, z forward to y up, z back.
    n = np.stack([-a, b, centre + c - a * x - b * y], axis=-1)
    length = np.sqrt(np.einsum("hwc,hwc->hw", n, n))
    n *= np.divide(good.reshape(height, width), length, out=np.zeros_like(length), where=length > 0)[..., None]
    return n
