"""All models of the furniture catalogues as pictures, one page a class: what furniture.tsv makes of them.

Every model is seen from its front, from the left and above; its role, id and size stand below, red arrows of the floor
point to its front, and free tops are marked in red.

python studies/furniture_sheet.py OUT_DIR [--furniture DIR]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from umadapt.data.camera import Camera
from umadapt.errors import UserError
from umadapt.scenes.labels import Pose, Triangles, cast
from umadapt.scenes.shapes import Item, Part
from umadapt.scenes.sweethome.catalogue import Catalogue, Model, default_folder

TILE, FINE, COLUMNS = 150, 2, 9  # pixels of a thumbnail, of which each is the mean of FINE x FINE


def main(out: Path, folder: Path) -> None:
    """One PNG for each class and page, and a list of what is left out."""
    catalogue = Catalogue.open(folder)
    out.mkdir(parents=True, exist_ok=True)
    for label in sorted({model.label for model in catalogue.models}):
        models = sorted((m for m in catalogue.models if m.label == label), key=lambda m: (m.role, m.id))
        for page, first in enumerate(range(0, len(models), 8 * COLUMNS)):
            tiles = [tile(catalogue, model) for model in models[first : first + 8 * COLUMNS]]
            sheet(tiles).save(out / f"{label}{page or ''}.png")
        print(f"{label}: {len(models)} models")
    left_out = "\n".join(f"{model}\t{reason}" for model, reason in sorted(catalogue.skipped.items()))
    (out / "left_out.tsv").write_text(left_out + "\n", encoding="utf-8")


def sheet(tiles: list[Image.Image]) -> Image.Image:
    """Thumbnails in rows."""
    width, height = tiles[0].size
    page = Image.new("RGB", (COLUMNS * width, -(-len(tiles) // COLUMNS) * height), "white")
    for k, image in enumerate(tiles):
        page.paste(image, (k % COLUMNS * width, k // COLUMNS * height))
    return page


def tile(catalogue: Catalogue, model: Model) -> Image.Image:
    """One model with its legend."""
    page = Image.new("RGB", (TILE + 4, TILE + 40), "white")
    draw = ImageDraw.Draw(page)
    try:
        page.paste(Image.fromarray(picture(catalogue.item(model))), (2, 0))
    except UserError as error:
        draw.multiline_text((2, 20), str(error)[:120], fill="red")
    size = " x ".join(f"{100 * s:.0f}" for s in model.size) + (f" +{100 * model.elevation:.0f}" * (model.elevation > 0))
    for row, (text, ink) in enumerate(
        ((model.role or "-", "blue"), (model.id.replace("Blend Swap ", ""), "black"), (size, "black"))
    ):
        draw.text((2, TILE + 12 * row), text[:26], fill=ink)
    return page


def picture(item: Item) -> np.ndarray:
    """(TILE, TILE, 3) uint8 view of an item, shaded by how its faces turn to the camera."""
    size = np.array(item.size)
    radius = float(np.linalg.norm(size)) / 2
    backwards = np.array([0.45, 1.0, 0.55]) / np.linalg.norm([0.45, 1.0, 0.55])
    right = np.cross([0.0, 0.0, 1.0], backwards)
    axes = np.stack([right / np.linalg.norm(right), np.cross(backwards, right / np.linalg.norm(right)), backwards], 1)
    n = TILE * FINE
    pose = Pose(np.array([0.0, 0.0, size[2] / 2]) + 6 * radius * backwards, axes)
    camera = Camera(2.7 * n, 2.7 * n, n / 2, n / 2, n, n)
    parts = [*item.parts, _arrow(item), *(_mark(t.lo, t.hi, t.z, 0.012 * max(item.size)) for t in item.tops)]
    count = [len(p.faces) for p in parts]
    corners = np.concatenate([p.vertices[p.faces] for p in parts])
    part = np.repeat(np.arange(len(parts)), count)
    index, depth_m, normals = cast(Triangles(corners, part, part, np.ones(len(part), dtype=bool)), pose, camera)
    image = np.ones((n, n, 3))
    for k, one in enumerate(parts):
        hit = (index >= 0) & (part[index] == k)
        face = index[hit] - sum(count[:k])
        points = (camera.rays()[hit] * depth_m[hit][:, None] * [1.0, -1.0, -1.0]) @ axes.T + pose.position
        light = 0.35 + 0.65 * np.abs(normals[hit] @ np.array([0.3, 0.5, 0.81]))
        image[hit] = (albedo(one, face, points) * light[:, None]) ** (1 / 2.2)
    fine = image.reshape(TILE, FINE, TILE, FINE, 3).mean((1, 3))
    return (fine.clip(0, 1) * 255).astype(np.uint8)


def albedo(part: Part, face: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N, 3) linear colours of points (N, 3) on faces (N,) of a part."""
    if part.surface is None:
        return np.tile([0.9, 0.05, 0.05], (len(face), 1))
    if part.surface.albedo.ndim == 1:
        return np.tile(part.surface.albedo, (len(face), 1))
    a, b, c = (part.vertices[part.faces[face, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    area = (normal**2).sum(1)
    v = (np.cross(points - a, c - a) * normal).sum(1) / area
    w = (np.cross(b - a, points - a) * normal).sum(1) / area
    weight = np.stack([1 - v - w, v, w], 1)
    uv = (part.uv[part.faces[face]] * weight[..., None]).sum(1) % 1.0
    rows, columns = part.surface.albedo.shape[:2]
    return part.surface.albedo[(uv[:, 1] * rows).astype(int) % rows, (uv[:, 0] * columns).astype(int) % columns]


def _arrow(item: Item) -> Part:
    """A triangle on the floor that points to the front."""
    y, reach = item.size[1] / 2, 0.12 * max(item.size)
    corners = np.array([[-reach / 2, y, 0.0], [reach / 2, y, 0.0], [0.0, y + reach, 0.0]])
    return Part(corners, np.array([[0, 1, 2]]), np.zeros((3, 2)), 0, "arrow")


def _mark(lo: tuple[float, float], hi: tuple[float, float], z: float, t: float) -> Part:
    """The outline of a free area, as a frame t thick just above it."""
    x0, y0, x1, y1 = *lo, *hi
    strips = [(x0, y0, x1, y0 + t), (x0, y1 - t, x1, y1), (x0, y0, x0 + t, y1), (x1 - t, y0, x1, y1)]
    corners = np.array([[[a, b, z], [c, b, z], [c, d, z], [a, d, z]] for a, b, c, d in strips]).reshape(-1, 3)
    corners[:, 2] += 0.012
    faces = np.concatenate([[[4 * k, 4 * k + 1, 4 * k + 2], [4 * k, 4 * k + 2, 4 * k + 3]] for k in range(4)])
    return Part(corners, faces, np.zeros((len(corners), 2)), 0, "mark")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    chosen = Path(arguments[2]) if arguments[1:2] == ["--furniture"] and len(arguments) == 3 else default_folder()
    if len(arguments) not in (1, 3) or chosen is None:
        sys.exit(
            __doc__ if chosen else "no furniture: type `apt install sweethome3d-furniture`, or give --furniture DIR"
        )
    try:
        main(Path(arguments[0]), chosen)
    except UserError as failure:
        sys.exit(str(failure))
