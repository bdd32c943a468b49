"""The folder that `predict` writes, a data folder of its own.

OUT/
  image/STEM.jpg|png      the photo, upright
  TASK/STEM.png           depth, normals, seg: the folder format; edges: 8-bit grey, 1 + 254 * probability
  npy/depth/STEM.npy      float32 (H, W) metres
  npy/normals/STEM.npy    float16 (H, W, 3) unit vectors
  npy/seg/STEM.npy        uint8 (H, W) class ids
  npy/edges/STEM.npy      float16 (H, W) probabilities
  trust/TASK/STEM.png     8-bit grey, low = good: value / 255 * "white" of dataset.json is the disagreement
  trust/means.json        {STEM: {TASK: mean disagreement of the photo}}, of all photos predicted into OUT
  view/STEM.png           photo | each task | trust, for people
  cloud/STEM.glb|ply      with --cloud: what the photo shows as a mesh or points, metres, y up
  video/STEM.mp4          of a clip: its frames beside their maps, in colours that are fixed for it; nothing else
  dataset.json            classes, depth scale, and what "white" stands for
"""

from __future__ import annotations

import contextlib
import functools
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from umadapt.data import json_schema, viz
from umadapt.data.atomic import whole_file, write_bytes, write_json
from umadapt.data.files import LABEL_MODES, Stored, is_upright_jpeg, write_image, write_pixels
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.inference import cloud
from umadapt.inference.enlarge import strips
from umadapt.inference.predictor import Predictor

if TYPE_CHECKING:
    from umadapt import config as configs

MEANS = json_schema.table(
    json_schema.table(json_schema.number(0))
)  # of trust/means.json: photo -> task -> mean disagreement
VIEW_WIDTH = 400  # of each of the pictures for people, in pixels


def add_means(file: Path, parts: Sequence[Mapping[str, Mapping[str, float]]]) -> None:
    """Put the mean disagreements of photos, of every rank, beside those of photos that were predicted before."""
    found = {stem: means for part in parts for stem, means in part.items() if means}
    if process_group.rank() or not found:
        return
    before: dict[str, Any] = {}
    try:
        before = json_schema.read(file, MEANS, "the means of photos that were predicted before are left out")
    except FileNotFoundError:
        pass
    except UserError as error:  # what was predicted now is not to be lost with it
        print(error, file=sys.stderr)
    write_json(file, dict(sorted({**before, **found}.items())))


def refuse_foreign(out: Path, tasks: Iterable[str]) -> None:
    """Raise a UserError when `out` holds data that `predict` did not write: labels, or maps of `tasks`."""
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"{out} is a file; --out wants a folder")
    try:
        ours = "trust" in json_schema.read(
            out / "dataset.json", json_schema.table(json_schema.anything), "give --out a new folder"
        )
    except (FileNotFoundError, UserError):
        ours = False
    if not ours and any((out / name).exists() for name in ("dataset.json", "image", *LABEL_MODES, *tasks)):
        raise UserError(f"{out} holds a data set that predict did not write; give --out a new folder")


def describe(predictor: Predictor, name: str) -> dict[str, Any]:
    """The dataset.json of a folder of predictions.

    "trust" says what white (255) of a trust map stands for; more disagreement is white too. OURS: fixed for a run, so
    that maps of different photos compare; each task's file says why it is what it is.
    """
    return {
        "name": name,
        "license": "",
        "camera": None,
        "tasks": {task: map_.stored() for task, map_ in predictor.maps.items()},
        "trust": predictor.trust,
    }


def write_prediction(
    out: Path, stem: str, photo: Stored, rgb: np.ndarray, found: Mapping[str, Any], predictor: Predictor
) -> dict[str, float]:
    """Write all files of one photo; `found` is what `predictor.look` gave for it. The mean of each trust map.

    Maps are made, stored and drawn a strip at a time; no more than the stored numbers of one are held at once.
    """
    _copy_photo(out / "image", stem, photo, rgb)
    small: dict[str, np.ndarray] = {}
    means: dict[str, float] = {}
    for name, map_ in predictor.maps.items():
        npy = out / "npy" / name / f"{stem}.npy", map_.npy
        small[name], _ = _write_map(out / name / f"{stem}.png", found[name], map_.pixels, npy)
    for name, disagreement in found["trust"].items():
        white = predictor.trust[name]["white"]
        png = out / "trust" / name / f"{stem}.png"
        small[f"trust of {name}"], means[name] = _write_map(png, disagreement, functools.partial(_grey, white))
    write_image(out / "view" / f"{stem}.png", view(rgb, small, predictor))
    return means


def write_cloud(config: configs.Predict, stem: str, rgb: np.ndarray, focal: float | None, predictor: Predictor) -> None:
    """Write OUT/cloud/STEM.glb or .ply of maps that were written before; an unknown camera is the one assumed."""
    depth = np.load(config.out / "npy" / "depth" / f"{stem}.npy", mmap_mode="r")
    assumed = max(depth.shape) / 2 / math.tan(math.radians(predictor.fov or cloud.FOV) / 2)
    colours = rgb
    if config.cloud_colours != "photo":
        painted = np.load(config.out / "npy" / config.cloud_colours / f"{stem}.npy")
        colours = predictor.maps[config.cloud_colours].picture(painted)
    shape = cloud.shape_of(depth, assumed if focal is None else focal, colours, config.cloud_shape)
    cloud.write_shape(config.out / "cloud" / f"{stem}.{config.cloud}", shape)


def _grey(white: float, disagreement: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(disagreement / white, 0, 1) * 255).astype(np.uint8)


def _write_map(
    png: Path,
    map_: Any,
    pixels: Callable[[np.ndarray], np.ndarray],
    npy: tuple[Path, type[Any]] | None = None,
) -> tuple[np.ndarray, float]:
    """Write a map as a picture, and its numbers as `npy`, a path and their type; its thumbnail, and its mean."""
    height, width = map_.shape[:2]
    rows, columns = viz.picked((height, width), VIEW_WIDTH)
    thumbnail = np.empty((len(rows), len(columns), *map_.shape[2:]), map_.dtype)
    stored, total = None, 0.0
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(_npy_file(npy[0], map_.shape, npy[1])) if npy else None
        for top, strip in strips(map_):
            kept = pixels(strip)
            stored = np.empty((height, *kept.shape[1:]), kept.dtype) if stored is None else stored
            stored[top : top + len(strip)] = kept
            shown = (rows >= top) & (rows < top + len(strip))
            thumbnail[shown] = strip[rows[shown] - top][:, columns]
            total += float(strip.sum(dtype=np.float64))
            if file and npy:
                file.write(np.ascontiguousarray(strip, npy[1]).tobytes())
    assert stored is not None
    write_pixels(png, stored)
    return thumbnail, total / map_.shape[0] / map_.shape[1]


@contextlib.contextmanager
def _npy_file(path: Path, shape: tuple[int, ...], kind: type[Any]) -> Iterator[BinaryIO]:
    """A file of NumPy's format, of which the numbers are still to be written, row by row."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(kind)), "fortran_order": False, "shape": shape}
    with whole_file(path) as new, new.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        yield file


def _copy_photo(folder: Path, stem: str, photo: Stored, rgb: np.ndarray) -> None:
    """The photo itself, so that the folder is complete; its bytes where they are an upright JPEG, else a PNG."""
    data = photo.read_bytes()
    plain = is_upright_jpeg(data)
    target = folder / f"{stem}.{'jpg' if plain else 'png'}"
    if target.exists() and target.resolve() == photo.resolve():
        return  # predicting the folder's own photos again
    if plain:
        write_bytes(target, data)
    else:
        write_image(target, rgb)


def view(rgb: np.ndarray, small: Mapping[str, np.ndarray], predictor: Predictor) -> np.ndarray:
    """Photo | each task | trust of each task, side by side: (h, W, 3) uint8 for people, of thumbnails by name."""
    pictures = {"photo": viz.thumbnail_photo(rgb, VIEW_WIDTH)}
    for name, map_ in predictor.maps.items():
        pictures[name] = map_.picture(small[name])
    for name, shown in predictor.trust.items():
        pictures[f"trust of {name} (teal = good)"] = viz.trust_to_rgb(small[f"trust of {name}"] / shown["white"])
    tile = pictures["photo"].shape
    return viz.contact_sheet([list(pictures.values())], list(pictures), (tile[0], tile[1]))
