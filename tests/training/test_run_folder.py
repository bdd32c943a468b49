"""Run folders: who may write one, what is read of one, and when one may be begun anew."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from toy_runs import make_run
from umadapt.errors import UserError
from umadapt.training.run_folder import LOCK, RunFolder, digest, load_model, read_config

HOLD = "import fcntl, sys; f = open(sys.argv[1], 'wb'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"


def config(**changes: object) -> dict:
    made = {"variant": "source-only", "domain": "source", "model": {"size": [64, 96], "backbone": "x"}, "data": {}}
    return made | {"command": {"lr": 0.1}, "source": "rooms", "target": None} | changes


def test_one_process_at_a_time(tmp_path: Path) -> None:
    first = RunFolder(tmp_path / "run", config())
    (first.path / "metrics.jsonl").touch()
    assert RunFolder(tmp_path / "run", config()).config == first.config, "this process may open its own run again"
    del first
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run" / LOCK)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(UserError, match=r"another process is at work in .*run"):
            RunFolder(tmp_path / "run", config())
        other.kill()
    RunFolder(tmp_path / "run", config())


def test_a_run_without_a_step_may_be_begun_anew(tmp_path: Path) -> None:
    """The first try may have stopped at a damaged photo, which is gone now."""
    RunFolder(tmp_path / "run", config(data={"target": "a"}))
    begun = RunFolder(tmp_path / "run", config(data={"target": "b"}))
    assert read_config(tmp_path / "run")["data"] == {"target": "b"}
    (begun.path / "metrics.jsonl").touch()
    with pytest.raises(UserError, match="was begun on other data"):
        RunFolder(tmp_path / "run", config(data={"target": "c"}))


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
        read_config(tmp_path)


def test_digest_of_file_names_that_are_no_text() -> None:
    assert digest(["a", "caf\udce9"]) != digest(["a", "cafe"])
