"""What the benchmarks conclude from their measurements, and that each of them runs."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import benchmarks.__main__ as everything
import numpy as np
import pytest
import torch
from benchmarks import evaluation, export, growth, memory, neighbours, operations, rendering, start, upsample
from benchmarks.measure import interleave, make_model, ratio, summary
from torch.nn import functional as F

import umadapt.inference.photos
from toy_runs import make_run
from umadapt.commands.export import made_photo

MODULES = sorted({words.split()[0] for words in everything.RUNS.values()})


def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: str) -> dict:
    """What `python -m benchmarks.WORDS` writes with --json."""
    module, *arguments = words.split()
    path = tmp_path / "figures.json"
    monkeypatch.setattr("sys.argv", [module, *arguments, "--json", str(path)])
    importlib.import_module(f"benchmarks.{module}").main()
    found = json.loads(path.read_text())
    assert found["question"] == module
    assert "cpu" in found["machine"]
    return found


def test_repeats_are_interleaved_and_the_first_does_not_count() -> None:
    calls: list[str] = []
    times = interleave({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=2, warm=1)
    assert calls == ["a", "b"] * 3
    assert [len(values) for values in times.values()] == [2, 2]


def test_ratios_are_of_neighbours_in_time() -> None:
    times = {"slow": [(4.0, 8.0), (40.0, 8.0), (6.0, 8.0)], "fast": [(1.0, 2.0), (10.0, 2.0), (3.0, 4.0)]}
    assert ratio(times, "slow", "fast") == {"ratio": 4.0, "least": 2.0, "most": 4.0, "cpu_ratio": 4.0}
    assert summary(times)["slow"] == {"wall_s": 6.0, "least_s": 4.0, "most_s": 40.0, "cpu_s": 8.0}


@pytest.mark.parametrize("module", MODULES)
def test_each_names_its_question(monkeypatch: pytest.MonkeyPatch, module: str, capsys) -> None:
    monkeypatch.setattr("sys.argv", [module, "--help"])
    with pytest.raises(SystemExit) as end:
        importlib.import_module(f"benchmarks.{module}").main()
    said = capsys.readouterr().out
    assert end.value.code == 0
    assert "?" in said
    assert "--json FILE" in said


@pytest.mark.parametrize(
    "words",
    [
        "step --size tiny --batch 2 --repeats 1 --warm 0",
        "predict --size tiny --repeats 1",
        "loading --size tiny --repeats 1 --images 2",
    ],
)
def test_measurements_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: str) -> None:
    assert run(monkeypatch, tmp_path, words)


def test_operations(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(operations, "DEVICE", "cpu")  # so tiny a network is faster with data than torch without them
    gmac = run(monkeypatch, tmp_path, "operations --size tiny --repeats 1")["gmac"]
    assert gmac["noadv, literal"] > gmac["noadv, fresh"] > gmac["noadv, shared"] > gmac["noadv, kept"]
    assert gmac["noadv, kept"] > gmac["prediction, ours"]
    assert {name for goal in everything.GOALS for name in goal.sums or ()} <= set(gmac)


def test_counted_multiply_adds() -> None:
    counted = operations.counted
    x, weight = torch.zeros(1, 4, 10, 10), torch.zeros(8, 4, 3, 3, requires_grad=True)
    forward = 8 * 4 * 9 * 100 / 1e9
    assert counted(lambda: F.conv2d(x, weight, padding=1)) == pytest.approx(forward)
    assert counted(lambda: F.conv2d(x, weight, padding=1).sum().backward()) == pytest.approx(2 * forward)
    assert counted(lambda: torch.zeros(3, 5) @ torch.zeros(5, 7)) == pytest.approx(105 / 1e9)


def test_evaluations_agree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(evaluation, "peak_mib", lambda *arguments: 1.0)
    run(monkeypatch, tmp_path, "evaluation --size tiny --repeats 1 --images 2")
    with pytest.raises(AssertionError):
        evaluation.check({"depth": {"rel": 0.5}}, {"depth": {"rel": 0.5005}})


def test_memory_is_told_beside_the_literal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "peak_mib", lambda *words: {"literal": 400.0}.get(words[-1], 100.0))
    assert run(monkeypatch, tmp_path, "memory")["of_literal"]["shared"] == 0.25


@pytest.mark.parametrize("variant", ["nothing", "kept"])
def test_a_step_tells_its_peak(monkeypatch: pytest.MonkeyPatch, capsys, variant: str) -> None:
    monkeypatch.setattr("sys.argv", f"step --size tiny --kinds noadv --peak {variant}".split())
    importlib.import_module("benchmarks.step").main()
    assert float(capsys.readouterr().out) > 10


def test_views_are_what_more_rooms_take(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Three seconds to start, a half for each view."""
    monkeypatch.setattr(rendering, "call", lambda *words: (3 + 0.5 * int(words[words.index("--views") + 1]), 1.0))
    monkeypatch.setattr(rendering, "by_stage", lambda *_: {"colour": 0.2})
    rows = run(monkeypatch, tmp_path, "rendering --rooms 2 --sizes 96x128")["rows"]
    assert rows["96x128"] == {
        "view_wall_s": 0.5,
        "view_cpu_s": 0.0,
        "start_wall_s": 3.0,
        "stages_cpu_s": {"colour": 0.2},
    }


def test_neighbours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(neighbours, "elsewhere", lambda size, batch, wait: (1.0 if wait else 8.0, 1.0))
    found = run(monkeypatch, tmp_path, "neighbours --repeats 1")["found"]
    assert found["beside others"]["speedup"]["ratio"] == 8
    assert neighbours.steps("tiny", 1, 1) > 0


def test_shipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = make_run(tmp_path / "run", "noadv")
    found = run(monkeypatch, tmp_path, f"shipped {tmp_path / 'run'} --repeats 1")
    images = torch.zeros(1, 3, *model.spec.size)
    whole = operations.counted(lambda: model.cross(model(images, "target")))
    assert sum(found["gmac"].values()) == pytest.approx(whole)
    assert all(0 < way["share_of_ceiling"] < 1 for way in found["found"].values())
    assert found["largest"] < 1e-4


def test_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(start, "call", lambda *words: (2.0 if words[0] == "--help" else 5.0, 1.0))
    rows = run(monkeypatch, tmp_path, "start --repeats 1")["rows"]
    assert rows["--help"]["wall_s"] == 2
    assert rows["one step, process"]["wall_s"] == 5
    assert rows["imports"]["wall_s"] > 0.1  # really taken
    assert 0 < rows["one step, imported"]["cpu_s"] < 60


def test_upsampling_in_three_ways(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(upsample, "LEVELS", ((256, 4, 5), (16, 8, 10)))
    assert set(run(monkeypatch, tmp_path, "upsample --repeats 1")["cpu_ms"]) == {"256x4x5", "16x8x10"}


def test_growth(tmp_path: Path) -> None:
    assert growth.ring(2) == {"seg": ("depth",), "depth": ("seg",)}
    for count in (1, 2, 4, 8, 12):
        graph = growth.edges(count)
        assert sum(map(len, graph.values())) == count
        assert all(task not in inputs and len(set(inputs)) == len(inputs) for task, inputs in graph.items())
    assert growth.exponent({1: 2.0, 8: 16.0}) == pytest.approx(1)
    assert set(growth.of_images("tiny", 1, (1, 2))) == {"images, classes", "images, evaluation"}
    assert set(growth.of_steps({1: make_model("tiny").spec}, 1)) == {1}
    growth.plot({"images": {4: 1.0, 8: 2.0}}, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size


@torch.inference_mode()
def test_what_is_exported_is_what_predicts() -> None:
    """The literal network and ours, with all that is done to a photo, against `predict_photo`."""
    model = make_model("tiny").eval()
    photo = made_photo(60, 90)
    right = umadapt.inference.photos.predict_photo(model, "target", photo)
    for forward in export.networks(model).values():
        found = export.pytorch(model, forward)(photo[None])
        assert found["depth"][0] == pytest.approx(right["depth"], rel=1e-3)
        assert found["normals"].shape == (1, 60, 90, 3)
        assert found["trust_depth"][0] == pytest.approx(right["trust"]["depth"], rel=1e-2, abs=1e-2)
        assert (found["seg"][0] == right["seg"]).mean() > 0.99
        assert np.isfinite(found["trust_seg"]).all()


def test_one_that_fails_does_not_lose_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd) -> None:
    def measure(words: str, path: Path) -> dict | None:
        return None if words == "step" else {"speedup": {"ratio": 2.0}, "over_single_task": {"ratio": 2.0}}

    monkeypatch.setattr(everything, "RUNS", {"noadv": "step", "predict": "predict"})
    monkeypatch.setattr(everything, "measure", measure)
    monkeypatch.setattr("sys.argv", ["benchmarks", "--json", str(tmp_path / "all.json")])
    assert everything.main() == 1
    said = capfd.readouterr()
    assert said.err == "failed: python -m benchmarks.step\n"
    verdicts = {line[:44].strip(): line[62:].strip() for line in said.out.splitlines()}
    assert verdicts["noadv step, times faster"] == "not measured"
    assert verdicts["prediction of all tasks, times faster"] == "not met"
    assert verdicts["prediction over a single task's, times"] == "met"
    assert "predict" in json.loads((tmp_path / "all.json").read_text())


def test_a_failure_is_no_figures(tmp_path: Path) -> None:
    assert everything.measure("nosuchmodule", tmp_path / "figures.json") is None


def test_what_bounds_a_ratio() -> None:
    found = {"operations": {"gmac": {"slow": 600.0, "fast": 150.0}, "rate": {"together": 50.0}}}
    assert everything.bound(found, ("slow", "fast")).startswith("600 and 150 billion multiply-adds, 4.0 times")
    assert everything.bound({}, ("slow", "fast")) == ""
