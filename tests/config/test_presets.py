"""Presets of `umadapt train`: what they set, and that options beside them win."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import tyro

from umadapt.cli import main
from umadapt.config import Train, presets

PLACES = ["--source", "a", "--out", "b"]


def parse(*arguments: str) -> Train:
    preset = presets.chosen(list(arguments))
    words = [*PLACES, *arguments]
    return tyro.cli(Train, args=words) if preset is None else tyro.cli(Train, args=words, default=preset)


def differences(one: Train, other: Train) -> set[str]:
    return {f.name for f in dataclasses.fields(Train) if getattr(one, f.name) != getattr(other, f.name)}


def test_presets_are_the_papers_settings() -> None:
    plain = Train(source="a", out=Path("b"))
    assert parse() == plain
    assert differences(parse("--preset", "indoor"), plain) == {"preset", "dropout"}
    outdoor = parse("--preset=outdoor")
    assert differences(outdoor, plain) == {"preset", "dropout", "tasks", "size", "depth_scale_m"}
    assert (outdoor.tasks, outdoor.size, outdoor.depth_scale_m) == (("depth", "seg"), (256, 512), 80.0)
    small = parse("--preset", "small", "--base-steps", "50")
    assert (small.backbone, small.optimiser, small.base_steps) == ("tf_efficientnet_lite0", "joint", 50)
    assert (small.tasks, small.depth_scale_m) == (plain.tasks, plain.depth_scale_m)


def test_options_win_wherever_they_stand() -> None:
    edges = ("--transfer", "seg<-depth")
    for arguments in (
        ("--preset", "outdoor", "--size", "64x96", *edges),
        (*edges, "--size", "64x96", "--preset=outdoor"),
    ):
        found = parse(*arguments)
        assert found.size == (64, 96)
        assert found.transfer == ("seg<-depth",)
        assert found.tasks == ("depth", "seg")


def test_an_unknown_preset_and_a_missing_source_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *PLACES, "--preset", "lunar"]) == 2
    assert "indoor" in capsys.readouterr().err
    assert main(["train", "--preset", "outdoor", "--out", "b"]) == 2
    assert "--source" in capsys.readouterr().err


def test_help_shows_the_presets_defaults_and_stays_light(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--preset", "outdoor", "--help"]) == 0
    assert "256x512" in capsys.readouterr().out
    assert main(["train", "--help"]) == 0
    assert "228x304" in capsys.readouterr().out
    code = "import sys, umadapt.config.presets; sys.exit(bool({'torch', 'timm'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
