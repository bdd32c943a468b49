"""GTA5 (Richter et al., ECCV 2016): 24,966 game frames with the class ids of Cityscapes; released without depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from umadapt.config.data import Convert
from umadapt.data.convert.base import DataSet, Plan, Record, decode, folder_files, label_map, photo, stems
from umadapt.data.convert.source import Source
from umadapt.data.files import read_label_bytes
from umadapt.errors import UserError

STREET_STEP_M = 1 / 256  # of stored depth, as KITTI has it: up to 255 m
STREET_MAX_M = 80.0


def plan(source: Source, config: Convert) -> Plan:
    """Images/ID.png with labels/ID.png, and depth of the user's own."""
    images = stems(source, r"images/(\d{5})\.(?:png|jpg)")
    labels = stems(source, r"labels/(\d{5})\.png")
    depths = folder_files(config.depth, (".png", ".npy"))
    classes = label_map("cityscapes")

    def read(id: str) -> Record:
        record = photo(source, images[id])
        if id in labels:
            where = source.where(labels[id])
            record.seg = classes.apply(decode(source.read(labels[id]), where, ("P", "L")), where)
        if id in depths:
            record.depth_m = read_depth(depths[id])
        return record

    missing = ["depth: the set was released without; --depth DIR takes yours (ID.png in millimetres, or ID.npy)"]
    if config.depth is not None:
        lacking = len(images) - len(images.keys() & depths.keys())
        missing = [f"depth: {lacking} of {len(images)} images have none in {config.depth}"] if lacking else []
    without = len(images) - len(images.keys() & labels.keys())
    if without:
        missing.append(f"labels: {without} of {len(images)} images have none (01_labels.zip to 10_labels.zip)")
    return Plan(sorted(images), read, classes.classes, STREET_STEP_M, STREET_MAX_M, missing=missing)


def read_depth(path: Path) -> np.ndarray:
    """(H, W) metres of a user's own file."""
    if path.suffix == ".png":
        return read_label_bytes(path, "depth") * np.float32(0.001)
    try:
        depth = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: cannot be read ({error}); expected an array of metres") from error
    if depth.ndim != 2 or not np.issubdtype(depth.dtype, np.floating):
        raise UserError(f"{path}: found {depth.dtype} of {depth.shape}, expected (H, W) metres as floating point")
    return depth


SET = DataSet(
    title="GTA5",
    home="download.visinf.tu-darmstadt.de/data/from_games",
    license="for research and education; the game's images belong to its publisher",
    citation="S. R. Richter, V. Vineet, S. Roth, V. Koltun. Playing for Data. ECCV 2016.",
    plan=plan,
    published=24966,
)
