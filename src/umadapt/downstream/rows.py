"""Rows of the table on disk, OUT/NAME/transfer.json, and the table that they make."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from umadapt.config import Transfer
from umadapt.data import json_schema
from umadapt.data.atomic import write_json
from umadapt.downstream.starts import CONTROLS, Start, began
from umadapt.errors import UserError
from umadapt.training.run_folder import RunFolder
from umadapt.training.run_record import command_dict

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


@dataclass
class RowRecord:
    """OUT/NAME/transfer.json: what a row is, and once it is measured its figures."""

    FILE: ClassVar[str] = "transfer.json"

    title: str
    began: str  # as `began` says
    weights: str  # digest of those that it starts from
    command: dict[str, Any]
    data: dict[str, Any]  # digests
    result: dict[str, Any] | None = None  # None = not measured yet
    done: list[str] = field(default_factory=list)
    git: str | None = None
    packages: dict[str, str] = field(default_factory=dict)
    path: Path = field(default=Path("."), compare=False)  # not stored

    @classmethod
    def read(cls, path: Path) -> RowRecord:
        """Of a row's folder. Raises UserError where it is damaged."""
        stored = json_schema.read(path / cls.FILE, ROW, f"delete {path}, and give the command again")
        known = {f.name for f in dataclasses.fields(cls)} - {"path"}
        return cls(**{name: value for name, value in stored.items() if name in known}, path=path)

    def write(self) -> None:
        """Write OUT/NAME/transfer.json."""
        stored = {name: value for name, value in dataclasses.asdict(self).items() if name not in ("path", "result")}
        write_json(self.path / self.FILE, stored | ({} if self.result is None else {"result": self.result}))

    def readme(self) -> str:
        """The row's README.md."""
        return (
            f"# umadapt transfer {self.command['task']}: {self.title}\n\n"
            f"Weights that began as: {self.began}. Figures: transfer.json.\n"
            f"Made with umadapt {self.packages.get('umadapt')}, torch {self.packages.get('torch')}.\n"
        )


Row = RunFolder[RowRecord]  # the folder of a training that starts from one set of weights


def open_row(out: Path, start: Start, config: Transfer, data: Mapping[str, str]) -> Row:
    """The folder of a row, begun or gone on with.

    Raises:
        UserError: it is another row's: of other weights, data or arguments.
    """
    path, weights = out / start.name, start.backbone.digest()
    if (path / RowRecord.FILE).exists() and (other := RowRecord.read(path)).weights != weights:
        raise UserError(
            f"{path} started from other weights ({other.weights}, here {weights}); give another --out, or delete it"
        )
    command = {name: value for name, value in command_dict(config).items() if name not in KEPT_OUT}
    return Row(RowRecord(start.title, began(start.weights), weights, command, dict(data), path=path))


def filled(config: Transfer, **defaults: Any) -> Transfer:
    """The command with what it left to us."""
    return dataclasses.replace(config, **{k: v for k, v in defaults.items() if getattr(config, k) is None})


def rows_of(out: Path, like: RowRecord) -> dict[str, RowRecord]:
    """name -> record of the rows in OUT that have a result and stand beside `like`: the same arguments and data."""
    found: dict[str, RowRecord] = {}
    for path in sorted(out.glob(f"*/{RowRecord.FILE}")):
        row = RowRecord.read(path.parent)
        same = row.data == like.data and alike(row.command, like.command)
        if row.result is not None and same:
            found[path.parent.name] = row
    names = [*(name for name in ORDER if name in found), *(name for name in found if name not in ORDER)]
    return {name: found[name] for name in names}


def alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two rows are measured alike; on what device, and how often they were saved, is no matter."""
    free = ("device", "save_every")
    return all(one.get(key) == other.get(key) for key in {*one, *other} if key not in free)


def table(rows: Mapping[str, RowRecord], not_run: Mapping[str, str]) -> str:
    """The rows as aligned text; those that began from ImageNet weights are marked."""
    results = {name: row.result or {} for name, row in rows.items()}
    figures = [name for name in HEADINGS if any(name in result for result in results.values())]
    lines = [["", *(HEADINGS[name] for name in figures)]]
    for key, row in rows.items():
        mark = "*" if row.began == "ImageNet" else "?" if row.began != "random" else " "
        lines.append([f"{row.title} {mark}", *(show(results[key].get(name)) for name in figures)])
    lines += [[f"{title}  ", *["not run"] * len(figures)] for title in not_run]
    shown = [aligned(lines)]
    per_class = {name: result["ap"] for name, result in results.items() if "ap" in result}
    if per_class:
        shown.append(classes_table(per_class))
    if any(row.began == "ImageNet" for row in rows.values()):
        shown.append("* began from ImageNet weights: what it knows of ImageNet's classes says nothing of the method")
    shown += [f"? {row.title} began from {row.began}" for row in rows.values() if known_little(row.began)]
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
