"""The rung `transfer` of the ladder: what its encoders are worth on ImageNet and VOC 2007, as the paper's Table 8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from umadapt.config import Reproduce
from umadapt.downstream.rows import RowRecord, aligned, show
from umadapt.reports import markup
from umadapt.reports.ladder import TRANSFER as NAME
from umadapt.reports.ladder import Rung, asks_for
from umadapt.reports.scheduler import Step

STARTS = ("source-only", "noadv", "adv", "semi")  # rungs whose encoders it takes, of the first seed
TITLE = "Transfer to other tasks, in per cent (the paper's Table 8)"
PAPER = {  # top-5 on ImageNet, mAP on VOC 2007
    "paper: Motion Seg., ResNet-101": (48.29, 61.13),
    "paper: Exemplar, ResNet-101": (53.08, 60.94),
    "paper: RP+Col+Ex+MS, ResNet-101": (69.30, 70.53),
    "paper: UM-Adapt-S, ResNet-50": (69.51, 70.02),
}
NOTE = (
    "* began from ImageNet weights: on ImageNet that says nothing of the method. The paper finetunes all weights for "
    "ImageNet; the protocol that it names keeps them frozen"
)


class Column(NamedTuple):
    """One figure."""

    heading: str
    folder: str  # under OUT/transfer
    key: str  # of a row's result
    option: str  # that gives its data
    arguments: tuple[str, ...]  # of `transfer`
    paper: int | None  # place among the paper's figures


COLUMNS = (
    Column("ImageNet top-5, frozen", "linear", "top5", "imagenet", ("--mode", "linear"), 0),
    Column("finetuned", "finetune", "top5", "imagenet", ("--mode", "finetune"), None),
    Column("VOC 2007 mAP", "detect", "map11", "voc", (), 1),
)


def given(config: Reproduce, column: Column) -> Path | None:
    """The data of a column; None where there is none, or nobody asks."""
    return getattr(config, column.option) if asks_for(config, NAME) else None


def steps(config: Reproduce, rungs: Sequence[Rung]) -> list[Step]:
    """The commands of `transfer`, behind those that make its runs; controls beside the first run alone."""
    names = [name for name in STARTS if name in {rung.name for rung in rungs}]
    device = () if config.device == "auto" else ("--device", config.device)
    short = ("--epochs", "1") if config.budget == "short" else ()
    out: list[Step] = []
    for column in COLUMNS:
        data = given(config, column)
        if data is None:
            continue
        task, option = ("detect", "--voc") if column.option == "voc" else ("classify", "--data")
        folder = config.out / NAME / column.folder
        for k, name in enumerate(names):
            run = str(config.out / "seed-0" / name)
            controls = "none" if k else "random,imagenet"
            words = (NAME, task, run, option, str(data), *column.arguments, "--controls", controls, *short, *device)
            words += ("--out", str(folder))
            out.append(
                Step(f"{NAME}/{column.folder}/{name}", words, folder / name / RowRecord.FILE, (f"seed-0/{name}",))
            )
    return out


def collect(config: Reproduce) -> dict[str, dict[str, Any]]:
    """row -> {"title", "began", column's folder: figure}, of what has been measured."""
    out: dict[str, dict[str, Any]] = {}
    for column in COLUMNS:
        for name in ("random", "imagenet", *STARTS):
            path = config.out / NAME / column.folder / name
            if given(config, column) is None or not (path / RowRecord.FILE).exists():
                continue
            row = RowRecord.read(path)
            if row.result is not None:
                about = {"title": row.title, "began": row.began}
                out.setdefault(name, about)[column.folder] = row.result.get(column.key)
    return out


def lines_of(config: Reproduce, found: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """The table as cells, headings first."""
    lines = [["", *(column.heading for column in COLUMNS)]]
    for row in found.values():
        cells = [show(row[c.folder]) if c.folder in row else "not run" for c in COLUMNS]
        lines.append([row["title"] + ("*" if row["began"] == "ImageNet" else ""), *cells])
    if not found:
        lines.append(["ours", *["not run"] * len(COLUMNS)])
    for title, figures in PAPER.items():
        lines.append([title, *("–" if c.paper is None else f"{figures[c.paper]:.2f}" for c in COLUMNS)])
    return lines


def notes(config: Reproduce) -> str:
    """What the table needs to be read, and what it lacks."""
    options = {"imagenet": "--imagenet FOLDER", "voc": "--voc VOCDEVKIT"}
    lacking = [options[o] for o in dict.fromkeys(c.option for c in COLUMNS) if getattr(config, o) is None]
    more = f". Not run without {' and '.join(lacking)}" if lacking and asks_for(config, NAME) else ""
    return NOTE + more + "."


def text(config: Reproduce, found: Mapping[str, Mapping[str, Any]]) -> str:
    """For the terminal."""
    return f"{TITLE}\n{aligned(lines_of(config, found))}\n{notes(config)}"


def html(config: Reproduce, found: Mapping[str, Mapping[str, Any]]) -> str:
    """A section of ladder.html."""
    head, *rows = [[escape(cell) for cell in line] for line in lines_of(config, found)]
    lines = [markup.row(title, cells) for title, *cells in rows]
    return f"<section><h2>{escape(TITLE)}</h2>{markup.table(head, lines)}<p>{escape(notes(config))}</p></section>"


def markdown(config: Reproduce, found: Mapping[str, Mapping[str, Any]]) -> str:
    """For ladder.md."""
    head, *rows = (f"| {' | '.join(line)} |" for line in lines_of(config, found))
    rule = "|---" + "|---:" * len(COLUMNS) + "|"
    return "\n".join(["", f"## {TITLE}", "", head, rule, *rows, "", notes(config), ""])
