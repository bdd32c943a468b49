"""The tables of a report: runs beside each other, the paper's rows for reference, classes, transfer nets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from umadapt.evaluation.evaluations import conditions
from umadapt.reports import markup
from umadapt.reports.figures import COLOURS
from umadapt.reports.markup import table
from umadapt.reports.runs import ReportedRun, key_of
from umadapt.tasks import TASKS
from umadapt.tasks.base import Column

# The paper's Tables 1, 2, 3 (shares of pixels as fractions), in the order of the task's columns.
PAPER: dict[str, dict[str, tuple[float, ...]]] = {
    "depth": {
        "Multi-task baseline": (0.27, 0.095, 0.862, 0.559, 0.852, 0.942),
        "UM-Adapt-B (FCF)": (0.218, 0.091, 0.679, 0.67, 0.898, 0.974),
        "UM-Adapt-B (CCR)": (0.192, 0.081, 0.754, 0.601, 0.877, 0.971),
        "UM-Adapt (noAdv)-1": (0.181, 0.077, 0.743, 0.623, 0.889, 0.978),
        "UM-Adapt (noAdv)": (0.178, 0.063, 0.712, 0.781, 0.917, 0.984),
        "UM-Adapt (Adv)": (0.175, 0.065, 0.673, 0.783, 0.92, 0.984),
    },
    "normals": {
        "Multi-task baseline": (25.8, 18.73, 0.2965, 0.6169, 0.6983),
        "UM-Adapt-B (FCF)": (24.6, 16.49, 0.3753, 0.6573, 0.7551),
        "UM-Adapt-B (CCR)": (23.8, 14.67, 0.4208, 0.6913, 0.7728),
        "UM-Adapt (noAdv)-1": (22.3, 15.56, 0.4317, 0.6911, 0.7836),
        "UM-Adapt (noAdv)": (22.2, 15.31, 0.4374, 0.7018, 0.7883),
        "UM-Adapt (Adv)": (22.2, 15.23, 0.4368, 0.7045, 0.7895),
    },
    "seg": {
        "Multi-task baseline": (0.022, 0.063, 0.067),
        "UM-Adapt-B (FCF)": (0.154, 0.295, 0.514),
        "UM-Adapt-B (CCR)": (0.163, 0.308, 0.557),
        "UM-Adapt (noAdv)-1": (0.189, 0.345, 0.603),
        "UM-Adapt (noAdv)": (0.214, 0.364, 0.608),
        "UM-Adapt (Adv)": (0.221, 0.366, 0.619),
    },
}
PAPER_NOTE = "the paper, NYUDv2 test, ResNet-50, 100k PBRS images"


def short(address: str) -> str:
    """The last part of an address, for headings."""
    return address.replace("\\", "/").rstrip("/").rpartition("/")[2] or address


def swatch(i: int) -> str:
    """The colour of run i."""
    return markup.swatch(COLOURS[i % len(COLOURS)])


def ladders(runs: Sequence[ReportedRun]) -> Iterable[str]:
    keys = list(dict.fromkeys(key_of(e) for r in runs for e in r.evaluations))
    for k, (data, protocol) in enumerate(keys):
        found = [
            (i, run, evaluation)
            for i, run in enumerate(runs)
            for evaluation in run.evaluations
            if key_of(evaluation) == (data, protocol)
        ]
        n = found[0][2]["n"]
        blocks = [f"<h2>{escape(short(data))} <small>protocol {escape(protocol)}, {n} photos</small></h2>"]
        told = {name: text for _, _, evaluation in reversed(found) for name, text in conditions(evaluation).items()}
        blocks.append(f"<p>{'; '.join(f'{name}: {escape(text)}' for name, text in told.items())}</p>")
        for task, kind in TASKS.items():
            rows = [(i, run, e[task]) for i, run, e in found if task in e]
            if rows:
                made = {e.get("normals_from") for _, _, e in found} - {None} if task == "normals" else set()
                note = " <small>ground truth made from depth</small>" if made else ""
                blocks.append(f"<h3>{kind.title}{note}</h3>" + _ladder(kind.columns, rows) + _paper(task, k == 0))
        blocks.append(_class_table([(run, e["seg"]["iou"]) for _, run, e in found if "seg" in e]))
        yield f"<section>{''.join(blocks)}</section>"


def _ladder(columns: Sequence[Column], rows: Sequence[tuple[int, ReportedRun, Mapping[str, float]]]) -> str:
    best = {}
    for key, _, more in columns:
        shown = [f"{figures[key]:.3f}" for _, _, figures in rows if figures.get(key) is not None]
        # compared as they are shown: two rows that read the same are both best
        best[key] = (max if more else min)(shown, key=float) if len(rows) > 1 and shown else None
    lines = []
    for i, run, figures in rows:
        cells = []
        for key, _, _ in columns:
            text = _figure(figures.get(key))
            cells.append(f"<b>{text}</b>" if text == best[key] else text)
        lines.append(markup.row(swatch(i) + escape(run.label), cells))
    return table(["", *_headings(columns)], lines)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _headings(columns: Sequence[Column]) -> list[str]:
    return [f'{escape(name)}&nbsp;<span class="way">{"↑" if more else "↓"}</span>' for _, name, more in columns]


def _paper(task: str, unfolded: bool) -> str:
    """The paper's rows: a reference beside ours, not comparable one to one."""
    if task not in PAPER:
        return ""
    columns = TASKS[task].columns
    rows = [markup.row(escape(name), (f"{x:.3f}" for x in values)) for name, values in PAPER[task].items()]
    return (
        f'<details class="paper"{" open" if unfolded else ""}><summary>For reference: {PAPER_NOTE}</summary>'
        + table(["", *_headings(columns)], rows)
        + "<p>Other photos, another source and another amount of training: not comparable one to one. What can be "
        "compared is the order of the rows and the size of the steps between them.</p></details>"
    )


def _class_table(rows: Sequence[tuple[ReportedRun, Mapping[str, float]]]) -> str:
    if not rows:
        return ""
    classes = list(dict.fromkeys(name for _, iou in rows for name in iou))
    lines = [markup.row(escape(name), (_figure(iou.get(name)) for _, iou in rows)) for name in classes]
    inner = table(["", *(escape(run.label) for run, _ in rows)], lines)
    return f"<details><summary>IoU of each class</summary>{inner}</details>"


def transfer_report(runs: Sequence[ReportedRun]) -> str:
    """Energy and accuracy of the transfer nets on real tuples, once for each set of nets."""
    blocks: list[str] = []
    seen: list[Any] = []
    for run in runs:
        report = run.record.transfer_report
        if not report or report in seen:
            continue
        seen.append(report)
        cells: dict[str, dict[str, float]] = {}
        for task, parts in report.items():
            reads = ", ".join(run.record.model.graph.get(task, ()))
            reads += " (geometry)" if task in run.record.model.geometry else ""
            for part, figures in parts.items():
                cells[f"{task} ← {reads} · {'held out' if part == 'heldout' else part}"] = figures
        names = list(dict.fromkeys(name for figures in cells.values() for name in figures))
        lines = [markup.row(escape(title), (_figure(f.get(n)) for n in names)) for title, f in cells.items()]
        blocks.append(table(["", *map(escape, names)], lines))
    if not blocks:
        return ""
    return (
        "<section><h2>Transfer nets</h2><p>How well each frozen net guesses one task from the true maps of the others. "
        "Adaptation can be no better than this: an energy far below that of real tuples is a warning; of seg less the "
        "entropy of the prediction, which real tuples have not.</p>" + "".join(blocks) + "</section>"
    )
