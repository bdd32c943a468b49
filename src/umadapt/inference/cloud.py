"""What a photo shows as a shape: its depth back-projected into a coloured mesh or cloud of points, for glTF and PLY."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from umadapt.data.atomic import whole_file
from umadapt.errors import UserError

if TYPE_CHECKING:
    import trimesh

Shape = Literal["mesh", "points"]
MOST = 300_000  # vertices: one a pixel of 640x480
STEP = 0.06  # neighbours of a grid of 100 rows whose depths differ by more than this share belong to two things
ROWS = 100
FOV = 60.0  # degrees along the longer side that a camera sees of which nothing is known, nor assumed by the network


def check_installed() -> None:
    """Raise a UserError where nothing is installed to write shapes."""
    if importlib.util.find_spec("trimesh") is None:
        raise UserError('--cloud needs trimesh, which is not installed; type: pip install "umadapt[cloud]"')


def check(maps: Collection[str], colours: str) -> None:
    """Raise a UserError where shapes cannot be made of a network's maps, or painted so."""
    if "depth" not in maps:
        raise UserError(f"--cloud needs depth, and this network predicts {', '.join(maps)}")
    if colours != "photo" and colours not in maps:
        raise UserError(f"--cloud-colours {colours}: this network predicts {', '.join(maps)}")


def shape_of(
    depth_m: np.ndarray, focal: float, colours: np.ndarray, shape: Shape = "mesh", most: int = MOST
) -> trimesh.Trimesh | trimesh.PointCloud:
    """A photo's surface in metres, x right, y up, the camera at the origin looking along -z, as glTF has it.

    A mesh is cut where depth steps from one thing to another.

    Args:
        depth_m: (H, W) metres along the optical axis.
        focal: focal length in pixels of the depth map; the optical axis goes through its middle.
        colours: (H, W, 3) uint8.
        most: vertices, about; larger maps are thinned out evenly.
    """
    import trimesh

    height, width = depth_m.shape
    stride = max(1, math.ceil(math.sqrt(height * width / most)))
    rows, columns = np.arange(0, height, stride), np.arange(0, width, stride)
    z = depth_m[np.ix_(rows, columns)].astype(np.float64)
    x = (columns + 0.5 - width / 2)[None, :] / focal * z
    y = (rows + 0.5 - height / 2)[:, None] / focal * z
    points = np.stack([x, -y, -z], axis=-1).reshape(-1, 3)
    paint = colours[np.ix_(rows, columns)].reshape(-1, 3)
    if shape == "points":
        return trimesh.PointCloud(points, colors=paint)
    mesh = trimesh.Trimesh(points, faces_of(z, STEP * ROWS / len(rows)), vertex_colors=paint, process=False)
    mesh.remove_unreferenced_vertices()
    return mesh


def faces_of(z: np.ndarray, step: float) -> np.ndarray:
    """Two triangles (F, 3) for each cell of the grid (h, w) whose corners differ in depth by no more than a share
    `step` of the nearest, counter-clockwise as the camera sees them."""
    corners = np.stack([z[:-1, :-1], z[:-1, 1:], z[1:, :-1], z[1:, 1:]])
    whole = (corners.max(0) - corners.min(0) <= step * corners.min(0)) & (corners.min(0) > 0)
    index = np.arange(z.size).reshape(z.shape)
    above_left, above_right = index[:-1, :-1][whole], index[:-1, 1:][whole]
    below_left, below_right = index[1:, :-1][whole], index[1:, 1:][whole]
    first = np.stack([above_left, below_left, above_right], axis=-1)
    second = np.stack([above_right, below_left, below_right], axis=-1)
    return np.concatenate([first, second])


def write_shape(path: Path, shape: trimesh.Trimesh | trimesh.PointCloud) -> None:
    """Write .glb or .ply by the name's ending. Colours of glTF's vertices are linear, those of PLY as in the photo."""
    kind = path.suffix[1:]
    if kind == "glb":
        shape = shape.copy()
        paint = shape.visual if hasattr(shape, "faces") else shape  # what holds the colours of a mesh, of points
        name = "vertex_colors" if hasattr(shape, "faces") else "colors"
        linear = np.array(getattr(paint, name))
        linear[:, :3] = np.rint(255 * (linear[:, :3] / 255.0) ** 2.2)
        setattr(paint, name, linear)
    how: dict[str, Any] = {"tree_postprocessor": unlit} if kind == "glb" else {}
    content: Any = shape.export(file_type=kind, **how)
    with whole_file(path) as file:
        file.write_bytes(content)


def unlit(tree: dict[str, Any]) -> None:
    """Have viewers show the colours as they are (KHR_materials_unlit): a photo has its light in it."""
    name = "KHR_materials_unlit"
    tree["extensionsUsed"] = [*tree.get("extensionsUsed", ()), name]
    tree["materials"] = [{"extensions": {name: {}}, "doubleSided": True}]
    for primitive in (part for mesh in tree["meshes"] for part in mesh["primitives"]):
        primitive["material"] = 0
