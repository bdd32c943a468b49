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
import json
import os
import shutil
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from umadapt import paper
from umadapt import reproduce_tables as layout
from umadapt.checkpoint import git_commit, versions
from umadapt.config import Reproduce
from umadapt.data.folder import Folder, write_bytes, write_image, write_json
from umadapt.errors import UserError
from umadapt.protocols import PROTOCOLS
from umadapt.report_figures import png
from umadapt.reproduce_grid import grid
from umadapt.reproduce_ladder import VIEWS, Data, Exam, Rung, asks_for, chosen, evaluation_name, ladder, recipe, renders
from umadapt.reproduce_run import Runner, Step
from umadapt.tasks import TASKS

WANTED = {  # suite -> what it reads, as the paper has it
    "indoor": {
        "source": "labelled indoor renders with depth, normals and seg (the paper: 100,000 of PBRS)",
        "target": "photos without labels (the paper: the 795 training photos of NYUDv2)",
        "eval": "labelled photos (the paper: the 654 test photos of NYUDv2)",
    },
    "outdoor": {
        "source": "labelled street renders with depth and seg (the paper: 24,966 images of GTA5)",
        "target": "photos of streets without labels (the paper: KITTI and Cityscapes)",
        "eval": "labelled photos of streets (the paper: the Eigen split of KITTI; Cityscapes val)",
    },
}
SHOWN = ("source-only", "adv", "semi")  # columns of Figure 4
EVERY = 3  # of the rendered photos, one in so many has labels for UM-Adapt-S


def refuse_missing(config: Reproduce) -> None:
    """Raise a UserError that says which data a suite lacks."""
    given = {"source": config.source, "target": config.target, "eval": config.eval}
    lacking = [f"  --{role} DATA: {what}" for role, what in WANTED.get(config.suite, {}).items() if not given[role]]
    if lacking:
        raise UserError(
            f"{config.suite} makes no data of its own; in the folder format it needs\n"
            + "\n".join(lacking)
            + "\nindoor-small renders its own and runs as it is"
        )
    if bool(config.target) != bool(config.eval):
        raise UserError("give both --target and --eval, of one kind of photos; or neither, to use rendered ones")
    if config.labelled and not config.target:
        raise UserError("--labelled belongs to a --target; the rendered photos have labels already")


def open_data(config: Reproduce) -> Data:
    """What the ladder reads, all of it there by now; writes the split `labelled` of the rendered photos."""
    out = config.out
    source = config.source or str(out / "rooms")
    target, labelled, oracle = config.target, config.labelled, ""
    if len(labelled) == 1:  # `train` reads one folder
        oracle = labelled[0]
    if not target:
        photos, oracle = str(out / "photos"), str(out / "photos-labelled") if asks_for(config, "oracle") else ""
        ids = Folder(photos).ids
        write_bytes(out / "photos" / "splits" / "labelled.txt", "".join(f"{id}\n" for id in ids[::EVERY]).encode())
        target, labelled = (photos,), (f"{photos}:labelled",)
    have = Folder(oracle).tasks if oracle else ()
    wanted = ("depth", "seg") if config.suite == "outdoor" else ("depth", "normals", "seg")
    tasks = tuple(task for task in wanted if task in have)
    exams = tuple(open_exam(address, config.protocol, wanted) for address in config.eval or (str(out / "test"),))
    return Data(source, target, exams, labelled, oracle if tasks else None, tasks if tasks != wanted else ())


def open_exam(address: str, protocol: str, tasks: Sequence[str]) -> Exam:
    """Labelled photos and the protocol that belongs to them. Raises UserError where they have no labels."""
    folder = Folder(address)
    labels = (folder.read_label(task, id) for id in folder.ids for task in folder.tasks)
    first = next((label for label in labels if label is not None), None)
    if first is None:
        raise UserError(f"{address} has no labels; --eval wants labelled photos")
    if protocol == "auto":
        protocol = "raw"
        if "normals" not in tasks:
            protocol = "cityscapes_19" if "seg" in folder.tasks else "kitti_eigen"
        elif first.shape[:2] == PROTOCOLS["nyud"].size:
            protocol = "nyud"
    makes_normals = "depth" in folder.tasks and folder.has_camera
    return Exam(address, protocol, "normals" in tasks and "normals" not in folder.tasks and makes_normals)


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
    steps = ladder(config, data, rungs)
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
            parts = [by_name.get(evaluation_name(seed, rung.name, i)) for i in range(len(data.exams))]
            if any(part is None or not runner.is_done(part, by_name) for part in parts):
                continue
            found = [json.loads(part.output.read_text()) for part in parts if part is not None]
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
    counts = {"semi": labels_of(data.labelled, config.depth_labels)}
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
    result = {
        "suite": config.suite,
        "budget": config.budget,
        "seeds": config.seeds,
        "recipe": dataclasses.asdict(recipe(config)),
        "data": dataclasses.asdict(data),
        "rungs": layout.summary(tables, evaluations, rungs, counts),
        "left_out": left_out,
        "commands": [{"name": s.name, "command": s.command, "seconds": seconds[s.name]} for s in steps],
        "facts": known,
        "versions": versions() | {"commit": git_commit()},
    }
    for path in filter(None, (config.out / "ladder.json", config.json)):
        write_json(path, result)
    write_bytes(config.out / "ladder.md", layout.markdown(rows, known, commands).encode())
    write_bytes(config.out / "ladder.html", layout.html(rows, known, commands, url).encode())
    return "\n".join([*map(measured, data.exams), "", layout.text(rows)])


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


def labels_of(addresses: Sequence[str], depth_labels: int = 0) -> str:
    """How many labels a rung saw: one number, or one for each task where they differ."""
    folders = [Folder(address) for address in addresses]
    counts = {task: sum(f.has(task, id) for f in folders for id in f.ids) for task in TASKS}
    counts = {task: n for task, n in counts.items() if n}
    if depth_labels and "depth" in counts:
        counts["depth"] = min(depth_labels, counts["depth"])
    if len(set(counts.values())) == 1:
        return str(next(iter(counts.values())))
    return ", ".join(f"{n} {task}" for task, n in counts.items())
