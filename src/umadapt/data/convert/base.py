"""What a converter is, and what converters share: pictures from bytes, label maps from files."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from umadapt.config.data import Convert
from umadapt.data.camera import Camera
from umadapt.data.convert.source import Source
from umadapt.data.pictures import decode_picture, stored_numbers
from umadapt.errors import UserError

NONE = 255  # id of unlabelled pixels in every converted set


@dataclass
class Record:
    """One converted image. Whatever the set does not have for it stays None."""

    image: bytes | np.ndarray  # a JPEG or PNG file as it is, or (H, W, 3) uint8
    where: str  # the image's file, for messages
    depth_m: np.ndarray | None = None  # (H, W) metres along the optical axis; 0, NaN or infinite = missing
    normals: np.ndarray | None = None  # (H, W, 3) any length, x right, y up, z towards the viewer; 0 = missing
    seg: np.ndarray | None = None  # (H, W) uint8 ids of `Plan.classes`, NONE = unlabelled


@dataclass(frozen=True)
class Plan:
    """What was found of a set, and how to read it. Nothing is decoded before `read` is called."""

    ids: Sequence[str]  # one for each image: letters, digits, '_', '-' and '.'
    read: Callable[[str], Record]  # by id, from any thread; raises UserError naming the file at fault
    classes: Sequence[str] = ()  # of seg
    depth_scale_m: float = 0.001  # metres of one step of the stored depth
    depth_max_m: float = 10.0
    camera: Camera | None = None
    splits: Mapping[str, Sequence[str]] = field(default_factory=dict)  # name -> ids
    missing: Sequence[str] = ()  # a line for each part that is not there, and where its owner offers it
    facts: Mapping[str, Any] = field(default_factory=dict)  # more for dataset.json, such as the options that count


def nothing(id: str) -> Record:
    """How to read where no image was found."""
    raise AssertionError(id)


@dataclass(frozen=True)
class DataSet:
    """A public data set."""

    title: str
    home: str  # where its owner offers it
    license: str  # of the data, in its owner's words
    citation: str
    plan: Callable[[Source, Convert], Plan]  # raises UserError where an option does not fit
    published: int = 0  # images in the complete set; 0 where that depends on the parts
    digests: Mapping[str, str] = field(default_factory=dict)  # file as the owner names it -> "md5:…" or "sha1:…"


def decode(data: bytes, where: str, modes: Sequence[str] = ()) -> np.ndarray:
    """A picture's numbers as they are stored, (H, W) or (H, W, channels).

    For PNGs of 16 bits and several channels see `decode_16bit`: PIL cuts their low bytes off.

    Args:
        data: the file.
        where: its name for messages.
        modes: PIL modes that are right; empty = any.

    Raises:
        UserError: damaged, truncated or of another mode.
    """
    image = decode_picture(data, where)
    if modes and image.mode not in modes:
        raise UserError(f"{where}: found a picture in mode {image.mode}, expected {' or '.join(modes)}")
    return stored_numbers(image, data)


def decode_16bit(data: bytes, where: str) -> np.ndarray:
    """A PNG of 16 bits a channel as (H, W) or (H, W, 3) uint16, RGB. Raises UserError."""
    try:
        import cv2
    except ImportError as error:
        raise UserError("16-bit colour PNGs need OpenCV; type: pip install opencv-python-headless") from error
    whole = b"IEND" in data[-64:]  # some versions of OpenCV fill up what a truncated file lacks
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if whole else None
    if array is None:
        raise UserError(f"{where}: truncated or damaged ({len(data)} bytes)")
    if array.dtype != np.uint16:
        raise UserError(f"{where}: found {array.dtype.itemsize * 8} bits a channel, expected 16")
    return array if array.ndim == 2 else np.ascontiguousarray(array[..., 2::-1])  # BGR(A) to RGB


@dataclass(frozen=True)
class LabelMap:
    """Ids of a set to ids of the folder format, from a file in maps/."""

    name: str
    classes: tuple[str, ...]
    table: np.ndarray  # (n,) uint8: NONE for unlabelled
    known: np.ndarray  # (n,) bool: ids that the file lists

    def apply(self, ids: np.ndarray, where: str) -> np.ndarray:
        """(H, W) ids of the set, any integer type -> (H, W) uint8. Raises UserError on an id that is not listed."""
        inside = (ids >= 0) & (ids < len(self.table))
        safe = np.where(inside, ids, 0)
        strange = np.unique(ids[~(inside & self.known[safe])])
        if len(strange):
            listed = ", ".join(map(str, strange[:8]))
            raise UserError(f"{where}: unknown label ids {listed}; expected those of maps/{self.name}.csv")
        return self.table[safe]


def label_map(name: str, classes: Sequence[str] | None = None) -> LabelMap:
    """Read maps/NAME.csv: `source_id,source_name,id,name` lines after '#' comments with the source of the facts.

    An empty id means unlabelled. Source ids below 0 are the business of the converter. The classes are the names by
    id; they must have no gaps, unless `classes` gives them.
    """
    lines = rows(name)
    largest = max(int(row["source_id"]) for row in lines)
    table, known = np.full(largest + 1, NONE, np.uint8), np.zeros(largest + 1, bool)
    names: dict[int, str] = {}
    for row in lines:
        source = int(row["source_id"])
        if source < 0:
            continue
        known[source] = True
        if row["id"]:
            table[source] = int(row["id"])
            names.setdefault(int(row["id"]), row["name"])
    if classes is None:
        classes = [names[i] for i in range(len(names))]
    return LabelMap(name, tuple(classes), table, known)


def rows(name: str) -> list[dict[str, str]]:
    """The lines of maps/NAME.csv."""
    text = resources.files("umadapt.data.convert").joinpath("maps", f"{name}.csv").read_text()
    return list(csv.DictReader(line for line in text.splitlines() if line and not line.startswith("#")))


def photo(source: Source, name: str) -> Record:
    """A record of an image file as it is."""
    return Record(source.read(name), source.where(name))


def stems(source: Source, pattern: str) -> dict[str, str]:
    """First group of the pattern -> name, of all files that match."""
    return {match[1]: name for name, match in source.match(pattern)}


def folder_files(folder: Path | None, suffixes: Sequence[str]) -> dict[str, Path]:
    """Stem -> file of a user's own folder; empty without one. Raises UserError when it is not there."""
    if folder is None:
        return {}
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in suffixes}
