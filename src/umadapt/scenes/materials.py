"""Meshes for Mitsuba: what surfaces look like, and which of them share a mesh.

Dr.Jit compiles the renderer anew for each scene of another make: other kinds of materials, or another number of meshes.
All rooms are therefore of one make: a mesh for each kind of material, whose faces tell colour and gloss, and a mesh for
each light. What a room lacks is a speck below its floor.
"""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from umadapt.scenes.engine import mitsuba
from umadapt.scenes.shapes import Surface
from umadapt.scenes.style import LIGHTS

Kind = Literal["matt", "glossy", "clear matt", "clear glossy", "mirror"]
LIGHT_FACES = 1024  # of a light, where it has fewer: how it is searched is compiled for their number
NEVER = 1e-12  # share of the light samples of a light that is not there; 0 would be another make of scene


@dataclass(frozen=True)
class Piece:
    """Vertices (V, 3) and uv (V, 2) in metres, faces (F, 3), and the look of all faces."""

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    look: Surface

    def corners(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Three (F, 3)."""
        a, b, c = (self.vertices[self.faces[:, k]] for k in range(3))
        return a, b, c

    def areas(self) -> np.ndarray:
        """(F,) square metres."""
        a, b, c = self.corners()
        return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2

    def some(self, chosen: np.ndarray) -> Piece:
        """Of the faces (F,) that are chosen."""
        return replace(self, faces=self.faces[chosen])

    def padded(self, count: int) -> Piece:
        """With at least `count` faces, of which those between the first and the last may have no area."""
        solid = self.faces[self.areas() > 0]
        nothing = np.repeat(solid[:1, :1], 3, axis=1).repeat(max(0, count - len(solid)), axis=0)
        return replace(self, faces=np.concatenate([solid[:1], nothing, solid[1:]]))


def speck(look: Surface) -> Piece:
    """Next to nothing, below the floor."""
    below = np.array([[0.0, 0.0, -100.0], [1e-3, 0.0, -100.0], [0.0, 1e-3, -100.0]])
    return Piece(below, np.array([[0, 1, 2], [0, 2, 1]]), np.zeros((3, 2)), look)


_GREY = Surface(np.full(3, 0.5))
_SPECKS: dict[Kind, Surface] = {
    "matt": _GREY,
    "glossy": replace(_GREY, roughness=0.5),
    "clear matt": replace(_GREY, opacity=0.5),
    "clear glossy": replace(_GREY, opacity=0.5, roughness=0.5),
    "mirror": replace(_GREY, mirror=True),
}


def kind_of(look: Surface) -> Kind:
    """Which mesh a surface belongs to."""
    if look.mirror:
        return "mirror"
    if look.opacity < 1:
        return "clear matt" if look.roughness is None else "clear glossy"
    return "matt" if look.roughness is None else "glossy"


def meshes(pieces: Mapping[str, Piece], shares: Mapping[str, float]) -> list[Any]:
    """The meshes of a scene of pieces by name; `shares` are of the light samples, for the pieces that shine."""
    if mitsuba().variant() == "scalar_rgb":  # compiles nothing, and knows no `Tiles`
        return [_mesh([piece], False, shares.get(name, 0.0)) for name, piece in pieces.items()]
    groups: dict[Kind, list[Piece]] = defaultdict(list)
    for name, piece in pieces.items():
        if name not in shares:
            groups[kind_of(piece.look)].append(piece)
    dark = speck(replace(_GREY, radiance=np.zeros(3)))
    lights = {name: pieces[name] if name in shares else dark for name in LIGHTS}
    return [
        *(_mesh([piece.padded(LIGHT_FACES)], True, shares.get(name, NEVER)) for name, piece in lights.items()),
        *(_mesh(groups[kind] or [speck(look)], True) for kind, look in _SPECKS.items()),
    ]


def _spectrum(value: np.ndarray) -> dict[str, Any]:
    if value.ndim == 1:
        return {"type": "rgb", "value": [float(v) for v in value]}
    # raw: the values are linear already, and no spectral upsampling is wanted.
    return {"type": "bitmap", "raw": True, "data": mitsuba().TensorXf(np.ascontiguousarray(value, dtype=np.float32))}


def _bsdf(kind: Kind, albedo: Any) -> dict[str, Any]:
    """A material whose numbers stand with the faces of its mesh."""

    def of_face(name: str) -> dict[str, str]:
        return {"type": "mesh_attribute", "name": f"face_{name}"}

    if kind == "mirror":
        return {"type": "twosided", "nested": {"type": "conductor", "specular_reflectance": _spectrum(np.full(3, 0.9))}}
    if kind.endswith("matt"):
        bsdf = {"type": "diffuse", "reflectance": albedo}
    else:
        gloss = {name: of_face(name) for name in ("roughness", "metallic")}
        bsdf = {"type": "principled", "base_color": albedo, "specular": 0.5, **gloss}
    bsdf = {"type": "twosided", "nested": bsdf}
    return {"type": "mask", "opacity": of_face("opacity"), "nested": bsdf} if kind.startswith("clear") else bsdf


def _mesh(pieces: Sequence[Piece], tiled: bool, share: float = 0.0) -> Any:
    """A mesh of pieces of one kind; `share` is how many of the light samples it gets, relative to the other lights.

    `tiled`: its colours are `Tiles`; without, it is one piece.
    """
    mi = mitsuba()

    looks, counts = [piece.look for piece in pieces], [len(piece.faces) for piece in pieces]

    def colours(values: list[np.ndarray]) -> Any:
        if not tiled:
            return _spectrum(values[0])
        return importlib.import_module("umadapt.scenes.tiles").Tiles(values, np.repeat(np.arange(len(values)), counts))

    def each(number: Callable[[Surface], float]) -> np.ndarray:
        return np.repeat(np.array([number(look) for look in looks], np.float32), counts)

    properties = mi.Properties()
    properties["bsdf"] = mi.load_dict(_bsdf(kind_of(looks[0]), colours([look.albedo for look in looks])))
    radiance = [look.radiance for look in looks if look.radiance is not None]
    if radiance:
        emitter = {"type": "area", "radiance": colours(radiance), "sampling_weight": share}
        properties["emitter"] = mi.load_dict(emitter)
    first = np.cumsum([0] + [len(piece.vertices) for piece in pieces])
    faces = np.concatenate([piece.faces + k for piece, k in zip(pieces, first, strict=False)])
    mesh = mi.Mesh(kind_of(looks[0]), int(first[-1]), len(faces), props=properties, has_vertex_texcoords=True)
    mesh.add_attribute("face_roughness", 1, each(lambda look: look.roughness or 0.0))
    mesh.add_attribute("face_metallic", 1, each(lambda look: look.metallic))
    mesh.add_attribute("face_opacity", 1, each(lambda look: look.opacity))
    buffers = mi.traverse(mesh)
    buffers["vertex_positions"] = np.float32(np.concatenate([piece.vertices for piece in pieces])).ravel()
    buffers["vertex_texcoords"] = np.float32(np.concatenate([p.uv / p.look.tile_m for p in pieces])).ravel()
    buffers["faces"] = faces.astype(np.uint32).ravel()
    buffers.update()
    return mesh
