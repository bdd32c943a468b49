"""Images from Mitsuba 3: path tracing with emitter sampling."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from umadapt.scenes.engine import Engine, mitsuba
from umadapt.scenes.interior.layout import Room
from umadapt.scenes.labels import Pinhole, Pose
from umadapt.scenes.materials import Piece, meshes
from umadapt.scenes.shapes import Surface
from umadapt.scenes.style import LIGHTS, Style, surfaces

OUTLIER = 50.0  # radiance is cut off at this multiple of its 98th percentile
PATH_DEPTH = 4  # edges of a path, the one from the camera included
GUIDE_SAMPLES = 4  # of albedo and normals, a pixel, spread evenly: as good as 8 that are not


def start(engine: Engine) -> None:
    """Choose the Mitsuba variant of this process, with one CPU thread: parallelism is over processes."""
    engine.export()  # before the import: that is when the library is looked for
    mi = mitsuba()
    mi.set_variant(engine.variant)
    mi.set_log_level(mi.LogLevel.Error)
    dr = importlib.import_module("drjit")
    dr.set_thread_count(1)
    dr.set_flag(dr.JitFlag.PacketOps, False)  # used or not by where an array happens to lie: other kernels every time


@dataclass(frozen=True)
class Traced:
    """A Mitsuba scene, and the materials that show more than themselves."""

    scene: Any
    shining: frozenset[str]
    clear: frozenset[str]  # mirrors and glass


def build(room: Room, style: Style, key: tuple[int, ...], leave_out: frozenset[str] = frozenset()) -> Traced:
    """The scene of a room; `key` seeds its materials and lights, `leave_out` is for `style.surfaces`."""
    pieces = {name: _merge(room, name) for name in sorted({p.material for p in room.parts})}
    for name in [name for name in LIGHTS if name in pieces]:
        shines = _faces_the_room(name, pieces[name], room)
        if shines.any() and not shines.all():
            pieces |= {name: pieces[name].some(shines), f"{name}/back": pieces[name].some(~shines)}
    areas = {name: float(piece.areas().sum()) for name, piece in pieces.items()}
    own = {p.material: _own_look(p.surface, style, leave_out) for p in room.parts if p.surface is not None}
    names = {p.material for p in room.parts} - set(own)
    looks = own | surfaces(names, areas, style, key, leave_out, room.kind)
    looks |= {f"{name}/back": replace(looks[name], radiance=None) for name in LIGHTS if f"{name}/back" in pieces}
    power = {n: areas[n] * float(np.mean(look.radiance)) for n, look in looks.items() if look.radiance is not None}
    # Samples go where the light comes from; a tenth of an even share at least.
    shares = {name: max(0.1 / len(power), power[name] / sum(power.values())) for name in power}
    shapes = meshes({name: replace(piece, look=looks[name]) for name, piece in pieces.items()}, shares)
    scene = mitsuba().load_dict({"type": "scene"} | {f"mesh{k}": shape for k, shape in enumerate(shapes)})
    clear = frozenset(name for name, look in looks.items() if look.mirror or look.opacity < 1)
    return Traced(scene, frozenset(power), clear)


def _own_look(surface: Surface, style: Style, leave_out: frozenset[str]) -> Surface:
    """The look of a catalogue's material; the plain style knows no textures and no gloss, but glass and mirrors."""
    if style != "synthetic" and "textures" not in leave_out:
        return surface
    albedo = surface.albedo.reshape(-1, 3).mean(0)
    return replace(surface, albedo=albedo, roughness=None, metallic=0.0)


def _merge(room: Room, material: str) -> Piece:
    """All parts of a material; its look is still to come."""
    parts = [p for p in room.parts if p.material == material]
    start = np.cumsum([0] + [len(p.vertices) for p in parts])
    return Piece(
        np.concatenate([p.vertices for p in parts]),
        np.concatenate([p.faces + s for p, s in zip(parts, start, strict=False)]),
        np.concatenate([p.uv for p in parts]),
        Surface(np.zeros(3)),
    )


def _faces_the_room(material: str, piece: Piece, room: Room) -> np.ndarray:
    """(F,) which faces of a light can light the room: half of the samples of a box would go to its hidden sides."""
    a, b, c = piece.corners()
    normal = np.cross(b - a, c - a)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    if material.startswith("bulb"):
        return normal[:, 2] < -0.3
    if material.startswith("pane"):
        inwards = np.array([room.width, room.depth]) / 2 - (a + b + c)[:, :2] / 3
        along = np.abs(normal[:, :2]).argmax(1)  # panes stand in walls along the axes
        rows = np.arange(len(normal))
        return (np.abs(normal[:, 2]) < 0.5) & (normal[rows, along] * inwards[rows, along] > 0)
    return np.ones(len(normal), dtype=bool)


def sensor(poses: Sequence[Pose], camera: Pinhole, sampler: dict[str, Any]) -> Any:
    """Cameras of one kind in these poses as one Mitsuba sensor, whose image is theirs side by side."""
    film = {
        "type": "hdrfilm",
        "width": camera.width * len(poses),
        "height": camera.height,
        "pixel_format": "rgb",
        "component_format": "float32",
        "rfilter": {"type": "box"},
    }
    cameras = {f"camera{k}": _perspective(pose, camera) for k, pose in enumerate(poses)}
    return mitsuba().load_dict({"type": "batch", "film": film, "sampler": sampler, **cameras})


def _perspective(pose: Pose, camera: Pinhole) -> dict[str, Any]:
    """Mitsuba's own frame looks along +z with +x to the left."""
    to_world = np.eye(4)
    to_world[:3, :3] = pose.axes * np.array([-1.0, 1.0, -1.0])
    to_world[:3, 3] = pose.position
    return {
        "type": "perspective",
        "fov_axis": "x",
        "fov": float(np.degrees(2 * np.arctan(camera.width / 2 / camera.fx))),
        "near_clip": 0.01,
        "far_clip": 100.0,
        "to_world": mitsuba().ScalarTransform4f(to_world),
        "film": {"type": "hdrfilm", "width": camera.width, "height": camera.height},
    }


@dataclass(frozen=True)
class Rendered:
    """A view: linear radiance and, averaged over samples of the same pixels, diffuse albedo in [0, 1] and normals in
    the world frame; (H, W, 3) float32 each."""

    color: np.ndarray
    albedo: np.ndarray
    normals: np.ndarray


def render(traced: Traced, poses: Sequence[Pose], camera: Pinhole, spp: int, seed: int) -> list[Rendered]:
    """Trace views of a room at once, which is cheaper than one by one; each depends on the others by its noise.

    Albedo and normals are those of the first hits of a second, cheap set of rays.
    """
    mi = mitsuba()

    def trace(integrator: dict[str, Any], sampler: str, samples: int) -> np.ndarray:
        cameras = sensor(poses, camera, {"type": sampler, "sample_count": samples})
        image = mi.render(traced.scene, sensor=cameras, integrator=mi.load_dict(integrator), spp=samples, seed=seed)
        image = np.asarray(image, dtype=np.float32).reshape(camera.height, len(poses), camera.width, -1)
        return np.nan_to_num(image.swapaxes(0, 1), nan=0.0, posinf=0.0, neginf=0.0)

    colors = trace({"type": "path", "max_depth": PATH_DEPTH}, "independent", spp)[..., :3]
    # An AOV integrator around the path tracer would cost twice as much. The scalar engine is slow at this, too.
    samples = 2 if mi.variant() == "scalar_rgb" else max(spp, GUIDE_SAMPLES)
    guides = trace({"type": "aov", "aovs": "albedo:albedo,normals:sh_normal"}, "multijitter", samples)[..., -6:]
    # A path through a smooth reflection may weigh millions, and one such sample would be the picture's exposure.
    limits = [OUTLIER * max(float(np.quantile(color, 0.98)), 1e-6) for color in colors]
    # Mitsuba takes a glossy surface's value at normal incidence for its albedo: its highlight, when seen head-on.
    return [
        Rendered(np.clip(color, 0.0, limit), np.clip(guide[..., :3], 0.0, 1.0), guide[..., 3:])
        for color, limit, guide in zip(colors, limits, guides, strict=True)
    ]
