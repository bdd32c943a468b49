"""Images from Mitsuba 3: one mesh per material, path tracing with emitter sampling.

Mitsuba is imported inside the functions, after the engine is chosen: `mi.set_variant` must come first.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from umadapt.scenes.engine import Engine
from umadapt.scenes.labels import Pinhole, Pose
from umadapt.scenes.layout import Room
from umadapt.scenes.shapes import Surface
from umadapt.scenes.style import Style, surfaces

PATH_DEPTH = 4  # edges of a path, the one from the camera included


def _mitsuba() -> Any:
    return importlib.import_module("mitsuba")


def start(engine: Engine) -> None:
    """Choose the Mitsuba variant of this process, with one thread: parallelism is over processes."""
    engine.export()  # before the import: that is when the library is looked for
    mi = _mitsuba()
    mi.set_variant(engine.variant)
    mi.set_log_level(mi.LogLevel.Error)
    importlib.import_module("drjit").set_thread_count(1)


def build(room: Room, style: Style, key: tuple[int, ...]) -> Any:
    """A Mitsuba scene of a room; `key` seeds its materials and lights."""
    mi = _mitsuba()

    merged = {name: _merge(room, name) for name in sorted({p.material for p in room.parts})}
    areas = {name: _area(*arrays[:2]) for name, arrays in merged.items()}
    looks = surfaces(set(merged), areas, style, key)
    scene: dict[str, Any] = {"type": "scene"}
    for name, (vertices, faces, uv) in merged.items():
        scene[name] = _mesh(name, vertices, faces, uv, looks[name])
    return mi.load_dict(scene)


def _merge(room: Room, material: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    parts = [p for p in room.parts if p.material == material]
    start = np.cumsum([0] + [len(p.vertices) for p in parts])
    return (
        np.concatenate([p.vertices for p in parts]),
        np.concatenate([p.faces + s for p, s in zip(parts, start, strict=False)]),
        np.concatenate([p.uv for p in parts]),
    )


def _area(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def _spectrum(value: np.ndarray) -> dict[str, Any]:
    mi = _mitsuba()

    if value.ndim == 1:
        return {"type": "rgb", "value": [float(v) for v in value]}
    # raw: the values are linear already, and no spectral upsampling is wanted.
    return {"type": "bitmap", "raw": True, "data": mi.TensorXf(np.ascontiguousarray(value, dtype=np.float32))}


def _mesh(name: str, vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray, surface: Surface) -> Any:
    mi = _mitsuba()

    if surface.roughness is None:
        bsdf = {"type": "diffuse", "reflectance": _spectrum(surface.albedo)}
    else:
        bsdf = {
            "type": "principled",
            "base_color": _spectrum(surface.albedo),
            "roughness": surface.roughness,
            "metallic": surface.metallic,
            "specular": 0.5,
        }
    properties = mi.Properties()
    properties["bsdf"] = mi.load_dict({"type": "twosided", "nested": bsdf})
    if surface.radiance is not None:
        properties["emitter"] = mi.load_dict({"type": "area", "radiance": _spectrum(surface.radiance)})
    mesh = mi.Mesh(name, len(vertices), len(faces), props=properties, has_vertex_texcoords=True)
    buffers = mi.traverse(mesh)
    buffers["vertex_positions"] = vertices.astype(np.float32).ravel()
    buffers["vertex_texcoords"] = (uv / surface.tile_m).astype(np.float32).ravel()
    buffers["faces"] = faces.astype(np.uint32).ravel()
    buffers.update()
    return mesh


def sensor(pose: Pose, camera: Pinhole, sampler: dict[str, Any] | None = None) -> Any:
    """The Mitsuba sensor of a pose. Its own frame looks along +z with +x to the left."""
    mi = _mitsuba()

    to_world = np.eye(4)
    to_world[:3, :3] = pose.axes * np.array([-1.0, 1.0, -1.0])
    to_world[:3, 3] = pose.position
    return mi.load_dict(
        {
            "type": "perspective",
            "fov_axis": "x",
            "fov": float(np.degrees(2 * np.arctan(camera.width / 2 / camera.fx))),
            "near_clip": 0.01,
            "far_clip": 100.0,
            "to_world": mi.ScalarTransform4f(to_world),
            "film": {
                "type": "hdrfilm",
                "width": camera.width,
                "height": camera.height,
                "pixel_format": "rgb",
                "component_format": "float32",
                "rfilter": {"type": "box"},
            },
            "sampler": sampler or {"type": "independent"},
        }
    )


def render(scene: Any, pose: Pose, camera: Pinhole, spp: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Linear radiance (H, W, 3) of a view and the diffuse albedo (H, W, 3) averaged over the same samples."""
    mi = _mitsuba()

    # Two renders, because one AOV integrator around the path tracer costs two to four times as much. With the same seed
    # they sample the same points of the pixels. The scalar engine is slow at the second: two samples must do.
    integrators = {
        "radiance": ({"type": "path", "max_depth": PATH_DEPTH}, spp),
        "albedo": ({"type": "aov", "aovs": "albedo:albedo"}, min(spp, 2) if mi.variant() == "scalar_rgb" else spp),
    }
    view, images = sensor(pose, camera), []
    for integrator, samples in integrators.values():
        image = mi.render(scene, sensor=view, integrator=mi.load_dict(integrator), spp=samples, seed=seed)
        images.append(np.asarray(image, dtype=np.float64).reshape(camera.height, camera.width, -1)[..., -3:])
    return images[0], images[1]
