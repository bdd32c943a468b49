"""What does cost grow with? Images, pixels, tasks and transfers, each over a factor of 8 where there are so many.

Images: seconds to open a labelled folder and count its classes. The others: CPU seconds of a `noadv` step of a small
network. Four tasks are all that there are; twelve edges are all that four tasks can have.
"""

from __future__ import annotations

import dataclasses
import math
import tempfile
from pathlib import Path

import torch
from benchmarks.loading import write_world
from benchmarks.measure import interleave, make_batch, make_model, parser, report
from benchmarks.step import ours

from umadapt.config import ModelSpec
from umadapt.data.batches import class_frequencies
from umadapt.data.folder import Folder
from umadapt.nets.model import UMAdapt

TASKS = ("seg", "depth", "normals", "edges")
SIDES = {1: (96, 128), 2: (128, 192), 4: (192, 256), 8: (256, 384)}  # times as many pixels


def step_seconds(specs: dict[int, ModelSpec], repeats: int) -> dict[int, float]:
    """Least CPU seconds of a noadv step, of networks in turn."""
    steps = {}
    for key, spec in specs.items():
        torch.manual_seed(0)
        model = UMAdapt(spec)
        model.encoder.add_target()
        steps[str(key)] = ours("noadv", model, make_batch(model, 2))
    times = interleave(steps, repeats)
    return {int(key): min(cpu for _, cpu in values) for key, values in times.items()}


def edges(count: int) -> dict[str, tuple[str, ...]]:
    """A graph of `count` edges among four tasks, spread over the tasks."""
    graph: dict[str, tuple[str, ...]] = {}
    pairs = [(a, TASKS[(i + k) % 4]) for k in (1, 2, 3) for i, a in enumerate(TASKS)]
    for target, source in pairs[:count]:
        graph[target] = (*graph.get(target, ()), source)
    return graph


def image_seconds(counts: list[int], repeats: int) -> dict[int, float]:
    with tempfile.TemporaryDirectory() as folder:
        write_world(Path(folder), max(counts))

        def count(n: int) -> None:
            data = Folder(folder)
            class_frequencies(data, data.ids[:n])

        times = interleave({str(n): lambda n=n: count(n) for n in counts}, repeats)
    return {int(key): min(cpu for _, cpu in values) for key, values in times.items()}


def exponent(found: dict[int, float]) -> float:
    """Slope between the ends in a double logarithmic plot: 1 is linear."""
    low, high = min(found), max(found)
    return math.log(found[high] / found[low]) / math.log(high / low)


def plot(found: dict[str, dict[int, float]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for name, values in found.items():
        first = min(values)
        axes.plot([k / first for k in values], [v / values[first] for v in values.values()], "o-", label=name)
    axes.plot([1, 8], [1, 8], "k:", label="linear")
    axes.set(xscale="log", yscale="log", xlabel="times as many", ylabel="times the CPU seconds")
    axes.set_xticks([1, 2, 4, 8], ["1", "2", "4", "8"])
    axes.set_yticks([1, 2, 4, 8], ["1", "2", "4", "8"])
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the curves here")
    given = options.parse_args()
    spec = dataclasses.replace(make_model("demo").spec, tasks=TASKS)
    found = {
        "images": image_seconds([4, 8, 16, 32], given.repeats),
        "pixels": step_seconds({k: dataclasses.replace(spec, size=s) for k, s in SIDES.items()}, given.repeats),
        "tasks": step_seconds(
            {n: dataclasses.replace(spec, tasks=TASKS[:n], graph=chain(n)) for n in (2, 3, 4)}, given.repeats
        ),
        "transfers": step_seconds({n: dataclasses.replace(spec, graph=edges(n)) for n in (1, 2, 4, 8)}, given.repeats),
    }
    for name, values in found.items():
        shown = ", ".join(f"{k}: {v:.3f} s" for k, v in values.items())
        print(f"{name:10} {shown}; grows with the power {exponent(values):.2f}")
    if given.plot is not None:
        plot(found, given.plot)
    exponents = {name: exponent(values) for name, values in found.items()}
    report({"question": "growth", "cpu_s": found, "exponents": exponents}, given.json)


def chain(count: int) -> dict[str, tuple[str, ...]]:
    """Each task reads the one before it: as many transfer nets as tasks."""
    return {TASKS[i]: (TASKS[(i - 1) % count],) for i in range(count)} if count > 1 else {}


if __name__ == "__main__":
    main()
