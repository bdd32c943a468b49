"""Exact labels: one ray through each pixel centre against the room's triangles.

Embree finds the triangle in single precision; where the ray meets its plane is computed in double precision. The labels
never pass through the renderer, so they are the same whatever engine makes the image, and no sample, filter or shape
index stands between a pixel and the face that it shows.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from umadapt.data.camera import Camera
from umadapt.errors import UserError

_NEAR_M = 1e-3


def require_embree() -> None:
    """Raise UserError where Embree is not installed."""
    if importlib.util.find_spec("embreex") is None:
        raise UserError("rendering needs Embree, which is not installed; type: pip install embreex")


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

    @cached_property
    def tree(self) -> Any:
        """Embree's scene of them, built once."""
        require_embree()
        scene = importlib.import_module("embreex.rtcore_scene").EmbreeScene(robust=True)
        importlib.import_module("embreex.mesh_construction").TriangleMesh(scene, self.corners.astype(np.float32))
        return scene

    def first_hit(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """(N,) the triangle that each ray (N, 3) from a point (3,) meets first, whichever side; -1 for none."""
        # Arrays of Embree's own: it takes the rows of a broadcast for one row in memory.
        return self.tree.run(np.float32(origin + _NEAR_M * rays), np.float32(rays)).astype(np.int64)

    def seen_from(self, point: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """Indices of the triangles that turn a side that is seen to a point, and that rays (N, 3) from it may meet:
        those whose bounding spheres reach into a cone around the rays."""
        corners = self.corners - point
        a, b, c = np.moveaxis(corners, 1, 0)
        front = self.two_sided | (np.einsum("tk,tk->t", np.cross(b - a, c - a), a) < 0)
        rays = rays / np.linalg.norm(rays, axis=1, keepdims=True)
        axis = rays.mean(0) / np.linalg.norm(rays.mean(0))
        centre = corners.mean(1)
        far_m = np.maximum(np.linalg.norm(centre, axis=1), 1e-9)
        radius_m = np.linalg.norm(corners - centre[:, None], axis=2).max(1)
        reach = np.where(radius_m < far_m, np.arcsin(np.minimum(radius_m / far_m, 1)), np.pi)
        spread = np.arccos(np.clip(rays @ axis, -1, 1)).max() + 1e-6
        return np.flatnonzero(front & (np.arccos(np.clip(centre @ axis / far_m, -1, 1)) <= spread + reach))

    def take(self, chosen: np.ndarray) -> Triangles:
        """Those at the indices (M,)."""
        return Triangles(self.corners[chosen], self.label[chosen], self.part[chosen], self.two_sided[chosen])


def cast(triangles: Triangles, pose: Pose, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the triangle that each pixel centre sees: the nearest one that faces the camera or is two-sided.

    Returns:
        Triangle index (H, W), -1 where there is none; planar depth in metres (H, W), inf where there is none; and the
        unit normals (H, W, 3) there in the camera frame x right, y up, z towards the viewer, 0 where there is none.

    Raises:
        UserError: Embree is not installed.
    """
    rays = (camera.rays() * [1.0, -1.0, -1.0] @ pose.axes.T).reshape(-1, 3)  # world; planar depth is the parameter
    index = triangles.first_hit(pose.position, rays)
    normal, depth_m = _plane(triangles, index, pose, rays)
    hidden = (index >= 0) & ~triangles.two_sided[index] & (np.einsum("nk,nk->n", normal, rays) >= 0)
    if hidden.any():  # the inside of something closed, which is not seen: look again, at what faces the camera alone
        front = triangles.seen_from(pose.position, rays[hidden])
        index[hidden] = -1
        if len(front):
            again = triangles.take(front).first_hit(pose.position, rays[hidden])
            index[hidden] = np.where(again >= 0, front[again], -1)
        normal, depth_m = _plane(triangles, index, pose, rays)
    normal *= -np.sign(np.einsum("nk,nk->n", normal, rays))[:, None]
    shape = (camera.height, camera.width)
    return index.reshape(shape), depth_m.reshape(shape), (normal @ pose.axes).reshape(*shape, 3)


def _plane(triangles: Triangles, index: np.ndarray, pose: Pose, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The unit normals (N, 3) of the triangles that rays have met, as they are wound, and where the rays meet their
    planes (N,); 0 and inf for rays that meet none."""
    hit = index >= 0
    a, b, c = np.moveaxis(triangles.corners[index[hit]], 1, 0)
    normal, way = np.zeros(rays.shape), np.full(len(rays), np.inf)
    n = np.cross(b - a, c - a)
    normal[hit] = n / np.linalg.norm(n, axis=1, keepdims=True)
    slope = np.einsum("nk,nk->n", normal[hit], rays[hit])
    with np.errstate(divide="ignore", invalid="ignore"):  # seen edge-on to the last bit: nowhere
        way[hit] = np.nan_to_num(np.einsum("nk,nk->n", normal[hit], a - pose.position) / slope, nan=np.inf)
    return normal, way
