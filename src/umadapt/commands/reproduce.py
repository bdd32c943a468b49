"""`umadapt reproduce`: the whole ladder of variants over several seeds, and the paper's tables beside ours.

Every rung is an `umadapt` command line (`reproduce_ladder`); they run side by side, each with its log under OUT/logs
(`reproduce_run`). Repeated with the same --out, it goes on where it stopped.

OUT/
  rooms/ photos/ test/ ...   data, where none is given
  seed-K/RUNG/               runs
  evaluations/seed-K/        RUNG.json
  logs/                      of every command
  ladder.json ladder.md ladder.html grid.png
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from umadapt.config import Reproduce
from umadapt.data.atomic import write_bytes, write_json
from umadapt.data.files import write_image
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.evaluation.evaluations import read_evaluation
from umadapt.evaluation.image_prior import MOST
from umadapt.evaluation.protocols import PROTOCOLS
from umadapt.reports import ladder_tables as layout
from umadapt.reports import paper, transfer_table
from umadapt.reports.figures import png
from umadapt.reports.ladder import FEW, PRIOR, VIEWS, Data, Exam, Rung, chosen, evaluation_name, ladder, recipe, renders
from umadapt.reports.ladder_data import open_data, refuse_missing
from umadapt.reports.picture_grid import grid
from umadapt.reports.scheduler import Runner, Step
from umadapt.tasks import TASKS
from umadapt.training.provenance import git_commit, versions
from umadapt.training.sources import evenly, labelled_ids

SHOWN = ("source-only", "adv", "self-training", "semi", "oracle")  # columns: those of Figure 4, and two more


def run(config: Reproduce) -> int:
    """The command `reproduce`."""
    refuse_missing(config)
    chosen(config)
    out = config.out
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {out} cannot be made ({error.strerror or error})") from error
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    made = renders(config)
    Runner(out, 1, cores).run(made)
    data = open_data(config)
    rungs, left_out = chosen(config, bool(data.labelled), data.oracle is not None)
    if not rungs:
        raise UserError(f"--rungs: {config.rungs[0]} is left out, because {left_out[config.rungs[0]]}")
    for why in dict.fromkeys(left_out.values()):
        print(f"left out ({why}): {', '.join(name for name in left_out if left_out[name] == why)}")
    steps = [*ladder(config, data, rungs), *transfer_table.steps(config, rungs)]
    runner = Runner(out, config.jobs, max(1, cores // config.jobs))
    try:
        runner.run(steps)
    except (UserError, KeyboardInterrupt):
        if collect(config, data, rungs, steps, runner):
            # no pictures: who stopped it wants it to end
            write(dataclasses.replace(config, pictures=0), data, rungs, left_out, [*made, *steps], runner)
            print(f"an unfinished ladder is in {out}/ladder.md", file=sys.stderr)
        raise
    for views in out.glob(f"seed-*/{VIEWS}"):
        shutil.rmtree(views)
    print("\n" + write(config, data, rungs, left_out, [*made, *steps], runner))
    print(f"\nOpen {out}/ladder.html")
    return 0


def collect(
    config: Reproduce, data: Data, rungs: Sequence[Rung], steps: Sequence[Step], runner: Runner
) -> dict[str, dict[int, dict[str, Any]]]:
    """rung -> seed -> evaluation, as far as they are there and belong to these runs and these commands.

    Of several exams the first that measures a task counts for it; "n" is {task: photos}.
    """
    by_name = {step.name: step for step in steps}
    out: dict[str, dict[int, dict[str, Any]]] = {}
    for rung in rungs:
        for seed in range(config.seeds):
            names = [evaluation_name(seed, rung.name, i) for i in range(len(data.exams))]
            parts = [by_name[name] for name in names if name in by_name]  # none for tasks that the rung has not learnt
            if not parts or not all(runner.is_done(part, by_name) for part in parts):
                continue
            found = [read_evaluation(part.output) for part in parts]
            counts = {task: one["n"] for one in reversed(found) for task in one if task in TASKS}
            merged = {key: value for one in reversed(found) for key, value in one.items()}
            out.setdefault(rung.name, {})[seed] = merged | {"n": counts}
    return out


def write(
    config: Reproduce,
    data: Data,
    rungs: Sequence[Rung],
    left_out: dict[str, str],
    steps: Sequence[Step],
    runner: Runner,
) -> str:
    """Write ladder.json, .md, .html and grid.png; returns the tables as plain text."""
    evaluations = collect(config, data, rungs, steps, runner)
    counts = {"semi": labels_of(data.labelled, config.depth_labels), "self-training-labelled": labels_of(data.labelled)}
    counts["self-training-tenth"] = labels_of(data.labelled, share=FEW)
    counts[PRIOR] = labels_of({exam.prior for exam in data.exams if exam.prior}, most=MOST)
    if data.oracle is not None:
        counts["oracle"] = labels_of((data.oracle,))
    tables = paper.outdoor() if config.suite == "outdoor" else paper.indoor()
    rows = [(table, layout.rows(table, evaluations, rungs, counts)) for table in tables]
    seconds = {step.name: runner.record(step).get("seconds") for step in steps}
    known = facts(config, data, evaluations, left_out, seconds, runner)
    commands = [
        step.command + (f"  # {taken:.0f} s" if (taken := seconds[step.name]) is not None else "  # not run")
        for step in steps
    ]
    url = None
    shown = SHOWN if "adv" in evaluations else (*SHOWN, "noadv")
    runs = {
        rung.title: config.out / "seed-0" / rung.name
        for rung in rungs
        if rung.name in shown and 0 in evaluations.get(rung.name, {})
    }
    if config.pictures and runs:
        share = -(-config.pictures // len(data.exams))
        sheets = [grid(runs, e.address, e.protocol, e.normals_from_depth, share, config.device) for e in data.exams]
        sheet = np.concatenate(sheets)
        write_image(config.out / "grid.png", sheet)
        url = png(sheet)
    transferred = transfer_table.collect(config)
    result = {
        "suite": config.suite,
        "budget": config.budget,
        "seeds": config.seeds,
        "recipe": dataclasses.asdict(recipe(config)),
        "data": dataclasses.asdict(data),
        "rungs": layout.summary(tables, evaluations, rungs, counts),
        "left_out": left_out,
        "transfer": transferred,
        "commands": [{"name": s.name, "command": s.command, "seconds": seconds[s.name]} for s in steps],
        "facts": known,
        "versions": versions() | {"commit": git_commit()},
    }
    for path in filter(None, (config.out / "ladder.json", config.json)):
        write_json(path, result)
    more = transfer_table.html(config, transferred)
    page = layout.markdown(rows, known, commands) + transfer_table.markdown(config, transferred)
    write_bytes(config.out / "ladder.md", page.encode())
    write_bytes(config.out / "ladder.html", layout.html(rows, known, commands, url, more).encode())
    last = transfer_table.text(config, transferred)
    return "\n".join([*map(measured, data.exams), "", layout.text(rows), "", last])


def facts(
    config: Reproduce,
    data: Data,
    evaluations: dict[str, dict[int, dict[str, Any]]],
    left_out: dict[str, str],
    seconds: dict[str, float | None],
    runner: Runner,
) -> list[str]:
    """What the figures were measured on, and how long it took."""
    done = max(len(seeds) for seeds in evaluations.values())
    lines = [
        f"Suite {config.suite}, budget {config.budget}; "
        + (f"mean ± standard deviation over {done} seeds" if done > 1 else "one seed")
        + ", each with its own base model, order and augmentation; the data are the same for all.",
        *(measured(exam) for exam in data.exams),
        f"Source {data.source} ({len(Folder(data.source).ids)} images), target "
        + " and ".join(f"{address} ({len(Folder(address).ids)} photos)" for address in data.target)
        + ".",
        f"{sum(s or 0 for s in seconds.values()) / 60:.0f} minutes of commands, {runner.jobs} side by side with "
        f"{runner.threads} thread{'s' if runner.threads > 1 else ''} each.",
        " · ".join(f"{name} {version}" for name, version in versions().items()) + f" · commit {git_commit()}",
    ]
    for why in dict.fromkeys(left_out.values()):
        lines.append(f"Left out ({why}): {', '.join(name for name in left_out if left_out[name] == why)}.")
    return lines


def measured(exam: Exam) -> str:
    """What one exam measures and how."""
    folder, protocol = Folder(exam.address), PROTOCOLS[exam.protocol]
    told = [protocol.describe(), "depth as predicted, not aligned"]
    if "seg" in folder.tasks:
        told.append(f"{len(protocol.classes) or len(folder.classes)} classes")
    if exam.normals_from_depth:
        told.append("normals: ground truth made from depth")
    return f"{len(folder.ids)} photos of {exam.address}; {'; '.join(told)}."


def labels_of(addresses: Iterable[str], depth_labels: int = 0, most: int = 0, share: float = 1.0) -> str:
    """How many labels a rung saw, of a share of the labelled photos at most `most` of a task (0 = all): one number, or
    one for each task where they differ."""
    photos = [(f, id) for f in map(Folder, addresses) for id in evenly(labelled_ids(f, TASKS), share)]
    counts = {task: sum(folder.has(task, id) for folder, id in photos) for task in TASKS}
    counts = {task: min(n, most or n) for task, n in counts.items() if n}
    if depth_labels and "depth" in counts:
        counts["depth"] = min(depth_labels, counts["depth"])
    if len(set(counts.values())) == 1:
        return str(next(iter(counts.values())))
    return ", ".join(f"{n} {task}" for task, n in counts.items())
