"""Backbones whose channels-last gradients are wrong here are found out, and trained in the contiguous layout."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from toys import tiny_spec
from umadapt.nets.model import UMAdapt
from umadapt.training import layout


@pytest.mark.parametrize(
    ("backbone", "suspected"),
    [("repvgg_a0", True), ("mobileone_s0", True), ("test_resnet", False), ("resnet18", False)],
)
def test_only_backbones_with_such_convolutions_are_suspected(backbone, suspected):
    with torch.device("meta"):
        net = timm.create_model(backbone)
    assert bool(layout.suspects(net)) == suspected


class Spoiled(torch.autograd.Function):
    """The identity, whose gradient is a quarter of the right one where tensors are channels last."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.wrong = x.is_contiguous(memory_format=torch.channels_last)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0] / 4 if ctx.wrong else grads[0]


class Spoil(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Spoiled.apply(x)  # type: ignore[return-value]


@pytest.mark.parametrize(("middle", "apart"), [(nn.Identity(), 0.0), (Spoil(), 0.75)])
def test_gradients_of_the_two_layouts_are_compared(middle, apart):
    net = nn.Sequential(nn.Conv2d(3, 8, 3), middle, nn.ReLU(), nn.Conv2d(8, 4, 1))
    assert layout.differ(net, torch.randn(2, 3, 12, 16)) == pytest.approx(apart, abs=1e-3)


@pytest.mark.parametrize(
    ("trial", "fault"),
    [
        ("print('the same')", ""),
        ("print('gives gradients that are 75% off')", "gives gradients that are 75% off"),
        ("import os; os.kill(os.getpid(), 11)", "crashes (SIGSEGV)"),
        ("import resource as r; r.setrlimit(r.RLIMIT_CPU, (1, 9))\nwhile True: pass", "hangs"),
        ("import time; time.sleep(60)", "hangs"),
        ("raise SystemExit(3)", "cannot be tried"),
    ],
)
def test_a_trial_may_die(trial, fault):
    seconds = 0.5 if "sleep" in trial else 60
    assert layout.fault_of([sys.executable, "-c", trial], seconds) == fault


@pytest.fixture
def suspected(monkeypatch: pytest.MonkeyPatch, tmp_path) -> UMAdapt:
    monkeypatch.setattr(layout, "FEW", 1000)  # so that a tiny network's are among them
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return UMAdapt(tiny_spec(backbone="resnet18", width=0.01))


def test_the_layout_follows_the_trial_which_is_made_once(suspected, monkeypatch, capsys):
    trials = []
    monkeypatch.setattr(layout, "fault_of", lambda command: trials.append(command) or "crashes (SIGSEGV)")
    for _ in range(2):
        layout.lay_out(suspected, torch.device("cpu"))
        assert "resnet18: in the channels-last layout torch" in capsys.readouterr().err
    assert len(trials) == 1
    assert '"size": [64, 96]' in trials[0][-1]
    weight = suspected.encoder.trunks["source"][0].weight
    assert weight.is_contiguous()
    assert suspected.normalise(torch.rand(2, 3, 64, 96)).is_contiguous()
    assert suspected(torch.rand(2, 3, 64, 96))["depth"].shape[0] == 2


def test_a_sound_backbone_stays_channels_last(suspected, monkeypatch, capsys):
    monkeypatch.setattr(layout, "fault_of", lambda command: "")
    layout.lay_out(suspected, torch.device("cpu"))
    assert not capsys.readouterr().err
    assert suspected.encoder.trunks["source"][0].weight.is_contiguous(memory_format=torch.channels_last)


def test_nothing_is_tried_of_a_backbone_without_them(tiny, monkeypatch):
    monkeypatch.setattr(layout, "fault_of", lambda command: pytest.fail("tried"))
    layout.lay_out(tiny, torch.device("cpu"))
