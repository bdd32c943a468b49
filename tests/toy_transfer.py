"""Tiny sets in the layouts of ImageNet and of PASCAL VOC: coloured squares on grey, as classes and as boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from umadapt.data.files import write_image

COLOURS = {"red": (200, 40, 40), "green": (40, 180, 40), "blue": (40, 40, 200)}
OBJECT = (
    "<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{0}</xmin><ymin>{1}</ymin>"
    "<xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>"
)


def write_toy_classes(root: Path, each: int = 8, size: tuple[int, int] = (48, 64)) -> Path:
    """ROOT/{train,val}/{red,green,blue}/K.jpg: noise of that colour, some upright."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name, colour in COLOURS.items():
            for k in range(each):
                shape = size if k % 2 else size[::-1]
                pixels = np.array(colour) + rng.normal(0, 25, (*shape, 3))
                write_image(root / split / name / f"{k}.jpg", pixels.clip(0, 255).astype(np.uint8))
    return root


def write_toy_voc(devkit: Path, images: int = 6, year: int = 2007, size: tuple[int, int] = (72, 96)) -> Path:
    """Two coloured squares an image, the same images for trainval and test; the last object is difficult."""
    rng, folder = np.random.default_rng(0), devkit / f"VOC{year}"
    ids = [f"{k:06d}" for k in range(images)]
    for k, id in enumerate(ids):
        pixels = np.full((*size, 3), 128) + rng.normal(0, 8, (*size, 3))
        objects = []
        for left, name in zip((4, 52), rng.choice(sorted(COLOURS), 2, replace=False), strict=True):
            x, y, side = left + int(rng.integers(8)), int(rng.integers(4, 30)), int(rng.integers(26, 34))
            pixels[y : y + side, x : x + side] = COLOURS[name]
            difficult = int(k == images - 1 and left > 4)
            objects.append(OBJECT.format(x + 1, y + 1, x + side, y + side, name=name, difficult=difficult))
        write_image(folder / "JPEGImages" / f"{id}.jpg", pixels.clip(0, 255).astype(np.uint8))
        write_xml(folder, id, *objects)
    write_list(folder, "trainval", *ids)
    write_list(folder, "test", *ids)
    return devkit


def write_xml(folder: Path, id: str, *objects: str) -> Path:
    path = folder / "Annotations" / f"{id}.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<annotation><filename>{id}.jpg</filename>{''.join(objects)}</annotation>")
    return path


def write_list(folder: Path, split: str, *ids: str) -> None:
    path = folder / "ImageSets" / "Main" / f"{split}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{id}\n" for id in ids))
