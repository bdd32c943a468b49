"""The figures of a report: training curves (SVG) and predictions side by side (PNG, JPEG)."""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from tqdm import tqdm

from umadapt.data import viz
from umadapt.data.folder import Folder
from umadapt.data.viz import thumbnail, thumbnail_photo
from umadapt.evaluation.evaluator import read_truth
from umadapt.inference.photos import predictor_of
from umadapt.reports.runs import ReportedRun
from umadapt.tasks import Task
from umadapt.training.load import load_model

WIDTH = 288  # of a thumbnail in pixels
POINTS = 200  # of a curve: more cannot be seen
COLOURS = ("#3b82f6", "#f97316", "#10b981", "#d946ef", "#eab308", "#ef4444", "#06b6d4", "#8b8b8b")  # of the runs
META = ("stage", "step", "seconds", "time")  # keys of a metrics line that are no figures


# ---------------------------------------------------------------------------------------------------------------------
# Curves


def curves(runs: Sequence[ReportedRun]) -> dict[str, dict[str, str]]:
    """{stage: {figure: data URL of a small SVG with one smoothed line a run}}, in the order of the runs' logs."""
    series: dict[str, dict[str, list[tuple[int, np.ndarray, np.ndarray]]]] = {}
    for i, run in enumerate(runs):
        values: dict[tuple[str, str], list[tuple[int, float]]] = {}
        for line in run.metrics:
            for name, value in line.items():
                if name not in META and isinstance(value, int | float):
                    values.setdefault((str(line["stage"]), name), []).append((int(line["step"]), float(value)))
        for (stage, name), pairs in values.items():
            steps, heights = np.array(pairs).T
            series.setdefault(stage, {}).setdefault(name, []).append((i, steps, smooth(heights)))
    return {
        stage: {name: _plot(lines) for name, lines in figures.items() if any(len(x) > 1 for _, x, _ in lines)}
        for stage, figures in series.items()
    }


def smooth(values: np.ndarray, share: float = 0.05) -> np.ndarray:
    """(N,) to (N,): exponential moving average over about `share` of the run, unbiased at its start."""
    keep = 1 - 1 / max(1.0, share * len(values))
    out = np.empty(len(values))
    total = weight = 0.0
    for i, value in enumerate(values):
        total, weight = keep * total + value, keep * weight + 1
        out[i] = total / weight
    return out


def _plot(lines: Sequence[tuple[int, np.ndarray, np.ndarray]]) -> str:
    import matplotlib
    from matplotlib.figure import Figure

    grey = "#8a8f98"  # readable on white and on black
    figure = Figure(figsize=(3.4, 2.0), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    for i, steps, heights in lines:
        chosen = np.unique(np.linspace(0, len(steps) - 1, POINTS).round().astype(int))
        axes.plot(steps[chosen], heights[chosen], color=COLOURS[i % len(COLOURS)], linewidth=1.4)
    everything = np.concatenate([heights for _, _, heights in lines])
    finite = everything[np.isfinite(everything)]
    if finite.size and finite.min() > 0 and finite.max() > 50 * finite.min():
        axes.set_yscale("log")
    axes.tick_params(colors=grey, labelsize=7)
    axes.grid(color=grey, alpha=0.25, linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(grey)
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "umadapt"}):  # the same page from the same runs
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return data_url("image/svg+xml", buffer.getvalue())


# ---------------------------------------------------------------------------------------------------------------------
# Pictures


@dataclass
class PhotoRow:
    """One photo of the page: data URLs."""

    id: str
    photo: str
    truth: dict[str, str]  # task -> picture
    predictions: dict[str, dict[str, str]]  # label of the run -> task -> picture
    trust: dict[str, dict[str, tuple[str, str]]]  # label of the run -> task -> (picture, mean disagreement as text)


@dataclass
class Pictures:
    """All photos of the page, and the legend of the classes that are seen on them."""

    address: str
    tasks: tuple[str, ...]
    rows: list[PhotoRow]
    legend: list[tuple[str, str]]  # class name, #rrggbb
    trust: dict[str, str]  # task with a trust map -> what its colours end at, as text


def spread(ids: Sequence[str], count: int) -> list[str]:
    """So many of the ids, at even distances from the first to the last."""
    chosen = np.unique(np.linspace(0, len(ids) - 1, min(count, len(ids))).round().astype(int))
    return [ids[int(i)] for i in chosen]


def collect_pictures(runs: Sequence[ReportedRun], address: str, count: int, device: str) -> Pictures:
    """Predict `count` photos spread over a split with every run, as the paper's Figure 4 shows them.

    All depth maps of a photo have one colour scale. One model is in memory at a time.

    Raises:
        UserError: the data or a run's weights are not there.
    """
    folder = Folder(address)
    ids = [id for id in spread(folder.ids, count) if folder.has("image", id)]
    maps: dict[str, dict[str, dict[str, np.ndarray]]] = {id: {} for id in ids}  # id -> label -> task -> small map
    trust: dict[str, dict[str, dict[str, tuple[str, str]]]] = {id: {} for id in ids}
    ends: dict[str, str] = {}
    tasks: dict[str, Task] = {}
    classes: tuple[str, ...] = folder.classes
    for run in runs:
        model, stored = load_model(run.path, device)
        tasks |= {name: task for name, task in model.tasks.items() if name not in tasks}
        classes = classes or model.spec.classes
        predictor = predictor_of(model, stored)
        for id in tqdm(ids, desc=run.label, unit="photo", file=sys.stderr, leave=False):
            found = predictor.predict(*folder.photo(id))
            maps[id][run.label] = {task: thumbnail(found[task], WIDTH) for task in model.tasks}
            trust[id][run.label] = {
                name: (jpeg(viz.trust_to_rgb(thumbnail(doubt, WIDTH) / tasks[name].trust.white)), f"{doubt.mean():.2f}")
                for name, doubt in found["trust"].items()
            }
            ends |= {name: f"{tasks[name].trust.white:.2g} {tasks[name].trust.unit}" for name in found["trust"]}
    colours = viz.palette(len(classes))
    seen: set[int] = set()
    rows: list[PhotoRow] = []
    for id in ids:
        truth = {name: read_truth(folder, task, id) for name, task in tasks.items()}
        small = {name: thumbnail(label, WIDTH) for name, label in truth.items() if label is not None}
        every = (small, *maps[id].values())
        # the truth decides the scale where it is; a wild prediction must not turn all others dark
        first = {name: next(m[name] for m in every if name in m) for name in tasks}
        scales = {name: task.picture_scale(first[name]) for name, task in tasks.items()}
        for one in every:
            seen |= set(np.unique(one["seg"]).tolist()) if "seg" in one else set()
        rows.append(
            PhotoRow(
                id,
                jpeg(thumbnail_photo(folder.read_image(id), WIDTH)),
                {name: picture(tasks[name], m, scales[name]) for name, m in small.items()},
                {
                    label: {name: picture(tasks[name], m, scales[name]) for name, m in found.items()}
                    for label, found in maps[id].items()
                },
                trust[id],
            )
        )
    legend = [(name, "#{:02x}{:02x}{:02x}".format(*colours[i])) for i, name in enumerate(classes) if i in seen]
    return Pictures(address, tuple(tasks), rows, legend, ends)


def picture(task: Task, map_: np.ndarray, scale: float | None) -> str:
    """A map as a data URL."""
    rgb = task.picture(map_, scale)
    return png(rgb) if np.issubdtype(map_.dtype, np.integer) else jpeg(rgb)  # ids have few colours and sharp borders


def jpeg(rgb: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=85)
    return data_url("image/jpeg", buffer.getvalue())


def png(rgb: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG", optimize=True)
    return data_url("image/png", buffer.getvalue())


def data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
