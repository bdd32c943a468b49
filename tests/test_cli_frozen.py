"""Arguments, defaults and choices of every command, frozen: a change here is a change for users.

When one is meant, write the file anew: `python tests/test_cli_frozen.py`.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from pathlib import Path

from umadapt import config
from umadapt.cli import COMMANDS

FROZEN = Path(__file__).parent / "golden" / "cli.json"


def describe() -> dict:
    """command -> argument -> [type, default]."""
    out: dict[str, dict[str, list[str]]] = {}
    for name, (kind, module) in COMMANDS.items():
        hints = typing.get_type_hints(kind)
        out[name] = {"module": [module]}
        for field in dataclasses.fields(kind):
            default = "required" if field.default is dataclasses.MISSING else repr(field.default)
            shown = str(hints[field.name]).replace("typing.", "").replace("pathlib.", "")
            out[name][field.name] = [shown.replace("_local.", ""), default]
    return out


def test_the_command_line_is_frozen() -> None:
    assert describe() == json.loads(FROZEN.read_text())


def test_no_argument_is_left_without_a_line_of_help() -> None:
    files = sorted(Path(config.__file__).parent.glob("*.py"))
    inside = False
    for line in [line for file in files for line in file.read_text().splitlines()]:
        if line and not line.startswith(" "):
            inside = False  # the class has ended
        if line.startswith("class "):
            inside = line.split()[1].rstrip(":") in {kind.__name__ for kind, _ in COMMANDS.values()}
        if inside and line.startswith("    ") and ": " in line and not line.strip().startswith(('"', "#")):
            assert "  # " in line, line


if __name__ == "__main__":
    FROZEN.write_text(json.dumps(describe(), indent=1) + "\n")
