"""What does cost grow with? Images, pixels, tasks and transfers, each over a factor of 8 where there are so many.

CPU seconds: of counting a folder's classes and of evaluating it, against images; of a `noadv` step of a small network
against the others. There are four tasks and no more, and a step needs two; the graph of four has up to twelve edges.
"""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from benchmarks.loading import write_world
from benchmarks.measure import interleave, make_batch, make_model, parser, report
from benchmarks.step import ours

from umadapt.config import ModelSpec
from umadapt.config.options import Graph
from umadapt.data.folder import Folder
from umadapt.evaluation.evaluate import evaluate
from umadapt.nets.model import UMAdapt
from umadapt.training.whole_sets import class_frequencies

TASKS = ("seg", "depth", "normals", "edges")
IMAGES = (4, 8, 16, 32)
SIDES = {1: (96, 128), 2: (128, 192), 4: (192, 256), 8: (256, 384)}  # times as many pixels
Curve = dict[int, float]  # how many of something -> CPU seconds


def curve(functions: Mapping[int, Callable[[], Any]], repeats: int) -> Curve:
    """Least CPU seconds of each, in turn."""
    times = interleave({str(key): function for key, function in functions.items()}, repeats)
    return {int(key): min(cpu for _, cpu in values) for key, values in times.items()}


def of_images(size: str, repeats: int, counts: tuple[int, ...] = IMAGES) -> dict[str, Curve]:
    """Counting the classes of a labelled folder, and evaluating a network on it."""
    model = make_model(size).eval().to(memory_format=torch.channels_last)
    with tempfile.TemporaryDirectory() as root:
        write_world(Path(root), max(counts))
        folder = Folder(root)
        count = {n: lambda n=n: class_frequencies(folder, folder.ids[:n]) for n in counts}
        measure = {n: lambda n=n: evaluate(model, "target", folder, "nyud", ids=folder.ids[:n]) for n in counts}
        return {"images, classes": curve(count, repeats), "images, evaluation": curve(measure, repeats)}


def of_steps(specs: Mapping[int, ModelSpec], repeats: int) -> Curve:
    """A noadv step of each network."""
    steps = {}
    for key, spec in specs.items():
        torch.manual_seed(0)
        model = UMAdapt(spec)
        model.encoder.add_target()
        steps[key] = ours("noadv", model, make_batch(model, 2), "shared")
    return curve(steps, repeats)


def ring(count: int) -> Graph:
    """Each task reads the one before it: as many transfer nets as tasks."""
    return {TASKS[i]: (TASKS[(i - 1) % count],) for i in range(count)}


def edges(count: int) -> Graph:
    """A graph of `count` edges among the four tasks, spread over them."""
    pairs = [(task, TASKS[(i + k) % 4]) for k in (1, 2, 3) for i, task in enumerate(TASKS)][:count]
    return {task: tuple(source for target, source in pairs if target == task) for task, _ in pairs}


def exponent(found: Curve) -> float:
    """Slope between the ends in a double logarithmic plot: 1 is linear."""
    low, high = min(found), max(found)
    return math.log(found[high] / found[low]) / math.log(high / low)


def plot(found: Mapping[str, Curve], path: Path) -> None:
    """All curves from (1, 1): times the cost against times as many."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for name, values in found.items():
        first = min(values)
        axes.plot([k / first for k in values], [s / values[first] for s in values.values()], "o-", label=name)
    axes.plot([1, 8], [1, 8], "k:", label="linear")
    axes.set(xscale="log", yscale="log", xlabel="times as many", ylabel="times the CPU seconds")
    for ticks in (axes.set_xticks, axes.set_yticks):
        ticks([], minor=True)
        ticks([1, 2, 4, 8], ["1", "2", "4", "8"])
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    options = parser(__doc__, "repeats")
    options.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the curves here")
    given = options.parse_args()
    spec = dataclasses.replace(make_model("demo").spec, tasks=TASKS)
    series = {
        "pixels": {k: dataclasses.replace(spec, size=size) for k, size in SIDES.items()},
        "tasks": {n: dataclasses.replace(spec, tasks=TASKS[:n], graph=ring(n)) for n in (2, 3, 4)},
        "transfers": {n: dataclasses.replace(spec, graph=edges(n)) for n in (1, 2, 4, 8)},
    }
    found = of_images("demo", given.repeats) | {name: of_steps(specs, given.repeats) for name, specs in series.items()}
    for name, values in found.items():
        shown = ", ".join(f"{k}: {seconds:.3f} s" for k, seconds in values.items())
        print(f"{name:18} {shown}; grows with the power {exponent(values):.2f}")
    if given.plot is not None:
        plot(found, given.plot)
    exponents = {name: exponent(values) for name, values in found.items()}
    report({"question": "growth", "cpu_s": found, "exponents": exponents}, given.json)


if __name__ == "__main__":
    main()
