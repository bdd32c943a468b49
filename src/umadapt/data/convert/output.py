"""What `convert` writes: a public set in the folder format, begun, gone on with after a stop, and finished."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from umadapt.config.data import Convert
from umadapt.data.atomic import sweep, write_bytes, write_json
from umadapt.data.convert.base import NONE, DataSet, Plan, Record
from umadapt.data.files import hxw, write_depth, write_image, write_normals, write_seg
from umadapt.data.pictures import decode_picture
from umadapt.errors import UserError

SUFFIXES = {"JPEG": ".jpg", "PNG": ".png"}
STATE = "convert.json"  # in OUT: options and source
AHEAD = 4096  # images that wait for a thread; of 500,000 at once the waiting alone would take a gigabyte
UNTOLD = ("src", "out", "more", "workers", "json")  # arguments that do not change what is written


def begin(config: Convert) -> dict[str, Any]:
    """Note the options in OUT; returns what is known of the work there: options, source, digests.

    Raises UserError when what lies there was made with other options.
    """
    path = config.out / STATE
    options = {k: v for k, v in json.loads(json.dumps(asdict(config), default=str)).items() if k not in UNTOLD}
    digests = {}
    try:
        found = json.loads(path.read_text())
        before, digests = found["options"], dict(found.get("digests", {}))
    except FileNotFoundError:
        if config.out.is_dir() and any(config.out.iterdir()):
            raise UserError(f"{config.out} is not empty and was not made by convert; give another folder") from None
        before = options
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); remove {config.out}, or give another folder") from error
    changed = [f"{k}: {before.get(k)} -> {v}" for k, v in options.items() if before.get(k) != v]
    if changed:
        raise UserError(f"{config.out} was converted with other options ({', '.join(changed)}); give another folder")
    state = {"options": options, "source": [str(config.src), *map(str, config.more)], "digests": digests}
    write_json(path, state)
    for folder in ("image", "depth", "normals", "seg"):
        sweep(config.out / folder)  # temporary files of a run that was killed
    return state


def convert_all(config: Convert, plan: Plan) -> list[str]:
    """Convert what is not there yet, several images at a time; returns a line for each bad image."""
    images = config.out / "image"
    there = {path.stem for path in images.iterdir()} if images.is_dir() else set[str]()
    todo = [id for id in plan.ids if id not in there]
    bar = tqdm(total=len(plan.ids), initial=len(plan.ids) - len(todo), desc="convert", unit="image", disable=None)
    with bar, ThreadPoolExecutor(config.workers or os.cpu_count() or 1) as pool:

        def one(id: str) -> str | None:
            try:
                record = plan.read(id)
                suffix = check_record(record, plan, id)
            except UserError as error:
                return str(error)
            write_record(config.out, id, suffix, record, plan)  # an error here is the disk's and ends the run
            return None

        bad = []
        try:
            for start in range(0, len(todo), AHEAD):
                for error in pool.map(one, todo[start : start + AHEAD]):
                    bar.update()
                    bad += [error] if error else []
        except BaseException:  # Ctrl-C, a full disk: what waits must not start
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return bad


def check_record(record: Record, plan: Plan, id: str) -> str:
    """The image's suffix. Raises UserError when the parts do not fit together or hold what cannot be."""
    if isinstance(record.image, bytes):
        image = decode_picture(record.image, record.where)
        if image.format not in SUFFIXES:
            raise UserError(f"{record.where}: found {image.format}, expected a picture in JPEG or PNG")
        size, suffix = (image.height, image.width), SUFFIXES[image.format]
    else:
        size, suffix = record.image.shape[:2], ".png"
    for task, label in (("depth", record.depth_m), ("normals", record.normals), ("seg", record.seg)):
        if label is not None and label.shape[:2] != tuple(size):
            raise UserError(f"{id}: {task} is {hxw(label)}, the image {size[0]}x{size[1]} ({record.where})")
    if record.seg is not None:
        strange = [i for i in np.unique(record.seg).tolist() if i >= len(plan.classes) and i != NONE]
        if strange:
            raise UserError(f"{id}: class ids {strange}; there are {len(plan.classes)} classes")
    return suffix


def write_record(out: Path, id: str, suffix: str, record: Record, plan: Plan) -> None:
    """All files of one image, the image last: where it is, the labels are."""
    if record.depth_m is not None:
        write_depth(out / "depth" / f"{id}.png", record.depth_m, plan.depth_scale_m)
    if record.normals is not None:
        write_normals(out / "normals" / f"{id}.png", record.normals)
    if record.seg is not None:
        write_seg(out / "seg" / f"{id}.png", record.seg)
    path = out / "image" / f"{id}{suffix}"
    if isinstance(record.image, bytes):
        write_bytes(path, record.image)
    else:
        write_image(path, record.image)


def finish(out: Path, chosen: DataSet, plan: Plan, name: str) -> int:
    """Write dataset.json and the splits over what is there; returns the number of images."""
    images = out / "image"
    there = {path.stem for path in images.iterdir()} if images.is_dir() else set[str]()
    if not there:
        raise UserError(f"{out}: none of {len(plan.ids)} images could be converted; the first errors say why")
    tasks: dict[str, Any] = {}
    if (out / "depth").is_dir():
        tasks["depth"] = {"scale_m": plan.depth_scale_m, "max_m": plan.depth_max_m}
    if (out / "normals").is_dir():
        tasks["normals"] = {}
    if (out / "seg").is_dir():
        tasks["seg"] = {"classes": list(plan.classes), "ignore": NONE}
    for split, ids in plan.splits.items():
        kept = [id for id in ids if id in there]
        if kept:
            write_bytes(out / "splits" / f"{split}.txt", "".join(f"{id}\n" for id in kept).encode())
    about = {"name": name, "title": chosen.title, "home": chosen.home, "license": chosen.license}
    about["citation"] = chosen.citation
    camera = None if plan.camera is None else asdict(plan.camera)
    write_json(out / "dataset.json", {**about, **plan.facts, "camera": camera, "tasks": tasks})
    return len(there & set(plan.ids))
