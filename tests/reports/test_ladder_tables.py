"""The ladder's tables: means over seeds, gaps, the paper's rows beside ours."""

from __future__ import annotations

import json

import pytest

from umadapt.reports import paper
from umadapt.reports.ladder import RUNGS
from umadapt.reports.ladder_tables import (
    Spread,
    best_of,
    gap_closed,
    html,
    markdown,
    mean_gain,
    over_seeds,
    rows,
    summary,
    text,
)
from umadapt.reports.paper import Figure

REL, MIOU = Figure("depth", "rel", "rel", False), Figure("seg", "miou", "mean IoU", True)


def evaluation(rel: float, miou: float, normals: float | None = 30.0) -> dict:
    depth = {"rel": rel, "log10": 0.1, "rms": 1.0, "d1": 0.5, "d2": 0.8, "d3": 0.9}
    out: dict = {"protocol": "raw", "n": 5, "depth": depth, "seg": {"miou": miou, "macc": 0.2, "pacc": 0.5, "iou": {}}}
    if normals is not None:
        out["normals"] = {"mean": normals, "median": 20.0, "11.25": 0.1, "22.5": 0.3, "30": 0.4, "1-abs-cos": 0.2}
    return out


EVALUATIONS = {
    "source-only": {0: evaluation(0.4, 0.1), 1: evaluation(0.6, 0.2)},
    "prior": {0: evaluation(0.25, 0.05)},
    "noadv": {0: evaluation(0.35, 0.2), 1: evaluation(0.45, 0.3)},
    "adv": {0: evaluation(0.3, 0.2)},
    "oracle": {0: evaluation(0.2, 0.55, None), 1: evaluation(0.4, 0.55, None)},
}


def test_mean_and_sample_deviation_over_seeds() -> None:
    found = over_seeds(EVALUATIONS, REL)
    assert found["source-only"] == pytest.approx((0.5, 0.1 * 2**0.5, 2))
    assert found["adv"] == Spread(0.3, None, 1)
    assert "oracle" not in over_seeds(EVALUATIONS, Figure("normals", "mean", "mean", False))


@pytest.mark.parametrize(("figure", "expected"), [(REL, 0.5), (MIOU, 0.25)])
def test_gap_closed_whether_less_or_more_is_better(figure: Figure, expected: float) -> None:
    closed = gap_closed(over_seeds(EVALUATIONS, figure), figure)
    assert closed["noadv"] == pytest.approx(expected)
    assert (closed["source-only"], closed["oracle"]) == (0, 1)


def test_no_gap_without_oracle_or_with_a_worse_one() -> None:
    spreads = {"source-only": Spread(0.3, None, 1), "noadv": Spread(0.2, None, 1)}
    assert gap_closed(spreads, REL) == {}
    spreads["oracle"] = Spread(0.31, None, 1)
    assert gap_closed(spreads, REL) == {}
    assert gap_closed(spreads, MIOU)["noadv"] == pytest.approx(-10)


def test_no_gap_that_is_smaller_than_the_seeds_differ() -> None:
    spreads = {"source-only": Spread(0.3, 0.02, 3), "noadv": Spread(0.2, 0.0, 3), "oracle": Spread(0.29, 0.0, 3)}
    assert gap_closed(spreads, REL) == {}
    assert gap_closed(spreads | {"oracle": Spread(0.25, 0.01, 3)}, REL)["noadv"] == pytest.approx(2)
    assert gap_closed(spreads | {"oracle": Spread(0.25, 0.06, 3)}, REL) == {}


def test_best_are_those_that_read_best_and_see_no_labels() -> None:
    spreads = {"a": Spread(0.30001, None, 1), "b": Spread(0.3, 0.1, 3), "c": Spread(0.4, None, 1)}
    spreads |= {"oracle": Spread(0.1, None, 1), "semi": Spread(0.9, None, 1)}
    assert best_of(spreads, REL) == {"a", "b"}
    assert best_of(spreads, MIOU) == {"c"}
    assert best_of({"a": spreads["a"]}, REL) == set()


def test_tables_have_the_papers_rows_beside_ours() -> None:
    tables = paper.indoor()
    for table in tables:
        assert all(len(row) == len(table.figures) for row in table.rows.values())
    found = [(table, rows(table, EVALUATIONS, RUNGS, {"oracle": "9", "prior": "80"})) for table in tables]
    page = markdown(found, ["a fact"], ["umadapt …"])
    assert "| source only | 0 | 0.500 ± 0.141 |" in page
    assert "| UM-Adapt (Adv) (1 of 2 seeds) | 0 | **0.300** |" in page
    assert "| 0.178 | 0.063 |" in page  # Table 1, noAdv
    assert "| image-free prior of target labels | 80 | 0.250 |" in page  # of no seed, and never the best: it saw labels
    line = next(line for line in page.splitlines() if line.startswith("| UM-Adapt (noAdv) |"))
    assert "| 50.0 % |" in line
    assert "| 0.0 % |" in next(
        line for line in page.split("Table 3")[1].splitlines() if line.startswith("| source only")
    )
    for block in (line for line in page.splitlines() if line.startswith("|")):
        assert block.replace("\\|", "").count("|") in (9, 10, 14, 16)
    assert "oracle" not in page.split("Table 2")[1].split("Table 3")[0]  # it has no normals
    assert "AdaBN" not in page  # rungs that were not run
    assert "0.300*" in text(found)
    web = html(found, ["a <fact>"], ["umadapt <x>"], "data:image/png;base64,AA")
    assert "a &lt;fact&gt;" in web
    assert "<b>0.300</b>" in web
    assert web.count("<table") == 4


def test_table_6_counts_errors() -> None:
    table = paper.indoor()[3]
    assert [figure.of(evaluation(0.4, 0.25)) for figure in table.figures] == [1.0, 75.0, 0.2]
    assert table.rows["semi"] == (0.637, 55.6, 0.139)


def test_the_mean_gain_is_over_tasks() -> None:
    """Half the error of one of two tasks and all of the other's is a gain of a quarter."""
    start, better = ({"source-only": Spread(e, None, 1), "noadv": Spread(e / f, None, 1)} for e, f in ((4, 2), (9, 1)))
    assert mean_gain([start, better]) == {"source-only": 0, "noadv": pytest.approx(0.25)}
    assert mean_gain([start, {"source-only": Spread(1, None, 1)}]) == {"source-only": 0}
    assert mean_gain([start, {"noadv": Spread(1, None, 1)}]) == {}
    gain = (1 - 75 / 85) / 3  # mIoU .15 to .25; rms and normals are the same
    assert summary(paper.indoor(), EVALUATIONS, RUNGS, {})["noadv"]["mean_gain"] == pytest.approx(gain)


def test_summary_is_complete_json() -> None:
    found = json.loads(json.dumps(summary(paper.indoor(), EVALUATIONS, RUNGS, {"oracle": "9"})))
    assert list(found) == ["prior", "source-only", "noadv", "adv", "oracle"]
    noadv = found["noadv"]
    assert noadv["figures"]["depth"]["rel"] == {
        "mean": 0.4,
        "sd": pytest.approx(0.0707, abs=1e-4),
        "n": 2,
        "paper": 0.178,
    }
    assert noadv["gap_closed"] == {"depth/rel": pytest.approx(0.5), "seg/miou": pytest.approx(0.25)}
    assert noadv["evaluations"]["1"]["depth"]["rel"] == 0.45
    assert found["oracle"]["labelled"] == "9"
    assert "normals" not in found["oracle"]["figures"]


def test_outdoor_tables() -> None:
    one = {"depth": {"rel": 0.3, "sq_rel": 2.0, "rms": 8.0, "rms_log": 0.4}, "seg": {"miou": 0.3}}
    found = [rows(table, {"source-only": {0: one}}, RUNGS, {}) for table in paper.outdoor()]
    assert [row[0].paper for row in found] == [["0.381", "2.08", "8.482", "0.41"], ["0.224"], ["–"]]
