"""Closed forms with curves: lofts, turned bodies, limbs, leaves, hanging cloth; metres, normals outwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from umadapt.scenes.classes import ID
from umadapt.scenes.shapes import Item, Part, Top, move

Rng = np.random.Generator
Point = tuple[float, float, float]


def pick(rng: Rng, family: str, n: int) -> str:
    """One of the n materials of a family: "wood" -> "wood0" … ; a room has few materials, as real ones do."""
    return f"{family}{rng.integers(n)}"


def body_material(rng: Rng) -> str:
    """Wood, or painted wood."""
    return pick(rng, "wood", 3) if rng.random() < 0.7 else pick(rng, "paint", 2)


def top_of(parts: list[Part]) -> float:
    """Height of the highest vertex in metres: leaning cushions reach over what carries them."""
    return max(float(p.vertices[:, 2].max()) for p in parts)


def merged(parts: Sequence[Part]) -> list[Part]:
    """One part for each label and material: rooms full of books stay quick."""
    groups: dict[tuple[int, str], list[Part]] = {}
    for part in parts:
        groups.setdefault((part.label, part.material), []).append(part)
    out = []
    for (label, material), group in groups.items():
        start = np.cumsum([0, *(len(p.vertices) for p in group[:-1])])
        faces = np.concatenate([p.faces + s for p, s in zip(group, start, strict=True)])
        vertices, uv = np.concatenate([p.vertices for p in group]), np.concatenate([p.uv for p in group])
        out.append(Part(vertices, faces, uv, label, material))
    return out


def wrap(parts: list[Part], tops: Sequence[Top] = (), front: float = 0.0) -> Item:
    """An item whose box is the parts' own bounding box: everything is shifted to stand centred on z = 0."""
    points = np.concatenate([p.vertices for p in parts])
    lo, hi = points.min(0), points.max(0)
    shift = np.array([-(lo[0] + hi[0]) / 2, -(lo[1] + hi[1]) / 2, -lo[2]])
    w, d, h = (float(v) for v in hi - lo)
    x, y, z = (float(v) for v in shift)
    moved = [Top((t.lo[0] + x, t.lo[1] + y), (t.hi[0] + x, t.hi[1] + y), t.z + z, t.headroom) for t in tops]
    return Item((w, d, h), move(parts, 0.0, (x, y, z)), moved, front)


def loft(rings: np.ndarray, label: str, material: str, loop: bool = False) -> Part:
    """Skin over K closed rings of N points each, (K, N, 3); flat caps, or the last ring joined to the first (`loop`).

    uv is metres around and along the skin.
    """
    k, n = rings.shape[:2]
    rings = np.concatenate([rings, rings[:, :1]], 1)  # the seam has its own uv
    if loop:
        rings = np.concatenate([rings, rings[:1]])
        k += 1
    around = np.linalg.norm(np.diff(rings, axis=1), axis=2).mean(0)
    along = np.linalg.norm(np.diff(rings, axis=0), axis=2).mean(1)
    u, v = np.concatenate([[0.0], np.cumsum(around)]), np.concatenate([[0.0], np.cumsum(along)])
    uv = np.stack(np.meshgrid(u, v), -1).reshape(-1, 2)
    vertices = rings.reshape(-1, 3)
    i = (np.arange(k - 1)[:, None] * (n + 1) + np.arange(n)).ravel()
    j = i + n + 1
    faces = [np.column_stack([i, i + 1, j + 1]), np.column_stack([i, j + 1, j])]
    if not loop:
        for ring, flip in ((0, True), (k - 1, False)):
            start, m = len(vertices), np.arange(n)
            centre = rings[ring, :n].mean(0)
            vertices = np.concatenate([vertices, rings[ring], centre[None]])
            flat = np.concatenate([rings[ring], centre[None]]) - centre
            across = np.argsort(-np.ptp(flat, axis=0))[:2]
            uv = np.concatenate([uv, flat[:, across]])
            fan = np.column_stack([start + m, start + m + 1, np.full(n, start + n + 1)])
            faces.append(fan[:, ::-1] if flip else fan)
    faces = _without_slivers(vertices, np.concatenate(faces))
    a, b, c = (vertices[faces[:, q]] - vertices.mean(0) for q in range(3))
    if (a * np.cross(b, c)).sum() < 0:
        faces = faces[:, ::-1]
    return Part(vertices, faces, uv, ID[label], material)


def _without_slivers(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[faces[:, q]] for q in range(3))
    return faces[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-10]


def ring(rx: float, ry: float, n: int = 16, roundness: float = 1.0) -> np.ndarray:
    """(n, 2) points of a superellipse, counter-clockwise; roundness 1 = ellipse, towards 0 = rectangle."""
    angle = 2 * np.pi * (np.arange(n) + 0.5) / n
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([rx * np.sign(c) * np.abs(c) ** roundness, ry * np.sign(s) * np.abs(s) ** roundness], 1)


def lathe(
    profile: Sequence[tuple[float, float]],
    label: str,
    material: str,
    centre: Point = (0.0, 0.0, 0.0),
    scale: tuple[float, float] = (1.0, 1.0),
    n: int = 16,
    roundness: float = 1.0,
    waves: tuple[int, float] = (0, 0.0),
) -> Part:
    """A body turned about the vertical through `centre`: profile of (radius, height), from its bottom to its end.

    A profile that comes down again inside makes a bowl. `scale` stretches radii in x and y; `waves` = (number, share
    of the radius) ripples the skin as cloth does.
    """
    shape = ring(1.0, 1.0, n, roundness)
    if waves[0]:
        angle = np.arctan2(shape[:, 1], shape[:, 0])
        shape = shape * (1 + waves[1] * np.sin(waves[0] * angle))[:, None]
    rings = [np.column_stack([shape * r * np.array(scale), np.full(n, z)]) for r, z in profile]
    return loft(np.array(rings) + np.array(centre), label, material)


def limb(a: Point, b: Point, ra: float, rb: float, label: str, material: str, n: int = 8, flat: float = 1.0) -> Part:
    """A straight round bar from a (radius ra) to b (radius rb); `flat` < 1 thins it across."""
    start, end = np.array(a, dtype=float), np.array(b, dtype=float)
    along = (end - start) / np.linalg.norm(end - start)
    side = np.cross(along, [0.0, 1.0, 0.0] if abs(along[1]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    up = np.cross(along, side)
    shape = ring(1.0, flat, n)
    return loft(
        np.array([p + r * (shape[:, :1] * side + shape[:, 1:] * up) for p, r in ((start, ra), (end, rb))]),
        label,
        material,
    )


def grained(part: Part, turn: bool = False) -> Part:
    """The part with its texture laid flat from above, grain along x (or y): boards sawn round, not turned."""
    x, y, z = part.vertices.T
    return replace(part, uv=np.stack([y + z, x] if turn else [x + z, y], 1))


def draped(part: Part) -> Part:
    """The part with its texture laid over it like a cloth: flat on top, running on down the sides."""
    x, y, z = part.vertices.T
    drop = z.max() - z
    u, v = (
        q + np.sign(q - c) * np.where(np.abs(q - c) > 0.47 * np.ptp(q), drop, 0.0)
        for q, c in ((x, (x.max() + x.min()) / 2), (y, (y.max() + y.min()) / 2))
    )
    return replace(part, uv=np.stack([u, v], 1))


def path(points: Sequence[Point], radius: float, label: str, material: str, n: int = 6) -> list[Part]:
    """A bent pipe: bars from point to point."""
    return [limb(a, b, radius, radius, label, material, n) for a, b in pairwise(points)]


def blob(
    centre: Point, size: Point, label: str, material: str, roundness: float = 0.6, rows: int = 6, n: int = 16
) -> Part:
    """A coarse superellipsoid of `size` around `centre`: the cheap cushion."""
    t = np.linspace(-np.pi / 2, np.pi / 2, rows + 1)
    r, z = np.round(np.cos(t), 12) ** roundness, np.sign(np.sin(t)) * np.abs(np.sin(t)) ** roundness
    shape = ring(0.5, 0.5, n, roundness)
    shape /= np.abs(shape).max() * 2
    rings = np.array([np.column_stack([shape * q, np.full(n, h / 2)]) for q, h in zip(r, z, strict=True)])
    return loft(rings * np.array(size) + np.array(centre), label, material)


def leaf(
    root: Point, length: float, width: float, lean_deg: float, turn_deg: float, droop: float, material: str
) -> Part:
    """A leaf from `root`: leaning out by lean_deg, bending down by `droop` of its length towards its tip."""
    t = np.linspace(0.0, 1.0, 5)
    lean = np.radians(lean_deg + 80 * droop * t)
    step = np.stack([np.sin(lean), np.cos(lean)], 1)[:-1] * length / 4
    spine = np.concatenate([[[0.0, 0.0]], np.cumsum(step, axis=0)])  # (5, 2): outwards, up
    half = width / 2 * np.array([0.12, 0.85, 1.0, 0.65, 0.04])
    thick = np.array([0.003, 0.004, 0.004, 0.003, 0.001])
    rings = np.zeros((5, 4, 3))
    for k, (x, bump) in enumerate(((1, 0.0), (0, 1.0), (-1, 0.0), (0, -1.0))):
        normal = np.stack([-np.cos(lean), np.sin(lean)], 1) * (thick * bump)[:, None]
        rings[:, k, 0] = half * x
        rings[:, k, 1] = spine[:, 0] + normal[:, 0]
        rings[:, k, 2] = spine[:, 1] + normal[:, 1]
    return move([loft(rings, "otherprop", material)], turn_deg, root)[0]


def turned(part: Part, angle_deg: float, pivot: Point = (0.0, 0.0, 0.0), axis: int = 1) -> Part:
    """Turn a part about the x (0), y (1) or z (2) axis through `pivot`."""
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    turn = np.eye(3)
    turn[i, i], turn[i, j], turn[j, i], turn[j, j] = c, -s, s, c
    return replace(part, vertices=(part.vertices - pivot) @ turn.T + pivot)


def rim(profile_out: Sequence[tuple[float, float]], wall: float) -> list[tuple[float, float]]:
    """An outer profile (radius, height) from the bottom up, continued inside at `wall` less: a hollow vessel."""
    inner = [(max(r - wall, 0.0), max(z, profile_out[0][1] + wall)) for r, z in reversed(profile_out)]
    return [(0.0, profile_out[0][1]), *profile_out, *inner, (0.0, inner[-1][1])]
