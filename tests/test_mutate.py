"""A share of the campaign of broken inputs (studies/mutate.py): 300, or as many as two minutes of the CPU hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from studies.mutate import SHARES, campaign, listing, make_world, plan, run_case, table, wrong
from studies.mutations import change_value

CHEAP = ("check", "pack", "report", "evaluate", "predict", "score", "train")


@pytest.mark.filterwarnings("ignore")  # of libraries, about inputs that are broken on purpose
def test_broken_inputs_end_right_or_in_a_sentence(tmp_path: Path) -> None:
    cases = list(campaign(300, 7, CHEAP, tmp_path, seconds=30, budget=120))
    bad = [case.line() for case in cases if case.verdict not in ("right", "message")]
    assert len(cases) >= 100
    assert not bad, "\n".join([table(cases), *bad])


def test_a_case_can_be_repeated_alone(tmp_path: Path) -> None:
    make_world(tmp_path / "world")
    first, second = (run_case(4, 1, "check", tmp_path / "world", tmp_path, 30) for _ in range(2))
    assert (first.command, first.changes, first.said) == (second.command, second.changes, second.said)
    assert plan(20, 3, list(SHARES)) == plan(20, 3, list(SHARES))


def test_the_oracles_see_what_is_wrong(tmp_path: Path) -> None:
    root = tmp_path / "w"
    (root / "out").mkdir(parents=True)
    before, around = listing(root), {"w"}
    assert wrong(root, "predict", before, around) == ""
    (root / "out" / "x.json").write_text('{"a": NaN}')
    assert "x.json: no JSON" in wrong(root, "predict", before, around)
    (root / "out" / "x.json").unlink()
    np.save(root / "out" / "x.npy", np.array([np.inf]))
    assert "x.npy: not finite" in wrong(root, "predict", before, around)
    (root / "data").mkdir()
    assert "wrote beside its output: data" in wrong(root, "predict", before, around)
    (tmp_path / "escaped").touch()
    assert "wrote outside: escaped" in wrong(root, "predict", before, around)


def test_a_changed_value_leaves_the_original_alone() -> None:
    value = {"a": [1, {"b": 2}], "c": "x"}
    changed = {repr(change_value(value, np.random.default_rng(seed))) for seed in range(200)}
    assert len(changed) > 50
    assert value == {"a": [1, {"b": 2}], "c": "x"}
