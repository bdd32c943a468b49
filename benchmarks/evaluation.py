"""What do streaming meters save? Seconds a photo and peak memory of `evaluate` beside a naive evaluation.

The naive one keeps every map at full size and computes each metric in NumPy, in a pass of its own over all pixels.
Both have the same network (ours) and must agree.
"""

from __future__ import annotations

import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.loading import write_world
from benchmarks.measure import interleave, make_model, own_peak, parser, peak_mib, ratio, report, show, summary
from numpy import ndarray
from torch.nn import functional as F

from umadapt.data.folder import Folder
from umadapt.evaluation.evaluate import evaluate
from umadapt.inference.photos import fitted
from umadapt.nets.model import UMAdapt

TOLERANCE = 1e-4  # relative, or absolute below 1
ROWS, COLUMNS = slice(45, 471), slice(41, 601)  # protocol nyud
CAP_M = (0.1, 10.0)
NEVER = 39  # class that protocol nyud never predicts

DEPTH: dict[str, Callable[[ndarray, ndarray], Any]] = {  # of prediction and truth in metres, vectors of valid pixels
    "rel": lambda d, t: np.mean(np.abs(d - t) / t),
    "log10": lambda d, t: np.mean(np.abs(np.log10(d) - np.log10(t))),
    "rms": lambda d, t: np.sqrt(np.mean((d - t) ** 2)),
    "rms_log": lambda d, t: np.sqrt(np.mean((np.log(d) - np.log(t)) ** 2)),
    "sq_rel": lambda d, t: np.mean((d - t) ** 2 / t),
    "d1": lambda d, t: np.mean(np.maximum(d / t, t / d) < 1.25),
    "d2": lambda d, t: np.mean(np.maximum(d / t, t / d) < 1.25**2),
    "d3": lambda d, t: np.mean(np.maximum(d / t, t / d) < 1.25**3),
}
NORMALS: dict[str, Callable[[ndarray, ndarray], Any]] = {  # of unit vectors (N, 3)
    "mean": lambda p, t: np.mean(degrees(p, t)),
    "median": lambda p, t: np.median(degrees(p, t)),
    "11.25": lambda p, t: np.mean(degrees(p, t) < 11.25),
    "22.5": lambda p, t: np.mean(degrees(p, t) < 22.5),
    "30": lambda p, t: np.mean(degrees(p, t) < 30),
    "1-abs-cos": lambda p, t: np.mean(1 - np.abs((p * t).sum(1))),
}
SEG: dict[str, Callable[[ndarray, ndarray], Any]] = {  # of ids
    "miou": lambda p, t: np.mean([np.sum((p == c) & (t == c)) / np.sum((p == c) | (t == c)) for c in np.unique(t)]),
    "macc": lambda p, t: np.mean([np.mean(p[t == c] == c) for c in np.unique(t)]),
    "pacc": lambda p, t: np.mean(p == t),
}


def degrees(p: ndarray, t: ndarray) -> ndarray:
    return np.degrees(np.arccos(np.clip((p * t).sum(1), -1, 1)))


@torch.inference_mode()
def naive(model: UMAdapt, folder: Folder) -> dict[str, dict[str, float]]:
    """Everything in memory first, then every metric over everything."""
    kept: dict[str, list[ndarray]] = defaultdict(list)
    for id in folder.ids:
        maps = model(fitted(folder.read_image(id), model.spec.size)[None], "target")
        truth = {task: folder.read_label(task, id) for task in model.tasks}
        for task, map_ in maps.items():
            label = truth[task]
            assert label is not None
            full = F.interpolate(model.tasks[task].to_physical(map_), label.shape[:2], mode="bilinear")[0]
            if task == "seg":
                full[NEVER] = -math.inf
                full = full.argmax(0, keepdim=True)
            kept[task].append(full.permute(1, 2, 0).numpy()[ROWS, COLUMNS])
            kept[f"{task} truth"].append(label.reshape(*label.shape[:2], -1)[ROWS, COLUMNS])
    pixels = {name: np.concatenate([map_.reshape(-1, map_.shape[-1]) for map_ in maps]) for name, maps in kept.items()}
    depth, truth = np.clip(pixels["depth"], *CAP_M), pixels["depth truth"]
    inside = (truth >= CAP_M[0]) & (truth <= CAP_M[1])
    labelled = pixels["seg truth"] != folder.ignore
    there = np.linalg.norm(pixels["normals truth"], axis=1) > 0
    both = pixels["normals"][there], pixels["normals truth"][there]
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in both]
    return {
        "depth": {name: float(metric(depth[inside], truth[inside])) for name, metric in DEPTH.items()},
        "normals": {name: float(metric(*unit)) for name, metric in NORMALS.items()},
        "seg": {n: float(metric(pixels["seg"][labelled], pixels["seg truth"][labelled])) for n, metric in SEG.items()},
    }


def check(ours: Mapping[str, Any], theirs: Mapping[str, Mapping[str, float]]) -> None:
    """Both say the same."""
    for task, figures in theirs.items():
        for name, x in figures.items():
            assert math.isclose(ours[task][name], x, rel_tol=TOLERANCE, abs_tol=TOLERANCE), (task, name, x, ours[task])


def main() -> None:
    options = parser(__doc__, "size", "repeats")
    options.add_argument("--images", type=int, default=32, help="labelled photos of 480x640")
    options.add_argument("--peak", nargs=2, metavar=("WAY", "FOLDER"), help="peak memory (MiB) of ours or naive")
    given = options.parse_args()
    model = make_model(given.size).eval().to(memory_format=torch.channels_last)
    ways: dict[str, Callable[[Folder], Any]] = {
        "naive": lambda folder: naive(model, folder),
        "ours": lambda folder: evaluate(model, "target", folder, "nyud"),
    }
    if given.peak:
        way, data = given.peak
        ways[way](Folder(data))
        print(own_peak())
        return
    with tempfile.TemporaryDirectory() as root:
        write_world(Path(root), given.images)
        folder = Folder(root)
        check(ways["ours"](folder), ways["naive"](folder))
        times = interleave({name: lambda way=way: way(folder) for name, way in ways.items()}, given.repeats, warm=0)
        arguments = ["--size", given.size, "--peak"]
        mib = {name: peak_mib("benchmarks.evaluation", *arguments, name, root) for name in ways}
    photo = {name: [(wall / given.images, cpu / given.images) for wall, cpu in times[name]] for name in times}
    print(f"{given.images} photos, the {given.size}'s network: seconds a photo of both, ratio (range)")
    print(f"naive / ours {show(photo, 'naive', 'ours')}")
    print(f"peak memory: naive {mib['naive']:.0f} MiB, ours {mib['ours']:.0f} MiB")
    found = {"a_photo": summary(photo), "speedup": ratio(times, "naive", "ours"), "mib": mib}
    report({"question": "evaluation", "size": given.size, "images": given.images, **found}, given.json)


if __name__ == "__main__":
    main()
