"""Label-free scores: invariances, ranking, refusals."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from toy_runs import make_run
from toys import CLASSES
from umadapt.commands.score import run
from umadapt.config import Score
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.evaluation.label_free import class_entropy, score
from umadapt.evaluation.selection import badness
from umadapt.training import candidates

REPORT = {"seg": {"source": {"energy": 0.4}, "heldout": {"energy": 0.5}}, "depth": {"source": {"energy": 0.03}}}


def test_entropy_of_known_maps():
    logits = torch.zeros(2, 4, 3, 5)
    logits[1, 2] = 100  # certain of one class
    entropy, mass = class_entropy(logits)
    assert entropy.tolist() == pytest.approx([math.log(4), 0], abs=1e-6)
    assert mass[1].tolist() == pytest.approx([0, 0, 1, 0], abs=1e-6)


def test_score_does_not_depend_on_the_batch(toy_world, tiny):
    one, many = (score(tiny.eval(), "source", Folder(toy_world), batch=batch) for batch in (1, 5))
    assert set(one) == {"n", "distance", "energy", "total", "disagreement", "entropy", "diversity"}
    assert one["distance"] == pytest.approx(many["distance"], 1e-3)
    assert set(one["energy"]) == {"seg", "depth"}
    assert one["total"] == pytest.approx(sum(one["energy"].values()))
    assert one["total"] == pytest.approx(many["total"], 1e-4)
    assert 0 < one["entropy"] <= one["diversity"] <= math.log(len(CLASSES)) + 1e-6  # entropy is concave


def test_energy_is_zero_where_the_tasks_agree(toy_world, tiny, monkeypatch):
    """With nets that return the direct prediction only the entropy is left of seg, and nothing of depth."""
    monkeypatch.setattr(tiny, "cross", lambda predictions: {t: predictions[t] for t in tiny.graph})
    found = score(tiny.eval(), "source", Folder(toy_world))
    assert found["energy"]["depth"] == 0
    assert found["energy"]["seg"] == pytest.approx(found["entropy"], 1e-4)


def test_distance_is_zero_where_nobody_else_votes(toy_world, tiny):
    photos = Folder(toy_world)
    alone = score(tiny.eval(), "source", photos, shares={})
    assert alone["distance"] == pytest.approx({"depth": 0, "normals": 0, "seg": 0}, abs=1e-6)
    voted = score(tiny, "source", photos)
    assert all(x > 0 for x in voted["distance"].values())
    assert badness(alone) < badness(voted)


def test_more_information_between_tasks_is_better_at_the_same_distance():
    row = {"distance": {"depth": 0.1, "seg": 0.2}, "energy": {"seg": 2.0}, "diversity": 3.0}
    assert badness(row | {"energy": {"seg": 1.5}}) < badness(row) < badness(row | {"diversity": 2.0})
    assert badness(row) == pytest.approx((0.1 * 0.2) ** 0.5 * math.exp(-2))
    assert badness({"distance": row["distance"], "energy": {"depth": 1.0}}) == pytest.approx((0.1 * 0.2) ** 0.5)


def test_command_ranks_by_score(tmp_path, toy_world, capsys):
    runs = []
    for moved, variant in enumerate(["source-only", "noadv", "adv"]):
        make_run(tmp_path / variant, variant, moved=moved, report=REPORT)
        runs.append(tmp_path / variant)
    assert run(Score(tuple(runs), str(toy_world), device="cpu", json=tmp_path / "score.json")) == 0
    rows = json.loads((tmp_path / "score.json").read_text())["ranking"]
    assert [row["score"] for row in rows] == sorted(row["score"] for row in rows)
    assert {row["variant"] for row in rows} == {"source-only", "noadv", "adv"}
    text = capsys.readouterr().out
    assert "no proof" in text
    assert "0.5000" in text  # held-out real tuples of seg
    assert "0.0300" in text  # depth was measured on the source alone
    lines = [line for line in text.splitlines() if str(tmp_path) in line]
    assert [line.split("(")[1].split(")")[0] for line in lines] == [row["variant"] for row in rows]


def test_runs_that_do_not_compare_are_refused(tmp_path, toy_world):
    make_run(tmp_path / "a")
    make_run(tmp_path / "b", "noadv", nets=1)
    make_run(tmp_path / "c", graph={})
    make_run(tmp_path / "d", "noadv", weights=1)  # the same transfer nets, another base model
    for other in ("b", "d"):
        with pytest.raises(UserError, match=rf"{other} and .*a have different source models or transfer nets"):
            run(Score((tmp_path / "a", tmp_path / other), str(toy_world), device="cpu"))
    with pytest.raises(UserError, match="c has no transfer nets"):
        run(Score((tmp_path / "c",), str(toy_world), device="cpu"))
    with pytest.raises(UserError, match="a is given twice"):
        run(Score((tmp_path / "a", tmp_path / "d", tmp_path / "a"), str(toy_world), device="cpu"))
    with pytest.raises(UserError, match="no runs given"):
        run(Score((), str(toy_world)))


def test_who_predicts_the_same_has_moved_no_step(toy_world, tiny):
    """Not even by the entropy of seg."""
    tiny.encoder.add_target()
    found = score(tiny.eval(), "target", Folder(toy_world))
    assert found["disagreement"] == pytest.approx(dict.fromkeys(tiny.tasks, 0.0), abs=1e-6)
    with torch.no_grad():
        for parameter in tiny.encoder.branches["target"].parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    assert all(x > 1e-6 for x in score(tiny, "target", Folder(toy_world))["disagreement"].values())


def test_decoders_that_were_trained_on_leave_nothing_to_compare_with(tmp_path, toy_world):
    make_run(tmp_path / "s", "semi")
    config = json.loads((tmp_path / "s" / "config.json").read_text())
    config["command"]["train_decoders"] = True
    (tmp_path / "s" / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="has trained its decoders"):
        run(Score((tmp_path / "s",), str(toy_world), device="cpu"))


def test_a_run_that_diverged_is_named(toy_world, tiny):
    with torch.no_grad():
        next(tiny.decoders["depth"].parameters()).fill_(float("nan"))
    with pytest.raises(UserError, match="diverged"):
        score(tiny.eval(), "source", Folder(toy_world))


def test_damaged_and_foreign_checkpoints(tmp_path: Path) -> None:
    model = make_run(tmp_path / "run", "noadv")
    candidates.save_candidate(tmp_path / "run", 5, model)
    (tmp_path / "run" / "checkpoints" / "best.safetensors").write_bytes(b"")
    assert candidates.candidates(tmp_path / "run") == [5]
    candidates.candidate_path(tmp_path / "run", 5).write_bytes(b"half")
    with pytest.raises(UserError, match=r"000005.safetensors is damaged"):
        candidates.load_candidate(tmp_path / "run", 5, model)
