"""Run folders: who may write one, what is read of one, and when one may be begun anew."""

from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest
import torch

from toy_runs import make_run, toy_record
from umadapt.config import Train
from umadapt.data.batch import Batch
from umadapt.errors import UserError
from umadapt.nets.model import UMAdapt
from umadapt.training.load import load_model, read_record
from umadapt.training.run_folder import LOCK, RunFolder, digest
from umadapt.training.run_record import command_dict
from umadapt.training.stage import Stage
from umadapt.training.trainer import fit

HOLD = "import fcntl, sys; f = open(sys.argv[1], 'wb'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"


def test_one_process_at_a_time(tmp_path: Path) -> None:
    first = RunFolder(toy_record(tmp_path / "run"))
    (first.path / "metrics.jsonl").touch()
    assert RunFolder(toy_record(tmp_path / "run")).record == first.record, "this process may open its own run again"
    del first
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run" / LOCK)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(UserError, match=r"another process is at work in .*run"):
            RunFolder(toy_record(tmp_path / "run"))
        other.kill()
    RunFolder(toy_record(tmp_path / "run"))


def test_a_run_without_a_step_may_be_begun_anew(tmp_path: Path) -> None:
    """The first try may have stopped at a damaged photo, which is gone now."""
    RunFolder(toy_record(tmp_path / "run", data={"target": "a"}))
    begun = RunFolder(toy_record(tmp_path / "run", data={"target": "b"}))
    assert read_record(tmp_path / "run").data == {"target": "b"}
    (begun.path / "metrics.jsonl").touch()
    with pytest.raises(UserError, match="was begun on other data"):
        RunFolder(toy_record(tmp_path / "run", data={"target": "c"}))


def test_transfer_nets_alone_are_no_model(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"done": ["transfer"]}))
    with pytest.raises(UserError, match="run lacks base"):
        load_model(tmp_path / "run", "cpu")


@pytest.mark.parametrize("content", [b"{}", b"[]", b"3", b"{", b"\xff"])
def test_a_damaged_config_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        read_record(tmp_path)


def test_digest_of_file_names_that_are_no_text() -> None:
    assert digest(["a", "caf\udce9"]) != digest(["a", "cafe"])


def test_a_full_disk_keeps_the_last_state_and_the_next_owner_sweeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(toy_record(tmp_path / "run"))
    run.save_state({"stage": "base", "step": 1})

    def fill(state: dict, file: IO[bytes]) -> None:
        file.write(b"some")
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 704 vs 598")  # noqa: B904

    with monkeypatch.context() as patch:
        patch.setattr("torch.save", fill)
        with pytest.raises(UserError, match=r"state\.pt: cannot be written \(No space left"):
            run.save_state({"stage": "base", "step": 2})
    (run.path / "samples").mkdir()
    left = run.path / "samples" / f".tmp-{os.uname().nodename[:64]}-99999999-1"  # of a process that was killed
    left.touch()
    again = RunFolder(toy_record(tmp_path / "run"))
    assert again.load_state("base") == {"stage": "base", "step": 1}
    assert not left.exists()
    assert sorted(path.name for path in run.path.iterdir()) == [LOCK, "config.json", "samples", "state.pt"]


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("model.size", "64x96", "model.size is"),
        ("model.size", [64, -1], "model.size[1] is -1"),
        ("model.tasks", None, "model.tasks is null"),
        ("model.tasks", ["depth", "smell"], "no such model (unknown task smell"),
        ("model.graph", [1], "model.graph is [1]"),
        ("model.graph", {"seg": ["edges"]}, "no such model"),
        ("model.std", [1, 1, 0], "model.std[2] is 0"),
        ("model.width", 1e9, "model.width is 1000000000.0"),
        ("model.width", 900, "the weights do not fit the model"),
        ("model.backbone", "nonet", "no such model"),
        ("model.backbone_kwargs", {"nonsense": 1}, "no such model"),
        ("model.classes", ["wall"], "config.json"),
        ("command", [], "command is []"),
        ("command.lr", "fast", "command.lr is"),
        ("done", {"base": True}, "done is"),
        ("domain", "moon", "domain is"),
        ("packages", None, "packages is null"),
        ("witnesses", {"zoom": 1}, "witnesses.zoom is 1"),
        ("format", "new", "format is"),
    ],
)
def test_a_config_is_held_to_its_schema(tmp_path: Path, place: str, value: object, said: str) -> None:
    make_run(tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    changed = json.loads(path.read_text())
    inner = changed
    *outer, last = place.split(".")
    for name in outer:
        inner = inner[name]
    inner[last] = value
    path.write_text(json.dumps(changed))
    with pytest.raises(UserError) as error:
        load_model(tmp_path / "run", "cpu")
    assert said in str(error.value)


@pytest.mark.parametrize("state", [3, {}, {"stage": "base"}, {"stage": "base", "step": 1, "model": {}}])
def test_a_damaged_state_is_named(tmp_path: Path, tiny: UMAdapt, state: object) -> None:
    run = RunFolder(toy_record(tmp_path / "run"))
    torch.save(state, run.path / "state.pt")
    stage = Stage("base", [], lambda step: Batch([]), 2)
    with pytest.raises(UserError, match=r"state\.pt is damaged .*; delete it to repeat the stage"):
        fit(stage, tiny, run, Train(source="rooms", out=run.path))


def test_an_argument_that_is_new_since_is_taken_as_its_default(tmp_path: Path) -> None:
    command = command_dict(Train(source="rooms", out=tmp_path))
    older = {name: value for name, value in command.items() if name != "dropout"}
    RunFolder(toy_record(tmp_path / "run", command=older)).save_state({"stage": "base"})
    RunFolder(toy_record(tmp_path / "run", command=command))
    with pytest.raises(UserError, match=r"dropout was 0.0, now 0.5"):
        RunFolder(toy_record(tmp_path / "run", command=command | {"dropout": 0.5}))


def test_an_infinite_clip_is_no_change(tmp_path: Path) -> None:
    command = command_dict(Train(source="rooms", out=tmp_path, clip=math.inf))
    RunFolder(toy_record(tmp_path / "run", command=command)).save_state({"stage": "base"})
    RunFolder(toy_record(tmp_path / "run", command=command))
