"""The rung `transfer`: its commands, and Table 8 with what was run and what was not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tyro

from umadapt.cli import COMMANDS
from umadapt.config import Reproduce, Transfer
from umadapt.config.options import check_numbers
from umadapt.errors import UserError
from umadapt.reports import transfer_table
from umadapt.reports.ladder import RUNGS, chosen

IMAGENET, VOC = Path("imagenet"), Path("VOCdevkit")


def parsed(arguments: tuple[str, ...]) -> Transfer:
    found = tyro.cli(COMMANDS[arguments[0]][0], args=arguments[1:])
    check_numbers(found)
    return found


def test_commands_follow_the_runs_that_they_read() -> None:
    config = Reproduce(suite="indoor", out=Path("o"), imagenet=IMAGENET, voc=VOC, budget="short")
    steps = transfer_table.steps(config, RUNGS)
    assert [step.name for step in steps[:4]] == [
        f"transfer/linear/{name}" for name in ("source-only", "noadv", "adv", "semi")
    ]
    assert len(steps) == 3 * 4
    assert steps[2].needs == ("seed-0/adv",)
    assert steps[2].output == Path("o/transfer/linear/adv/transfer.json")
    found = [parsed(step.arguments) for step in steps]
    assert [one.controls for one in found[:2]] == [("random", "imagenet"), ("none",)], "controls are made once"
    assert {(one.task, one.mode) for one in found} == {
        ("classify", "linear"),
        ("classify", "finetune"),
        ("detect", "linear"),
    }
    assert all(one.data == IMAGENET and one.voc is None for one in found[:8])
    assert all(one.voc == VOC and one.data is None and one.epochs == 1 for one in found[8:])
    few = [rung for rung in RUNGS if rung.name in ("source-only", "noadv")]
    assert len(transfer_table.steps(config, few)) == 6


@pytest.mark.parametrize("given", [{}, {"imagenet": IMAGENET, "rungs": ("source-only", "noadv")}])
def test_nothing_runs_without_data_or_where_nobody_asks(given: dict) -> None:
    config = Reproduce(suite="indoor", out=Path("o"), **given)
    assert transfer_table.steps(config, RUNGS) == []
    shown = transfer_table.text(config, transfer_table.collect(config))
    assert "ours " in shown
    assert shown.count("not run") == 3


def test_rungs_may_name_it() -> None:
    config = Reproduce(suite="indoor", rungs=("source-only", "transfer"))
    assert [rung.name for rung in chosen(config)[0]] == ["source-only"]
    with pytest.raises(UserError, match="transfer goes on from source-only"):
        chosen(Reproduce(suite="indoor", rungs=("transfer",)))


def write_row(folder: Path, began: str, result: dict | None) -> None:
    folder.mkdir(parents=True)
    row = {"title": folder.name, "began": began, "weights": "0", "command": {}, "data": {}, "done": [], "packages": {}}
    (folder / "transfer.json").write_text(json.dumps(row | ({"result": result} if result else {})))


def test_the_papers_layout(tmp_path: Path) -> None:
    config = Reproduce(suite="indoor", out=tmp_path, imagenet=IMAGENET, rungs=("source-only", "adv", "transfer"))
    write_row(tmp_path / "transfer" / "linear" / "random", "random", {"top1": 0.1, "top5": 0.25})
    write_row(tmp_path / "transfer" / "linear" / "adv", "ImageNet", {"top1": 0.4, "top5": 0.75})
    write_row(tmp_path / "transfer" / "finetune" / "adv", "ImageNet", None)
    found = transfer_table.collect(config)
    lines = [line.split("  ") for line in transfer_table.text(config, found).splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert ["random", "25.00", "not run", "not run"] in cells
    assert ["adv*", "75.00", "not run", "not run"] in cells
    assert ["paper: UM-Adapt-S, ResNet-50", "69.51", "–", "70.02"] in cells
    assert transfer_table.notes(config).endswith("Not run without --voc VOCDEVKIT.")
    assert '<th scope="row">adv*</th><td>75.00</td><td>not run</td>' in transfer_table.html(config, found)
    page = transfer_table.markdown(config, found)
    assert "| adv* | 75.00 | not run | not run |" in page
    assert "| paper: Motion Seg., ResNet-101 | 48.29 | – | 61.13 |" in page
