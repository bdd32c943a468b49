"""Closed triangle meshes with a class and a material: the bricks that furniture is made of.

Every primitive is wound so that its normals point outwards: the label caster relies on it and skips back faces.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from umadapt.scenes.classes import ID


@dataclass(frozen=True)
class Surface:
    """Linear RGB albedo, (3,) or a texture (N, M, 3) that covers tile_m metres; roughness 0..1, None = matt."""

    albedo: np.ndarray
    tile_m: float = 1.0
    roughness: float | None = None
    metallic: float = 0.0
    radiance: np.ndarray | None = None  # (3,) or (N, N, 3): the surface is a light
    opacity: float = 1.0  # below 1: thin clear glass that much darkened by its albedo
    mirror: bool = False  # a perfect mirror


@dataclass(frozen=True)
class Part:
    """A mesh: vertices (V, 3) in metres, faces (F, 3), uv (V, 2) in metres, a class id and a material name."""

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    label: int
    material: str
    surface: Surface | None = None  # the material's own look; None = the room's style decides by its name
    two_sided: bool = False  # winding says nothing: both sides are seen, and normals turn to the viewer
    coarse: np.ndarray | None = None  # (G, 3) fewer faces over the same vertices, good enough to choose views by


@dataclass(frozen=True)
class Top:
    """A free horizontal surface of an item that may carry small objects; metres in the item's frame."""

    lo: tuple[float, float]
    hi: tuple[float, float]
    z: float
    headroom: float = 0.5


@dataclass(frozen=True)
class Item:
    """A piece of furniture: footprint centred at (0, 0), back at y = -depth/2, front towards +y, standing on z = 0."""

    size: tuple[float, float, float]  # width (x), depth (y), height (z) in metres
    parts: list[Part]
    tops: list[Top] = field(default_factory=list)
    front: float = 0.0  # metres in front of it that stay free


# Corner index = x + 2y + 4z; each row is one outward face, counter-clockwise seen from outside.
_BOX_FACES = np.array([[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [3, 2, 6, 7], [2, 0, 4, 6], [1, 3, 7, 5]])


def quad(corners: np.ndarray, label: str, material: str) -> Part:
    """One rectangle from four corners (4, 3), counter-clockwise seen from its front; u runs along its longer side."""
    uv = _planar_uv(corners)
    return Part(corners, np.array([[0, 1, 2], [0, 2, 3]]), uv, ID[label], material)


def _planar_uv(corners: np.ndarray) -> np.ndarray:
    """Metres along the sides (..., 4, 2) of rectangles (..., 4, 3)."""
    a, b = (np.linalg.norm(corners[..., k, :] - corners[..., 0, :], axis=-1) for k in (1, 3))
    uv = np.zeros((*corners.shape[:-1], 2))
    uv[..., 1:3, 0], uv[..., 2:4, 1] = a[..., None], b[..., None]
    # Grain of wood follows the longer side of a board. The offset stops equal boards from looking alike.
    offset = (corners[..., 0, :].sum(-1) * 0.37) % 1.0
    return np.where((a >= b)[..., None, None], uv, uv[..., ::-1]) + offset[..., None, None]


def box(lo: tuple[float, float, float], hi: tuple[float, float, float], label: str, material: str) -> Part:
    """An axis-aligned box between two corners in metres."""
    corner = np.array([[(lo, hi)[i >> k & 1][k] for k in range(3)] for i in range(8)], dtype=np.float64)
    vertices = corner[_BOX_FACES.ravel()]
    uv = _planar_uv(corner[_BOX_FACES]).reshape(-1, 2)
    start = 4 * np.arange(6)[:, None]
    faces = np.concatenate([start + np.array(corners) for corners in ([0, 1, 2], [0, 2, 3])])
    return Part(vertices, faces, uv, ID[label], material)


def upright(part: Part) -> Part:
    """Spread one whole texture over a part in the plane y = const: row 0 along its upper edge, column 0 at its left.

    Left is as seen from the front, which looks along +y: at larger x.
    """
    x, z = part.vertices[:, 0], part.vertices[:, 2]
    return replace(part, uv=np.stack([(x.max() - x) / np.ptp(x), (z.max() - z) / np.ptp(z)], 1))


def frustum(
    centre: tuple[float, float, float],
    radius0: float,
    radius1: float,
    height: float,
    label: str,
    material: str,
    segments: int = 20,
) -> Part:
    """A vertical closed cone stump: radius0 at the bottom centre, radius1 at the top; metres."""
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    circle = np.stack([np.cos(angle), np.sin(angle)], 1)
    rings = [
        np.column_stack([circle * r, np.full(segments + 1, z)]) for r, z in ((radius0, 0.0), (radius1, float(height)))
    ]
    side_uv = [np.column_stack([angle * max(radius0, radius1), np.full(segments + 1, z)]) for z in (0.0, height)]
    vertices = np.concatenate([*rings, rings[0], [[0, 0, 0]], rings[1], [[0, 0, height]]]) + centre
    uv = np.concatenate(
        [*side_uv, circle * radius0, [[0, 0]], circle * radius1, [[0, 0]]],
    )
    n, i = segments + 1, np.arange(segments)
    bottom, top = 2 * n, 3 * n + 1
    faces = np.concatenate(
        [
            np.column_stack([i, i + 1, n + i + 1]),
            np.column_stack([i, n + i + 1, n + i]),
            np.column_stack([bottom + i + 1, bottom + i, np.full(segments, bottom + n)]),
            np.column_stack([top + i, top + i + 1, np.full(segments, top + n)]),
        ]
    )
    return Part(vertices, faces, uv, ID[label], material)


def cylinder(centre: tuple[float, float, float], radius: float, height: float, label: str, material: str) -> Part:
    """A vertical cylinder standing on `centre`; metres."""
    return frustum(centre, radius, radius, height, label, material)


def cushion(
    centre: tuple[float, float, float],
    size: tuple[float, float, float],
    label: str,
    material: str,
    roundness: float = 0.5,
) -> Part:
    """A superellipsoid that fills the box of `size` around `centre`; roundness 1 = ellipsoid, towards 0 = box."""
    rows, columns = 10, 24
    v = np.linspace(-np.pi / 2, np.pi / 2, rows + 1)[:, None]
    u = np.linspace(-np.pi, np.pi, columns + 1)[None]

    def power(x: np.ndarray) -> np.ndarray:
        x = np.round(x, 12)  # a root would blow up the rounding errors of cos and sin, and open the seams
        return np.sign(x) * np.abs(x) ** roundness

    cos_v = power(np.cos(v))
    unit = np.stack([cos_v * power(np.cos(u)), cos_v * power(np.sin(u)), power(np.sin(v)) * np.ones_like(u)], -1)
    vertices = unit.reshape(-1, 3) * np.array(size) / 2 + centre
    uv = vertices[:, :2] + 0.5 * vertices[:, 2:]
    i = (np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)).ravel()
    faces = np.concatenate(
        [np.column_stack([i, i + 1, i + columns + 2]), np.column_stack([i, i + columns + 2, i + columns + 1])]
    )
    return Part(vertices, _without_slivers(vertices, faces), uv, ID[label], material)


def _without_slivers(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return faces[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-10]


def curtain(width: float, height: float, folds: int, label: str, material: str) -> Part:
    """A hanging wavy sheet, closed, 4 cm waves within 10 cm of depth: x in +-width/2, y in +-0.05, z from 0."""
    n = folds * 8
    x = np.linspace(-width / 2, width / 2, n + 1)
    y = 0.04 * np.sin(np.linspace(0, 2 * np.pi * folds, n + 1))
    front, back = y + 0.008, y - 0.008
    outline = np.concatenate([np.column_stack([x, back]), np.column_stack([x, front])[::-1]])
    m = len(outline)
    vertices = np.concatenate([np.column_stack([outline, np.full(m, z)]) for z in (0.0, height)])
    along = np.concatenate([x, x[::-1]])
    uv = np.concatenate([np.column_stack([along, np.full(m, z)]) for z in (0.0, height)])
    i = np.arange(m)
    j = (i + 1) % m
    k = np.arange(n)
    sides = [np.column_stack([i, j, m + j]), np.column_stack([i, m + j, m + i])]
    caps = []
    for shift, flip in ((0, True), (m, False)):
        cells = [np.column_stack([k, k + 1, m - 2 - k]), np.column_stack([k, m - 2 - k, m - 1 - k])]
        caps += [(c[:, ::-1] if flip else c) + shift for c in cells]
    return Part(vertices, np.concatenate(sides + caps), uv, ID[label], material)


def rotation(angle_deg: float) -> np.ndarray:
    """(3, 3) rotation about the vertical axis, counter-clockwise from above."""
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def tilt(part: Part, angle_deg: float, pivot: tuple[float, float, float]) -> Part:
    """Turn a part about the x axis through `pivot`; positive angles lean its top backwards (towards -y)."""
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    turn = np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])
    return replace(part, vertices=(part.vertices - pivot) @ turn.T + pivot)


def move(parts: list[Part], angle_deg: float, offset: tuple[float, float, float]) -> list[Part]:
    """Turn parts about the vertical axis, then shift them."""
    turn = rotation(angle_deg).T
    return [replace(p, vertices=p.vertices @ turn + np.asarray(offset, dtype=np.float64)) for p in parts]
