"""Sparsification against the definition, and the command on a toy run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from toy_runs import make_run
from toys import tiny_spec
from umadapt.commands.trust import run
from umadapt.config import Trust
from umadapt.data.files import write_image, write_seg
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.evaluation import sparsification as sparsification_module
from umadapt.evaluation.evaluate import evaluate
from umadapt.evaluation.sparsification import BOTH, FRACTIONS, association, measure, sparsification, trust
from umadapt.nets.model import UMAdapt

MANY = st.lists(st.tuples(st.integers(0, 20), st.integers(-8, 8)), min_size=1, max_size=60)


def brute_force(error: np.ndarray, uncertainty: np.ndarray) -> np.ndarray:
    """The definition: sort, cut, average. For counts that the fractions divide, and no equals."""
    ordered = error[np.argsort(uncertainty)]
    kept = [round(len(error) * (1 - fraction)) for fraction in FRACTIONS]
    return np.array([ordered[:k].mean() for k in kept]) / error.mean()


@pytest.mark.parametrize("wrong", [False, True])
def test_curve_agrees_with_the_definition(wrong):
    rng = np.random.default_rng(0)
    error = rng.gamma(1.0, size=2000)
    error = (error > 1).astype(float) if wrong else error
    uncertainty = error + rng.normal(size=2000)
    assert sparsification(error, uncertainty) == pytest.approx(brute_force(error, uncertainty), abs=1e-9)
    found = measure({"error": error, "guess": uncertainty})
    by_hand = brute_force(error, uncertainty) - brute_force(error, error + 1e-9 * rng.random(2000))
    assert found["guess"]["ause"] == pytest.approx(sum((by_hand[1:] + by_hand[:-1]) / 2) / 100, abs=1e-6)


@given(MANY)
def test_oracle_is_perfect_and_nothing_beats_it(pairs):
    error, uncertainty = np.array(pairs, float).T
    found = measure({"error": error, "guess": uncertainty})
    if not error.any():
        assert found == {}
        return
    assert found["oracle"]["ause"] == 0
    assert found["guess"]["ause"] >= -1e-9
    assert found["guess"]["curve"][0] == pytest.approx(1)


@given(MANY)
def test_only_the_order_of_an_uncertainty_counts(pairs):
    error, uncertainty = np.array(pairs, float).T
    error = error + 1
    curve = sparsification(error, uncertainty)
    for monotone in (np.exp, lambda x: x**3, lambda x: 3 * x - 7):
        assert np.array_equal(sparsification(error, monotone(uncertainty)), curve)
        assert association(error, monotone(uncertainty)) == association(error, uncertainty)


def test_constant_is_random_and_its_area_is_analytic():
    """A share p of the pixels is wrong. The oracle's curve is (p - f) / (p (1 - f)) up to f = p, then 0, and its
    integral 1 + ln(1 - p) (1 - p) / p; removing at random stays at 1."""
    p, rng = 0.4, np.random.default_rng(0)
    error = np.zeros(100_000)
    error[:40_000] = 1
    found = measure({"error": error, "noise": rng.random(100_000)})
    assert sparsification(error, np.full(100_000, 3.0)) == pytest.approx(1, abs=1e-12)
    assert found["random"]["ause"] == pytest.approx(0.99 - (1 + np.log(1 - p) * (1 - p) / p), abs=1e-3)
    assert found["noise"]["ause"] == pytest.approx(found["random"]["ause"], abs=0.02)
    assert found["random"]["aurg"] == pytest.approx(0, abs=1e-12)
    assert found["random"]["auroc"] == 0.5
    assert found["oracle"]["auroc"] == 1


def test_associations_against_the_definition():
    rng = np.random.default_rng(1)
    wrong, uncertainty = rng.integers(0, 2, 80).astype(float), rng.integers(0, 9, 80).astype(float)
    pairs = uncertainty[wrong == 1][:, None] - uncertainty[wrong == 0]
    assert association(wrong, uncertainty)["auroc"] == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    error = rng.gamma(1.0, size=80)
    assert association(error, error**2)["spearman"] == pytest.approx(1)
    assert association(error, -error)["spearman"] == pytest.approx(-1)
    assert association(error, np.zeros(80)) == {"spearman": 0}
    assert association(np.full(80, 2.0), error) == {"spearman": 0}
    assert association(np.zeros(3), np.arange(3.0)) == {}


def test_errors_are_those_of_evaluate(toy_world, tiny: UMAdapt):
    folder = Folder(toy_world)
    found, figures = trust(tiny.eval(), "source", folder, "raw"), evaluate(tiny, "source", folder, "raw")
    assert set(found["errors"]) == {"seg", "depth", "normals"}
    assert found["errors"]["depth"]["mean"] == pytest.approx(figures["depth"]["rel"], rel=1e-4)
    assert found["errors"]["seg"]["mean"] == pytest.approx(1 - figures["seg"]["pacc"], abs=1e-6)
    assert set(found["depth"]) == {"disagreement", "spread", "entropy", BOTH, "place", "random", "oracle"}
    assert set(found["normals"]) == {"spread", "entropy", "place", "random", "oracle"}, "nothing transfers to them"


def test_place_is_the_mean_of_all_photos_there_and_finds_what_is_always_wrong() -> None:
    """Errors that lie where they always lie are found without looking; those of one photo alone are not."""
    rng = np.random.default_rng(0)
    cell = np.tile(np.arange(40.0), 25)
    photos = [{"cell": cell, "spread": rng.random(1000), "error": (cell < 10) + 0.0} for _ in range(3)]
    for photo in photos:
        photo["spread"][cell < 10] += 0.8
    placed = sparsification_module._with_place(photos)
    for k in (3, 30):
        everywhere = np.concatenate([photo["spread"][cell == k] for photo in photos]).mean()
        assert placed[1]["place"][cell == k] == pytest.approx(everywhere)
    found = measure({name: np.concatenate([photo[name] for photo in placed]) for name in placed[0]})
    assert found["place"]["auroc"] == 1 > found["spread"]["auroc"]


def test_other_graphs_and_independence_of_the_batch(toy_world):
    model = make_model({"normals": ("depth",), "seg": ("normals",)})
    folder = Folder(toy_world)
    one, many = (trust(model, "source", folder, "raw", batch=batch) for batch in (1, 5))
    assert "disagreement" in one["normals"]
    assert "disagreement" not in one["depth"]
    for task in one["errors"]:
        for name, figures in one[task].items():
            assert many[task][name]["ause"] == pytest.approx(figures["ause"], abs=1e-3)


def make_model(graph: dict[str, tuple[str, ...]]) -> UMAdapt:
    torch.manual_seed(0)
    return UMAdapt(tiny_spec(graph=graph)).eval()


def test_few_pixels_stand_for_all(toy_world, tiny: UMAdapt, monkeypatch):
    folder = Folder(toy_world)
    every = trust(tiny.eval(), "source", folder, "raw")
    monkeypatch.setattr("umadapt.evaluation.sparsification.PIXELS", 1500)
    few, again = (trust(tiny, "source", folder, "raw") for _ in range(2))
    assert few == again
    assert few["errors"]["depth"]["pixels"] <= 12 * 1500
    assert few["depth"]["disagreement"]["ause"] == pytest.approx(every["depth"]["disagreement"]["ause"], abs=0.03)


def test_command_writes_json_table_and_plot(tmp_path, toy_world, capsys):
    make_run(tmp_path / "run", "noadv")
    config = Trust(tmp_path / "run", str(toy_world), plot=tmp_path / "plot.png", json=tmp_path / "t.json", device="cpu")
    assert run(config) == 0
    stored = json.loads((tmp_path / "t.json").read_text())
    assert stored["protocol"] == "raw"
    assert stored["n"] == 12
    assert {"ause", "aurg", "ause_photo"} <= set(stored["seg"]["disagreement"])
    assert (tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"
    text = capsys.readouterr().out
    for word in ("raw", "no crop", "images   12", "noadv", "AUSE", "disagreement+entropy", "auroc", "spearman"):
        assert word in text


def test_mistakes_are_named(tmp_path: Path, toy_world):
    make_run(tmp_path / "run")
    with pytest.raises(UserError, match="no labelled data given"):
        run(Trust(tmp_path / "run"))
    write_image(tmp_path / "photos" / "a.png", np.zeros((64, 96, 3), np.uint8))
    with pytest.raises(UserError, match="nothing to measure"):
        run(Trust(tmp_path / "run", str(tmp_path / "photos"), device="cpu"))
    with pytest.raises(UserError, match=r"480x640.*--protocol raw"):
        run(Trust(tmp_path / "run", str(toy_world), "nyud", device="cpu"))


def test_nothing_valid_and_divergence_are_named(tmp_path, toy_world, tiny: UMAdapt):
    meta = Folder(toy_world).meta
    write_image(tmp_path / "image" / "a.png", np.zeros((64, 96, 3), np.uint8))
    write_seg(tmp_path / "seg" / "a.png", np.full((64, 96), 255, np.uint8))
    (tmp_path / "dataset.json").write_text(json.dumps(meta))
    with pytest.raises(UserError, match="nothing to find"):
        trust(tiny.eval(), "source", Folder(tmp_path), "raw")
    with torch.no_grad():
        next(tiny.decoders["depth"].parameters()).fill_(float("nan"))
    with pytest.raises(UserError, match=r"for '00\d' holds NaN"):
        trust(tiny, "source", Folder(toy_world), "raw")
