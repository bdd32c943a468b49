"""The ladder: its commands, its tables, and that it runs, stops and goes on."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import threading
from pathlib import Path
from typing import Any, Literal

import pytest

from toy_runs import make_run
from toys import CLASSES, write_toy_world
from umadapt import paper, reproduce
from umadapt.cli import COMMANDS
from umadapt.config import Reproduce
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.options import check_numbers
from umadapt.paper import Figure
from umadapt.reproduce_ladder import RUNGS, Data, Exam, Rung, chosen, ladder, renders
from umadapt.reproduce_run import Runner, Step, tail
from umadapt.reproduce_tables import (
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

REL, MIOU = Figure("depth", "rel", "rel", False), Figure("seg", "miou", "mean IoU", True)
OWN = Data("o/rooms", ("o/photos",), (Exam("o/test"),), ("o/photos:labelled",), "o/photos-labelled")
NYUD = Data("rooms", ("nyud:target",), (Exam("nyud:val-b", "nyud", True),))


def evaluation(rel: float, miou: float, normals: float | None = 30.0) -> dict:
    depth = {"rel": rel, "log10": 0.1, "rms": 1.0, "d1": 0.5, "d2": 0.8, "d3": 0.9}
    out: dict = {"protocol": "raw", "n": 5, "depth": depth, "seg": {"miou": miou, "macc": 0.2, "pacc": 0.5, "iou": {}}}
    if normals is not None:
        out["normals"] = {"mean": normals, "median": 20.0, "11.25": 0.1, "22.5": 0.3, "30": 0.4, "1-abs-cos": 0.2}
    return out


EVALUATIONS = {
    "source-only": {0: evaluation(0.4, 0.1), 1: evaluation(0.6, 0.2)},
    "noadv": {0: evaluation(0.35, 0.2), 1: evaluation(0.45, 0.3)},
    "adv": {0: evaluation(0.3, 0.2)},
    "oracle": {0: evaluation(0.2, 0.55, None), 1: evaluation(0.4, 0.55, None)},
}


# ---------------------------------------------------------------------------------------------------------------------
# Tables


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
    found = [(table, rows(table, EVALUATIONS, RUNGS, {"oracle": "9"})) for table in tables]
    page = markdown(found, ["a fact"], ["umadapt …"])
    assert "| source only | 0 | 0.500 ± 0.141 |" in page
    assert "| UM-Adapt (Adv) (1 of 2 seeds) | 0 | **0.300** |" in page
    assert "| 0.178 | 0.063 |" in page  # Table 1, noAdv
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
    assert list(found) == ["source-only", "noadv", "adv", "oracle"]
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


# ---------------------------------------------------------------------------------------------------------------------
# Commands


def parsed(step: Step) -> Any:
    """The step's arguments as the command line understands them."""
    import tyro

    from umadapt import presets

    command, *rest = step.arguments
    if command == "train" and (preset := presets.chosen(rest)) is not None:
        return tyro.cli(COMMANDS["train"][0], args=rest, default=preset)
    arguments = tyro.cli(COMMANDS[command][0], args=rest)
    check_numbers(arguments)
    return arguments


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize(
    "given",
    [
        {"suite": "indoor-small"},
        {
            "suite": "indoor-small",
            "source": "rooms",
            "target": ("n:target",),
            "eval": ("n:val-b",),
            "weights": "w.safetensors",
        },
        {"suite": "indoor", "source": "a", "target": ("b",), "eval": ("c",), "size": (64, 96)},
        {"suite": "outdoor", "source": "a", "target": ("b",), "eval": ("c",), "device": "cpu"},
    ],
)
def test_every_command_parses(short: bool, given: dict) -> None:
    budget: Literal["full", "short"] = "short" if short else "full"
    config = Reproduce(**given, budget=budget, seeds=2, out=Path("o"))
    rungs, left_out = chosen(config)
    assert not left_out
    steps = [*renders(config), *ladder(config, OWN, rungs)]
    assert len({step.name for step in steps}) == len(steps)
    known: dict[str, Any] = {}
    for step in steps:
        assert known.keys() >= set(step.needs)  # listed after what it needs
        known[step.name] = parsed(step)
    assert len(steps) == len(renders(config)) + 2 * 2 * len(RUNGS)
    assert {known[f"seed-1/{rung}"].seed for rung in ("source-only", "noadv", "semi", "oracle")} == {1}
    assert known["seed-0/no-distil"].alpha == 0
    assert known["seed-0/source-only"].alpha == (0.1 if config.suite == "indoor-small" else 10)
    assert known["seed-0/adabn-res5"].statistics == "res5"
    assert known["seed-0/oracle"].source == "o/photos-labelled"
    assert known["seed-0/semi"].labelled == ("o/photos:labelled",)


def test_the_papers_sizes_and_the_demos() -> None:
    data = {"source": "a", "target": ("b",), "eval": ("c",)}
    sizes = {"indoor": (228, 304), "outdoor": (256, 512), "indoor-small": (120, 160)}
    for suite, size in sizes.items():
        config = Reproduce(suite=suite, **data)  # pyright: ignore[reportArgumentType]
        assert parsed(ladder(config, NYUD, chosen(config)[0][:1])[0]).size == size
    own = Reproduce(suite="indoor-small", out=Path("demo"))
    assert renders(own)[0].command == (
        "umadapt render demo/rooms --views 640 --style synthetic --seed 1 --size 96x128 --furniture none --spp 8"
    )
    assert [step.name for step in renders(own)] == [
        f"render/{name}" for name in ("rooms", "photos", "test", "photos-labelled")
    ]
    few = Reproduce(suite="indoor-small", rungs=("source-only", "adv"))
    assert len(renders(few)) == 3  # no oracle, no labels for it
    step = next(s for s in ladder(own, OWN, RUNGS) if s.name == "seed-0/noadv")
    assert step.command == (
        "umadapt adapt demo/seed-0/source-only --target o/photos --method noadv --steps 400 "
        "--shared-views demo/seed-0/views "
        "--out demo/seed-0/noadv --seed 0"
    )


@pytest.mark.parametrize("rungs", [(), ("source-only", "adv")])
def test_own_photos_are_opened_with_and_without_an_oracle(tmp_path: Path, rungs: tuple[str, ...]) -> None:
    config = Reproduce(suite="indoor-small", out=tmp_path, rungs=rungs)
    for step in renders(config):
        write_toy_world(step.output.parent, 4, seed=0)
    data = reproduce.open_data(config)
    assert data.oracle == (None if rungs else str(tmp_path / "photos-labelled"))
    assert Folder(data.labelled[0]).ids == Folder(data.target[0]).ids[::3]


def test_real_photos_are_measured_as_such() -> None:
    config = Reproduce(suite="indoor-small", source="rooms", target=("nyud:target",), eval=("nyud:val-b",))
    rungs, left_out = chosen(config, labelled=False, oracle=False)
    assert set(left_out) == {"semi", "oracle"}
    step = next(s for s in ladder(config, NYUD, rungs) if s.name == "seed-2/adv/evaluate")
    assert "--protocol nyud" in step.command
    assert "--normals-from-depth" in step.command
    assert renders(config) == []


def test_an_exam_may_lack_depth(tmp_path: Path) -> None:
    """Then no normals are made of it; and any label of any photo will do."""
    write_toy_world(tmp_path, 3, seed=0)
    shutil.rmtree(tmp_path / "normals")
    (tmp_path / "depth" / f"{Folder(tmp_path).ids[0]}.png").unlink()
    tasks = ("depth", "normals", "seg")
    assert reproduce.open_exam(str(tmp_path), "auto", tasks).normals_from_depth
    shutil.rmtree(tmp_path / "depth")
    assert not reproduce.open_exam(str(tmp_path), "auto", tasks).normals_from_depth
    shutil.rmtree(tmp_path / "seg")
    with pytest.raises(UserError, match="has no labels"):
        reproduce.open_exam(str(tmp_path), "auto", tasks)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (Reproduce(suite="outdoor"), "GTA5"),
        (Reproduce(suite="indoor", source="a", target=("b",)), "654 test photos"),
        (Reproduce(suite="indoor-small", target=("b",)), "both --target and --eval"),
        (Reproduce(suite="indoor-small", labelled=("b",)), "belongs to a --target"),
        (Reproduce(suite="indoor-small", rungs=("semi",)), "--rungs adv,semi"),
        (Reproduce(suite="indoor-small", rungs=("nosuch",)), "no rung 'nosuch'"),
    ],
)
def test_mistakes_are_said_before_anything_runs(config: Reproduce, said: str) -> None:
    with pytest.raises(UserError, match=said):
        reproduce.run(config)


def test_no_rung_that_can_run_is_a_mistake(tmp_path: Path, toy_world: Path) -> None:
    data = str(toy_world)
    config = Reproduce("indoor-small", tmp_path, source=data, target=(data,), eval=(data,), rungs=("oracle",))
    with pytest.raises(UserError, match="oracle is left out, because the photos have no labels"):
        reproduce.run(config)


# ---------------------------------------------------------------------------------------------------------------------
# Running


def check(name: str, data: Path, out: Path, needs: tuple[str, ...] = ()) -> Step:
    """A cheap command."""
    words = ("check", str(data), "--json", str(out / f"{name}.json"), "--sheet", str(out / f"{name}.png"))
    return Step(name, words, out / f"{name}.json", needs)


def test_runner_skips_what_is_done_and_repeats_what_changed(tmp_path: Path, toy_world: Path) -> None:
    steps = [check("one", toy_world, tmp_path), check("two", toy_world, tmp_path, ("one",))]
    by_name = {step.name: step for step in steps}
    runner = Runner(tmp_path, 2, 1)
    runner.run(steps)
    assert all(runner.is_done(step, by_name) for step in steps)
    assert (tmp_path / "logs" / "one.log").read_text().startswith("$ umadapt check ")
    before = [step.output.stat().st_mtime_ns for step in steps]
    runner.run(steps)
    assert [step.output.stat().st_mtime_ns for step in steps] == before
    steps[0].output.touch()  # as if it had been made again
    assert runner.is_done(steps[0], by_name)
    assert not runner.is_done(steps[1], by_name)
    other = dataclasses.replace(steps[0], arguments=(*steps[0].arguments, "--other"))
    assert not runner.is_done(other, by_name)
    steps[0].output.unlink()
    assert not runner.is_done(steps[0], by_name)


def test_a_failing_command_is_shown_with_its_log(tmp_path: Path) -> None:
    step = check("bad", tmp_path / "nowhere", tmp_path)
    after = check("after", tmp_path / "nowhere", tmp_path, ("bad",))
    with pytest.raises(UserError, match=r"(?s)step bad ended with code 2.*nowhere: no such folder.*bad\.log"):
        Runner(tmp_path, 2, 1).run([step, after])
    assert not (tmp_path / "logs" / "after.log").exists()


def test_stopped_it_stops_its_commands_and_goes_on(tmp_path: Path, toy_world: Path) -> None:
    step = check("one", toy_world, tmp_path)
    runner = Runner(tmp_path, 1, 1)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
    with pytest.raises(KeyboardInterrupt):
        runner.run([step])
    assert not runner.is_done(step, {})
    spent = runner.record(step)["seconds"]
    runner.run([step])
    assert runner.is_done(step, {})
    assert runner.record(step)["seconds"] > spent  # both tries count


def test_tail_shows_the_last_state_of_a_bar(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a\n\n 1%\r 99%\r\nb\n")
    assert tail(tmp_path / "log", 2) == [" 99%", "b"]


def test_a_small_ladder_from_end_to_end(
    tmp_path: Path, toy_world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two evaluations of runs that are there already; then again, from the records."""
    for rung in ("source-only", "noadv"):
        make_run(tmp_path / "seed-0" / rung, rung, classes=CLASSES)

    def two(config: Reproduce, data: Data, rungs: list[Rung]) -> list[Step]:
        steps = [step for step in ladder(config, data, rungs) if step.name.endswith("/evaluate")]
        return [dataclasses.replace(step, needs=()) for step in steps]

    monkeypatch.setattr(reproduce, "ladder", two)
    world = str(toy_world)
    config = Reproduce(
        "indoor-small", tmp_path, seeds=1, source=world, target=(world,), eval=(world,), labelled=(world,)
    )
    config = dataclasses.replace(config, rungs=("source-only", "noadv"), pictures=2, device="cpu")
    assert reproduce.run(dataclasses.replace(config, json=tmp_path / "also.json")) == 0
    out = capsys.readouterr().out
    assert "[2/2]" in out
    assert "Table 6" in out
    found = json.loads((tmp_path / "ladder.json").read_text())
    assert found == json.loads((tmp_path / "also.json").read_text())
    assert set(found["rungs"]) == {"source-only", "noadv"}
    assert found["rungs"]["noadv"]["figures"]["depth"]["rel"]["paper"] == 0.178
    assert found["commands"][0]["seconds"] > 0
    assert (tmp_path / "grid.png").stat().st_size > 1000
    page = (tmp_path / "ladder.html").read_text()
    assert "data:image/png;base64" in page
    assert "protocol raw" in page
    assert "torch" in (tmp_path / "ladder.md").read_text()
    assert reproduce.run(config) == 0
    assert "umadapt evaluate" not in capsys.readouterr().out
