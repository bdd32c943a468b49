"""Exact labels: one ray through each pixel centre against the room's triangles, in double precision.

The labels never pass through the renderer, so they are the same whatever engine makes the image, and no sample,
filter or shape index stands between a pixel and the face that it shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_NEAR_M = 1e-3


@dataclass(frozen=True)
class Pinhole:
    """Intrinsics in pixels; pixel (row i, column j) is centred at (j + 0.5, i + 0.5)."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def rays(self) -> np.ndarray:
        """(H, W, 3) directions x right, y down, z forward with z = 1, so that ray * planar depth = point."""
        u = (np.arange(self.width) + 0.5 - self.cx) / self.fx
        v = (np.arange(self.height) + 0.5 - self.cy) / self.fy
        return np.stack([*np.meshgrid(u, v), np.ones((self.height, self.width))], -1)

    def resized(self, height: int, width: int) -> Pinhole:
        """The same view at another resolution."""
        sx, sy = width / self.width, height / self.height
        return Pinhole(self.fx * sx, self.fy * sy, self.cx * sx, self.cy * sy, width, height)


@dataclass(frozen=True)
class Pose:
    """Camera to world: position (3,) in metres and axes (3, 3), whose columns are right, up and backwards."""

    position: np.ndarray
    axes: np.ndarray

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """World (N, 3) -> camera x right, y down, z forward."""
        return (points - self.position) @ self.axes * np.array([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class Triangles:
    """All triangles of a room: corners (T, 3, 3) in metres, class ids (T,), the part of each (T,), and whether both of
    its sides are seen (T,)."""

    corners: np.ndarray
    label: np.ndarray
    part: np.ndarray
    two_sided: np.ndarray


def cast(triangles: Triangles, pose: Pose, camera: Pinhole) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the triangle that each pixel centre sees: the nearest one that faces the camera or is two-sided.

    Returns:
        Triangle index (H, W), -1 where there is none; planar depth in metres (H, W), inf where there is none; and the
        unit normals (H, W, 3) there in the camera frame x right, y up, z towards the viewer, 0 where there is none.
    """
    index = np.full(camera.height * camera.width, -1, dtype=np.int64)
    depth = np.full(camera.height * camera.width, np.inf)
    p = pose.to_camera(triangles.corners.reshape(-1, 3)).reshape(-1, 3, 3)
    bounds = _pixel_bounds(p, camera)
    seen = np.flatnonzero((bounds[:, 0] < bounds[:, 2]) & (bounds[:, 1] < bounds[:, 3]))
    a, b, c = p[seen, 0], p[seen, 1], p[seen, 2]
    # y down and z forward is a turn, not a mirror image: outward normals stay outward, and face the viewer where < 0.
    volume = np.einsum("tk,tk->t", a, np.cross(b - a, c - a))
    away = (volume > 0) & triangles.two_sided[seen]
    b, c, volume = np.where(away[:, None], c, b), np.where(away[:, None], b, c), np.where(away, -volume, volume)
    front = volume < 0
    seen, bounds, volume, a, b, c = (x[front] for x in (seen, bounds[seen], volume, a, b, c))
    # A ray r meets the triangle where r . (b x c), r . (c x a) and r . (a x b) have one sign; their sum is r . normal.
    edges = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], 1)  # (S, 3, 3)
    rays = camera.rays().reshape(-1, 3)
    extent = np.maximum(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1])
    smaller = 0
    for side in _PATCHES:
        group = np.flatnonzero((extent > smaller) & (extent <= side))
        for chunk in np.array_split(group, max(1, len(group) * side * side // 400_000)):
            _cast_patches(chunk, side, bounds, edges, volume, rays, camera.width, index, depth)
        smaller = side
    _cast_large(np.flatnonzero(extent > smaller), bounds, edges, volume, rays, camera, index, depth)
    hit = index >= 0
    normals = np.zeros((len(index), 3))
    n = np.cross(b - a, c - a)[index[hit]]
    normals[hit] = n / np.linalg.norm(n, axis=1, keepdims=True) * np.array([1.0, -1.0, -1.0])
    index[hit] = seen[index[hit]]
    shape = (camera.height, camera.width)
    return index.reshape(shape), depth.reshape(shape), normals.reshape(*shape, 3)


_PATCHES = (1, 3, 8, 20)  # triangles up to these extents in pixels are tested together


def _cast_large(
    group: np.ndarray,
    bounds: np.ndarray,
    edges: np.ndarray,
    volume: np.ndarray,
    rays: np.ndarray,
    camera: Pinhole,
    index: np.ndarray,
    depth: np.ndarray,
) -> None:
    """Test large triangles one by one, each against its rectangle of pixels; updates index and depth."""
    shape = (camera.height, camera.width)
    index2d, depth2d = index.reshape(shape), depth.reshape(shape)
    u, v = rays[: camera.width, 0], rays[:: camera.width, 1]
    for t in group:
        x0, y0, x1, y1 = bounds[t]
        # Edge functions are affine in u and v, and so is their sum: an outer sum of a row and a column each.
        across, down = edges[t, :, :1] * u[x0:x1], edges[t, :, 1:2] * v[y0:y1] + edges[t, :, 2:]
        e0, e1, e2 = (across[k, None, :] + down[k, :, None] for k in range(3))  # (h, w) each
        hit = (np.maximum(np.maximum(e0, e1), e2) <= 0) & (e0 + e1 + e2 < 0)
        rows, columns = np.nonzero(hit)
        z = volume[t] / (e0[rows, columns] + e1[rows, columns] + e2[rows, columns])
        rows, columns = rows + y0, columns + x0
        nearer = (z > _NEAR_M) & (z < depth2d[rows, columns])
        rows, columns = rows[nearer], columns[nearer]
        depth2d[rows, columns] = z[nearer]
        index2d[rows, columns] = t


def _pixel_bounds(p: np.ndarray, camera: Pinhole) -> np.ndarray:
    """(T, 4) half-open pixel rectangles x0, y0, x1, y1; the whole image for triangles that cross the camera plane."""
    z = p[:, :, 2]
    crossing = (z <= _NEAR_M).any(1)
    safe = np.where(z > _NEAR_M, z, 1.0)
    x = p[:, :, 0] / safe * camera.fx + camera.cx
    y = p[:, :, 1] / safe * camera.fy + camera.cy
    low = np.stack([x.min(1), y.min(1)], 1)
    high = np.stack([x.max(1), y.max(1)], 1)
    size = np.array([camera.width, camera.height])
    # One pixel of slack: the edge functions decide, the rectangle only saves work.
    lo = np.clip(np.floor(low - 0.5), 0, size).astype(np.int64)
    hi = np.clip(np.ceil(high + 0.5), 0, size).astype(np.int64)
    lo[crossing], hi[crossing] = 0, size
    hi[(z <= _NEAR_M).all(1)] = 0
    return np.concatenate([lo, hi], 1)


def _cast_patches(
    group: np.ndarray,
    side: int,
    bounds: np.ndarray,
    edges: np.ndarray,
    volume: np.ndarray,
    rays: np.ndarray,
    width: int,
    index: np.ndarray,
    depth: np.ndarray,
) -> None:
    """Test many small triangles at once, each against a side x side patch of pixels; updates index and depth."""
    if not len(group):
        return
    step = np.arange(side)
    x = bounds[group, 0, None, None] + step[None, None, :]
    y = bounds[group, 1, None, None] + step[None, :, None]
    inside = (x < bounds[group, 2, None, None]) & (y < bounds[group, 3, None, None])
    which, row, column = np.nonzero(inside)
    triangle = group[which]
    pixel = y[which, row, 0] * width + x[which, 0, column]
    side_of = np.einsum("nk,njk->nj", rays[pixel], edges[triangle])
    hit = (side_of <= 0).all(1)
    triangle, pixel = triangle[hit], pixel[hit]
    with np.errstate(divide="ignore", invalid="ignore"):
        z = volume[triangle] / side_of[hit].sum(1)
    valid = (z > _NEAR_M) & (z < depth[pixel])
    triangle, pixel, z = triangle[valid], pixel[valid], z[valid]
    order = np.lexsort((triangle, z, pixel))
    pixel, first = np.unique(pixel[order], return_index=True)
    nearest = order[first]
    depth[pixel], index[pixel] = z[nearest], triangle[nearest]
