"""The command line as users meet it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from umadapt.cli import COMMANDS, main


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
