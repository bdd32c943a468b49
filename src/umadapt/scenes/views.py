"""Camera poses like those of a person with a hand-held camera in NYUDv2, and which of them are worth rendering."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from umadapt.data.camera import Camera
from umadapt.scenes.classes import ID, NYU40
from umadapt.scenes.interior.layout import Block, Room, overlap
from umadapt.scenes.labels import Pose, Triangles, cast
from umadapt.scenes.makers.furniture import Rng

NYU_FOCAL = 518.86 / 640  # focal length of NYUDv2's colour camera as a share of the image's width
NEAR_M = 0.5
SHELL_LIMIT = 0.75  # of wall, floor and ceiling together; 96 % of NYUDv2's views are below
TRIES = 80
CANDIDATES = 8  # good poses drawn for each view, of which the one nearest to what is wished is taken
# Views of NYUDv2 (600 training photos): median depth, log-normal, and the share of wall, floor and ceiling; they are
# uncorrelated. Wished a little further apart than they are, because a room has not every view.
MEDIAN_DEPTH_M, DEPTH_SPREAD = 2.65, 0.4
SHELL, SHELL_SPREAD = 0.36, 0.2


def camera_of(height: int, width: int, focal: float) -> Camera:
    """A camera of that focal length as a share of the image's width, square pixels, principal point at the centre."""
    return Camera(focal * width, focal * width, width / 2, height / 2, width, height)


def nyu_camera(height: int, width: int) -> Camera:
    """NYUDv2's focal length at another size."""
    return camera_of(height, width, NYU_FOCAL)


def look(position: np.ndarray, yaw_deg: float, pitch_deg: float, roll_deg: float) -> Pose:
    """A pose from angles: yaw 0 looks along world +y and turns left; positive pitch looks down."""
    yaw, pitch, roll = np.radians([yaw_deg, pitch_deg, roll_deg])
    forward = np.array([-np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), -np.sin(pitch)])
    right = np.array([np.cos(yaw), np.sin(yaw), 0.0])
    up = np.cross(right, forward)
    rolled = np.cos(roll) * right + np.sin(roll) * up
    return Pose(position, np.stack([rolled, np.cross(rolled, forward), -forward], 1))


def draw_pose(rng: Rng, room: Room) -> Pose | None:
    """A pose near a wall or corner that looks into the room; None when it stands in or next to something."""
    size = np.array([room.width, room.depth])
    edge = rng.uniform(0.2, 0.9, 2)
    xy = np.where(rng.random(2) < 0.5, edge, size - edge)
    if rng.random() < 0.5:  # along a wall instead of in a corner
        k = int(rng.integers(2))
        xy[k] = rng.uniform(0.3, max(0.3, size[k] - 0.3))
    z = rng.uniform(1.1, 1.65)
    target = size * rng.uniform(0.2, 0.8, 2)
    furniture = [block for block in room.blocks if block.z[0] < 0.1 and block.z[1] > 0.3]
    if furniture and rng.random() < 0.7:  # people photograph things, not corners
        target = 0.7 * np.array(furniture[int(rng.integers(len(furniture)))].centre) + 0.3 * target
    yaw = np.degrees(np.arctan2(-(target - xy)[0], (target - xy)[1]))
    pitch = rng.uniform(-4, 4) if rng.random() < 0.2 else rng.uniform(4, 26)
    roll = float(np.clip(rng.normal(0, 1.2), -3, 3))
    if _in_something(room, xy, z):
        return None
    return look(np.array([*xy, z]), yaw + rng.uniform(-8, 8), pitch, roll)


def draw_any_pose(rng: Rng, room: Room) -> Pose | None:
    """A pose anywhere, looking anywhere: what `--without poses` takes in place of NYUDv2's habits."""
    xy = rng.uniform(0.2, 0.8, 2) * [room.width, room.depth]
    z = rng.uniform(0.5, min(2.2, room.height - 0.3))
    if _in_something(room, xy, z):
        return None
    return look(np.array([*xy, z]), rng.uniform(0, 360), rng.uniform(-30, 30), 0.0)


def _in_something(room: Room, xy: np.ndarray, z: float) -> bool:
    head = Block((xy[0], xy[1]), (0.25, 0.25), 0.0, (z - 0.25, z + 0.25))
    return any(overlap(head, block) for block in room.blocks)


@dataclass(frozen=True)
class Glance:
    """What a small version of a view shows."""

    rejection: str  # why it is not worth rendering, "" where it is
    depth_m: float  # median
    shell: float  # share of wall, floor and ceiling


def glance(triangles: Triangles, pose: Pose, camera: Camera) -> Glance:
    """Judge a view by 30 x 40 of its pixels."""
    index, depth_m, _ = cast(triangles, pose, camera.stretched(30, 40))
    shares = np.bincount(triangles.label[index.ravel()], minlength=len(NYU40)) / index.size
    shell = float(shares[[ID["wall"], ID["floor"], ID["ceiling"]]].sum())
    rejection = ""
    if (index < 0).any():
        rejection = "sees out of the room"
    elif (depth_m < NEAR_M).mean() > 0.03:
        rejection = "too near"
    elif np.bincount(triangles.part[index.ravel()]).max() > 0.6 * index.size:
        rejection = "one surface"
    elif shell > SHELL_LIMIT:
        rejection = "empty"
    elif (shares > 0.004).sum() < 4:
        rejection = "few classes"
    return Glance(rejection, float(np.median(depth_m)), shell)


def draw_views(rng: Rng, room: Room, camera: Camera, count: int, like_nyu: bool = True) -> list[Pose]:
    """`count` accepted poses; fewer when the room has too few good ones, so that another room can be drawn.

    `like_nyu`: stand, look and keep the distance as the photographers of NYUDv2 did.
    """
    triangles, poses = room.triangles(coarse=True), []
    for _ in range(count):
        wished_m = MEDIAN_DEPTH_M * np.exp(DEPTH_SPREAD * rng.standard_normal())
        wished_shell = SHELL + SHELL_SPREAD * rng.standard_normal()
        good: list[tuple[float, int, Pose]] = []
        for _ in range(TRIES):
            pose = (draw_pose if like_nyu else draw_any_pose)(rng, room)
            seen = pose and glance(triangles, pose, camera)
            if pose and seen and not seen.rejection:
                miss = abs(np.log(seen.depth_m / wished_m)) + abs(seen.shell - wished_shell)
                good.append((float(miss), len(good), pose))
            if len(good) == (CANDIDATES if like_nyu else 1):
                break
        if not good:
            break
        poses.append(min(good)[2])
    return poses
