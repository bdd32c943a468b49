"""Images from Mitsuba 3: one mesh per material, path tracing with emitter sampling.

Mitsuba is imported inside the functions, after the engine is chosen: `mi.set_variant` must come first.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from umadapt.scenes.engine import Engine
from umadapt.scenes.interior.layout import Room
from umadapt.scenes.labels import Pinhole, Pose
from umadapt.scenes.shapes import Surface
from umadapt.scenes.style import LIGHTS, Style, surfaces

OUTLIER = 50.0  # radiance is cut off at this multiple of its 98th percentile
PATH_DEPTH = 4  # edges of a path, the one from the camera included
GUIDE_SAMPLES = 8  # of albedo and normals, a pixel; a twentieth of what as many paths cost


def _mitsuba() -> Any:
    return importlib.import_module("mitsuba")


def start(engine: Engine) -> None:
    """Choose the Mitsuba variant of this process, with one CPU thread: parallelism is over processes."""
    engine.export()  # before the import: that is when the library is looked for
    mi = _mitsuba()
    mi.set_variant(engine.variant)
    mi.set_log_level(mi.LogLevel.Error)
    importlib.import_module("drjit").set_thread_count(1)


@dataclass(frozen=True)
class Traced:
    """A Mitsuba scene, and the materials that show more than themselves."""

    scene: Any
    shining: frozenset[str]
    clear: frozenset[str]  # mirrors and glass


def build(room: Room, style: Style, key: tuple[int, ...], leave_out: frozenset[str] = frozenset()) -> Traced:
    """The scene of a room; `key` seeds its materials and lights, `leave_out` is for `style.surfaces`."""
    mi = _mitsuba()

    merged = {name: _merge(room, name) for name in sorted({p.material for p in room.parts})}
    for name in [name for name in LIGHTS if name in merged]:
        shines = _faces_the_room(name, *merged[name][:2], room)
        if shines.any() and not shines.all():
            vertices, faces, uv = merged[name]
            merged |= {name: (vertices, faces[shines], uv), f"{name}/back": (vertices, faces[~shines], uv)}
    areas = {name: _area(*arrays[:2]) for name, arrays in merged.items()}
    own = {p.material: _own_look(p.surface, style, leave_out) for p in room.parts if p.surface is not None}
    names = {p.material for p in room.parts} - set(own)
    looks = own | surfaces(names, areas, style, key, leave_out, room.kind)
    looks |= {f"{name}/back": replace(looks[name], radiance=None) for name in LIGHTS if f"{name}/back" in merged}
    scene: dict[str, Any] = {"type": "scene"}
    power = {n: areas[n] * float(np.mean(look.radiance)) for n, look in looks.items() if look.radiance is not None}
    for k, (name, (vertices, faces, uv)) in enumerate(merged.items()):
        # Samples go where the light comes from; a tenth of an even share at least.
        share = max(0.1 / len(power), power[name] / sum(power.values())) if name in power else 0.0
        scene[f"mesh{k}"] = _mesh(name, vertices, faces, uv, looks[name], share)
    shining = frozenset(name for name, look in looks.items() if look.radiance is not None)
    clear = frozenset(name for name, look in looks.items() if look.mirror or look.opacity < 1)
    return Traced(mi.load_dict(scene), shining, clear)


def _own_look(surface: Surface, style: Style, leave_out: frozenset[str]) -> Surface:
    """The look of a catalogue's material; the plain style knows no textures and no gloss, but glass and mirrors."""
    if style == "photo" and "textures" not in leave_out:
        return surface
    albedo = surface.albedo.reshape(-1, 3).mean(0)
    return replace(surface, albedo=albedo, roughness=None, metallic=0.0)


def _merge(room: Room, material: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    parts = [p for p in room.parts if p.material == material]
    start = np.cumsum([0] + [len(p.vertices) for p in parts])
    return (
        np.concatenate([p.vertices for p in parts]),
        np.concatenate([p.faces + s for p, s in zip(parts, start, strict=False)]),
        np.concatenate([p.uv for p in parts]),
    )


def _faces_the_room(material: str, vertices: np.ndarray, faces: np.ndarray, room: Room) -> np.ndarray:
    """(F,) which faces of a light can light the room: half of the samples of a box would go to its hidden sides."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    if material.startswith("bulb"):
        return normal[:, 2] < -0.3
    if material.startswith("pane"):
        inwards = np.array([room.width, room.depth]) / 2 - (a + b + c)[:, :2] / 3
        along = np.abs(normal[:, :2]).argmax(1)  # panes stand in walls along the axes
        rows = np.arange(len(faces))
        return (np.abs(normal[:, 2]) < 0.5) & (normal[rows, along] * inwards[rows, along] > 0)
    return np.ones(len(faces), dtype=bool)


def _area(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def _spectrum(value: np.ndarray) -> dict[str, Any]:
    mi = _mitsuba()

    if value.ndim == 1:
        return {"type": "rgb", "value": [float(v) for v in value]}
    # raw: the values are linear already, and no spectral upsampling is wanted.
    return {"type": "bitmap", "raw": True, "data": mi.TensorXf(np.ascontiguousarray(value, dtype=np.float32))}


def _bsdf(surface: Surface) -> dict[str, Any]:
    if surface.mirror:
        return {"type": "twosided", "nested": {"type": "conductor", "specular_reflectance": _spectrum(np.full(3, 0.9))}}
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
    bsdf = {"type": "twosided", "nested": bsdf}
    return bsdf if surface.opacity >= 1 else {"type": "mask", "opacity": surface.opacity, "nested": bsdf}


def _mesh(
    name: str, vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray, surface: Surface, share: float = 0.0
) -> Any:
    """A mesh of one material; `share` is how many of the light samples it gets, relative to the other lights."""
    mi = _mitsuba()

    properties = mi.Properties()
    properties["bsdf"] = mi.load_dict(_bsdf(surface))
    if surface.radiance is not None:
        emitter = {"type": "area", "radiance": _spectrum(surface.radiance), "sampling_weight": share}
        properties["emitter"] = mi.load_dict(emitter)
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


@dataclass(frozen=True)
class Rendered:
    """A view: linear radiance and, averaged over samples of the same pixels, diffuse albedo in [0, 1] and normals in
    the world frame; (H, W, 3) float32 each."""

    color: np.ndarray
    albedo: np.ndarray
    normals: np.ndarray


def render(traced: Traced, pose: Pose, camera: Pinhole, spp: int, seed: int) -> Rendered:
    """Trace a view once; its albedo and normals are those of the first hits of a second, cheap set of rays."""
    mi = _mitsuba()

    view = sensor(pose, camera)

    def trace(integrator: dict[str, Any], samples: int) -> np.ndarray:
        image = mi.render(traced.scene, sensor=view, integrator=mi.load_dict(integrator), spp=samples, seed=seed)
        image = np.asarray(image, dtype=np.float32).reshape(camera.height, camera.width, -1)
        return np.nan_to_num(image, nan=0.0, posinf=0.0, neginf=0.0)

    color = trace({"type": "path", "max_depth": PATH_DEPTH}, spp)[..., :3]
    # An AOV integrator around the path tracer would cost twice as much. The scalar engine is slow at this, too.
    samples = 2 if mi.variant() == "scalar_rgb" else max(spp, GUIDE_SAMPLES)
    guides = trace({"type": "aov", "aovs": "albedo:albedo,normals:sh_normal"}, samples)[..., -6:]
    # A path through a smooth reflection may weigh millions, and one such sample would be the picture's exposure.
    color = np.clip(color, 0.0, OUTLIER * max(float(np.quantile(color, 0.98)), 1e-6))
    # Mitsuba takes a glossy surface's value at normal incidence for its albedo: its highlight, when seen head-on.
    return Rendered(color, np.clip(guides[..., :3], 0.0, 1.0), guides[..., 3:])
