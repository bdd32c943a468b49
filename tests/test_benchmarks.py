"""What the benchmarks conclude from their measurements."""

from __future__ import annotations

import pytest
from benchmarks.growth import chain, edges, exponent
from benchmarks.measure import interleave, ratio, summary


def test_repeats_are_interleaved_and_the_first_does_not_count() -> None:
    calls: list[str] = []
    times = interleave({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=2, warm=1)
    assert calls == ["a", "b"] * 3
    assert [len(values) for values in times.values()] == [2, 2]


def test_ratios_are_of_neighbours_in_time() -> None:
    times = {"slow": [(4.0, 8.0), (40.0, 8.0), (6.0, 8.0)], "fast": [(1.0, 2.0), (10.0, 2.0), (3.0, 4.0)]}
    assert ratio(times, "slow", "fast") == {"ratio": 4.0, "least": 2.0, "most": 4.0, "cpu_ratio": 4.0}
    assert summary(times)["slow"] == {"wall_s": 6.0, "least_s": 4.0, "most_s": 40.0, "cpu_s": 8.0}


def test_graphs_that_grow() -> None:
    assert sum(len(inputs) for inputs in edges(8).values()) == 8
    assert all(task not in inputs and len(set(inputs)) == len(inputs) for task, inputs in edges(12).items())
    assert chain(3) == {"seg": ("normals",), "depth": ("seg",), "normals": ("depth",)}


def test_the_power_of_growth() -> None:
    assert exponent({1: 2.0, 8: 16.0}) == pytest.approx(1.0)
    assert exponent({1: 2.0, 8: 2.0}) == pytest.approx(0.0)
