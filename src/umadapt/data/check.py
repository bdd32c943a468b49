"""What is wrong with a data folder, and what its labels look like: every file is read once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm import tqdm

from umadapt.data.aligned import misplaced
from umadapt.data.axes import strange_axes
from umadapt.data.border import common_border
from umadapt.data.files import hxw, other_size, read_label_bytes
from umadapt.data.folder import TASKS, Folder
from umadapt.data.plausible import Ends, depth_factor, depth_kind, depth_units, ends_of, spikes, upside_down
from umadapt.errors import UserError

VIEWS = 6  # of the contact sheet and of the comparison of normals with depth
COMPARED = 24  # views whose labels are compared with their photos
BORDERED = 64  # photos whose borders are looked at
SAMPLES = 1000  # values a file gives to the percentiles
FINE = 100  # steps of the median depth
NOT_UNIT = 0.05  # a stored normal's length may be this far from 1; rounding to bytes makes 0.007


@dataclass
class View:
    """What one id's files hold."""

    size: str = ""
    errors: list[str] = field(default_factory=list)
    samples: dict[str, np.ndarray] = field(default_factory=dict)  # task -> (n,) metres, or (n, 3) normals
    pixels: dict[str, int] = field(default_factory=dict)  # task -> pixels read
    missing: dict[str, int] = field(default_factory=dict)  # task -> pixels without a label
    not_unit: int = 0  # normals
    ends: Ends | None = None  # depth
    histogram: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))  # seg


@dataclass(frozen=True)
class Findings:
    """What is found in a folder."""

    views: list[View]  # in the order of its ids
    tasks: dict[str, dict[str, Any]]  # task -> its figures
    warnings: list[str]
    notes: list[str]
    bad: list[str]  # a line for each bad file
    images: int
    sizes: Counter[str]  # of the images


def examine(folder: Folder) -> Findings:
    """Read every file of a folder."""
    views = _inspect_all(folder)
    tasks = {task: _summary(folder, task, views) for task in TASKS if task in folder.tasks}
    inside = f"{folder.root}{os.sep}"
    bad = [error.removeprefix(inside) for view in views for error in view.errors]
    bad += [f"{t}: every pixel of every file is missing" for t, s in tasks.items() if s["read"] and s["missing"] == 1]
    lines = [line for line in (folder.unread_line(), folder.strange_line()) if line]
    warnings = [line.removeprefix(f"{folder.root}: ") for line in lines]
    warnings += _warnings(folder, views, tasks)
    notes = [line for line, left_out in _spikes(folder, views) if left_out]
    sizes = Counter(view.size for view in views if view.size)
    images = sum(folder.has("image", id) for id in folder.ids)
    return Findings(views, tasks, warnings, notes, bad, images, sizes)


def _thin(values: np.ndarray) -> np.ndarray:
    return values[:: max(1, len(values) // SAMPLES)]


def _look(folder: Folder, task: str, id: str, view: View) -> np.ndarray | None:
    """Read one label into `view`. Raises UserError when it is bad."""
    if task == "seg":
        label = folder.read_seg(id)
        if label is None:
            return None
        view.histogram = np.bincount(label.ravel(), minlength=256)
        missing = int(view.histogram[folder.ignore])
    elif task == "depth":
        path = folder.label_path(task, id)
        if path is None:
            return None
        steps = read_label_bytes(path, task)
        view.ends = ends_of(steps)
        folder.metres(steps, path)  # what cannot be a scene
        label = folder.metres(steps, path, truth=False)  # what lies beyond max_m too
        known = label > 0
        missing = label.size - int(np.count_nonzero(known))
        view.samples[task] = _thin(label[known])
    else:
        path = folder.label_path(task, id)
        if path is None:
            return None
        label = read_label_bytes(path, task)
        known = label.any(axis=-1)
        missing = known.size - int(np.count_nonzero(known))
        vectors = label[known].astype(np.float32) / 127.5 - 1  # (n, 3)
        lengths = np.sqrt(np.einsum("nc,nc->n", vectors, vectors))
        view.not_unit = int(np.count_nonzero(np.abs(lengths - 1) > NOT_UNIT))
        view.samples[task] = _thin(vectors)
    view.pixels[task], view.missing[task] = label.shape[0] * label.shape[1], missing
    return label


def _inspect(folder: Folder, id: str) -> View:
    """Read every file of one id."""
    view = View()
    if folder.has("image", id):
        try:
            photo = folder.read_image(id)
            view.size = hxw(photo)
            folder.crop(id, photo)  # a window that does not fit
        except UserError as error:
            view.errors.append(str(error))
    for task in folder.tasks:
        try:
            label = _look(folder, task, id, view)
        except UserError as error:
            view.errors.append(str(error))
            continue
        if label is not None and view.size and hxw(label) != view.size:
            path = folder.label_path(task, id)
            height, width = map(int, view.size.split("x"))
            view.errors.append(f"{path}: {other_size(label.shape, (height, width))} as the image")
    return view


def _inspect_all(folder: Folder) -> list[View]:
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        try:
            found = pool.map(lambda id: _inspect(folder, id), folder.ids)
            return list(tqdm(found, total=len(folder.ids), desc="check", unit="view", disable=None, leave=False))
        except BaseException:  # Ctrl-C must not wait for the files in the queue
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _summary(folder: Folder, task: str, views: list[View]) -> dict[str, Any]:
    """The findings of one task over all views, as they go into the JSON."""
    read = [view for view in views if task in view.pixels]
    pixels = sum(view.pixels[task] for view in read)
    result: dict[str, Any] = {
        "files": sum(folder.has(task, id) for id in folder.ids),
        "read": len(read),
        "missing": sum(view.missing[task] for view in read) / max(1, pixels),
        "empty": [id for id, v in zip(folder.ids, views, strict=True) if v.missing.get(task) == v.pixels.get(task, -1)],
    }
    if task == "seg":
        counts = np.sum([view.histogram for view in read], axis=0) if read else np.zeros(256, np.int64)
        counts[folder.ignore] = 0
        names = {i: folder.classes[i] if i < len(folder.classes) else f"class {i}" for i in np.flatnonzero(counts)}
        order = sorted(names, key=lambda i: -counts[i])
        result["classes"] = {names[i]: float(counts[i] / counts.sum()) for i in order}
        return result
    values = np.concatenate([view.samples[task] for view in read]) if read else np.zeros(0)
    if len(values):
        low, middle, high = np.percentile(values, (5, 50, 95), axis=0).tolist()
        result["percentiles"] = {"5": low, "50": middle, "95": high}
    if task == "depth":
        result["beyond_max"] = float(np.mean(values > folder.depth_max_m)) if len(values) else 0.0
    else:
        result["not_unit"] = sum(view.not_unit for view in read) / max(1, pixels)
    return result


def pick(folder: Folder, views: list[View], *tasks: str, count: int = VIEWS) -> list[str]:
    """Up to `count` ids without an error that have all of `tasks`, evenly spread."""
    sound = [id for id, view in zip(folder.ids, views, strict=True) if not view.errors]
    good = [id for id in sound if all(folder.has(task, id) for task in tasks)]
    return [good[i] for i in sorted(set(np.linspace(0, len(good) - 1, count).astype(int)))] if good else []


def _warnings(folder: Folder, views: list[View], tasks: dict[str, Any]) -> list[str]:
    found = []
    for task, summary in tasks.items():
        if summary["empty"]:
            found.append(f"{task}: {len(summary['empty'])} files hold no label, such as {summary['empty'][0]}.png")
        if summary.get("not_unit", 0) > 0.01:
            found.append(f"normals: {summary['not_unit']:.1%} are not unit vectors; expected value / 127.5 - 1")
        if summary.get("beyond_max", 0) > 0.05:
            found.append(f"depth: {summary['beyond_max']:.0%} lie beyond max_m = {folder.depth_max_m:g} m")
    if "seg" in folder.tasks and not folder.classes:
        found.append("seg: dataset.json names no classes, so that ids cannot be checked")
    told = list(_senseless(folder, views, tasks))
    told += [line for line, left_out in _spikes(folder, views) if not left_out]
    told.append(_border(folder, views))
    return found + [line for line in told if line]


def _spikes(folder: Folder, views: list[View]) -> list[tuple[str, bool]]:
    return list(spikes([view.ends for view in views if view.ends is not None], folder))


def _border(folder: Folder, views: list[View]) -> str | None:
    """A warning when a border belongs to the photos: what to write into dataset.json."""
    if len({view.size for view in views if view.size}) != 1:
        return None  # one window would not fit all
    window = common_border(folder, pick(folder, views, "image", count=BORDERED))
    if window is None:
        return None
    return f'photos have a border of one colour; write "window": {window} into {folder.root / "dataset.json"}'


def _senseless(folder: Folder, views: list[View], tasks: dict[str, Any]) -> Iterator[str | None]:
    """What labels of the right form may still be: in other units, of another kind, mirrored."""
    if "percentiles" in tasks.get("depth", {}):
        middle, scale_m = tasks["depth"]["percentiles"]["50"], folder.depth_scale_m
        within = tasks["depth"]["beyond_max"] <= 0.05  # else max_m may be as wrong as the units
        depths = [folder.read_depth(id, within) for id in pick(folder, views, "depth", count=COMPARED)]
        there = [depth for depth in depths if depth is not None]
        units = depth_units(middle, scale_m, folder.classes)
        yield units or depth_factor(there, scale_m, folder.camera, folder.classes)
        if middle / scale_m > FINE:  # else the steps bend all surfaces
            yield depth_kind(there, folder.camera) or upside_down(there)
    if "normals" in tasks:
        both = pick(folder, views, "depth", "normals")
        yield strange_axes(
            folder, both if both and folder.has_camera else pick(folder, views, "normals", count=COMPARED)
        )
    for task in tasks:
        yield misplaced(folder, pick(folder, views, "image", task, count=COMPARED), task)
