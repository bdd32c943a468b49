"""The label caster against analytic scenes and against a brute-force ray test."""

from __future__ import annotations

import numpy as np
import pytest

from umadapt.scenes.labels import Pose, Triangles, cast
from umadapt.scenes.views import look, nyu_camera

CAMERA = nyu_camera(48, 64)


def triangles(corners: np.ndarray, two_sided: bool = False) -> Triangles:
    count = np.arange(len(corners))
    return Triangles(corners, 0 * count, count, np.full(len(corners), two_sided))


def plane(point: np.ndarray, normal: np.ndarray, half_m: float = 50.0) -> Triangles:
    """Two triangles: a large square through `point` whose front looks along `normal`."""
    normal = normal / np.linalg.norm(normal)
    u = np.cross(normal, [0.3, 0.5, 0.8])
    u /= np.linalg.norm(u)
    v = np.cross(normal, u)
    c = [point + half_m * (a * u + b * v) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    return triangles(np.array([[c[0], c[1], c[2]], [c[0], c[2], c[3]]]))


def test_wall_at_a_known_distance() -> None:
    pose = look(np.array([1.0, 2.0, 1.5]), yaw_deg=0, pitch_deg=0, roll_deg=0)  # looks along world +y
    index, depth_m, normals = cast(plane(np.array([0.0, 5.5, 0.0]), np.array([0.0, -1.0, 0.0])), pose, CAMERA)
    assert (index >= 0).all()
    np.testing.assert_allclose(depth_m, 3.5, rtol=1e-12)  # planar z, not along the ray
    np.testing.assert_allclose(normals, np.broadcast_to([0.0, 0.0, 1.0], (48, 64, 3)), atol=1e-12)


def test_tilted_plane_and_turned_camera() -> None:
    pose = look(np.array([0.2, -0.4, 1.3]), yaw_deg=40, pitch_deg=18, roll_deg=-3)
    point, normal = np.array([-2.0, 2.0, 0.5]), np.array([0.5, -0.7, 0.6])
    index, depth_m, normals = cast(plane(point, normal), pose, CAMERA)
    rays = CAMERA.rays() * [1, -1, -1] @ pose.axes.T  # world
    expected = (point - pose.position) @ normal / (rays @ normal)
    seen = index >= 0
    assert seen.mean() > 0.5
    np.testing.assert_array_equal(seen, expected > 0)
    np.testing.assert_allclose(depth_m[seen], expected[seen], rtol=1e-9)
    in_camera = normal / np.linalg.norm(normal) @ pose.axes
    np.testing.assert_allclose(normals[seen], np.broadcast_to(in_camera, (seen.sum(), 3)), atol=1e-12)


def test_camera_axes() -> None:
    pose = look(np.zeros(3), yaw_deg=0, pitch_deg=10, roll_deg=0)
    np.testing.assert_allclose(pose.axes.T @ pose.axes, np.eye(3), atol=1e-12)
    assert np.linalg.det(pose.axes) == pytest.approx(1.0)
    assert pose.axes[:, 2] @ [0, 1, 0] < -0.9  # backwards
    assert pose.axes[2, 2] > 0  # positive pitch looks down
    np.testing.assert_allclose(pose.axes[:, 0], [1, 0, 0], atol=1e-12)
    above_right = pose.to_camera(np.array([[1.0, 5.0, 3.0]]))[0]  # x right, y down, z forward
    assert above_right[0] > 0 > above_right[1]
    assert above_right[2] > 0


@pytest.mark.parametrize("two_sided", [False, True])
def test_agrees_with_brute_force(two_sided: bool) -> None:
    rng = np.random.default_rng(0)
    size = rng.choice([0.05, 0.3, 2.0, 8.0], (400, 1, 1))  # from under a pixel to across the camera plane
    corners = rng.uniform(-3, 3, (400, 1, 3)) + size * rng.normal(size=(400, 3, 3))
    pose = Pose(np.zeros(3), look(np.zeros(3), 25, 8, 2).axes)
    index, depth_m, normals = cast(triangles(corners, two_sided), pose, CAMERA)

    rays = (CAMERA.rays() * [1, -1, -1] @ pose.axes.T).reshape(-1, 3)
    a, ab, ac = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    cross = np.cross(rays[:, None], ac[None])  # Moller-Trumbore
    determinant = (cross * ab).sum(-1)
    u = (cross * -a).sum(-1) / determinant
    q = np.cross(-a, ab)
    v = rays @ q.T / determinant
    t = (ac * q).sum(-1) / determinant
    hit = (two_sided | (determinant > 0)) & (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 1e-3)
    t = np.where(hit, t, np.inf)
    nearest = np.where(np.isfinite(t.min(1)), t.argmin(1), -1)
    assert (nearest >= 0).mean() > 0.3
    assert (nearest == index.ravel()).mean() > 0.999  # all but ties on edges
    same = (nearest == index.ravel()) & (nearest >= 0)
    np.testing.assert_allclose(depth_m.ravel()[same], t.min(1)[same], rtol=1e-6)
    facing = (normals.reshape(-1, 3)[same] * (CAMERA.rays().reshape(-1, 3)[same] * [1, -1, -1])).sum(-1)
    assert (facing < 0).all()


def test_the_back_of_a_wall_is_not_seen() -> None:
    """A box on a wall, seen from inside the box: the wall shines through, though its plane is the box's own."""
    pose = look(np.zeros(3), yaw_deg=0, pitch_deg=0, roll_deg=0)
    wall, back = plane(np.array([0.0, 2.0, 0.0]), np.array([0.0, -1.0, 0.0])), np.array([0.0, 1.0, 0.0])
    side = plane(np.array([0.0, 2.0, 0.0]), back, half_m=1.0)
    nearer = plane(np.array([0.0, 1.5, 0.0]), back, half_m=1.0)
    both = triangles(np.concatenate([side.corners, nearer.corners, wall.corners]))
    index, depth_m, _ = cast(both, pose, CAMERA)
    assert (index >= 4).all()
    np.testing.assert_allclose(depth_m, 2.0, rtol=1e-12)
    index, depth_m, normals = cast(nearer, pose, CAMERA)  # nothing else
    assert (index == -1).all()
    assert np.isinf(depth_m).all()
    assert not normals.any()
