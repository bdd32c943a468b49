"""Learning rates over the steps of a stage."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from umadapt.config import Adapt, Train
from umadapt.training.schedule import Schedule
from umadapt.training.stage import Loss, Turn


@given(st.integers(1, 300), st.floats(0, 0.99), st.integers(0, 50), st.booleans())
def test_rates_are_shares_that_fall_after_they_have_risen(steps: int, decay: float, warm_up: int, cosine: bool) -> None:
    rates = [Schedule(steps, decay, warm_up, cosine).rate(step) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)
    falling = rates[warm_up:]
    assert all(a >= b - 1e-12 for a, b in itertools.pairwise(falling))


def test_cosine_and_linear() -> None:
    assert Schedule(100, 0.3).rate(0) == Schedule(100, 0.3).rate(69) == 1
    assert Schedule(100, 0.3).rate(85) == pytest.approx(0.5)
    assert Schedule(100, 0.3, cosine=True).rate(50) == pytest.approx(0.5)
    assert Schedule(100, 0.3, warm_up=9).rate(4) == pytest.approx(0.5)


def test_of_commands() -> None:
    train = Train("data", Path("out"), schedule="cosine", warm_up=7, weight_decay=0.1, decay=0.2)
    assert Schedule.of(train, 10) == Schedule(10, 0.2, 7, True, 0.1)
    assert Schedule.of(Adapt(Path("run"), ("photos",), Path("out")), 10) == Schedule(10, 0.5)


def test_groups_of_a_turn() -> None:
    a, b, c = (torch.nn.Parameter(torch.zeros(1)) for _ in range(3))
    turn = Turn("t", [a, b, c], lambda _: Loss({}), 0.1, slow=([b], 0.2))
    assert [([id(p) for p in g["params"]], g["share"]) for g in turn.groups()] == [
        ([id(a), id(c)], 1.0),
        ([id(b)], 0.2),
    ]
    assert len(Turn("t", [a], lambda _: Loss({}), 0.1).groups()) == 1
