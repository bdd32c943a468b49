"""The page of a report: the runs, their figures, pictures and curves, and how to repeat them."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import Any

from umadapt.reports import markup
from umadapt.reports.figures import Pictures
from umadapt.reports.runs import ReportedRun
from umadapt.reports.tables import ladders, short, swatch, transfer_report
from umadapt.tasks import TASKS
from umadapt.training.run_record import command_of


def page(runs: Sequence[ReportedRun], curves: Mapping[str, Mapping[str, str]], pictures: Pictures | None) -> str:
    """The whole page as text."""
    parts = [
        _intro(runs),
        *ladders(runs),
        transfer_report(runs),
        _pictures(pictures, runs) if pictures else "",
        _curves(curves, runs),
        _reproduce(runs),
    ]
    return markup.shell("UM-Adapt report", parts)


def _intro(runs: Sequence[ReportedRun]) -> str:
    spec = runs[0].record.model
    names = [TASKS[task].title.lower() for task in spec.tasks if task in TASKS]
    what = " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
    about = (
        f"<p>One network predicts {escape(what)}. It learnt from synthetic labelled images and "
        "was then adapted to photos <em>without labels</em> (UM-Adapt, ICCV 2019). Each row below is one run: "
        "the same network after another kind of adaptation, or none.</p>"
    )
    rows = []
    for i, run in enumerate(runs):
        target = run.record.target
        data = (short(str(run.record.source or "–")), short(str(target)) if target else "–")
        rows.append(markup.row(swatch(i) + escape(run.label), map(escape, (run.name, *data))))
    h, w = spec.size
    facts = f"{spec.backbone} at {h}×{w} · {', '.join(spec.tasks)} · {len(spec.classes)} classes"
    return f'<header><h1>UM-Adapt report</h1><p class="facts">{escape(facts)}</p>{about}</header>' + markup.table(
        ["variant", "run", "source", "photos"], rows, left=True
    )


# ---------------------------------------------------------------------------------------------------------------------
# Figures


def _curves(curves: Mapping[str, Mapping[str, str]], runs: Sequence[ReportedRun]) -> str:
    blocks = []
    for stage, figures in curves.items():
        cells = "".join(
            f'<figure><figcaption>{escape(name)}</figcaption><img alt="{escape(name)} over steps" src="{url}"></figure>'
            for name, url in figures.items()
        )
        if cells:
            blocks.append(f'<h3>Stage {escape(stage)}</h3><div class="curves">{cells}</div>')
    if not blocks:
        return ""
    return (
        "<section><h2>Training curves</h2><p>Smoothed over a twentieth of each run; steps along the bottom.</p>"
        + _run_key(runs)
        + "".join(blocks)
        + "</section>"
    )


def _run_key(runs: Sequence[ReportedRun]) -> str:
    return f'<p class="key">{"".join(f"<span>{swatch(i)}{escape(r.label)}</span>" for i, r in enumerate(runs))}</p>'


def _pictures(pictures: Pictures, runs: Sequence[ReportedRun]) -> str:
    blocks = []
    for row in pictures.rows:
        name = escape(row.id)
        cells = [
            f'<figure class="photo"><img alt="photo {name}" src="{row.photo}"><figcaption>{name}</figcaption></figure>'
        ]
        cells += _map_cells(row.truth, pictures.tasks, "truth") if row.truth else ['<span class="rest"></span>']
        cells += ["<span></span>"] * len(pictures.trust) if row.truth else []
        for i, run in enumerate(runs):
            cells.append(f'<p class="who">{swatch(i)}{escape(run.label)}</p>')
            cells += _map_cells(row.predictions[run.label], pictures.tasks, run.label)
            cells += _trust_cells(row.trust[run.label], pictures.trust, run.label)
        columns = len(pictures.tasks) + len(pictures.trust)
        blocks.append(f'<div class="compare" style="--tasks:{columns}">{"".join(cells)}</div>')
    legend = "".join(f"<span>{markup.swatch(colour)}{escape(name)}</span>" for name, colour in pictures.legend)
    return (
        f"<section><h2>Pictures <small>{escape(short(pictures.address))}</small></h2>"
        "<p>Ground truth beside the photo, each run below it; one colour scale for all depth maps of a photo."
        + _trust_note(pictures.trust)
        + "</p>"
        + "".join(blocks)
        + f'<p class="key">{legend}</p></section>'
    )


def _trust_note(ends: Mapping[str, str]) -> str:
    """What the colours of trust maps mean; nothing where there are none."""
    listed = ", ".join(f"{escape(end)} or more ({escape(task)})" for task, end in ends.items())
    said = " Trust: how far the other tasks disagree with a prediction, from teal, not at all, to red, "
    return f"{said}{listed}; with the mean over the photo. Agreement is no proof." if ends else ""


def _trust_cells(maps: Mapping[str, tuple[str, str]], tasks: Collection[str], who: str) -> list[str]:
    return [
        f'<figure><img alt="trust of {escape(task)}, {escape(who)}" src="{maps[task][0]}">'
        f"<figcaption>trust of {escape(task)}: {maps[task][1]}</figcaption></figure>"
        if task in maps
        else "<span></span>"
        for task in tasks
    ]


def _map_cells(maps: Mapping[str, str], tasks: Sequence[str], who: str) -> list[str]:
    return [
        f'<figure><img alt="{escape(task)}, {escape(who)}" src="{maps[task]}">'
        f"<figcaption>{escape(task)}</figcaption></figure>"
        if task in maps
        else f'<figure class="none">no {escape(task)} labels</figure>'
        for task in tasks
    ]


# ---------------------------------------------------------------------------------------------------------------------
# How it was made


def command_line(command: Mapping[str, Any]) -> str:
    """The command that a run's stored arguments came from, with what differs from the defaults."""
    kind = command_of(command)
    words = ["umadapt", kind.__name__.lower()]
    options: list[str] = []
    for field in dataclasses.fields(kind):
        if field.name not in command:
            continue
        value = command[field.name]
        default = field.default if field.default is not dataclasses.MISSING else dataclasses.MISSING
        if default is not dataclasses.MISSING and value == json.loads(json.dumps(default, default=str)):
            continue
        name = "--" + field.name.replace("_", "-")
        if field.name == "run":
            words.append(str(value))
        elif field.name == "size":
            options += [name, "x".join(map(str, value))]
        elif field.name in ("transfer", "target", "labelled"):
            options += [word for one in value for word in (name, str(one))]
        elif isinstance(value, list):
            options += [name, ",".join(map(str, value))]
        elif isinstance(value, bool):
            options.append(name if value else "--no-" + name[2:])
        else:
            options += [name, str(value)]
    return shlex.join(words + options)


def _reproduce(runs: Sequence[ReportedRun]) -> str:
    blocks = []
    for i, run in enumerate(runs):
        lines = [command_line(run.record.command)] if run.record.command else []
        for evaluation in run.evaluations:
            words = ["umadapt", "evaluate", str(run.path), "--data", str(evaluation.get("data", "DATA"))]
            words += ["--protocol", evaluation["protocol"]]
            words += ["--normals-from-depth"] if "normals_from" in evaluation else []
            words += ["--align", evaluation["align"]] if "align" in evaluation else []
            words += ["--witnesses", ",".join(evaluation["witnesses"])] if "witnesses" in evaluation else []
            lines.append(shlex.join(words))
        packages = dict(run.record.packages)
        if run.record.git:
            packages["commit"] = run.record.git
        versions = " · ".join(f"{name} {version}" for name, version in packages.items())
        blocks.append(
            f"<h3>{swatch(i)}{escape(run.label)}</h3><pre>{escape(chr(10).join(lines))}</pre>"
            f'<p class="facts">{escape(versions)}</p>'
        )
    return f"<section><h2>How to repeat it</h2>{''.join(blocks)}</section>"
