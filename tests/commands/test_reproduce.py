"""The ladder: its commands, and that it runs, stops and goes on."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Literal

import pytest

from toy_runs import make_run
from toys import CLASSES, write_toy_world
from umadapt.cli import COMMANDS
from umadapt.commands import reproduce
from umadapt.config import Reproduce
from umadapt.config.options import check_numbers
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.reports import ladder_data
from umadapt.reports.ladder import RUNGS, Data, Exam, Rung, chosen, ladder, renders
from umadapt.reports.scheduler import Runner, Step, tail

OWN = Data(
    "o/rooms", ("o/photos",), (Exam("o/test", prior="o/photos:labelled"),), ("o/photos:labelled",), "o/photos-labelled"
)
NYUD = Data("rooms", ("nyud:target",), (Exam("nyud:val-b", "nyud", True),))
RUNG = {rung.name: rung for rung in RUNGS}


# ---------------------------------------------------------------------------------------------------------------------
# Commands


def parsed(step: Step) -> Any:
    """The step's arguments as the command line understands them."""
    import tyro

    from umadapt.config import presets

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
    assert len(steps) == len(renders(config)) + 2 * 2 * (len(RUNGS) - 1) + 1  # the prior is measured once
    assert known["seed-0/prior/evaluate"].prior == "o/photos:labelled"
    assert {known[f"seed-1/{rung}"].seed for rung in ("source-only", "noadv", "semi", "oracle")} == {1}
    assert known["seed-0/no-distil"].alpha == 0
    assert known["seed-0/source-only"].alpha == (0.1 if config.suite == "indoor-small" else 10)
    assert known["seed-0/adabn-res5"].statistics == "res5"
    assert known["seed-0/oracle"].source == "o/photos-labelled"
    readers = ("semi", "self-training-tenth", "self-training-labelled")
    assert {name: known[f"seed-0/{name}"].labelled for name in readers} == dict.fromkeys(
        readers, ("o/photos:labelled",)
    )
    assert known["seed-0/self-training"].labelled == ()
    assert known["seed-0/self-training-tenth"].labelled_share == 0.1
    for peer in ("minent", "output-adv", "mean-teacher"):  # what self-training does by itself
        found = known[f"seed-0/{peer}"]
        assert (found.adapt, found.rehearse, found.statistics_share) == ("all", True, 1)
        assert found.source == known["seed-0/self-training"].source


def test_the_papers_sizes_and_the_demos() -> None:
    data = {"source": "a", "target": ("b",), "eval": ("c",)}
    sizes = {"indoor": (228, 304), "outdoor": (256, 512), "indoor-small": (120, 160)}
    for suite, size in sizes.items():
        config = Reproduce(suite=suite, **data)  # pyright: ignore[reportArgumentType]
        assert parsed(ladder(config, NYUD, [RUNG["source-only"]])[0]).size == size
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
        "umadapt adapt demo/seed-0/source-only --target o/photos --method noadv --steps 50 "
        "--shared-views demo/seed-0/views "
        "--out demo/seed-0/noadv --seed 0"
    )


@pytest.mark.parametrize("rungs", [(), ("source-only", "adv")])
def test_own_photos_are_opened_with_and_without_an_oracle(tmp_path: Path, rungs: tuple[str, ...]) -> None:
    config = Reproduce(suite="indoor-small", out=tmp_path, rungs=rungs)
    for step in renders(config):
        write_toy_world(step.output.parent, 4, seed=0)
    data = ladder_data.open_data(config)
    assert data.oracle == (None if rungs else str(tmp_path / "photos-labelled"))
    assert Folder(data.labelled[0]).ids == Folder(data.target[0]).ids[::3]


def test_real_photos_are_measured_as_such() -> None:
    config = Reproduce(suite="indoor-small", source="rooms", target=("nyud:target",), eval=("nyud:val-b",))
    rungs, left_out = chosen(config, labelled=False, oracle=False)
    assert set(left_out) == {"prior", "self-training-tenth", "self-training-labelled", "semi", "oracle"}
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
    assert ladder_data.open_exam(str(tmp_path), "auto", tasks).normals_from_depth
    shutil.rmtree(tmp_path / "depth")
    assert not ladder_data.open_exam(str(tmp_path), "auto", tasks).normals_from_depth
    shutil.rmtree(tmp_path / "seg")
    with pytest.raises(UserError, match="has no labels"):
        ladder_data.open_exam(str(tmp_path), "auto", tasks)


def split_world(root: Path, **splits: slice) -> str:
    """A toy world like NYUDv2: depth, seg and a camera, no normals of its own; in splits."""
    write_toy_world(root, 6, seed=0)
    shutil.rmtree(root / "normals")
    (root / "splits").mkdir()
    for name, part in splits.items():
        (root / "splits" / f"{name}.txt").write_text("\n".join(Folder(root).ids[part]))
    return str(root)


def test_the_oracle_is_the_base_on_the_photos(tmp_path: Path) -> None:
    """The same network, weights and steps; the tasks too, of normals as they are measured."""
    world = split_world(tmp_path / "nyu", few=slice(0, 4), test=slice(4, 6))
    config = Reproduce("indoor", tmp_path, 1, source="rooms", target=(world,), eval=(f"{world}:test",))
    config = dataclasses.replace(config, labelled=(f"{world}:few",), backbone="resnet18", weights="w.safetensors")
    data = ladder_data.open_data(config)
    assert data.tasks == ()
    steps = ladder(config, data, [RUNG["prior"], RUNG["source-only"], RUNG["oracle"]])
    known = {step.name: parsed(step) for step in steps}
    base, oracle = (vars(known[f"seed-0/{rung}"]) for rung in ("source-only", "oracle"))
    differing = {name: oracle[name] for name in base if base[name] != oracle[name]}
    assert differing.pop("out") == tmp_path / "seed-0" / "oracle"
    assert differing == {"source": f"{world}:few", "normals": "plane-fit", "holdout": 0}
    prior = known["seed-0/prior/evaluate"]
    assert (prior.prior, prior.data, prior.normals_from_depth) == (f"{world}:few", f"{world}:test", True)
    with pytest.raises(UserError, match="share 2 photos"):
        ladder_data.open_data(dataclasses.replace(config, labelled=(world,)))


def test_each_exam_has_the_prior_of_its_tasks(tmp_path: Path) -> None:
    """And an oracle is measured on what it has learnt alone."""
    streets = split_world(tmp_path / "streets", few=slice(0, 4), test=slice(4, 6))
    laser = split_world(tmp_path / "laser", few=slice(0, 4), test=slice(4, 6))
    shutil.rmtree(tmp_path / "streets" / "depth")
    shutil.rmtree(tmp_path / "laser" / "seg")
    config = Reproduce("outdoor", tmp_path, 1, source="s", target=(streets,), protocol="raw")
    config = dataclasses.replace(config, eval=(f"{laser}:test", f"{streets}:test"))
    both = dataclasses.replace(config, labelled=(f"{streets}:few", f"{laser}:few"))
    assert [exam.prior for exam in ladder_data.open_data(both).exams] == [f"{laser}:few", f"{streets}:few"]
    data = ladder_data.open_data(dataclasses.replace(config, labelled=(f"{streets}:few",)))
    steps = ladder(config, data, [RUNG["prior"], RUNG["oracle"]])
    assert [step.name for step in steps] == ["seed-0/oracle", "seed-0/oracle/evaluate-2", "seed-0/prior/evaluate-2"]


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


def test_what_is_done_is_known_before_anything_starts(tmp_path: Path, toy_world: Path) -> None:
    """So that the first in line of what is left starts first, also where it needs something."""
    first = check("first", toy_world, tmp_path)
    Runner(tmp_path, 1, 1).run([first])
    left = [check("second", toy_world, tmp_path, ("first",)), check("third", toy_world, tmp_path)]
    runner = Runner(tmp_path, 1, 1)
    runner.run([first, *left])
    began = [runner.record(step)["began"] for step in left]
    assert began == sorted(began)


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
    """Two evaluations of runs that are there already, and of a prior; then again, from the records."""
    for rung in ("source-only", "noadv"):
        make_run(tmp_path / "seed-0" / rung, rung, classes=CLASSES)

    def two(config: Reproduce, data: Data, rungs: list[Rung]) -> list[Step]:
        steps = [step for step in ladder(config, data, rungs) if step.name.endswith("/evaluate")]
        return [dataclasses.replace(step, needs=()) for step in steps]

    monkeypatch.setattr(reproduce, "ladder", two)
    world = str(toy_world)
    write_toy_world(tmp_path / "few", 3, seed=1)
    labelled = (str(tmp_path / "few"),)
    config = Reproduce(
        "indoor-small", tmp_path, seeds=1, source=world, target=(world,), eval=(world,), labelled=labelled
    )
    config = dataclasses.replace(config, rungs=("prior", "source-only", "noadv"), pictures=2, device="cpu")
    assert reproduce.run(dataclasses.replace(config, json=tmp_path / "also.json")) == 0
    out = capsys.readouterr().out
    assert "[3/3]" in out
    assert "Table 6" in out
    found = json.loads((tmp_path / "ladder.json").read_text())
    assert found == json.loads((tmp_path / "also.json").read_text())
    assert list(found["rungs"]) == ["prior", "source-only", "noadv"]
    assert found["rungs"]["prior"]["labelled"] == "3"
    assert found["rungs"]["noadv"]["figures"]["depth"]["rel"]["paper"] == 0.178
    assert found["commands"][0]["seconds"] > 0
    assert (tmp_path / "grid.png").stat().st_size > 1000
    page = (tmp_path / "ladder.html").read_text()
    assert "data:image/png;base64" in page
    assert "protocol raw" in page
    assert "torch" in (tmp_path / "ladder.md").read_text()
    assert reproduce.run(config) == 0
    assert "umadapt evaluate" not in capsys.readouterr().out


def test_killed_it_takes_its_commands_along(tmp_path: Path) -> None:
    code = (
        "import os, subprocess; from umadapt.reports.scheduler import end_with_us;"
        "child = subprocess.Popen(['sleep', '60'], stdout=2, preexec_fn=end_with_us);"
        "print(child.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    out = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    child, deadline = Path("/proc") / out.stdout.decode().strip() / "stat", time.monotonic() + 10
    while child.exists() and child.read_text().rsplit(")", 1)[1].split()[0] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.01)
