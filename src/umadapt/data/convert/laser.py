"""KITTI's laser scans as sparse depth maps: calibration files, projection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from umadapt.errors import UserError


@dataclass(frozen=True)
class Calibration:
    """One day's rig."""

    projections: dict[str, np.ndarray]  # camera "02", "03" -> (3, 4), scanner coordinates to pixels times depth
    sizes: dict[str, tuple[int, int]]  # height, width of the rectified pictures
    intrinsics: dict[str, np.ndarray]  # (3, 4) P_rect


def read_calibration(cameras: bytes, scanner: bytes, where: str) -> Calibration:
    """From calib_cam_to_cam.txt and calib_velo_to_cam.txt; `where` names both. Raises UserError."""
    rig, velo = _numbers(cameras), _numbers(scanner)
    to_camera, rectify = np.eye(4), np.eye(4)
    try:
        to_camera[:3, :3], to_camera[:3, 3] = velo["R"].reshape(3, 3), velo["T"].reshape(3)
        rectify[:3, :3] = rig["R_rect_00"].reshape(3, 3)
        planes = {camera: rig[f"P_rect_{camera}"].reshape(3, 4) for camera in ("02", "03")}
        sizes = {c: (int(rig[f"S_rect_{c}"][1]), int(rig[f"S_rect_{c}"][0])) for c in planes}
    except KeyError as error:
        raise UserError(f"{where}: truncated, or no calibration of KITTI: there is no {error}") from error
    except (ValueError, IndexError) as error:
        raise UserError(f"{where}: truncated, or no calibration of KITTI ({error})") from error
    return Calibration({camera: p @ rectify @ to_camera for camera, p in planes.items()}, sizes, planes)


def _numbers(text: bytes) -> dict[str, np.ndarray]:
    """`NAME: x y z` lines; those that hold no numbers are left out."""
    found = {}
    for line in text.decode("ascii", "replace").splitlines():
        name, _, values = line.partition(":")
        try:
            found[name.strip()] = np.array([float(x) for x in values.split()])
        except ValueError:
            continue
    return found


def read_scan(data: bytes, where: str) -> np.ndarray:
    """(N, 3) float64 points of a .bin file: x ahead, y left, z up, metres. Raises UserError."""
    if len(data) % 16 or not data:
        raise UserError(f"{where}: {len(data)} bytes are no whole points of 16; truncated?")
    return np.frombuffer(data, "<f4").reshape(-1, 4)[:, :3].astype(np.float64)


def project(points: np.ndarray, projection: np.ndarray, size: tuple[int, int], ahead: bool = False) -> np.ndarray:
    """Sparse depth (H, W) float32 metres of a scan, 0 where no point falls; the nearest point of a pixel counts.

    A point at (u, v) belongs to pixel (round(v) - 1, round(u) - 1): the field's evaluation of the Eigen split (Eigen et
    al., NIPS 2014, in Godard et al., CVPR 2017) rounds so, and truth must lie where it lies for others.

    Args:
        points: (N, 3), scanner coordinates.
        projection: (3, 4).
        size: H, W.
        ahead: depth is the distance ahead of the scanner, as that evaluation takes it; else along the camera's axis,
            about 0.3 m less.
    """
    points = points[points[:, 0] >= 0]  # what lies behind the car projects too
    image = points @ projection[:, :3].T + projection[:, 3]  # (N, 3)
    image, points = image[image[:, 2] > 0], points[image[:, 2] > 0]
    columns, rows = (np.round(image[:, k] / image[:, 2]).astype(np.int64) - 1 for k in (0, 1))
    inside = (rows >= 0) & (rows < size[0]) & (columns >= 0) & (columns < size[1])
    depth = (points[:, 0] if ahead else image[:, 2])[inside]
    out = np.full(size[0] * size[1], np.inf, np.float32)
    np.minimum.at(out, rows[inside] * size[1] + columns[inside], depth.astype(np.float32))
    return np.where(np.isfinite(out), out, 0).reshape(size)
