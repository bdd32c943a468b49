"""The expected peak beside the measured one, budgets through the command line, resumed runs."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from toy_runs import make_run
from toys import CLASSES, random_batch, tiny_spec, write_toy_world
from umadapt.checkpoint import RunFolder, digest
from umadapt.cli import main
from umadapt.config import Adapt
from umadapt.data.batches import Batches
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.loop import Stage
from umadapt.memory import Expected, arrange, first_fit, splits
from umadapt.nets.model import UMAdapt
from umadapt.nets.recompute import Chain, Economy
from umadapt.rehearsal import Live, hollow, rehearse
from umadapt.stages import adapt

GB = 1e9
BATCH = "32"


def write_runs(out: Path, **spec: Any) -> Path:
    """A trained run, an adapted one, and photos."""
    write_toy_world(out / "photos", 6, seed=1)
    for name, variant in (("base", "source-only"), ("adapted", "adabn")):
        make_run(out / name, variant, **spec)
        config = json.loads((out / name / "config.json").read_text())
        config["done"] = ["transfer", "base", "contour"] if name == "base" else ["adapt"]
        config["transfer_report"] = {task: {"source": {"energy": 1.0}} for task in ("seg", "depth")}
        config["data"] = {"source": digest(("000",))}
        config["palette"] = [[0, 0, 0]] * len(CLASSES)
        (out / name / "config.json").write_text(json.dumps(config))
    return out


@pytest.fixture(scope="module")
def tiny_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_runs(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs whose activations outweigh the libraries."""
    return write_runs(tmp_path_factory.mktemp("large"), width=0.25, transfer_width=0.25, size=(128, 192))


def measured(arguments: list[str]) -> tuple[str, float]:
    """Run the command line in a process of its own; what it prints, and its peak in GB."""
    code = "import sys, torch; torch.set_num_threads(1); from umadapt.cli import main; sys.exit(main(sys.argv[1:]))"
    with subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, text
    return text, usage.ru_maxrss * 1024 / GB


def adapt_command(root: Path, out: Path, *more: str) -> list[str]:
    common = ["adapt", str(root / "base"), "--target", str(root / "photos"), "--out", str(out), "--batch", BATCH]
    return [*common, "--steps", "1", "--candidates", "0", *more]


def test_the_expected_peak_of_adaptation_is_near_the_measured_one(root: Path, tmp_path: Path) -> None:
    text, whole = measured(adapt_command(root, tmp_path / "whole", "--memory-budget", "50"))
    (expected,) = re.findall(r"expected peak ([\d.]+) GB of 50 \(batch of 32 at once\)", text)
    assert float(expected) == pytest.approx(whole, rel=0.2)
    assert whole > 1.4, "the activations, not the libraries, decide"
    text, parts = measured(adapt_command(root, tmp_path / "parts", "--memory-budget", "50", "--micro-batch", "8"))
    (expected,) = re.findall(r"expected peak ([\d.]+) GB of 50 \(batch of 32, 8 at a time\)", text)
    assert float(expected) == pytest.approx(parts, rel=0.2)
    # what all three hold: libraries and weights
    _, least = measured([*adapt_command(root, tmp_path / "least"), "--batch", "1"])
    assert parts - least < (whole - least) / 2


def test_the_expected_peak_of_training_is_near_the_measured_one(root: Path, tmp_path: Path) -> None:
    tiny = "--backbone test_resnet --weights none --size 128x192 --width 0.25 --transfer-width 0.25".split()
    steps = "--transfer-steps 1 --base-steps 1 --contour-steps 1 --memory-budget 50 --batch".split()
    text, peak = measured(
        ["train", "--source", str(root / "photos"), "--out", str(tmp_path / "r"), *tiny, *steps, "24"]
    )
    expected = re.findall(r"stage (\w+): expected peak ([\d.]+)", text)
    assert [stage for stage, _ in expected] == ["transfer", "base", "contour"]
    assert max(float(gigabytes) for _, gigabytes in expected) == pytest.approx(peak, rel=0.2)


def test_a_budget_that_is_too_small_says_what_would_do(
    tiny_runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*adapt_command(tiny_runs, tmp_path / "run", "--memory-budget", "0.01"), "--batch", "2"]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "--memory-budget 0.01 is too small for stage adapt, which takes" in error
    assert re.search(
        r"batch of 2, 1 at a time, block by block.*\ngive --memory-budget [\d.]+ or a smaller --batch", error
    )


@pytest.mark.parametrize("command", ["adapt", "semi"])
def test_a_run_in_parts_that_was_cut_ends_in_the_same_weights(tiny_runs: Path, tmp_path: Path, command: str) -> None:
    """And a budget that is given only then, as on a smaller machine, is no other run."""
    extra = ["--labelled", str(tiny_runs / "photos")] if command == "semi" else ["--candidates", "0"]

    def run(out: Path, *more: str) -> dict[str, torch.Tensor]:
        start = tiny_runs / ("adapted" if command == "semi" else "base")
        common = [command, str(start), "--target", str(tiny_runs / "photos"), "--out", str(out), *extra]
        assert main([*common, *"--batch 3 --steps 3 --save-every 2 --micro-batch 2".split(), *more]) == 0
        return safetensors.torch.load_file(out / "model.safetensors")

    whole = run(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    (tmp_path / "cut" / "model.safetensors").unlink()
    config = json.loads((tmp_path / "cut" / "config.json").read_text())
    config["done"] = []
    (tmp_path / "cut" / "config.json").write_text(json.dumps(config))
    again = run(tmp_path / "cut", "--memory-budget", "50")
    assert all(torch.equal(tensor, again[name]) for name, tensor in whole.items())
    assert json.loads((tmp_path / "cut" / "config.json").read_text())["memory"] == {command: [2, False]}


def test_a_budget_never_changes_what_batchnorm_sees() -> None:
    """Where it trains, parts are taken only where they were asked for."""
    assert splits(Economy(), 8, norms=True) == [Economy(), Economy(0, True)]
    assert splits(Economy(4), 8, norms=True) == [Economy(4), Economy(4, True)]
    assert splits(Economy(), 8, norms=False) == [Economy(), Economy(4), Economy(2), Economy(1), Economy(1, True)]
    assert splits(Economy(1, True), 8, norms=False) == [Economy(1, True)]


def test_the_fastest_that_fits_is_found() -> None:
    sizes = {Economy(): 90, Economy(4): 50, Economy(2): 30, Economy(1): 20, Economy(1, True): 10}

    def expected(economy: Economy) -> Expected:
        return Expected(0, 0, 0, 0, sizes[economy], 0, 0, 0)

    for budget in range(5, 100):
        fitting = [economy for economy, size in sizes.items() if size <= budget]
        _, found = first_fit(list(sizes), budget, expected)
        assert found == (fitting or [Economy(1, True)])[0]


def test_live_bytes_are_counted() -> None:
    a = torch.empty(100, device="meta")
    with Live([a]) as live:
        b = a + 1
        view = b[:50]
        assert live.now == 400, "a was there before, a view adds nothing"
        del b
        assert live.now == 400, "the view keeps the storage"
        del view
        c = torch.cat([a, a])
    assert (live.now, live.peak, live.largest) == (800, 800, 800)
    del c
    assert live.now == 0


def test_a_rehearsal_leaves_the_model_alone_and_sees_the_batch() -> None:
    torch.manual_seed(0)
    model = UMAdapt(tiny_spec())
    model.encoder.add_target()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    config = Adapt(run=Path("r"), target=("t",), out=Path("o"))
    state = torch.get_rng_state()
    needs = [
        rehearse(adapt.stage(hollow(model), config, lambda _: {}), random_batch(model, size)).peak for size in (2, 4, 6)
    ]
    assert needs[2] - needs[1] == pytest.approx(needs[1] - needs[0], rel=0.05)
    assert needs[1] > 1.5 * needs[0]
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_a_hollow_copy_shares_what_the_original_shares() -> None:
    model = UMAdapt(tiny_spec())
    model.encoder.add_target()
    copy = hollow(model)
    assert all(tensor.is_meta for tensor in [*copy.parameters(), *copy.buffers()])
    conv, twin = (next(copy.encoder.trunks[domain].parameters()) for domain in ("source", "target"))
    assert conv is twin
    assert isinstance(conv, nn.Parameter)


def test_decoded_samples_stay_within_their_room(tiny_runs: Path) -> None:
    folder = Folder(str(tiny_runs / "photos"))
    batches = Batches(folder, folder.ids, (64, 96), (32, 48), batch=2)
    batches(0)
    kept = batches.cached_bytes
    assert batches.room(1000) == 2 * kept, "four of six are still to come"
    assert batches.room(4) == kept
    batches.keep_bytes = kept
    for step in range(1, 3):
        batches(step)
    assert batches.cached_bytes == kept


def test_the_parts_of_an_expectation_add_up() -> None:
    peak = Expected(int(1e9), int(2e9), int(5e8), int(1e8), int(3e9), int(2e8), int(1e9), int(1e8))
    assert peak.total == 4.4e9
    assert str(peak) == "weights 0.50, optimisers 0.10, activations 3.00, data 0.10, rest 0.70"


def test_several_processes_may_take_parts_where_batchnorm_is_frozen(
    tiny: UMAdapt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run", {})
    monkeypatch.setattr("umadapt.ranks.size", lambda: 2)
    parts = Adapt(tmp_path, ("photos",), tmp_path, micro_batch=2)
    stage = Stage("adapt", [], lambda _: {}, 1)
    tiny.freeze(tiny)
    arrange(parts, tiny, stage, lambda _: stage, run)
    assert all(m.economy == Economy(micro=2) for m in tiny.modules() if isinstance(m, Chain))
    with pytest.raises(
        UserError, match="--memory-budget is for a process alone\nunder torchrun each of the 2 processes"
    ):
        arrange(dataclasses.replace(parts, memory_budget=50), tiny, stage, lambda _: stage, run)
    tiny.unfreeze(tiny.decoders)
    with pytest.raises(UserError, match="where BatchNorm trains"):
        arrange(parts, tiny, stage, lambda _: stage, run)
