"""The command line as users meet it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from umadapt.cli import COMMANDS, main
from umadapt.data.atomic import claimed
from umadapt.errors import UserError
from umadapt.training.batches import refuse_huge
from umadapt.training.compute import pick_device


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_for_every_argument(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert "usage: umadapt " + command in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fly"], "no command 'fly'"),
        (["train", "--source", "nowhere", "--out", "x"], "nowhere"),
        (["adapt", "nowhere", "--target", "x", "--out", "y"], "is no run folder"),
        (["evaluate", "run", "--data", "nowhere"], "nowhere: no such folder"),
        (["train", "--source", "a", "--out", "b", "--size", "12"], "HEIGHTxWIDTH"),
        (["train", "--source", "a", "--out", "b", "--lr", "inf"], "expected a finite number"),
        (["train", "--source", "a", "--out", "b", "--seed", str(2**63)], "expected less than 2^63"),
        (["train", "--source", "a", "--out", "b", "--batch", "1000000000"], "--batch is 1000000000; expected 65536 or"),
        (["train", "--source", "a", "--out", "b", "--base-steps", "99999999999"], "expected 1000000000 or less"),
        (
            ["evaluate", "run", "--data", "d", "--batch", "99999999999"],
            "--batch is 99999999999; expected 65536",
        ),
        (["adapt", "run", "--target", "d", "--out", "o", "--ccr", "nan"], "--ccr is nan; expected a"),
        (["adapt", "run", "--target", "d", "--out", "o" * 256], "--out has a name of 256 bytes"),
        (["check", "ä" * 128], "--data has a name of 256 bytes"),
        (["predict", "run", "fine.jpg", "x/" * 2048 + "photo.jpg", "--out", "o"], "--photos has a path of 4105 bytes"),
        (["train", "--source", f"data:{'s' * 300}", "--out", "b"], "--source has a name of 300 bytes"),
        (["check", "a\0b"], "--data holds a zero byte"),
        (["trust", "run", "--data", "d", "--plot", "curves.xyz"], "ends in .png .pdf .svg"),
        (["reproduce", "indoor-small", "--out", "/dev/null/x"], "--out /dev/null/x cannot be made"),
    ],
)
def test_mistakes_end_in_a_line_and_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize("device", ["meta", "", "cuda:99", "nonsense"])
def test_a_device_that_there_is_not(device: str) -> None:
    with pytest.raises(UserError, match=r"--device '.*' is not to be had here .* try --device cpu"):
        pick_device(device)


def test_a_holdout_that_leaves_nothing(toy_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--source", str(toy_world), "--out", str(tmp_path / "r"), "--holdout", "0.99"]) == 2
    assert "12 labelled images, of which --holdout 0.99 leaves" in capsys.readouterr().err


def test_a_batch_that_no_memory_holds() -> None:
    refuse_huge(16, (228, 304))
    with pytest.raises(UserError, match=r"--batch: 65536 images of 8192x8192 take \d+ GB"):
        refuse_huge(65_536, (8192, 8192))


def test_a_file_that_the_system_refuses_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)

    def refuse(config: object) -> int:
        return len((loop / "config.json").read_bytes())

    monkeypatch.setattr("umadapt.commands.check.run", refuse)
    assert main(["check", "x"]) == 2
    assert "config.json: Too many levels of symbolic links" in capsys.readouterr().err


STOP = """
import os, signal, sys, threading, time

from umadapt.commands import {module}
{module}.run = lambda config: time.sleep(60)
from umadapt.cli import entry
threading.Timer(0.2, os.kill, (os.getpid(), signal.{signal})).start()
entry()
"""


@pytest.mark.parametrize(("signal", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_outside_the_steps_is_told(signal: str, code: int) -> None:
    script = STOP.format(module="report", signal=signal)
    done = subprocess.run([sys.executable, "-c", script, "report", "run"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, "umadapt report: stopped\n")


def test_a_signal_during_the_imports_is_told(tmp_path: Path) -> None:
    (tmp_path / "tyro.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(9)\n")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-m", "umadapt", "check", "x"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (143, "umadapt: stopped\n")


@pytest.mark.parametrize("command", [["predict", "run", "photos", "--out"], ["pack", "data"]])
def test_two_at_once_in_a_folder(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    with claimed(out):
        assert main([*command, str(out)]) == 2
        assert f"another process is at work in {out}" in capsys.readouterr().err
        other = [sys.executable, "-m", "umadapt", *command, str(out)]
        done = subprocess.run(other, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert f"another process is at work in {out}" in done.stderr
    assert not out.exists(), "nothing was put into it"
    assert main([*command, str(out)]) == 2
    assert "at work" not in capsys.readouterr().err


def test_help_needs_no_heavy_import() -> None:
    code = (
        "import sys; from umadapt.cli import main; main(['adapt', '--help']);"
        "sys.exit(bool({'torch', 'timm', 'mitsuba'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_module_and_version() -> None:
    out = subprocess.run([sys.executable, "-m", "umadapt", "--version"], capture_output=True, text=True, check=True)
    assert out.stdout.startswith("umadapt ")


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_threads_wait_as_the_user_said_or_not_for_long(given: dict[str, str], spins: str | None) -> None:
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    environment = {k: v for k, v in os.environ.items() if k not in names} | given
    code = "import os; from umadapt.cli import main; main(['check', '--help']); print(os.environ.get('GOMP_SPINCOUNT'))"
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert out.stdout.split()[-1] == str(spins)
