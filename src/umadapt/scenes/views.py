"""Camera poses like those of a person with a hand-held camera in NYUDv2, and which of them are worth rendering."""

from __future__ import annotations

import numpy as np

from umadapt.scenes.classes import ID, NYU40
from umadapt.scenes.furniture import Rng
from umadapt.scenes.labels import Pinhole, Pose, Triangles, cast
from umadapt.scenes.layout import Block, Room, overlap

NYU_FOCAL = 518.86 / 640  # focal length of NYUDv2's colour camera as a share of the image's width
NEAR_M = 0.4
SHELL_SHARE = 0.72  # of wall, floor and ceiling together; NYUDv2 is at 0.4 on average
TRIES = 80


def nyu_camera(height: int, width: int) -> Pinhole:
    """NYUDv2's focal length at another size, square pixels, principal point at the image's centre."""
    return Pinhole(NYU_FOCAL * width, NYU_FOCAL * width, width / 2, height / 2, width, height)


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
        xy[k] = rng.uniform(0.3, size[k] - 0.3)
    z = rng.uniform(1.0, 1.7)
    head = Block((xy[0], xy[1]), (0.25, 0.25), 0.0, (z - 0.25, z + 0.25))
    target = size * rng.uniform(0.25, 0.75, 2)
    furniture = [block for block in room.blocks if block.z[0] < 0.1 and block.z[1] > 0.3]
    if furniture and rng.random() < 0.7:  # people photograph things, not corners
        target = 0.7 * np.array(furniture[int(rng.integers(len(furniture)))].centre) + 0.3 * target
    yaw = np.degrees(np.arctan2(-(target - xy)[0], (target - xy)[1]))
    pitch = rng.uniform(-3, 3) if rng.random() < 0.15 else rng.uniform(5, 25)
    roll = float(np.clip(rng.normal(0, 1.2), -3, 3))
    if any(overlap(head, block) for block in room.blocks):
        return None
    return look(np.array([*xy, z]), yaw + rng.uniform(-8, 8), pitch, roll)


def rejection(triangles: Triangles, pose: Pose, camera: Pinhole) -> str:
    """Why a view is not worth rendering, or "" where it is; judged on a small version of it."""
    small = camera.resized(30, 40)
    index, depth, _ = cast(triangles.corners, pose, small)
    if (index < 0).any():
        return "sees out of the room"
    if (depth < NEAR_M).mean() > 0.03:
        return "too near"
    if np.bincount(triangles.part[index.ravel()]).max() > 0.7 * index.size:
        return "one surface"
    shares = np.bincount(triangles.label[index.ravel()], minlength=len(NYU40)) / index.size
    if shares[[ID["wall"], ID["floor"], ID["ceiling"]]].sum() > SHELL_SHARE:
        return "empty"
    return "" if (shares > 0.004).sum() >= 4 else "few classes"


def draw_views(rng: Rng, room: Room, camera: Pinhole, count: int) -> list[Pose]:
    """`count` accepted poses; fewer when the room has too few good ones, so that another room can be drawn."""
    triangles, poses = room.triangles(), []
    for _ in range(TRIES * count):
        pose = draw_pose(rng, room)
        if pose is not None and not rejection(triangles, pose, camera):
            poses.append(pose)
            if len(poses) == count:
                break
    return poses
