"""What the page shows of a photo, as files in a folder: pictures, what stands under the pointer, a shape, downloads.

FOLDER/
  TASK.png            each map as a picture for people; trust of a task: trust-TASK.png
  under.png           8-bit RGB: depth in millimetres (256 * red + green), class id (blue); what is not known is 255
  STEM-pictures.zip   the same pictures; what people download
  STEM-numbers.zip    TASK.npy as `predict` writes it, and trust-TASK.npy
  STEM.glb            the shape, with depth and trimesh
"""

from __future__ import annotations

import importlib.util
import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from umadapt.data import viz
from umadapt.data.files import read_photo
from umadapt.inference import cloud
from umadapt.inference.predictor import Predictor
from umadapt.serve.photos import Photo

VERTICES = 100_000  # of a shape on the page, at most
UNKNOWN = 255  # in under.png, of each byte
TITLES = {"depth": "Depth", "normals": "Normals", "seg": "Classes", "edges": "Edges"}


class Layer(NamedTuple):
    """One map to look at."""

    name: str  # "depth", "trust of seg", …
    title: str
    picture: Path
    kind: str  # of `data.maps`, or "trust"
    scale: float | None = None  # `Map.picture_scale`: of depth the metres of the darkest colour


class Class(NamedTuple):
    """A class of the photo."""

    id: int
    name: str
    colour: tuple[int, int, int]
    share: float  # of the photo's pixels


@dataclass(frozen=True)
class Shown:
    """A photo and all that is known of it; every path is a file in one folder."""

    name: str  # of the file that the user gave
    size: tuple[int, int]  # (H, W) of that photo
    photo: Path
    shape_size: tuple[int, int]  # (h, w) of the pictures
    layers: tuple[Layer, ...]
    classes: tuple[Class, ...]  # by size, those that are there
    under: Path
    camera: str  # which was taken, for people
    pictures: Path
    numbers: Path
    shape: Path | None  # None: no depth, or no trimesh


class Looker:
    """Shows photos as one network sees them."""

    def __init__(self, predictor: Predictor):
        self.predictor = predictor

    def show(self, photo: Photo, folder: Path, fov: float = 0.0, beside: Shown | None = None) -> Shown:
        """Predict a photo and write what is shown of it.

        Args:
            folder: a new one.
            fov: degrees that it sees along its longer side; 0 = by its EXIF, or as the network assumes.
            beside: what this stands beside; its colours mean the same.

        Raises:
            UserError: it is gone, or cannot be predicted.
        """
        rgb = read_photo(photo.file)
        sees = fov or photo.fov
        focal = max(rgb.shape[:2]) / 2 / math.tan(math.radians(sees) / 2) if sees else None
        found = self.predictor.predict(rgb, focal=focal)
        folder.mkdir(parents=True)
        scales = {layer.name: layer.scale for layer in beside.layers} if beside else {}
        return write_shown(photo, rgb, found, self.predictor, fov, folder, scales)


def write_shown(
    photo: Photo,
    rgb: np.ndarray,
    found: Mapping[str, Any],
    predictor: Predictor,
    fov: float,
    folder: Path,
    scales: Mapping[str, float | None],
) -> Shown:
    """Write all files of a photo (h, w, 3); `found` is what `predictor.predict` gave, `scales` those of pictures that
    it is compared with."""
    stem = photo.file.stem
    sees = fov or photo.fov or predictor.fov or cloud.FOV
    layers = []
    for task, map_ in predictor.maps.items():
        scale = scales[task] if task in scales else map_.picture_scale(found[task])
        picture = write_png(folder / f"{task}.png", map_.picture(found[task], scale))
        layers.append(Layer(task, TITLES.get(task, task), picture, map_.kind, scale))
    for task, shown in predictor.trust.items():
        picture = viz.trust_to_rgb(found["trust"][task] / shown["white"])
        title = "Trust" if len(predictor.trust) == 1 else f"Trust: {TITLES.get(task, task).lower()}"
        layers.append(Layer(f"trust of {task}", title, write_png(folder / f"trust-{task}.png", picture), "trust"))
    shape = write_glb(folder / f"{stem}.glb", found, rgb, sees)
    numbers = {task: found[task].astype(map_.npy, copy=False) for task, map_ in predictor.maps.items()}
    numbers |= {f"trust-{task}": map_.astype(np.float16) for task, map_ in found["trust"].items()}
    return Shown(
        name=photo.name,
        size=photo.size,
        photo=photo.file,
        shape_size=(rgb.shape[0], rgb.shape[1]),
        layers=tuple(layers),
        classes=classes_of(found["seg"], predictor.classes) if "seg" in predictor.maps else (),
        under=write_png(folder / "under.png", under_pointer(found, rgb.shape[:2])),
        camera=camera_told(photo, fov, sees),
        pictures=zip_files(folder / f"{stem}-pictures.zip", [photo.file, *(x.picture for x in layers)]),
        numbers=zip_arrays(folder / f"{stem}-numbers.zip", numbers),
        shape=shape,
    )


def write_png(path: Path, pixels: np.ndarray) -> Path:
    """A picture without loss, written fast: it lives as long as the page shows it."""
    Image.fromarray(pixels).save(path, compress_level=1)
    return path


def classes_of(seg: np.ndarray, names: tuple[str, ...]) -> tuple[Class, ...]:
    """The classes of a map (H, W), the largest first."""
    colours = viz.palette(len(names)).tolist()
    counts = np.bincount(seg.ravel(), minlength=len(names))[: len(names)]
    there = [int(i) for i in np.argsort(-counts, kind="stable") if counts[i]]
    return tuple(Class(i, names[i], tuple(colours[i]), float(counts[i] / seg.size)) for i in there)


def under_pointer(found: Mapping[str, Any], size: tuple[int, ...]) -> np.ndarray:
    """(H, W, 3) uint8: depth in millimetres in two bytes, and the class id."""
    out = np.full((*size[:2], 3), UNKNOWN, np.uint8)
    if "depth" in found:
        steps = np.clip(np.rint(found["depth"] * 1000), 0, 65534).astype(np.uint16)
        out[..., 0], out[..., 1] = steps >> 8, steps & 255
    if "seg" in found:
        out[..., 2] = found["seg"]
    return out


def camera_told(photo: Photo, fov: float, sees: float) -> str:
    """Which field of view was taken, and who says so."""
    told = "as you said" if fov else "by the photo's EXIF" if photo.fov else "assumed, for the photo does not say"
    return f"sees {sees:.0f}° along the longer side, {told}"


def write_glb(path: Path, found: Mapping[str, Any], rgb: np.ndarray, fov: float) -> Path | None:
    """The photo as a mesh; None where it cannot be made."""
    if "depth" not in found or importlib.util.find_spec("trimesh") is None:
        return None
    focal = max(rgb.shape[:2]) / 2 / math.tan(math.radians(fov) / 2)
    cloud.write_shape(path, cloud.shape_of(found["depth"], focal, rgb, most=VERTICES))
    return path


def zip_files(path: Path, files: list[Path]) -> Path:
    """Pictures in one file, which they are compressed enough for."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in files:
            archive.write(file, file.name)
    return path


def zip_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Arrays as NAME.npy in one file."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            archive.writestr(f"{name}.npy", buffer.getbuffer())
    return path
