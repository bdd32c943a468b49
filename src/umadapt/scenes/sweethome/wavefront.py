"""Wavefront OBJ and MTL files from bytes: triangles by material, in the file's own frame.

Normals, lines, groups and smoothing are not read.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from umadapt.scenes.sweethome.polygons import triangulate

_COMPONENTS = 3  # of a face corner: position / uv / normal


@dataclass(frozen=True)
class Obj:
    """positions (V, 3), uv (T, 2); by material, corners (F, 3, 2) of triangles as rows of those, -1 = no uv."""

    positions: np.ndarray
    uv: np.ndarray
    corners: dict[str, np.ndarray]
    libraries: list[str]


def parse_obj(data: bytes) -> Obj:
    """Read an OBJ file. Raises ValueError that says what is wrong with it; NaN coordinates pass."""
    positions: list[bytes] = []
    uv: list[bytes] = []
    polygons: dict[tuple[str, int, int], list[bytes]] = defaultdict(list)
    libraries: list[str] = []
    material = ""
    for line in data.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ").splitlines():
        keyword, _, rest = line.strip().partition(b" ")
        if keyword == b"v":
            positions.append(rest)
        elif keyword == b"vt":
            uv.append(rest)
        elif keyword == b"f":
            if b"-" in rest:
                rest = _absolute(rest, len(positions), len(uv))
            tokens = rest.replace(b"//", b"/0/").split()
            if len(tokens) >= 3:
                polygons[material, len(tokens), tokens[0].count(b"/") + 1].append(b" ".join(tokens))
        elif keyword == b"usemtl":
            material = _text(rest)
        elif keyword == b"mtllib":
            libraries.append(_text(rest))
    vertices = _columns(positions, 3)
    corners: dict[str, list[np.ndarray]] = defaultdict(list)
    for (name, n, components), lines in polygons.items():
        polygon = _polygons(lines, n, components, len(positions), len(uv))
        triangles = triangulate(vertices[polygon[..., 0]])
        corners[name].append(polygon[np.arange(len(polygon))[:, None, None], triangles].reshape(-1, 3, 2))
    if not corners:
        raise ValueError("it has no faces")
    return Obj(
        vertices,
        _columns(uv, 2),
        {name: np.concatenate(parts) for name, parts in corners.items()},
        libraries,
    )


def _text(value: bytes) -> str:
    return value.strip().decode("utf-8", "replace")


def _absolute(rest: bytes, positions: int, uv: int) -> bytes:
    """Negative indices count back from the latest vertex."""
    counts = (positions, uv, 0)
    corners = [
        [int(i) + 1 + counts[k] if i.startswith(b"-") else i for k, i in enumerate(c.split(b"/"))] for c in rest.split()
    ]
    return b" ".join(b"/".join(str(i).encode() if isinstance(i, int) else i for i in c) for c in corners)


def _numbers(text: bytes) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # older numpy warns, and stops reading, at what is no number
        try:
            return np.fromstring(text.decode("ascii", "replace"), dtype=np.float64, sep=" ")
        except (DeprecationWarning, ValueError) as error:
            raise ValueError("it has a coordinate or an index that is no number") from error


def _columns(lines: list[bytes], n: int) -> np.ndarray:
    if not lines:
        return np.zeros((0, n))
    numbers = _numbers(b" ".join(lines))
    if len(numbers) % len(lines) or len(numbers) // len(lines) < n:
        numbers = _numbers(b" ".join(b" ".join((line.split() + [b"0"] * n)[:n]) for line in lines))
    return numbers.reshape(len(lines), -1)[:, :n]


def _polygons(lines: list[bytes], n: int, components: int, positions: int, uv: int) -> np.ndarray:
    """(P, n, 2) rows of positions and of uv of all n-gons of one kind."""
    index = _numbers(b" ".join(lines).replace(b"/", b" "))
    if components > _COMPONENTS or len(index) != len(lines) * n * components:
        raise ValueError("the corners of a face differ in kind")
    corner = index.reshape(-1, n, components).astype(np.int64)[..., :2] - 1
    if components == 1:
        corner = np.concatenate([corner, np.full_like(corner, -1)], -1)
    if corner[..., 0].min() < 0 or corner[..., 0].max() >= positions or corner[..., 1].max() >= uv:
        raise ValueError(f"a face names a vertex beyond the {positions} vertices and {uv} texture coordinates")
    return corner


@dataclass(frozen=True)
class Mtl:
    """One material: diffuse and specular sRGB colours (3,), shininess Ns, opacity, and the name of its texture."""

    diffuse: np.ndarray
    specular: np.ndarray
    shininess: float = 0.0
    opacity: float = 1.0
    texture: str | None = None


PLAIN = Mtl(np.full(3, 0.8), np.zeros(3))


def parse_mtl(data: bytes) -> dict[str, Mtl]:
    """Read an MTL file; lines that say nothing sensible are passed over."""
    found: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in data.splitlines():
        keyword, _, rest = _text(line).replace("\t", " ").partition(" ")  # names may hold a "#"
        if keyword == "newmtl":
            current = found.setdefault(rest.strip(), {})
        elif keyword:
            current[keyword] = rest.strip()
    return {name: _material(lines) for name, lines in found.items()}


def _material(lines: dict[str, str]) -> Mtl:
    def colour(key: str, default: np.ndarray) -> np.ndarray:
        value = _floats(lines.get(key, ""))
        return np.clip(np.array((value * 3)[:3]), 0.0, 1.0) if len(value) in (1, 3) else default

    def number(key: str, default: float) -> float:
        return next(iter(_floats(lines.get(key, ""))), default)

    opacity = number("d", 1.0 - number("Tr", 0.0))
    return Mtl(
        colour("Kd", PLAIN.diffuse),
        colour("Ks", PLAIN.specular),
        number("Ns", 0.0),
        float(np.clip(opacity, 0.0, 1.0)),
        lines.get("map_Kd") or None,
    )


def _floats(text: str) -> list[float]:
    try:
        values = [float(v) for v in text.split()]
    except ValueError:
        return []
    return values if np.isfinite(values).all() else []
