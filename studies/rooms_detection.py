"""Is an encoder that learnt depth, normals and classes of rooms a good start for finding furniture? A proxy for VOC.

    python studies/rooms_detection.py OUT RUN [RUN ...] [--rooms 75 25] [--views 4] [--size 240x320] [--epochs 12]

Renders rooms that no run has seen (photo style, seed 31) and writes them as a devkit of VOC 2007: a box around what is
seen of each piece of furniture with sides of 24 pixels at least, found by casting a ray through each pixel. Then
`umadapt transfer detect` from every RUN and from the controls, with the image's own shorter side. The first number of
--rooms are those of trainval, the second those of test; with 0 trainval is measured on itself.

Cost with EfficientNet-Lite0: two CPU hours a row as it stands, 35 minutes as docs/results.md has it; rows are the RUNs
and --controls (random, imagenet). Before them a quarter of an hour of rendering. What was stopped goes on with the same
command.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from tqdm import tqdm

from umadapt.cli import main as umadapt
from umadapt.commands import render
from umadapt.config.data import Render
from umadapt.config.options import parse_size
from umadapt.data.camera import Camera
from umadapt.data.files import write_bytes
from umadapt.scenes.classes import NYU40
from umadapt.scenes.interior.layout import Room
from umadapt.scenes.interior.stock import Stock
from umadapt.scenes.labels import Pose, Triangles, cast
from umadapt.scenes.renderer import furnish, image_path, pinhole_of
from umadapt.scenes.sweethome.catalogue import open_catalogue

FURNITURE = (
    *("bathtub", "bed", "bookshelf", "cabinet", "chair", "counter", "desk", "dresser", "lamp", "night_stand"),
    *("refrigerator", "shelves", "sink", "sofa", "table", "television", "toilet"),
)
LEAST = 24  # pixels of either side of a box
SEED = 31
Box = tuple[str, int, int, int, int]  # class; left, top, right, bottom in pixels from 1, ends included


def boxes_of(room: Room, triangles: Triangles, pose: Pose, camera: Camera) -> Iterator[Box]:
    """What is seen of each piece of furniture."""
    index, _, _ = cast(triangles, pose, camera)
    owner = np.full(len(room.parts) + 1, -1)  # the last one is of what no ray meets
    for thing, span in enumerate(room.spans):
        owner[span.start : span.stop] = thing
    things = owner[np.where(index >= 0, triangles.part[index], -1)]
    for thing in np.unique(things[things >= 0]):
        rows, columns = np.nonzero(things == thing)
        name = NYU40[np.bincount(triangles.label[index[rows, columns]]).argmax()]
        box = (int(columns.min()) + 1, int(rows.min()) + 1, int(columns.max()) + 1, int(rows.max()) + 1)
        if name in FURNITURE and min(box[2] - box[0], box[3] - box[1]) + 1 >= LEAST:
            yield (name, *box)


def annotation(boxes: list[Box], camera: Camera) -> str:
    """Of one view, as VOC's XML."""
    things = [
        f"<object><name>{escape(name)}</name><difficult>0</difficult><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
        f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for name, x0, y0, x1, y1 in boxes
    ]
    size = f"<size><width>{camera.width}</width><height>{camera.height}</height><depth>3</depth></size>"
    return f"<annotation>{size}{''.join(things)}</annotation>\n"


def write_devkit(config: Render, devkit: Path, learnt: int) -> dict[str, int]:
    """Write VOC2007 of rendered rooms, the first `learnt` as trainval; returns class -> objects in trainval."""
    stock, counts = Stock(open_catalogue(config.furniture)), dict.fromkeys(FURNITURE, 0)
    folder, splits = devkit / "VOC2007", {"trainval": list[str](), "test": list[str]()}
    for number in tqdm(range(config.rooms), desc="boxes", unit="room", file=sys.stderr):
        room, poses = furnish(config, stock, number)
        triangles, camera = room.triangles(), pinhole_of(config, number)
        for k, pose in enumerate(poses):
            view = number * config.views + k
            boxes = list(boxes_of(room, triangles, pose, camera))
            if not boxes:
                continue
            id, split = f"{view:06d}", "trainval" if number < learnt else "test"
            splits[split].append(id)
            for name, *_ in boxes if split == "trainval" else ():
                counts[name] += 1
            write_bytes(folder / "JPEGImages" / f"{id}.jpg", image_path(config, view).read_bytes())
            write_bytes(folder / "Annotations" / f"{id}.xml", annotation(boxes, camera).encode())
    splits["test"] = splits["test"] or splits["trainval"]
    for split, ids in splits.items():
        write_bytes(folder / "ImageSets" / "Main" / f"{split}.txt", "".join(f"{id}\n" for id in ids).encode())
    return counts


def main(arguments: argparse.Namespace) -> int:
    learnt, exam = arguments.rooms
    out, size = arguments.out, parse_size(arguments.size)
    config = Render(out / "rooms", rooms=learnt + exam, views=arguments.views, size=size, style="photo", seed=SEED)
    render.run(config)
    counts = write_devkit(config, out / "VOCdevkit", learnt)
    print("objects in trainval: " + ", ".join(f"{name} {n}" for name, n in counts.items()))
    for k, run in enumerate(arguments.runs):
        controls = "none" if k else arguments.controls
        options = [f"--{name}={getattr(arguments, name)}" for name in ("epochs", "lr", "precision")]
        where = ["--voc", str(out / "VOCdevkit"), "--classes", ",".join(FURNITURE), "--out", str(out / "table")]
        code = umadapt(
            ["transfer", "detect", str(run), *where, "--size", str(min(size)), *options, "--controls", controls]
        )
        if code:
            return code
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--rooms", type=int, nargs=2, default=(75, 25))
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--size", default="240x320")
    parser.add_argument("--controls", default="random,imagenet", help="of the first run")
    parser.add_argument("--epochs", type=float, default=12.0)
    parser.add_argument("--lr", type=float, default=0.005)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    sys.exit(main(parser.parse_args()))
