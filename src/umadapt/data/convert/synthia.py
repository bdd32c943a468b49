"""SYNTHIA-RAND-CITYSCAPES (Ros et al., CVPR 2016): 9,400 renders with classes and depth."""

from __future__ import annotations

import numpy as np

from umadapt.config.data import Convert
from umadapt.data.camera import Camera
from umadapt.data.convert.base import DataSet, Plan, Record, decode_16bit, label_map, photo, stems
from umadapt.data.convert.gta5 import STREET_MAX_M, STREET_STEP_M
from umadapt.data.convert.source import Source

CAMERA = Camera(532.740352, 532.740352, 640.0, 380.0, 1280, 760)  # the set's README


def plan(source: Source, config: Convert) -> Plan:
    """RGB/ID.png, GT/LABELS/ID.png, Depth/ID.png."""
    images = stems(source, r"RGB/(\d{7})\.png")
    labels = stems(source, r"LABELS/(\d{7})\.png")
    depths = stems(source, r"Depth/(\d{7})\.png")
    classes = label_map("synthia", label_map("cityscapes").classes)

    def read(id: str) -> Record:
        record = photo(source, images[id])
        if id in labels:
            # 16 bits a channel: the class in the first, the instance in the second; PIL would cut them to 8
            where = source.where(labels[id])
            record.seg = classes.apply(first_channel(source.read(labels[id]), where), where)
        if id in depths:
            where = source.where(depths[id])
            depth = first_channel(source.read(depths[id]), where)  # centimetres along the axis, the same in all
            record.depth_m = np.minimum(depth * np.float32(0.01), np.float32(65535 * STREET_STEP_M))
        return record

    missing = [
        f"{what}: {len(images) - len(images.keys() & found.keys())} of {len(images)} images have none"
        for what, found in (("GT/LABELS", labels), ("Depth", depths))
        if images.keys() - found.keys()
    ]
    return Plan(
        sorted(images), read, classes.classes, STREET_STEP_M, STREET_MAX_M, CAMERA if images else None, missing=missing
    )


def first_channel(data: bytes, where: str) -> np.ndarray:
    """(H, W) uint16."""
    array = decode_16bit(data, where)
    return array if array.ndim == 2 else array[..., 0]


SET = DataSet(
    title="SYNTHIA-RAND-CITYSCAPES",
    home="synthia-dataset.net",
    license="CC BY-NC-SA 3.0",
    citation="G. Ros, L. Sellart, J. Materzynska, D. Vazquez, A. M. Lopez. The SYNTHIA Dataset. CVPR 2016.",
    plan=plan,
    published=9400,
)
