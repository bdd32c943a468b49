"""PASCAL VOC as its owners distribute it: VOCdevkit/VOC2007/{JPEGImages,Annotations,ImageSets/Main}."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from umadapt.errors import UserError
from umadapt.training.run_folder import digest

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
SIDES = ("xmin", "ymin", "xmax", "ymax")


class Objects(NamedTuple):
    """What an image shows."""

    boxes: np.ndarray  # (N, 4) float32 left, top, right, bottom in pixels; the image spans from 0 to its sides
    labels: np.ndarray  # (N,) int64, of the classes
    difficult: np.ndarray  # (N,) bool


@dataclass(frozen=True)
class Split:
    """Images and their objects."""

    folder: Path  # VOC2007
    ids: tuple[str, ...]
    objects: tuple[Objects, ...]
    classes: tuple[str, ...]

    def path(self, id: str) -> Path:
        return self.folder / "JPEGImages" / f"{id}.jpg"

    def digest(self) -> str:
        """Which images and objects these are."""
        told = [[x.tolist() for x in one] for one in self.objects]
        return digest([f"{id} {one}" for id, one in zip(self.ids, told, strict=True)])


def open_split(devkit: Path, year: int, split: str, classes: Sequence[str] = ()) -> Split:
    """Images of ImageSets/Main/SPLIT.txt.

    Raises:
        UserError: the devkit or a file of it is not there or damaged, an image has no box, or an unknown class.
    """
    folder = devkit / f"VOC{year}"
    if not folder.is_dir():
        raise UserError(f"{devkit} has no folder VOC{year}; give --voc VOCdevkit, the folder in which VOC{year} lies")
    list_file = folder / "ImageSets" / "Main" / f"{split}.txt"
    try:
        lines = list_file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{list_file} cannot be read; expected VOC{year} with annotations of {split}") from error
    ids = tuple(line.split()[0] for line in lines if line.strip())
    if not ids:
        raise UserError(f"{list_file} names no image")
    known = tuple(classes) or CLASSES
    return Split(folder, ids, tuple(read_objects(folder / "Annotations" / f"{id}.xml", known) for id in ids), known)


def read_objects(path: Path, classes: Sequence[str]) -> Objects:
    """One annotation.

    Stored boxes count pixels from 1, both ends included; so the left edge is xmin - 1 and the right one xmax.

    Raises:
        UserError: see `open_split`.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; every image of a split has an annotation") from error
    except (ElementTree.ParseError, OSError, ValueError) as error:
        raise UserError(f"{path} is damaged: {error}; copy it anew") from error
    found = root.findall("object")
    if not found:
        raise UserError(f"{path} has no object with a box; take the image out of ImageSets/Main")
    boxes, labels = [], []
    for thing in found:
        name = (thing.findtext("name") or "").strip()
        if name not in classes:
            raise UserError(
                f"{path}: {name!r} is no class of {', '.join(classes[:3])}, …; name all of them by --classes"
            )
        labels.append(classes.index(name))
        boxes.append(read_box(thing, path))
    difficult = np.array([(thing.findtext("difficult") or "0").strip() == "1" for thing in found])
    return Objects(np.array(boxes, np.float32), np.array(labels, np.int64), difficult)


def read_box(thing: ElementTree.Element, path: Path) -> tuple[float, float, float, float]:
    """The edges of an object's box. Raises UserError where it has none, or an empty one."""
    try:
        left, top, right, bottom = (float(thing.findtext(f"bndbox/{side}") or "nan") for side in SIDES)
    except ValueError:
        left = top = right = bottom = math.nan
    name = thing.findtext("name")
    if not all(map(math.isfinite, (left, top, right, bottom))):
        raise UserError(f"{path}: {name} has no box of {', '.join(SIDES)}; repair or remove it")
    if left - 1 >= right or top - 1 >= bottom:
        raise UserError(
            f"{path}: the box of {name}, {left:g} {top:g} {right:g} {bottom:g}, is empty; repair or remove it"
        )
    return left - 1, top - 1, right, bottom
