"""NYU Depth V2 (Silberman et al., ECCV 2012): the 1,449 labelled photos of nyu_depth_v2_labeled.mat."""

from __future__ import annotations

import io
import threading
from importlib import resources
from typing import Any

import numpy as np

from umadapt.config.data import Convert
from umadapt.data.camera import Camera
from umadapt.data.convert.base import DataSet, Plan, Record, folder_files, label_map, nothing
from umadapt.data.convert.source import Source
from umadapt.data.files import decode_normals, read_label_bytes
from umadapt.data.normals import normals_from_depth
from umadapt.errors import UserError

FILE = "nyu_depth_v2_labeled.mat"
# the toolbox's colour camera; it counts the first pixel's centre as 1, we as 0.5
CAMERA = Camera(518.857901, 519.469611, 325.582449 - 0.5, 253.736166 - 0.5, 640, 480)
WINDOW = [8, 8, 632, 472]  # left, top, right, bottom: every photo is stored with a white border of up to 8 pixels


def plan(source: Source, config: Convert) -> Plan:
    """Everything from one file; the ids are the official numbers from 1."""
    names = [name for name, _ in source.match(r"nyu_depth_v2_labeled\.mat")]
    if not names:
        return Plan((), nothing, missing=[FILE])
    file = open_hdf5(source, names[0])
    depths = "rawDepths" if config.raw_depth else "depths"
    missing = [f"{key}: not in {source.where(names[0])}" for key in ("images", depths, "labels") if key not in file]
    if "images" not in file:
        return Plan((), nothing, missing=missing)
    count, lock = file["images"].shape[0], threading.Lock()
    own = folder_files(config.normals, (".png",))
    numbers, few = label_map("nyu894"), label_map("nyu40_13")

    def part(key: str, index: int, id: str) -> np.ndarray | None:
        """One image of a MATLAB array, which HDF5 holds with its axes reversed; as rows, columns (, channels)."""
        if key not in file:
            return None
        try:
            with lock:
                return file[key][index].T
        except (OSError, ValueError) as error:
            raise UserError(f"{source.where(names[0])}: {key} of image {id} is damaged ({error})") from error

    def read(id: str) -> Record:
        index = int(id) - 1
        image = part("images", index, id)
        assert image is not None
        record = Record(np.ascontiguousarray(image), source.where(names[0]), part(depths, index, id))
        labels = part("labels", index, id)
        if labels is not None:
            seg = numbers.apply(labels, f"{source.where(names[0])}, labels of image {id}")
            record.seg = few.table[np.minimum(seg, len(few.table) - 1)] if config.classes == 13 else seg
            record.seg = np.where(seg == 255, np.uint8(255), record.seg)
        if config.normals is None:
            record.normals = None if record.depth_m is None else normals_from_depth(record.depth_m, CAMERA)
        elif id in own:
            record.normals = decode_normals(read_label_bytes(own[id], "normals"))
        return record

    ids = [f"{i + 1:04d}" for i in range(count)]
    if config.normals is not None and len(own.keys() & set(ids)) < count:
        missing.append(f"normals: {count - len(own.keys() & set(ids))} of {count} images have none in {config.normals}")
    train = set(train_ids())
    splits = {"train": [id for id in ids if id in train], "test": [id for id in ids if id not in train]}
    classes = few.classes if config.classes == 13 else label_map("nyu40").classes
    facts: dict[str, Any] = {
        "depth_of": "sensor, with holes" if config.raw_depth else "in-painted",
        "normals_of": "depth and camera" if config.normals is None else str(config.normals),
    }
    if file["images"].shape[-2:] == (CAMERA.width, CAMERA.height):
        facts["window"] = WINDOW
    return Plan(ids, read, classes, camera=CAMERA, splits=splits, missing=missing, facts=facts)


def open_hdf5(source: Source, name: str) -> Any:
    """An HDF5 file, from disk or from an archive. Raises UserError."""
    try:
        import h5py
    except ImportError as error:
        raise UserError("HDF5 files need h5py; type: pip install h5py") from error
    path = source.path(name)
    try:
        return h5py.File(path if path is not None else io.BytesIO(source.read(name)), "r")
    except OSError as error:
        raise UserError(f"{source.where(name)}: no sound HDF5 file ({error}); is the download complete?") from error


def train_ids() -> list[str]:
    """The 795 of the official split, from maps/nyudv2_train.txt; the other 654 are the test photos."""
    text = resources.files("umadapt.data.convert").joinpath("maps", "nyudv2_train.txt").read_text()
    return [id for line in text.splitlines() if not line.startswith("#") for id in line.split()]


SET = DataSet(
    title="NYU Depth V2",
    home="cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html",
    license="for research",
    citation="N. Silberman, D. Hoiem, P. Kohli, R. Fergus. Indoor Segmentation and Support Inference. ECCV 2012.",
    plan=plan,
    published=1449,
    digests={FILE: "md5:520609c519fba3ba5ac58c8fefcc3530"},  # of the owner's file, as loaders of the set check it
)
