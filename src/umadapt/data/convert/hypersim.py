"""Hypersim (Roberts et al., ICCV 2021): photorealistic indoor renders in HDF5."""

from __future__ import annotations

import csv
import io

import numpy as np

from umadapt.config.data import Convert
from umadapt.data.camera import Camera
from umadapt.data.convert.base import DataSet, Plan, Record, label_map, photo
from umadapt.data.convert.nyudv2 import open_hdf5
from umadapt.data.convert.source import Source
from umadapt.errors import UserError

CAMERA = Camera(886.81, 886.81, 512.0, 384.0, 1024, 768)  # 60 degrees wide, as most scenes have it
SPLITS, LENSES = "metadata_images_split_scene_v1.csv", "metadata_camera_parameters.csv"  # of the set's repository
PARTS = {  # part -> the pattern of its files below images/scene_CAMERA_final_hdf5, …_geometry_hdf5, …_final_preview
    "color": r"final_hdf5/frame\.(\d{4})\.color\.hdf5",
    "preview": r"final_preview/frame\.(\d{4})\.tonemap\.jpg",
    "depth": r"geometry_hdf5/frame\.(\d{4})\.depth_meters\.hdf5",
    "normals": r"geometry_hdf5/frame\.(\d{4})\.normal_cam\.hdf5",
    "semantic": r"geometry_hdf5/frame\.(\d{4})\.semantic\.hdf5",
    "entity": r"geometry_hdf5/frame\.(\d{4})\.render_entity_id\.hdf5",
}


def plan(source: Source, config: Convert) -> Plan:
    """ai_VVV_NNN/images/scene_cam_XX_{final_hdf5,geometry_hdf5,final_preview}/frame.IIII.*."""
    found = {
        part: {"-".join(m.groups()): n for n, m in source.match(rf"(ai_\d{{3}}_\d{{3}})/images/scene_(cam_\d\d)_{p}")}
        for part, p in PARTS.items()
    }
    classes = label_map("nyu40")
    lenses = _lenses(source)

    def array(part: str, id: str) -> np.ndarray | None:
        if id not in found[part]:
            return None
        name = found[part][id]
        with open_hdf5(source, name) as file:
            try:
                return file["dataset"][...]
            except (KeyError, OSError) as error:
                raise UserError(f"{source.where(name)}: truncated or damaged ({error})") from error

    def read(id: str) -> Record:
        if id in found["preview"] and not config.tone_map:
            record = photo(source, found["preview"][id])
        else:
            colour = array("color", id)
            assert colour is not None
            where = source.where(found["color"][id])
            record = Record(tone_map(colour.astype(np.float32), array("entity", id)), where)
        distance, normals, semantic = (array(part, id) for part in ("depth", "normals", "semantic"))
        shape = next((x.shape[:2] for x in (distance, normals) if x is not None), None)
        rays = None if shape is None else rays_of(shape, lenses.get(id.partition("-")[0]))
        if distance is not None and rays is not None:
            record.depth_m = planar(distance.astype(np.float32), rays)
        if normals is not None and rays is not None:
            record.normals = towards_viewer(normals.astype(np.float32), rays)
        if semantic is not None:
            labels = np.where(semantic < 0, 0, semantic)  # -1: unlabelled
            record.seg = classes.apply(labels, source.where(found["semantic"][id]))
        return record

    ids = sorted(found["color"].keys() | (set() if config.tone_map else found["preview"].keys()))
    ids, splits, notes = _released(source, ids)
    missing = [
        f"{part}: {sum(id not in found[part] for id in ids)} of {len(ids)} images have none"
        for part in ("depth", "normals", "semantic")
        if any(id not in found[part] for id in ids)
    ]
    camera = None if lenses or not ids else CAMERA
    facts = {"colour_of": "tone-mapped by umadapt" if config.tone_map else "the set's previews where there are"}
    return Plan(
        ids, read, classes.classes, depth_max_m=20.0, camera=camera, splits=splits, missing=missing + notes, facts=facts
    )


def _table(source: Source, name: str) -> list[dict[str, str]]:
    """The lines of a CSV file of the set's metadata; empty where it is not there."""
    files = [file for file, _ in source.match(name.replace(".", r"\."))]
    return list(csv.DictReader(io.StringIO(source.read(files[0]).decode("utf-8", "replace")))) if files else []


def _released(source: Source, ids: list[str]) -> tuple[list[str], dict[str, list[str]], list[str]]:
    """Without the frames that the set's own list excludes as broken; its splits; what to say."""
    rows = _table(source, SPLITS)
    if not rows:
        return ids, {}, [f"{SPLITS}: without it no splits, and broken frames stay in"]
    try:
        listed = {f"{r['scene_name']}-{r['camera_name']}-{int(r['frame_id']):04d}": r for r in rows}
        names = sorted({r["split_partition_name"] for r in rows if r["split_partition_name"]})
    except (KeyError, ValueError, TypeError) as error:  # TypeError: of a line that breaks off
        raise UserError(f"{SPLITS}: truncated, or not as the set has it ({error!r}); fetch it again") from error
    kept = [i for i in ids if listed.get(i, {}).get("included_in_public_release", "True") == "True"]
    splits = {n: [i for i in kept if listed.get(i, {}).get("split_partition_name") == n] for n in names}
    return kept, splits, []


def _lenses(source: Source) -> dict[str, np.ndarray]:
    """Scene -> (3, 3) matrix from (u, v, 1), both in [-1, 1], to a ray; of metadata_camera_parameters.csv."""
    keys = [f"M_cam_from_uv_{i}{j}" for i in range(3) for j in range(3)]
    try:
        return {
            row["scene_name"]: np.array([float(row[key]) for key in keys]).reshape(3, 3)
            for row in _table(source, LENSES)
        }
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{LENSES}: truncated, or not as the set has it ({error!r}); fetch it again") from error


def rays_of(size: tuple[int, int], lens: np.ndarray | None) -> np.ndarray:
    """(H, W, 3) rays through the pixel centres: x right, y up, z towards the viewer, so that z < 0."""
    height, width = size
    u = (np.arange(width) + 0.5) / width * 2 - 1
    v = 1 - (np.arange(height) + 0.5) / height * 2
    if lens is None:
        camera = CAMERA.scaled(height, width)
        lens = np.diag([width / 2 / camera.fx, height / 2 / camera.fy, -1.0])
    return np.stack(np.broadcast_arrays(u[None], v[:, None], 1.0), -1) @ lens.T


def planar(distance_m: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Depth along the axis of a distance along the ray; NaN stays NaN, missing."""
    return distance_m * (-rays[..., 2] / np.linalg.norm(rays, axis=-1)).astype(np.float32)


def towards_viewer(normals: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Normals with those turned that point away from the camera: meshes are two-sided."""
    away = (normals * rays).sum(-1, keepdims=True) > 0
    return np.where(away, -normals, normals)


def tone_map(colour: np.ndarray, entity: np.ndarray | None) -> np.ndarray:
    """Linear radiance (H, W, 3) to (H, W, 3) uint8 as the set's authors publish it: the 90th percentile of the
    brightness becomes 0.8 after gamma 1 / 2.2.

    Args:
        entity: (H, W), -1 where nothing was hit: these pixels do not count.
    """
    colour = np.nan_to_num(colour, nan=0.0, posinf=0.0, neginf=0.0)
    brightness = colour @ np.array([0.3, 0.59, 0.11], np.float32)
    valid = brightness if entity is None else brightness[entity != -1]
    bright = float(np.percentile(valid, 90)) if valid.size else 0.0
    scale = 0.8**2.2 / bright if bright > 1e-4 else (0.0 if valid.size else 1.0)
    return np.round(np.clip(scale * colour, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)


SET = DataSet(
    title="Hypersim",
    home="github.com/apple/ml-hypersim",
    license="CC BY-SA 3.0",
    citation="M. Roberts et al. Hypersim: A Photorealistic Synthetic Dataset for Holistic Indoor Scenes. ICCV 2021.",
    plan=plan,
    published=74619,
)
