"""Training and measuring of a detector, as a whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from toy_transfer import COLOURS, write_toy_voc
from umadapt.config import Transfer
from umadapt.downstream import detector
from umadapt.downstream.detect import run_row
from umadapt.downstream.photos import Reader
from umadapt.downstream.rows import open_row, rows_of, table
from umadapt.downstream.starts import Backbone, Start
from umadapt.downstream.voc import Split, open_split
from umadapt.errors import UserError
from umadapt.nets.encoder import Encoder

CPU = torch.device("cpu")


def start_of(name: str = "random") -> Start:
    torch.manual_seed(0)
    backbone = Backbone(Encoder("test_resnet"), "source", (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    return Start(name, "random weights", {"from": "none"}, backbone)


def learn(out: Path, split: Split, **options: object) -> tuple[dict, str]:
    """(the result of a row, the table)."""
    config = Transfer("detect", Path("run"), size=96, batch=2, lr=0.05, **options)  # pyright: ignore[reportArgumentType]
    row = open_row(out, start_of(), config, {"trainval": split.digest()})
    run_row(row, start_of(), config, split, split, Reader(), CPU)
    assert row.record.result is not None
    return row.record.result, table(rows_of(out, row.record), {})


@pytest.mark.slow
def test_the_loss_falls_and_things_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the images that it is trained on, from random weights: 30 CPU seconds."""
    monkeypatch.setitem(detector.SETTINGS, "box_batch_size_per_image", 32)
    monkeypatch.setitem(detector.SETTINGS, "rpn_post_nms_top_n_train", 64)
    monkeypatch.setitem(detector.SETTINGS, "rpn_post_nms_top_n_test", 32)
    split = open_split(write_toy_voc(tmp_path / "devkit", images=4), 2007, "test", tuple(COLOURS))
    found, shown = learn(tmp_path / "out", split, epochs=40.0)
    lines = [json.loads(line) for line in (tmp_path / "out" / "random" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["detector/loss"] < lines[0]["detector/loss"] / 2
    assert found["map"] > 0.1
    assert sum(one["objects"] for one in found["ap"].values()) == 7, "the eighth is difficult"
    cells = [line.split() for line in shown.splitlines()]
    assert ["random", "weights", *(f"{100 * found[key]:.2f}" for key in ("map11", "map"))] in cells
    assert ["green", f"{100 * found['ap']['green']['ap11']:.2f}"] in cells


def test_a_damaged_photo_is_left_out_of_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for key in ("box_batch_size_per_image", "rpn_post_nms_top_n_train", "rpn_post_nms_top_n_test"):
        monkeypatch.setitem(detector.SETTINGS, key, 16)
    split = open_split(write_toy_voc(tmp_path / "devkit", images=3), 2007, "trainval", tuple(COLOURS))
    split.path(split.ids[0]).write_bytes(b"\xff\xd8\xff")
    found, _ = learn(tmp_path / "out", split, epochs=1.0)
    assert (found["n"], found["left_out"]) == (2, 1)
    assert sum(one["objects"] for one in found["ap"].values()) == 3
    assert capsys.readouterr().err.count("left out: ") == 1


def test_nothing_but_difficult_objects(tmp_path: Path) -> None:
    split = open_split(write_toy_voc(tmp_path / "devkit", images=1), 2007, "trainval", tuple(COLOURS))
    split.objects[0].difficult[:] = True
    with pytest.raises(UserError, match="every object of trainval is difficult"):
        learn(tmp_path / "out", split, epochs=1.0)
