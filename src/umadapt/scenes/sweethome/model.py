"""One model of a catalogue: from its OBJ, MTL and textures in the zip to an item in metres."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np

from umadapt.scenes.classes import ID
from umadapt.scenes.shapes import Item, Part, Surface, Top, rotation
from umadapt.scenes.sweethome import meshes, wavefront
from umadapt.scenes.sweethome.meshes import Mesh
from umadapt.scenes.sweethome.table import Row
from umadapt.scenes.sweethome.texture import Textures, member_of

FORMAT = 3  # raise it when the same catalogue and table give other items: cached ones are then made anew
_MOST_FACES = 12_000  # fewer would melt the two walls of a cup into one
_BRIGHTEST = 0.85
_UNSEEN = 0.02  # opacity below which a material is only a helper of the modeller
_DECAL = 0.7  # transparent share of a texture above which it only adds marks to the surface below

_MIRROR = re.compile(r"mirror|miroir|espejo|spiegel", re.IGNORECASE)
_METAL = re.compile(r"metal|chrom|steel|inox|alumin|silver|brass", re.IGNORECASE)

_FRONT_M = {
    "bed": 0.0, "dresser": 0.5, "night_stand": 0.3, "cabinet": 0.5, "tv_stand": 0.5, "desk": 0.75, "wardrobe": 0.5,
    "bookshelf": 0.4, "shelves": 0.4, "counter": 0.5, "refrigerator": 0.5, "stove": 0.5, "appliance": 0.5,
    "toilet": 0.5, "basin": 0.5, "vanity": 0.5, "bathtub": 0.4, "shower": 0.4, "piano": 0.6, "fireplace": 0.5,
    "sofa": 0.3, "armchair": 0.3,
}  # fmt: skip
_ONE_TOP = {
    "table", "coffee_table", "side_table", "desk", "dresser", "night_stand", "cabinet", "tv_stand", "counter",
    "vanity", "piano", "fireplace",
}  # fmt: skip
_MANY_TOPS = {"bookshelf", "shelves"}

_SRGB = np.arange(256) / 255
_LINEAR = np.where(_SRGB <= 0.04045, _SRGB / 12.92, ((_SRGB + 0.055) / 1.055) ** 2.4).astype(np.float32)


@dataclass(frozen=True)
class Packed:
    """A parsed model as plain arrays: parts one after the other, counts (P, 3) of vertices, faces, coarse faces."""

    vertices: np.ndarray  # (V, 3) float32
    uv: np.ndarray  # (V, 2) float32
    faces: np.ndarray  # (F, 3) uint16 or uint32, counted from the part's first vertex
    coarse: np.ndarray
    counts: np.ndarray
    textures: list[np.ndarray]  # (N, M, 3) uint8 sRGB
    parts: list[dict[str, Any]]  # material, label, colour, texture (number or None), roughness, metallic, …
    tops: list[list[float]]  # x0, y0, x1, y1, z, headroom


def item_of(packed: Packed, model_id: str, role: str, size: tuple[float, float, float]) -> Item:
    """The item of a packed model."""
    parts = []
    v, f, c = 0, 0, 0
    for count, about in zip(packed.counts.tolist(), packed.parts, strict=True):
        texture = about["texture"]
        albedo = np.array(about["colour"]) if texture is None else _LINEAR[packed.textures[texture]]
        surface = Surface(
            np.clip(albedo, 0.0, _BRIGHTEST),
            roughness=about["roughness"],
            metallic=about["metallic"],
            opacity=about["opacity"],
            mirror=about["mirror"],
        )
        parts.append(
            Part(
                packed.vertices[v : v + count[0]].astype(np.float64),
                packed.faces[f : f + count[1]].astype(np.int64),
                packed.uv[v : v + count[0]].astype(np.float64),
                ID[about["label"]],
                f"{model_id}/{about['material']}",
                surface,
                two_sided=True,
                coarse=packed.coarse[c : c + count[2]].astype(np.int64),
            )
        )
        v, f, c = v + count[0], f + count[1], c + count[2]
    tops = [Top((x0, y0), (x1, y1), z, headroom) for x0, y0, x1, y1, z, headroom in packed.tops]
    return Item(size, parts, tops, _FRONT_M.get(role, 0.0))


def pack(
    archive: zipfile.ZipFile, path: str, model_rotation: tuple[float, ...], row: Row, size: tuple[float, float, float]
) -> Packed:
    """Read one model out of a catalogue's zip. Raises ValueError or KeyError that says what is wrong."""
    obj = wavefront.parse_obj(archive.read(path))
    library: dict[str, wavefront.Mtl] = {}
    for name in obj.libraries:
        if (member := member_of(archive, path, name)) is not None:
            library |= wavefront.parse_mtl(archive.read(member))
    textures = Textures(archive, path, alone=len(library) == 1)
    names, about = [], []
    for name in sorted(obj.corners):
        mtl = library.get(name, wavefront.PLAIN)
        if mtl.opacity > _UNSEEN and not (mtl.texture and textures.clear(mtl.texture) > _DECAL):
            names.append(name)
            about.append(_look(name, mtl, row, textures))
    mesh = _placed(_merged(obj, [obj.corners[name] for name in names]), model_rotation, row, size)
    textured = np.array([look["texture"] is not None for look in about], dtype=bool)
    mesh = _filled(meshes.reduce(mesh, _MOST_FACES, textured), size)
    single = mesh.vertices.astype(np.float32).astype(np.float64)  # as it is kept: some slivers only vanish by that
    mesh = meshes.clean(Mesh(single, mesh.uv, mesh.faces, mesh.part))
    return _packed(mesh, about, textures.images, _tops(mesh, row.role, size), size)


def _merged(obj: wavefront.Obj, corners: list[np.ndarray]) -> Mesh:
    """One mesh of all materials; a vertex for each pair of position and texture coordinates of a part."""
    if not corners:
        raise ValueError("it has no visible faces")
    part = np.repeat(np.arange(len(corners)), [len(c) for c in corners])
    flat = np.concatenate(corners).reshape(-1, 2)
    key = (np.repeat(part, 3) * (len(obj.uv) + 1) + flat[:, 1] + 1) * len(obj.positions) + flat[:, 0]
    _, first, index = np.unique(key, return_index=True, return_inverse=True)
    # The file has v upwards, from the texture's lower edge; here row 0 is its upper edge.
    uv = np.concatenate([obj.uv, np.zeros((1, 2))])[flat[first, 1]] * [1.0, -1.0] + [0.0, 1.0]
    return Mesh(obj.positions[flat[first, 0]], uv, index.reshape(-1, 3), part)


def _placed(mesh: Mesh, model_rotation: tuple[float, ...], row: Row, size: tuple[float, float, float]) -> Mesh:
    """In the item's frame and size. The file's: x to the right, y up, z to the front."""
    p = mesh.vertices @ np.array(model_rotation).reshape(3, 3).T
    p = p[:, [0, 2, 1]] * [-1.0, 1.0, 1.0]
    if row.upright:
        p = p[:, [0, 2, 1]] * [1.0, 1.0, -1.0]  # what was above comes to the front, the back goes up
    p = p @ np.round(rotation(row.turn_deg)).T
    used = p[np.unique(mesh.faces)]
    used = used[np.isfinite(used).all(1)]
    if not len(used):
        raise ValueError("none of its coordinates is a number")
    scaled = (p - used.min(0)) / np.maximum(np.ptp(used, axis=0), 1e-9) * size
    return _filled(meshes.clean(Mesh(scaled, mesh.uv, mesh.faces, mesh.part)), size)


def _filled(mesh: Mesh, size: tuple[float, float, float]) -> Mesh:
    """Stretched to its size again, as the removal of faces may have taken the outermost vertices; centred."""
    if not len(mesh.faces):
        raise ValueError("no face of it has an area")
    low, extent = mesh.vertices.min(0), np.ptp(mesh.vertices, axis=0)
    scale = np.where(extent > 1e-6, np.array(size) / np.maximum(extent, 1e-6), 1.0)
    centred = (mesh.vertices - low) * scale - np.array([size[0] / 2, size[1] / 2, 0.0])
    return Mesh(centred, mesh.uv, mesh.faces, mesh.part)


def _tops(mesh: Mesh, role: str, size: tuple[float, float, float]) -> list[list[float]]:
    if role not in _ONE_TOP | _MANY_TOPS:
        return []
    tops = meshes.free_tops(mesh, size)
    if role in _MANY_TOPS:  # what ends far behind the front is the inside of a row of books
        tops = [t for t in tops if t.hi[1] > size[1] / 2 - 0.06]
    elif tops:
        area = [(t.hi[0] - t.lo[0]) * (t.hi[1] - t.lo[1]) for t in tops]
        tops = [max((t for t, a in zip(tops, area, strict=True) if a > 0.6 * area[0]), key=lambda t: t.z)]
    return [[*t.lo, *t.hi, t.z, t.headroom] for t in tops]


def _packed(
    mesh: Mesh,
    about: list[dict[str, Any]],
    textures: list[np.ndarray],
    tops: list[list[float]],
    size: tuple[float, ...],
) -> Packed:
    cell_m = min(0.1, max(size) / 10)
    vertices, uv, faces, coarse, counts, kept = [], [], [], [], [], []
    for k, look in enumerate(about):
        mine = mesh.faces[mesh.part == k]
        if not len(mine):
            continue
        used, index = np.unique(mine, return_inverse=True)
        index = index.reshape(-1, 3)
        vertices.append(mesh.vertices[used].astype(np.float32))
        uv.append(mesh.uv[used].astype(np.float32))
        faces.append(index)
        coarse.append(meshes.coarse_faces(vertices[-1].astype(np.float64), index, cell_m))
        counts.append((len(used), len(index), len(coarse[-1])))
        kept.append(look)
    kind = np.uint16 if max(c[0] for c in counts) < 1 << 16 else np.uint32
    return Packed(
        np.concatenate(vertices),
        np.concatenate(uv),
        np.concatenate(faces).astype(kind),
        np.concatenate(coarse).astype(kind),
        np.array(counts),
        textures,
        kept,
        tops,
    )


def _look(name: str, mtl: wavefront.Mtl, row: Row, textures: Textures) -> dict[str, Any]:
    label = row.label_of(name)
    metal = bool(_METAL.search(name))
    glossy = metal or (mtl.specular.max() >= 0.25 and mtl.shininess >= 20 and not _is_default(mtl))
    # Ns is the exponent of Blinn and Phong; its usual match to the roughness of microfacets, squared once more.
    rough = float(np.clip((2 / (mtl.shininess + 2)) ** 0.25, 0.15, 0.6)) if glossy else None
    return {
        "material": name,
        "label": label,
        "colour": [float(c) for c in np.interp(mtl.diffuse, _SRGB, _LINEAR)],
        "texture": textures.number(mtl.texture) if mtl.texture else None,
        "roughness": 0.35 if metal and rough is None else rough,
        "metallic": 0.8 if metal else 0.0,
        "opacity": mtl.opacity if mtl.opacity < 0.95 else 1.0,
        "mirror": label == "mirror" and mtl.texture is None and bool(_MIRROR.search(name)),
    }


def _is_default(mtl: wavefront.Mtl) -> bool:
    """Blender writes this gloss for every material that nobody touched, cloth and wood included."""
    return abs(mtl.shininess - 96.08) < 0.01 and np.allclose(mtl.specular, 0.5)
