"""One self-contained page about one or more runs: the ladder of variants, curves, pictures side by side."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections.abc import Sequence
from typing import Any

from umadapt import config as configs
from umadapt.data.atomic import write_bytes, write_json
from umadapt.errors import UserError
from umadapt.reports.figures import collect_pictures, curves
from umadapt.reports.page import page
from umadapt.reports.runs import ReportedRun, key_of, read_runs


def entries(runs: Sequence[ReportedRun]) -> dict[str, Any]:
    """The --json of a report: {label: evaluation, …, "default": the method that `adapt` runs by default}.

    A run's evaluation where each has just one; otherwise the one common to all runs that was written last.

    Raises:
        UserError: several evaluations, and none common to all.
    """
    if all(len(run.evaluations) == 1 for run in runs):
        chosen = {run.label: run.evaluations[0] for run in runs}
    else:
        key = common(runs)
        if key is None:
            raise UserError(
                "the runs have no evaluation in common. Evaluate all of them on the same data under one protocol: "
                "umadapt evaluate RUN --data DATA:SPLIT --protocol P"
            )
        chosen = {run.label: run.of(key) for run in runs}
    default = next(f.default for f in dataclasses.fields(configs.Adapt) if f.name == "method")
    return {**chosen, "default": default}


def common(runs: Sequence[ReportedRun]) -> tuple[str, str] | None:
    """The key (`key_of`) of the evaluation common to all runs that was written last; None when there is none."""
    when: dict[tuple[str, str], int] = {}
    for run in runs:
        for evaluation, time in zip(run.evaluations, run.written, strict=True):
            key = key_of(evaluation)
            when[key] = max(time, when.get(key, 0))
    shared = [key for key in when if all(run.of(key) for run in runs)]
    return max(shared, key=lambda key: when[key]) if shared else None


def run(config: configs.Report) -> int:
    """The command `report`: writes the page and --json."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError("report draws its curves with matplotlib, which is not installed; type: pip install matplotlib")
    runs = read_runs(config.runs)
    if config.json is not None:
        write_json(config.json, entries(runs))
    address, _ = common(runs) or key_of(runs[0].evaluations[-1])
    pictures = None
    if config.pictures > 0:
        try:
            pictures = collect_pictures(runs, address, config.pictures, config.device)
        except UserError as error:  # the page is worth having without its pictures
            print(f"no pictures: {error}", file=sys.stderr)
    write_bytes(config.out, page(runs, curves(runs), pictures).encode(errors="replace"))
    print(f"{config.out}: {len(runs)} runs")
    return 0
