"""Saving memory: runs in parts, resumed; what several processes may do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from toy_runs import write_runs
from umadapt.cli import main
from umadapt.config import Adapt
from umadapt.data.batch import Batch
from umadapt.errors import UserError
from umadapt.nets.activation_checkpointing import Chain, Economy
from umadapt.nets.model import UMAdapt
from umadapt.training.memory import arrange
from umadapt.training.stage import Stage


@pytest.fixture(scope="module")
def tiny_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_runs(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize("command", ["adapt", "semi"])
def test_a_run_in_parts_that_was_cut_ends_in_the_same_weights(tiny_runs: Path, tmp_path: Path, command: str) -> None:
    """And block by block only then, as on a smaller machine, is no other run."""
    extra = (
        ["--labelled", str(tiny_runs / "photos")] if command == "semi" else ["--method", "noadv", "--candidates", "0"]
    )

    def run(out: Path, *more: str) -> dict[str, torch.Tensor]:
        start = tiny_runs / ("adapted" if command == "semi" else "base")
        common = [command, str(start), "--target", str(tiny_runs / "photos"), "--out", str(out), *extra]
        assert main([*common, *"--batch 3 --steps 3 --save-every 2 --micro-batch 2".split(), *more]) == 0
        return safetensors.torch.load_file(out / "model.safetensors")

    whole = run(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    (tmp_path / "cut" / "model.safetensors").unlink()
    config = json.loads((tmp_path / "cut" / "config.json").read_text())
    config["done"] = []
    (tmp_path / "cut" / "config.json").write_text(json.dumps(config))
    again = run(tmp_path / "cut", "--checkpoint-activations")
    assert all(torch.equal(tensor, again[name]) for name, tensor in whole.items())


def test_several_processes_may_take_parts_where_batchnorm_is_frozen(
    tiny: UMAdapt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("umadapt.distributed.process_group.size", lambda: 2)
    parts = Adapt(tmp_path, ("photos",), tmp_path, micro_batch=2)
    stage = Stage("adapt", [], lambda _: Batch([]), 1)
    tiny.freeze(tiny)
    arrange(parts, tiny, stage)
    assert all(m.economy == Economy(micro=2) for m in tiny.modules() if isinstance(m, Chain))
    tiny.unfreeze(tiny.decoders)
    with pytest.raises(UserError, match="where BatchNorm trains"):
        arrange(parts, tiny, stage)
