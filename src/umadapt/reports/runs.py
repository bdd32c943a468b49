"""What a report knows of the runs on it: config, evaluations, logged figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umadapt.errors import UserError
from umadapt.evaluation.evaluations import Evaluation, read_evaluation
from umadapt.training.load import read_record
from umadapt.training.metrics_log import read_metrics
from umadapt.training.run_record import RunRecord


@dataclass(frozen=True)
class ReportedRun:
    """What the page knows of a run."""

    path: Path
    label: str  # the variant; with the run's name where two runs share it
    record: RunRecord
    evaluations: tuple[Evaluation, ...]  # oldest first
    written: tuple[int, ...]  # when, in nanoseconds
    metrics: tuple[dict[str, Any], ...]  # lines of metrics.jsonl

    @property
    def name(self) -> str:
        return self.path.resolve().name

    def of(self, key: tuple[str, str]) -> Evaluation | None:
        """The evaluation with that key (`key_of`)."""
        return next((e for e in self.evaluations if key_of(e) == key), None)


def key_of(evaluation: Evaluation) -> tuple[str, str]:
    """Figures compare where this is the same: the data, and the protocol with what was done beside it."""
    beside = [f"depth aligned by {evaluation['align']}"] if "align" in evaluation else []
    beside += [f"normals from {evaluation['normals_from']}"] if "normals_from" in evaluation else []
    beside += [f"merged with {', '.join(evaluation['witnesses'])}"] if "witnesses" in evaluation else []
    return str(evaluation.get("data", "")), ", ".join([str(evaluation["protocol"]), *beside])


def read_runs(paths: Sequence[Path]) -> list[ReportedRun]:
    """Read run folders.

    Raises:
        UserError: no runs, no run folder, a damaged evaluation, or a run that was not evaluated.
    """
    if not paths:
        raise UserError("no runs given; expected for example: umadapt report RUN1 RUN2 --out report.html")
    found: list[ReportedRun] = []
    for path in paths:
        record = read_record(path)
        files = sorted((path / "evaluations").glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
        if not files:
            raise UserError(f"{path} was not evaluated yet; type: umadapt evaluate {path} --data DATA:SPLIT")
        evaluations = tuple(read_evaluation(file) for file in files)
        written = tuple(file.stat().st_mtime_ns for file in files)
        found.append(ReportedRun(path, record.variant, record, evaluations, written, tuple(read_metrics(path))))
    taken: set[str] = set()
    for i, run in enumerate(found):
        label = run.label
        if label in taken:
            label = f"{run.label} ({run.name})"
        if label in taken:
            label = f"{run.label} ({run.path})"
        if label in taken:
            raise UserError(f"{run.path} is given twice")
        taken.add(label)
        found[i] = dataclasses.replace(run, label=label)
    return found
