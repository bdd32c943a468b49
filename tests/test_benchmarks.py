"""What the benchmarks conclude from their measurements."""

from __future__ import annotations

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
