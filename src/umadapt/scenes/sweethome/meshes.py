"""Triangle soups from modellers made fit for rooms: no rubbish, fewer faces, and where small things may stand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from umadapt.scenes.shapes import Top

_SLIVER_M2 = 1e-12
_CELL_M = 0.025  # of the grid in which free areas are looked for
_SAMPLES = 8  # of the surface for each of its cells
_FLAT_M = 0.01  # how far a free area may be from flat
_FREE_M = 0.12  # height that must be free above it
_STANDS_M = 0.12  # sides of the smallest useful area
_UV_LIMIT = 1000.0


@dataclass(frozen=True)
class Mesh:
    """Vertices (V, 3) and uv (V, 2), faces (F, 3), and the number of the part that each face belongs to (F,)."""

    vertices: np.ndarray
    uv: np.ndarray
    faces: np.ndarray
    part: np.ndarray


def clean(mesh: Mesh) -> Mesh:
    """Without faces that have a NaN, no area (under 1e-12 m²) or a twin, and without vertices that no face uses."""
    corner = mesh.vertices[mesh.faces]
    good = np.isfinite(corner).all(axis=(1, 2))
    corner[~good] = 0.0
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1) / 2
    keep = np.flatnonzero(good & (area > _SLIVER_M2))
    keep = keep[_first_of_each(mesh.faces[keep])]
    used, faces = np.unique(mesh.faces[keep], return_inverse=True)
    # Beyond some thousand repeats single precision has no texels left, and a lookup may return anything.
    uv = np.where(np.abs(mesh.uv[used]) < _UV_LIMIT, mesh.uv[used], 0.0)
    return Mesh(mesh.vertices[used], uv, faces.reshape(-1, 3), mesh.part[keep])


def _first_of_each(faces: np.ndarray) -> np.ndarray:
    """Rows of the first face of each set of vertices, in order."""
    return np.sort(np.unique(np.sort(faces, 1), axis=0, return_index=True)[1])


def _cells(vertices: np.ndarray, cell_m: float) -> np.ndarray:
    """(V,) number of the grid cell of each vertex; the same number = the same cell."""
    steps = np.floor((vertices - vertices.min(0)) / cell_m).astype(np.int64)
    extent = steps.max(0) + 1
    return (steps[:, 0] * extent[1] + steps[:, 1]) * extent[2] + steps[:, 2]


def _representatives(vertices: np.ndarray, group: np.ndarray) -> np.ndarray:
    """(V,) for each vertex, the vertex nearest to the mean of its group."""
    _, group = np.unique(group, return_inverse=True)
    count = np.bincount(group)
    mean = np.stack([np.bincount(group, vertices[:, k]) / count for k in range(3)], 1)
    away = ((vertices - mean[group]) ** 2).sum(1)
    order = np.lexsort((away, group))
    first = np.concatenate([[0], np.cumsum(count)[:-1]])
    return order[first][group]


def cluster(mesh: Mesh, cell_m: float, textured: np.ndarray) -> Mesh:
    """Merge the vertices of each grid cell; `textured` (parts,) says whose texture coordinates must stay apart."""
    position = _representatives(mesh.vertices, _cells(mesh.vertices, cell_m))
    # Seams stay: a vertex of a textured part only takes the coordinates of one in the same quarter of the texture.
    quarter = np.zeros(len(mesh.vertices), dtype=np.int64)
    seen = np.zeros(len(mesh.vertices), dtype=bool)
    seen[mesh.faces[textured[mesh.part]]] = True
    steps = np.floor(mesh.uv[seen] * 4).clip(-1000, 1000).astype(np.int64)
    quarter[seen] = 1 + (steps[:, 0] + 1000) * 2001 + steps[:, 1] + 1000
    _, first, merged = np.unique(position * 5_000_000 + quarter, return_index=True, return_inverse=True)
    return clean(Mesh(mesh.vertices[position[first]], mesh.uv[first], merged[mesh.faces], mesh.part))


def reduce(mesh: Mesh, most_faces: int, textured: np.ndarray) -> Mesh:
    """The mesh with at most that many faces, by the finest grid (in steps of 1.25) that gets there."""
    cell_m = float(np.ptp(mesh.vertices, axis=0).max()) / 1000
    out = mesh
    while len(out.faces) > most_faces:
        out = cluster(mesh, cell_m, textured)
        cell_m *= 1.25
    return out


def coarse_faces(vertices: np.ndarray, faces: np.ndarray, cell_m: float) -> np.ndarray:
    """(G, 3) faces over the same vertices after merging those of each grid cell."""
    merged = _representatives(vertices, _cells(vertices, cell_m))[faces]
    distinct = (merged[:, 0] != merged[:, 1]) & (merged[:, 1] != merged[:, 2]) & (merged[:, 2] != merged[:, 0])
    merged = merged[distinct]
    merged = merged[_first_of_each(merged)]
    corner = vertices[merged]
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1) / 2
    return merged[area > _SLIVER_M2]


def free_tops(mesh: Mesh, size: tuple[float, float, float]) -> list[Top]:
    """The largest free horizontal rectangle of each level of an item, largest first.

    The surface is sampled: a level counts where samples of horizontal faces lie within 1 cm, and a cell of the grid is
    free when nothing is sampled in the 12 cm above.
    """
    points, horizontal = _samples(mesh)
    shape = np.maximum(1, np.floor(np.array(size[:2]) / _CELL_M)).astype(np.int64)
    pitch = np.array(size[:2]) / shape
    cell = np.clip(np.floor((points[:, :2] + np.array(size[:2]) / 2) / pitch), 0, shape - 1).astype(np.int64)
    flat = cell[:, 0] * shape[1] + cell[:, 1]
    tops: list[Top] = []
    for z in _levels(points[horizontal, 2]):
        near = horizontal & (np.abs(points[:, 2] - z) <= _FLAT_M + 1e-6)
        level = float(np.quantile(points[near, 2], 0.95))
        above = points[:, 2] - level
        covered, blocked = (np.zeros(shape, dtype=bool) for _ in range(2))
        covered.ravel()[flat[near & (np.abs(above) <= _FLAT_M)]] = True
        blocked.ravel()[flat[(above > _FLAT_M) & (above < _FREE_M)]] = True
        x0, y0, x1, y1 = _largest_rectangle(_closed(covered) & ~blocked)
        sides = (x1 - x0, y1 - y0) * pitch
        if sides.min() < _STANDS_M or covered[x0:x1, y0:y1].mean() < 0.95:
            continue
        inside = (cell >= (x0, y0)).all(1) & (cell < (x1, y1)).all(1) & (above > _FLAT_M)
        room = float(above[inside].min()) if inside.any() else 0.5
        lo, hi = ((x0, y0), (x1, y1)) * pitch - np.array(size[:2]) / 2
        tops.append(Top((float(lo[0]), float(lo[1])), (float(hi[0]), float(hi[1])), level, min(room, 0.5)))
    return sorted(tops, key=lambda t: (t.lo[0] - t.hi[0]) * (t.hi[1] - t.lo[1]))


def _samples(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) spread evenly over all faces, _SAMPLES for a cell's area, and which lie on level faces."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    cross = np.cross(b - a, c - a)
    twice = np.linalg.norm(cross, axis=1)
    rng = np.random.default_rng(0)
    count = np.floor(twice / 2 * _SAMPLES / _CELL_M**2 + rng.random(len(twice))).astype(np.int64)
    face = np.repeat(np.arange(len(count)), count)
    u, v = rng.random((2, len(face), 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    points = a[face] + u * (b - a)[face] + v * (c - a)[face]
    return points, (np.abs(cross[:, 2]) > 0.98 * twice)[face]


def _levels(z: np.ndarray) -> list[float]:
    """Heights at which much is horizontal, most first; 2 cm apart at least, between 10 cm and 1.5 m."""
    z = z[(z > 0.1) & (z < 1.5)]
    if not len(z):
        return []
    count = np.bincount((z * 100).astype(np.int64))
    count = np.append(count, 0) + np.append(0, count)  # of the 2 cm around k cm
    out: list[float] = []
    for k in np.argsort(-count, kind="stable")[:24].tolist():
        if count[k] * _CELL_M**2 / _SAMPLES > _STANDS_M**2 and all(abs(k / 100 - other) >= 0.02 for other in out):
            out.append(k / 100)
    return out


def _closed(mask: np.ndarray) -> np.ndarray:
    """Also the cells that lack samples while most of their eight neighbours have some."""
    padded = np.pad(mask, 1)
    shifts = [padded[i : i + mask.shape[0], j : j + mask.shape[1]] for i in range(3) for j in range(3)]
    return mask | (np.sum(shifts, 0) >= 6)


def _largest_rectangle(mask: np.ndarray) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of the largest block of true cells, half-open."""
    best, best_area = (0, 0, 0, 0), 0
    for x0 in range(len(mask)):
        rows = np.logical_and.accumulate(mask[x0:], 0)
        for depth, row in enumerate(rows, 1):
            if not row.any():
                break
            if depth * row.sum() <= best_area:
                continue
            edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
            run = int(np.argmax(edges[1::2] - edges[::2]))
            y0, y1 = int(edges[2 * run]), int(edges[2 * run + 1])
            if depth * (y1 - y0) > best_area:
                best, best_area = (x0, y0, x0 + depth, y1), depth * (y1 - y0)
    return best
