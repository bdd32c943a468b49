"""The tables of the paper that the ladder is laid out as: which figures, which rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from umadapt.reports.tables import PAPER, PAPER_NOTE
from umadapt.tasks import TASKS

ROWS = {  # rung -> row of the paper's tables
    "source-only": "Multi-task baseline",
    "b-fcf": "UM-Adapt-B (FCF)",
    "b-ccr": "UM-Adapt-B (CCR)",
    "noadv-1": "UM-Adapt (noAdv)-1",
    "noadv": "UM-Adapt (noAdv)",
    "adv": "UM-Adapt (Adv)",
    "semi": "UM-Adapt-S",
}
SEMI = {  # UM-Adapt-S with 795 labelled photos, in the order of the task's columns; report_tables has the other rows
    "depth": (0.149, 0.067, 0.637, 0.793, 0.938, 0.983),
    "normals": (21.2, 13.98, 0.4466, 0.7211, 0.8108),
    "seg": (0.444, 0.536, 0.739),
}
STREETS_NOTE = "the paper, KITTI Eigen split (depth) and Cityscapes validation (seg), ResNet-50, 24,966 GTA5 images"


class Figure(NamedTuple):
    """One column."""

    task: str
    key: str  # of the evaluation JSON
    heading: str
    more: bool  # whether more is better
    missing_share: bool = False  # shown as 100 - 100 x, as Table 6 does with mIoU

    def of(self, evaluation: Mapping[str, Any]) -> float | None:
        """The figure of an evaluation; None where it was not measured."""
        value = evaluation.get(self.task, {}).get(self.key)
        return None if value is None else 100 - 100 * value if self.missing_share else value


@dataclass(frozen=True)
class Table:
    """One table of the paper; `of_all` is the heading of a last column, what all figures come to.

    "gap closed" is of the first figure, the headline; "mean gain" of all, one error a task.
    """

    title: str
    figures: tuple[Figure, ...]
    rows: Mapping[str, tuple[float, ...]]  # rung -> the paper's figures
    note: str
    of_all: Literal["gap closed", "mean gain", ""] = "gap closed"


def _of_task(number: int, task: str) -> Table:
    figures = tuple(Figure(task, *column) for column in TASKS[task].columns)
    known = {**PAPER[task], "UM-Adapt-S": SEMI[task]}
    rows = {rung: known[row] for rung, row in ROWS.items()}
    return Table(f"{TASKS[task].title} (the paper's Table {number})", figures, rows, PAPER_NOTE)


def indoor() -> tuple[Table, ...]:
    """Tables 1 (depth), 2 (normals), 3 (seg) and 6 (test errors of all tasks, where the paper has UM-Adapt-S only)."""
    errors = (
        Figure("depth", "rms", "depth rms (m)", False),
        Figure("seg", "miou", "seg 100 − mIoU", False, missing_share=True),
        Figure("normals", "1-abs-cos", "normals 1 − |cos|", False),
    )
    return (
        _of_task(1, "depth"),
        _of_task(2, "normals"),
        _of_task(3, "seg"),
        Table(
            "Test errors of all tasks (the paper's Table 6)",
            errors,
            {"semi": (0.637, 55.6, 0.139)},
            PAPER_NOTE + "; beside it Kendall et al. 0.702 – 0.182 and GradNorm 0.663 67.5 0.155, 30k labelled photos",
            of_all="mean gain",
        ),
    )


def outdoor() -> tuple[Table, ...]:
    """Tables 4 (depth on KITTI), 5 and 7 (seg on Cityscapes), which have no UM-Adapt-B and no noAdv-1."""
    depth = (
        Figure("depth", "rel", "rel", False),
        Figure("depth", "sq_rel", "sq. rel", False),
        Figure("depth", "rms", "rms (m)", False),
        Figure("depth", "rms_log", "rms (log)", False),
    )
    depth_rows = {
        "source-only": (0.381, 2.08, 8.482, 0.41),
        "noadv": (0.28, 1.99, 7.791, 0.346),
        "adv": (0.27, 1.98, 7.823, 0.336),
        "semi": (0.201, 1.72, 5.876, 0.259),
    }
    seg_rows = {"source-only": (0.224,), "noadv": (0.408,), "adv": (0.420,), "semi": (0.544,)}
    seg = (Figure("seg", "miou", "mean IoU", True),)
    return (
        Table("Depth (the paper's Table 4)", depth, depth_rows, STREETS_NOTE),
        Table("Segmentation (the paper's Table 5)", seg, seg_rows, STREETS_NOTE),
        Table(
            "Segmentation of networks trained for depth too (the paper's Table 7)",
            (Figure("seg", "miou", "mean IoU", True),),
            {"semi": (0.544,)},
            STREETS_NOTE + "; beside it Kendall et al. 0.515 and Liu et al. 0.527, all Cityscapes labels",
            of_all="",
        ),
    )
