"""The JSON of an evaluation, as `evaluate` writes it and others read it, and what decided its figures, for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from umadapt.data import json_schema
from umadapt.data.class_map import SCHEMA as CLASS_MAP
from umadapt.evaluation.image_prior import MOST
from umadapt.evaluation.protocols import PROTOCOLS
from umadapt.tasks import TASKS, class_task

Evaluation = dict[str, Any]

ALIGNED = {
    "none": "none: depth in metres as predicted",
    "median": "median: the depth of each image times the ratio of the medians of truth and prediction",
    "scale-shift": "scale-shift: the depth of each image fitted to its truth by least squares in metres",
}

_FIGURE = json_schema.maybe(json_schema.number())  # null where it was not finite
_FIGURES = {
    task: json_schema.record(
        {"iou": json_schema.table(json_schema.number(0, 1))} if kind.categorical else {},
        {column.key: _FIGURE for column in kind.columns},
    )
    for task, kind in TASKS.items()
}
EVALUATION = json_schema.record(
    {"protocol": json_schema.text(*PROTOCOLS), "n": json_schema.count()},
    {
        **_FIGURES,
        "align": json_schema.text(*ALIGNED),
        "normals_from": json_schema.text(),
        "witnesses": json_schema.either(
            json_schema.items(json_schema.text()), json_schema.table(json_schema.table(json_schema.number(0, 1)))
        ),
        "variant": json_schema.text(),
        "data": json_schema.text(),
        "prior": json_schema.text(),
        "class_map": CLASS_MAP,
    },
)


def read_evaluation(path: Path) -> Evaluation:
    """An evaluation. Raises UserError where it is damaged, FileNotFoundError where there is none."""
    return json_schema.read(path, EVALUATION, "delete it and evaluate again")


def conditions(result: Mapping[str, Any], classes: int = 0) -> dict[str, str]:
    """What decides the figures of an evaluation, for people; `classes` of the data, 0 where unknown."""
    protocol = PROTOCOLS[result["protocol"]]
    told = {"protocol": protocol.describe(), "images": str(result["n"])}
    classified = class_task(result)
    if classified:
        measured, there = len(protocol.classes) or classes, len(result[classified]["iou"])
        told["classes"] = f"{measured}, {there} of them there" if measured else f"{there} there"
    if any(kind.metric for task, kind in TASKS.items() if task in result):
        told["align"] = ALIGNED[result.get("align", "none")]
    if "normals_from" in result:
        told["normals"] = f"ground truth made from {result['normals_from']}"
    if "prior" in result:
        told["prior"] = f"one map a task for all photos, of up to {MOST} label maps of {result['prior']}"
    if "witnesses" in result:
        told["votes"] = f"of the network's own prediction and of {', '.join(result['witnesses'])}"
    return told
