"""The table of `studies/ablations.py`: means, spreads, and how far towards an oracle."""

from __future__ import annotations

from studies.ablations import ORACLE, SOURCE, table


def result(x: float) -> dict:
    return {
        "depth": {"rel": 0.3 - x, "log10": 0.2 - x, "rms": 1.0 - x},
        "normals": {"mean": 30 - 10 * x},
        "seg": {"miou": 0.1 + x, "pacc": 0.4 + x},
    }


def test_shares_of_the_way_to_the_oracle_are_of_means_over_seeds() -> None:
    results = {SOURCE: [result(0.0), result(0.02)], "ours": [result(0.05), result(0.07)], ORACLE: [result(0.11)]}
    head, _, source, ours, oracle = table(results).splitlines()
    assert head.endswith("| of the way to the oracle |")
    assert source.startswith(f"| {SOURCE} | 0.290 ± 0.014 |")
    assert source.endswith("| 0, 0, 0, 0, 0, 0 % |")  # no minus
    assert ours.endswith("| 50, 50, 50, 50, 50, 50 % |")
    assert oracle.startswith(f"| {ORACLE} | 0.190 | 0.090 |")
    assert oracle.endswith("| 100, 100, 100, 100, 100, 100 % |")


def test_without_an_oracle_there_is_no_such_column() -> None:
    assert "of the way" not in table({SOURCE: [result(0.0)], "ours": [result(0.1)]})
    assert "of the way" not in table({"ours": [result(0.1)], ORACLE: [result(0.2)]})  # nor without where the way begins
