"""The study of figures without labels: that they are those of `umadapt score`, and how they are ranked."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from studies import label_free

from toy_runs import make_run
from umadapt.data.atomic import write_json
from umadapt.data.folder import Folder
from umadapt.evaluation.label_free import score
from umadapt.evaluation.selection import badness


def test_figures_are_those_of_score_and_errors_are_ranked_by_them(
    tmp_path: Path, toy_world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "base")
    photos, runs, expected = Folder(toy_world), tmp_path / "runs", {}
    for k in range(4):
        model = make_run(runs / f"run{k}-0", "noadv", moved=k)
        expected[str(runs / f"run{k}-0")] = score(model, "target", photos)
        error = badness(expected[str(runs / f"run{k}-0")])  # as if the selector were always right
        errors = {"depth": {"rel": error, "rms": 2 * error}, "normals": {"mean": 90 - error}}
        write_json(runs / f"run{k}-0-val.json", errors | {"seg": {"miou": 0.5 - error / 9, "pacc": error}})
    write_json(runs / "gone-0-val.json", {})  # of a run that is not there
    make_run(runs / "run-1", "noadv", weights=1)  # of another base
    write_json(runs / "run-1-val.json", {})
    words = [tmp_path / "base", runs, "--photos", toy_world, "--eval", "val", "--json", tmp_path / "x.json"]
    monkeypatch.setattr(sys, "argv", ["label_free", *map(str, words)])
    label_free.main()

    found = json.loads((tmp_path / "x.json").read_text())
    assert list(found) == list(expected)
    for run, of in expected.items():
        assert found[run]["entropy of the classes"] == pytest.approx(of["entropy"], rel=1e-4)
        for task in ("depth", "normals", "seg"):
            assert found[run][f"distance, {task}"] == pytest.approx(of["distance"][task], rel=1e-4, abs=1e-6)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "4 runs"
    rows = {name.strip(): cells for name, *cells in (line.strip("|").split("|") for line in lines[2:])}
    assert [name.strip() for name in rows[""]] == list(label_free.ERRORS)
    assert [float(x) for x in rows["selector's score"]] == [1, 1, -1, 1, -1]
