"""`umadapt transfer`: what a run's encoder is worth on a task that it never saw, beside the same network otherwise
started (the paper's Table 8)."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable

import torch

from umadapt.config import Transfer
from umadapt.data.atomic import write_json
from umadapt.distributed import process_group
from umadapt.downstream import classify, detect, rows, voc
from umadapt.downstream.photos import Reader, open_split
from umadapt.downstream.starts import Start, default_out, starts
from umadapt.errors import UserError
from umadapt.training.compute import pick_device

Work = Callable[[rows.Row, Start], None]


def run(config: Transfer) -> int:
    """Make the rows that are not there yet, and print the table of all that are."""
    refuse(config)
    out, device = default_out(config), pick_device(config.device)
    config, data, work = prepared(config, device)
    not_run: dict[str, str] = {}
    row: rows.Row | None = None
    for start in starts(config, device):
        if not isinstance(start, Start):
            title, reason = start
            not_run[title] = reason
            continue
        print(f"{start.title}: {out / start.name}", flush=True)
        row = rows.open_row(out, start, config, data)
        work(row, start)
    assert row is not None
    found = rows.rows_of(out, row.record)
    not_run = {title: reason for title, reason in not_run.items() if title not in {r.title for r in found.values()}}
    print(rows.table(found, not_run))
    if not process_group.rank():
        result = {"task": config.task, "data": data, "command": row.record.command, "not_run": not_run}
        result["rows"] = {
            name: {"title": one.title, "began": one.began, **(one.result or {})} for name, one in found.items()
        }
        result["version"] = importlib.metadata.version("umadapt")
        for path in filter(None, (out / "table.json", config.json)):
            write_json(path, result)
    return 0


def refuse(config: Transfer) -> None:
    """Raise a UserError where data is missing, or an argument belongs to the other task."""
    wanted, other = ("data", "voc") if config.task == "classify" else ("voc", "data")
    if getattr(config, wanted) is None:
        what = "--data FOLDER, with train/CLASS/*.jpg and val/CLASS/*.jpg" if wanted == "data" else "--voc VOCDEVKIT"
        raise UserError(f"transfer {config.task} wants {what}")
    if getattr(config, other) is not None:
        raise UserError(f"transfer {config.task} reads --{wanted}; leave out --{other}")
    if config.size is not None and not 32 <= config.size <= 8192:
        raise UserError(f"--size is {config.size}; expected pixels from 32 to 8192")


def prepared(config: Transfer, device: torch.device) -> tuple[Transfer, dict[str, str], Work]:
    """(the command with its defaults, digests of its data, what makes a row)."""
    read = Reader()
    if config.task == "classify":
        assert config.data is not None
        train = open_split(config.data, "train")
        val = open_split(config.data, "val", train.classes)
        config = rows.filled(config, **(classify.LINEAR if config.mode == "linear" else classify.FINETUNE))
        data = {"train": train.digest(), "val": val.digest()}
        return config, data, lambda row, start: classify.run_row(row, start, config, train, val, read, device)
    assert config.voc is not None
    trainval, test = (voc.open_split(config.voc, config.year, name, config.classes) for name in ("trainval", "test"))
    config = rows.filled(config, **detect.DETECT)
    data = {"trainval": trainval.digest(), "test": test.digest()}
    return config, data, lambda row, start: detect.run_row(row, start, config, trainval, test, read, device)
