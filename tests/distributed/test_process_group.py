"""Several processes take the steps of one, measure what one measures, and end together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

import rank_work
from rank_work import together
from toys import write_toy_world
from umadapt.cli import main
from umadapt.config.data import Render
from umadapt.data.files import read_photo, write_image
from umadapt.scenes.render import _rooms, own_rooms


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled world, photos of two sizes, and what one process trains on them."""
    out = tmp_path_factory.mktemp("ranks")
    write_toy_world(out / "world", 14, seed=0)
    write_toy_world(out / "toy", 7, seed=1)
    for index in range(7):
        rgb = read_photo(out / "toy" / "image" / f"{index:03d}.png")
        write_image(out / "photos" / f"{index:03d}.png", rgb[:, : 64 if index in (1, 5) else 96])
    assert together(1, rank_work.train_everything, out / "one", out / "world", out / "photos", out / "one") == [0]
    return out


def assert_close(run: Path, other: Path) -> None:
    ours, theirs = (safetensors.torch.load_file(path / "model.safetensors") for path in (run, other))
    assert set(ours) == set(theirs)
    for name, tensor in ours.items():
        assert (tensor.double() - theirs[name].double()).abs().max() <= 1e-9, f"{name} of {run}"


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_take_the_steps_of_one_process(root: Path, tmp_path: Path, size: int) -> None:
    """All stages and several methods, a batch of 12, three steps in float64."""
    data = (root / "world", root / "photos")
    assert together(size, rank_work.train_everything, tmp_path, *data, root / "one") == [0] * size
    runs = ["adv", "b-ccr", "joint", "mean-teacher", "noadv", "per-task", "self-training", "semi"]
    assert sorted(path.name for path in tmp_path.iterdir()) == runs
    for name in runs:
        assert_close(tmp_path / name, root / "one" / name)
    moved, start = (safetensors.torch.load_file(root / "one" / name / "model.safetensors") for name in ("adv", "joint"))
    branch = "encoder.branches.{}.0.0.conv1.weight"
    change = moved[branch.format("target")] - start[branch.format("source")]
    assert change.abs().max() > 1e-4, "three steps move weights"
    log, alone = ((path / "joint" / "metrics.jsonl").read_text().splitlines() for path in (tmp_path, root / "one"))
    assert len(log) == len(alone), "rank 0 alone writes"
    for line, wanted in zip(map(json.loads, log), map(json.loads, alone), strict=True):
        assert line.pop("stage") == wanted.pop("stage")
        del line["seconds"], wanted["seconds"]
        assert line == pytest.approx(wanted, rel=1e-9), "figures of the log are those of the whole batch"


def test_measuring_is_shared_out_and_gives_identical_files(root: Path, tmp_path: Path) -> None:
    """evaluate, score, trust and predict: photos of two sizes, one rank with more of them than another."""
    files = {}
    for size in (1, 2, 3):
        out = tmp_path / str(size)
        arguments = (out, root / "one" / "adv", root / "world", root / "photos")
        assert together(size, rank_work.measure_everything, *arguments) == [0] * size
        found = {path.relative_to(out): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
        assert json.loads(found[Path("predictions.json")])["n"] == 14
        files[size] = found
    assert len(files[1]) > 14 * 6
    for size in (2, 3):
        assert set(files[size]) == set(files[1])
        assert [name for name, data in files[1].items() if files[size][name] != data] == []


def test_a_killed_rank_ends_the_job_and_more_ranks_go_on(root: Path, tmp_path: Path) -> None:
    """Rank 1 of 2 is killed in the middle; three go on from the last save to the weights of one that was left alone."""
    arguments = (tmp_path / "run", root / "world", tmp_path / "log")
    assert together(2, rank_work.train_and_die, *arguments, 1, 2) == [1, -9]
    said = (tmp_path / "log-0").read_text()
    assert "umadapt train: rank 0 of 2 lost another one, which has ended or was killed" in said
    assert "the same command, with any number of processes, goes on from the last save" in said
    assert "Traceback" not in said
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    assert (state["stage"], state["step"]) == ("base", 2)
    assert together(3, rank_work.train_and_die, *arguments, None, 0) == [0, 0, 0]
    assert_close(tmp_path / "run", root / "one" / "joint")


def test_a_signal_to_one_rank_stops_all_after_the_same_step(root: Path, tmp_path: Path) -> None:
    assert together(2, rank_work.train_and_stop, tmp_path / "run", root / "world") == [143, 143]
    assert torch.load(tmp_path / "run" / "state.pt", weights_only=True)["step"] == 2


@pytest.mark.parametrize("size", [2, 3])
def test_batchnorm_and_losses_of_ragged_shares(size: int) -> None:
    assert together(size, rank_work.check_batch_norm) == [0] * size


def test_torchrun_measures_what_one_process_does(root: Path, tmp_path: Path) -> None:
    command = ["evaluate", str(root / "one" / "noadv"), "--data", str(root / "world"), "--device", "cpu"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "umadapt"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    launched = [*launcher, *command, "--json", str(tmp_path / "two.json")]
    done = subprocess.run(launched, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().count("protocol raw") == 1, "rank 0 alone speaks"
    assert main([*command, "--json", str(tmp_path / "one.json")]) == 0
    assert (tmp_path / "two.json").read_bytes() == (tmp_path / "one.json").read_bytes()


def as_rank(monkeypatch: pytest.MonkeyPatch, rank: int, size: int) -> None:
    for name, value in {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": size}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "1")


@pytest.mark.parametrize("shard", [(1, 1), (2, 3)])
def test_ranks_render_disjoint_rooms_that_are_all(monkeypatch: pytest.MonkeyPatch, shard: tuple[int, int]) -> None:
    config = Render(Path("rooms"), views=50, views_per_room=3, shard=shard)
    everything = _rooms(own_rooms(config))
    shares = []
    for rank in range(4):
        as_rank(monkeypatch, rank, 4)
        shares += _rooms(own_rooms(config))
    assert sorted(shares, key=lambda room: room[0]) == everything


def test_mistakes_are_told_once_a_machine(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for rank, told in ((0, 1), (1, 0)):
        as_rank(monkeypatch, rank, 2)
        assert main(["check", "data"]) == 2
        assert (
            capsys.readouterr().err.count("umadapt check: check runs in one process; start it without torchrun") == told
        )
