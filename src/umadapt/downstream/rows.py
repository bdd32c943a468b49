"""Rows of the table on disk, OUT/NAME/transfer.json, and the table that they make."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from umadapt.config import Transfer
from umadapt.data import json_schema
from umadapt.downstream.starts import CONTROLS, Start, began
from umadapt.errors import UserError
from umadapt.training.run_folder import RunFolder, command_dict

KEPT_OUT = ("run", "out", "data", "voc", "domain", "controls", "json")  # arguments that are no row's own
FIGURE = json_schema.maybe(json_schema.number(0, 1))
ROW = json_schema.record(
    {
        "title": json_schema.text(),
        "began": json_schema.text(),
        "weights": json_schema.text(),
        "command": json_schema.fields(Transfer, clip=json_schema.maybe(json_schema.number())),  # which may be infinite
        "data": json_schema.table(json_schema.text()),
        "done": json_schema.items(json_schema.text()),
        "packages": json_schema.table(json_schema.text()),
    },
    {"result": json_schema.record({}, dict.fromkeys(("top1", "top5", "map11", "map"), FIGURE))},
)
HEADINGS = {"top1": "top-1", "top5": "top-5", "map11": "mAP, 11 points", "map": "mAP, area"}
ORDER = ("random", "imagenet", "source-only", "adabn", "noadv-1", "noadv", "adv", "semi")  # of rows; others follow


class Row(RunFolder):
    """One row: the folder of a training that starts from one set of weights, as `RunFolder` is of a run."""

    FILE = "transfer.json"

    def read(self) -> dict[str, Any]:
        return read_row(self.path)

    def readme(self) -> str:
        made = self.config["packages"]
        return (
            f"# umadapt transfer {self.config['command']['task']}: {self.config['title']}\n\n"
            f"Weights that began as: {self.config['began']}. Figures: transfer.json.\n"
            f"Made with umadapt {made.get('umadapt')}, torch {made.get('torch')}.\n"
        )


def read_row(path: Path) -> dict[str, Any]:
    """OUT/NAME/transfer.json. Raises UserError where it is damaged."""
    return json_schema.read(path / Row.FILE, ROW, f"delete {path}, and give the command again")


def open_row(out: Path, start: Start, config: Transfer, data: Mapping[str, str]) -> Row:
    """The folder of a row, begun or gone on with.

    Raises:
        UserError: it is another row's: of other weights, data or arguments.
    """
    path, weights = out / start.name, start.backbone.digest()
    if (path / Row.FILE).exists() and (other := read_row(path))["weights"] != weights:
        raise UserError(
            f"{path} started from other weights ({other['weights']}, here {weights}); give another --out, or delete it"
        )
    command = {name: value for name, value in command_dict(config).items() if name not in KEPT_OUT}
    about = {"title": start.title, "began": began(start.weights), "weights": weights}
    return Row(path, {**about, "command": command, "data": dict(data)})


def filled(config: Transfer, **defaults: Any) -> Transfer:
    """The command with what it left to us."""
    return dataclasses.replace(config, **{k: v for k, v in defaults.items() if getattr(config, k) is None})


def rows_of(out: Path, like: Row) -> dict[str, dict[str, Any]]:
    """name -> record of the rows in OUT that have a result and stand beside `like`: the same arguments and data."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(out.glob(f"*/{Row.FILE}")):
        row = read_row(path.parent)
        same = row["data"] == like.config["data"] and alike(row["command"], like.config["command"])
        if "result" in row and same:
            found[path.parent.name] = row
    names = [*(name for name in ORDER if name in found), *(name for name in found if name not in ORDER)]
    return {name: found[name] for name in names}


def alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two rows are measured alike; on what device, and how often they were saved, is no matter."""
    free = ("device", "save_every")
    return all(one.get(key) == other.get(key) for key in {*one, *other} if key not in free)


def table(rows: Mapping[str, Mapping[str, Any]], not_run: Mapping[str, str]) -> str:
    """The rows as aligned text; those that began from ImageNet weights are marked."""
    figures = [name for name in HEADINGS if any(name in row["result"] for row in rows.values())]
    lines = [["", *(HEADINGS[name] for name in figures)]]
    for row in rows.values():
        mark = "*" if row["began"] == "ImageNet" else "?" if row["began"] != "random" else " "
        lines.append([f"{row['title']} {mark}", *(show(row["result"].get(name)) for name in figures)])
    lines += [[f"{title}  ", *["not run"] * len(figures)] for title in not_run]
    shown = [aligned(lines)]
    per_class = {name: row["result"]["ap"] for name, row in rows.items() if "ap" in row["result"]}
    if per_class:
        shown.append(classes_table(per_class))
    if any(row["began"] == "ImageNet" for row in rows.values()):
        shown.append("* began from ImageNet weights: what it knows of ImageNet's classes says nothing of the method")
    shown += [f"? {row['title']} began from {row['began']}" for row in rows.values() if known_little(row["began"])]
    shown += [f"{title}: not run: {reason}" for title, reason in not_run.items()]
    return "\n".join(shown)


def known_little(origin: str) -> bool:
    """Whether a row's beginning is neither random nor ImageNet's weights."""
    return origin not in ("random", "ImageNet")


def classes_table(ap: Mapping[str, Mapping[str, Mapping[str, float | None]]]) -> str:
    """AP by 11 points of each class, a column a row of the table."""
    names = list(dict.fromkeys(name for row in ap.values() for name in row))
    lines = [["AP, 11 points", *(CONTROLS.get(row, row) for row in ap)]]
    lines += [[name, *(show(row.get(name, {}).get("ap11")) for row in ap.values())] for name in names]
    return "\n" + aligned(lines) + "\n"


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns of text, the first to the left."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def show(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f}"
