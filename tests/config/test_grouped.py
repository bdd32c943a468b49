"""The help of a command in groups."""

from __future__ import annotations

import dataclasses

import pytest

from umadapt.cli import main
from umadapt.config import Adapt
from umadapt.config.grouped import GROUPS, lines_of


@pytest.mark.parametrize("kind", GROUPS)
def test_every_argument_is_in_one_group(kind: type) -> None:
    named = [name for names in GROUPS[kind].values() for name in names.split()]
    assert sorted(named) == sorted(field.name for field in dataclasses.fields(kind))


def test_the_help_says_what_it_would_without(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapt", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    order = [shown.index(f"{title} options") for title in GROUPS[Adapt]]
    assert order == sorted(order)
    for field in dataclasses.fields(Adapt):
        if field.name != "run":
            assert f"--{field.name.replace('_', '-')}" in shown
    for said in lines_of(Adapt).values():
        assert " ".join(said.split()[:3]) in shown


def test_the_name_alone_shows_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    for command in ("predict indoor", "serve", "adapt indoor"):
        assert f"  umadapt {command}" in shown
