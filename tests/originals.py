"""Small copies of public data sets in their owners' formats, written by means of their own: struct, zlib, h5py, PIL."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

HEIGHT, WIDTH = 24, 32


def png16(array: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, (H, W) or (H, W, 3)."""
    rows = array if array.ndim == 3 else array[..., None]
    colour = 2 if array.ndim == 3 else 0
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], 16, colour, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def photo(seed: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Image.Image:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((size[1], size[0]), Image.Resampling.BILINEAR)


def save(path: Path, image: Image.Image | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(image, bytes):
        path.write_bytes(image)
    else:
        image.save(path)


def halves(left: int, right: int, size: tuple[int, int] = (HEIGHT, WIDTH), kind: type = np.uint8) -> np.ndarray:
    """Two labels side by side, so that a transposed or mirrored map shows."""
    out = np.full(size, left, kind)
    out[:, size[1] // 2 :] = right
    return out


def ramp(near: float, far: float, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """Metres that grow from the bottom row to the top one as on a plane, whose 1 / depth is linear in the picture."""
    return np.broadcast_to(1 / np.linspace(1 / far, 1 / near, size[0])[:, None], size).copy()


@dataclass(frozen=True)
class Original:
    """A set on disk and what its conversion must give."""

    ids: tuple[str, ...]
    seg: np.ndarray | None  # of the first id
    depth_m: np.ndarray | None
    image: Path  # file of the second id, to be cut
    wrong: Callable[[], None] | None  # gives the second id a label that the set does not have


def gta5(root: Path) -> Original:
    for i in (1, 2, 3):
        save(root / "images" / f"{i:05d}.png", photo(i))
        label(root / "labels" / f"{i:05d}.png", halves(7, 26))
    return Original(
        ("00001", "00002", "00003"),
        halves(0, 13),
        None,
        root / "images" / "00002.png",
        lambda: label(root / "labels" / "00002.png", halves(7, 99)),
    )


def label(path: Path, ids: np.ndarray) -> None:
    """A palette PNG, as GTA5 has them: its colours are not its ids."""
    image = Image.fromarray(ids).convert("P")
    image.putdata(ids.ravel().tolist())
    image.putpalette([(i * 37) % 256 for i in range(768)])
    save(path, image)


def synthia(root: Path) -> Original:
    depth = np.round(ramp(3, 90) * 100).astype(np.uint16)
    for i in (0, 1, 2):
        save(root / "RGB" / f"{i:07d}.png", photo(i))
        save(root / "Depth" / "Depth" / f"{i:07d}.png", png16(np.stack([depth] * 3, -1)))
        synthia_label(root / "GT" / "LABELS" / f"{i:07d}.png", halves(3, 10, kind=np.uint16))
    return Original(
        ("0000000", "0000001", "0000002"),
        halves(0, 11),
        depth / 100,
        root / "RGB" / "0000001.png",
        lambda: synthia_label(root / "GT" / "LABELS" / "0000001.png", halves(3, 40, kind=np.uint16)),
    )


def synthia_label(path: Path, ids: np.ndarray) -> None:
    """Class, instance, nothing: as 8 bits the class would read 0."""
    save(path, png16(np.stack([ids, np.full_like(ids, 300), np.zeros_like(ids)], -1)))


def vkitti2(root: Path) -> Original:
    depth = np.round(ramp(4, 100) * 100).astype(np.uint16)
    depth[0] = 65535  # the sky
    for i in (1, 2, 3):
        frames = root / "Scene01" / "clone" / "frames"
        save(frames / "rgb" / "Camera_0" / f"rgb_{i:05d}.jpg", photo(i))
        save(frames / "depth" / "Camera_0" / f"depth_{i:05d}.png", Image.fromarray(depth))
        vkitti2_label(frames, i, (210, 0, 200), (0, 139, 139))  # terrain, van
    expected = np.minimum(depth / 100, 65535 / 256)
    return Original(
        tuple(f"Scene01-clone-Camera_0-{i:05d}" for i in (1, 2, 3)),
        halves(9, 13),
        expected,
        root / "Scene01" / "clone" / "frames" / "rgb" / "Camera_0" / "rgb_00002.jpg",
        lambda: vkitti2_label(root / "Scene01" / "clone" / "frames", 2, (210, 0, 200), (1, 2, 3)),
    )


def vkitti2_label(frames: Path, i: int, left: tuple[int, int, int], right: tuple[int, int, int]) -> None:
    colours = np.array([left, right], np.uint8)[halves(0, 1)]
    save(frames / "classSegmentation" / "Camera_0" / f"classgt_{i:05d}.png", Image.fromarray(colours))


def cityscapes(root: Path) -> Original:
    def write(split: str, city: str, i: int, seg: np.ndarray) -> None:
        name = f"{city}_{i:06d}_000019"
        save(root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png", photo(i))
        save(root / "gtFine" / split / city / f"{name}_gtFine_labelIds.png", Image.fromarray(seg))
        bf = 0.2 * 2200.0
        disparity = np.round(bf / ramp(5, 60) * 256 + 1).astype(np.uint16)
        save(root / "disparity" / split / city / f"{name}_disparity.png", Image.fromarray(disparity))
        rig = {"extrinsic": {"baseline": 0.2}, "intrinsic": {"fx": 2200.0}}
        path = root / "camera" / split / city / f"{name}_camera.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rig))

    for i in range(4):
        write("train", "aachen", i, halves(7, 33))
    write("val", "frankfurt", 0, halves(7, 33))
    write("test", "berlin", 0, halves(3, 3))
    names = [f"aachen_{i:06d}_000019" for i in range(4)] + ["berlin_000000_000019", "frankfurt_000000_000019"]
    return Original(
        tuple(names),
        halves(0, 18),
        ramp(5, 60),
        root / "leftImg8bit" / "train" / "aachen" / "aachen_000001_000019_leftImg8bit.png",
        lambda: write("train", "aachen", 1, halves(7, 60)),
    )


def kitti(root: Path) -> Original:
    """A wall of laser points 10 m ahead and official depth for one of the frames."""
    date, drive = "2011_09_26", "2011_09_26_drive_0002_sync"
    size = (40, 120)
    day = root / date
    day.mkdir(parents=True)
    k = "60 0 60 0 0 60 20 0 0 0 1 0"
    eye = "1 0 0 0 1 0 0 0 1"
    text = f"calib_time: 09-Jan-2012\nR_rect_00: {eye}\n"
    text += "".join(f"S_rect_0{c}: {size[1]} {size[0]}\nP_rect_0{c}: {k}\n" for c in (2, 3))
    (day / "calib_cam_to_cam.txt").write_text(text)
    # x ahead, y left, z up to x right, y down, z ahead; the camera 0.3 m in front of the scanner
    (day / "calib_velo_to_cam.txt").write_text("calib_time: x\nR: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 -0.3\ndelta_f: 0 0\n")
    rng = np.random.default_rng(0)
    for frame in (0, 3, 4):
        points = np.stack([np.full(400, 10.3), rng.uniform(-8, 8, 400), rng.uniform(-3, 3, 400), np.zeros(400)], 1)
        points[:50, 0] *= -1  # behind
        path = day / drive / "velodyne_points" / "data" / f"{frame:010d}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(points.astype("<f4").tobytes())
        save(day / drive / "image_02" / "data" / f"{frame:010d}.png", photo(frame, size))
    truth = np.zeros(size, np.uint16)
    truth[20:30, ::7] = round(12.5 * 256)
    save(root / "train" / drive / "proj_depth" / "groundtruth" / "image_02" / f"{0:010d}.png", Image.fromarray(truth))
    image = day / drive / "image_02" / "data" / f"{3:010d}.png"
    return Original(tuple(f"{drive}-02-{f:010d}" for f in (0, 3, 4)), None, truth / 256, image, None)


def nyudv2(root: Path) -> Original:
    """MATLAB's arrays: HDF5 holds their axes reversed."""
    size, count = (48, 64), 3
    root.mkdir(parents=True)
    depth, seg = ramp(1, 4, size).astype(np.float32), halves(21, 11, size, np.uint16)  # 894: 21 wall, 11 floor

    def write(strange: int = 0) -> None:
        with h5py.File(root / "nyu_depth_v2_labeled.mat", "w") as file:
            photos = np.stack([np.asarray(photo(i, size)) for i in range(count)])
            file["images"] = photos.transpose(0, 3, 2, 1)  # (N, 3, W, H)
            file["depths"] = np.stack([depth.T] * count)
            file["rawDepths"] = np.stack([np.where(depth > 3, 0, depth).T] * count)
            labels = np.stack([seg.T] * count)
            labels[0, :5] = 0
            labels[1, 0, 0] = strange or labels[1, 0, 0]
            file["labels"] = labels

    write()
    expected = halves(0, 1, size)
    expected[:, :5] = 255
    return Original(
        ("0001", "0002", "0003"), expected, depth, root / "nyu_depth_v2_labeled.mat", lambda: write(strange=2000)
    )


def hypersim(root: Path) -> Original:
    """Distance along the ray, normals that point away from the viewer, ids of 40 classes and -1."""
    size = (48, 64)
    x = (np.arange(64) + 0.5 - 32) / (886.81 / 16)
    y = (np.arange(48) + 0.5 - 24) / (886.81 / 16)
    z = ramp(1, 4, size)
    distance = (z * np.sqrt(1 + x[None] ** 2 + y[:, None] ** 2)).astype(np.float16)
    distance[0, 0] = np.nan
    slope = (1 / z[-1, 0] - 1 / z[0, 0]) / (y[-1] - y[0])  # on the plane of `ramp` is slope * y + offset = 1 / z
    away = -np.array([0, slope, 1 / z[0, 0] - slope * y[0]])
    scene = root / "ai_001_002" / "images"

    def write(frame: int, semantic: np.ndarray) -> None:
        parts = {
            "final_hdf5": {"color": np.random.default_rng(frame).random((*size, 3)).astype(np.float16)},
            "geometry_hdf5": {
                "depth_meters": distance,
                "normal_cam": np.broadcast_to((away / np.linalg.norm(away)).astype(np.float16), (*size, 3)),
                "semantic": semantic.astype(np.int16),
            },
        }
        for folder, arrays in parts.items():
            for kind, array in arrays.items():
                path = scene / f"scene_cam_00_{folder}" / f"frame.{frame:04d}.{kind}.hdf5"
                path.parent.mkdir(parents=True, exist_ok=True)
                with h5py.File(path, "w") as file:
                    file["dataset"] = array

    semantic = halves(1, 40, size, np.int16)
    semantic[:4] = -1
    for frame in (0, 1, 2):
        write(frame, semantic)
    expected = halves(0, 39, size)
    expected[:4] = 255
    depth = z.copy()
    depth[0, 0] = 0
    return Original(
        tuple(f"ai_001_002-cam_00-{f:04d}" for f in (0, 1, 2)),
        expected,
        depth,
        scene / "scene_cam_00_final_hdf5" / "frame.0001.color.hdf5",
        lambda: write(1, halves(1, 77, size, np.int16)),
    )


PBRS_AXES = ((1, 0, 0), (0, 0, -1), (0, 1, 0))  # x right, y away from the viewer, z up


def pbrs(root: Path, axes: Sequence[Sequence[int]] = PBRS_AXES) -> Original:
    """A floor, a wall in front and one on the left; normals in axes of their own, (3, 3) from ours."""
    size, scene = (120, 160), "0a" * 16
    focal = 517.97 / 4
    y, x = (np.arange(120) + 0.5 - 60) / focal, (np.arange(160) + 0.5 - 80) / focal
    floor, left = 1.2 / np.maximum(y, 0.02), 1.5 / np.maximum(-x, 0.02)
    planes = np.stack([*np.broadcast_arrays(floor[:, None], left[None]), np.full(size, 4.0)])
    depth = planes.min(0)
    ours = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]])[planes.argmin(0)]
    stored = np.round((ours @ np.array(axes).T + 1) * 127.5).astype(np.uint8)
    for i in range(3):
        save(root / "mlt_v2" / scene / f"{i:06d}_mlt.png", photo(i, size))
        save(
            root / "depth_v2" / scene / f"{i:06d}_depth.png", Image.fromarray(np.round(depth * 1000).astype(np.uint16))
        )
        save(root / "normal_v2" / scene / f"{i:06d}_norm_camera.png", Image.fromarray(stored))
        save(root / "category_v2" / scene / f"{i:06d}_category40.png", Image.fromarray(halves(1, 40, size)))
    return Original(
        tuple(f"{scene}-{i:06d}" for i in range(3)),
        halves(0, 39, size),
        depth,
        root / "mlt_v2" / scene / "000001_mlt.png",
        lambda: save(root / "category_v2" / scene / "000001_category40.png", Image.fromarray(halves(1, 90, size))),
    )


ORIGINALS: dict[str, Callable[[Path], Original]] = {
    "nyudv2": nyudv2,
    "pbrs": pbrs,
    "hypersim": hypersim,
    "gta5": gta5,
    "vkitti2": vkitti2,
    "synthia": synthia,
    "kitti": kitti,
    "cityscapes": cityscapes,
}
