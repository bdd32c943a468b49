"""The loop through the real stages: killed and resumed runs, bad numbers, clean stops."""

from __future__ import annotations

import json
import math
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch

from toy_runs import make_run, toy_record
from toys import write_toy_world
from umadapt.cli import main
from umadapt.data.batch import Batch
from umadapt.errors import UserError
from umadapt.nets.model import UMAdapt
from umadapt.training import trainer
from umadapt.training.candidates import save_candidate
from umadapt.training.load import load_model
from umadapt.training.metrics_log import read_metrics
from umadapt.training.run_folder import RunFolder
from umadapt.training.stage import Loss, Turn
from umadapt.training.trainer import add_gradient, loaders, step_seed, take

TINY = "--backbone test_resnet --weights none --size 64x96 --width 0.03 --transfer-width 0.03 --batch 4".split()
STEPS = "--lr 1e-3 --transfer-steps 12 --base-steps 12 --contour-steps 8 --save-every 3".split()


def train(source: Path, out: Path, *more: str) -> list[str]:
    return ["train", "--source", str(source), "--out", str(out), *TINY, *STEPS, *more]


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run / "model.safetensors")


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert set(a) == set(b)
    for name, tensor in a.items():
        assert torch.equal(tensor, b[name]), name


def killed_until_done(arguments: list[str], run: Path, kill_at: list[int], how: signal.Signals) -> None:
    """Start the command line; kill it when metrics.jsonl has grown to each of these lines; then let it end."""
    command = [sys.executable, "-c", "import torch; torch.set_num_threads(1); from umadapt.cli import entry; entry()"]
    for lines in kill_at:
        process = subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            log = run / "metrics.jsonl"
            if log.exists() and len(log.read_text().splitlines()) >= lines:
                process.send_signal(how)
                break
            time.sleep(0.01)
        process.communicate(timeout=120)
        if how is signal.SIGINT:
            assert process.returncode in (130, 0)
    assert main(arguments) == 0


@pytest.fixture(scope="module")
def undisturbed(toy_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "whole"
    assert main(train(toy_world, run)) == 0
    return run


@pytest.mark.parametrize(("how", "kill_at"), [(signal.SIGKILL, [2, 4]), (signal.SIGINT, [3])])
def test_a_killed_training_ends_in_the_same_weights(
    undisturbed: Path, toy_world: Path, tmp_path: Path, how: signal.Signals, kill_at: list[int]
) -> None:
    run = tmp_path / "killed"
    killed_until_done(train(toy_world, run), run, kill_at, how)
    assert_same(weights_of(undisturbed), weights_of(run))
    steps = [(line["stage"], line["step"]) for line in read_metrics(run)]
    assert len(steps) == len(set(steps)), "no step is logged twice"
    assert steps == [(line["stage"], line["step"]) for line in read_metrics(undisturbed)]


def test_a_killed_adaptation_ends_in_the_same_weights(undisturbed: Path, toy_world: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    write_toy_world(photos, 6, seed=5, tint=lambda x: 255 - 0.5 * x)
    options = "--method adv --steps 12 --batch 4 --save-every 3 --critic-every 2 --lr 1e-3".split()

    def adapt(out: Path) -> list[str]:
        return ["adapt", str(undisturbed), "--target", str(photos), "--out", str(out), *options]

    assert main(adapt(tmp_path / "whole")) == 0
    killed_until_done(adapt(tmp_path / "killed"), tmp_path / "killed", [2], signal.SIGKILL)
    assert_same(weights_of(tmp_path / "whole"), weights_of(tmp_path / "killed"))
    assert_frozen_but_res5(weights_of(undisturbed), weights_of(tmp_path / "whole"))


def test_slow_steps_are_saved_by_the_clock(undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []
    monkeypatch.setattr(trainer, "SAVE_S", -1)
    monkeypatch.setattr(RunFolder, "save_state", lambda run, state: saved.append(state["step"]))
    write_toy_world(tmp_path / "photos", 6, seed=5)
    options = "--method noadv --steps 4 --batch 4".split()
    common = ["adapt", str(undisturbed), "--target", str(tmp_path / "photos"), "--out", str(tmp_path / "out")]
    assert main([*common, *options]) == 0
    assert saved == [1, 2, 3]


def assert_frozen_but_res5(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> None:
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]), f"{name} moved in adaptation"
    added = set(after) - set(before)
    assert added
    assert all(name.startswith(("encoder.branches.target.", "encoder.trunks.target.")) for name in added)
    assert not [n for n in added if n.startswith("encoder.trunks") and not ("running" in n or "num_batches" in n)]


def test_target_labels_are_never_read(undisturbed: Path, tmp_path: Path) -> None:
    """A target whose label files are garbage gives the same weights as one without any."""
    for name in ("bare", "garbage"):
        write_toy_world(tmp_path / name, 6, seed=5)
        for folder in ("depth", "normals", "seg"):
            for file in sorted((tmp_path / name / folder).iterdir()):
                file.unlink() if name == "bare" else file.write_bytes(b"not a picture")
        options = "--method noadv --steps 4 --batch 4".split()
        out = str(tmp_path / f"run-{name}")
        assert main(["adapt", str(undisturbed), "--target", str(tmp_path / name), "--out", out, *options]) == 0
    assert_same(weights_of(tmp_path / "run-bare"), weights_of(tmp_path / "run-garbage"))


def test_changed_arguments_are_refused_and_shown(
    undisturbed: Path, toy_world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(train(toy_world, undisturbed, "--alpha", "3")) == 2
    assert "alpha was 10.0, now 3.0" in capsys.readouterr().err
    assert main(train(toy_world, undisturbed, "--save-every", "5")) == 0, "where it saves changes no weights"


def test_stages_alone_make_the_same_run(undisturbed: Path, toy_world: Path, tmp_path: Path) -> None:
    run = tmp_path / "staged"
    assert main(train(toy_world, run, "--stage", "base")) == 2
    for stage in ("transfer", "base", "contour"):
        assert main(train(toy_world, run, "--stage", stage)) == 0
    assert_same(weights_of(undisturbed), weights_of(run))


def test_run_folder_is_self_describing(undisturbed: Path) -> None:
    config = json.loads((undisturbed / "config.json").read_text())
    assert config["variant"] == "source-only"
    assert config["done"] == ["transfer", "base", "contour"]
    assert config["model"]["classes"] == ["wall", "floor", "box", "ball"]
    assert config["packages"]["torch"] == torch.__version__.split("+")[0]
    report = config["transfer_report"]
    assert set(report) == {"seg", "depth"}
    assert {"energy", "pacc"} <= set(report["seg"]["heldout"])
    assert (undisturbed / "samples" / "base.png").exists()
    assert list((undisturbed / "tensorboard" / "base").iterdir())
    keys = {key for line in read_metrics(undisturbed) if line["stage"] == "base" for key in line}
    assert {"seg/direct", "seg/distil", "seg/direct/grad", "seg/distil/grad", "depth/loss"} <= keys


def test_training_moves_the_batchnorm_statistics(undisturbed: Path) -> None:
    """Each stage trains in train mode, also when the one before left the model in eval mode."""
    weights = weights_of(undisturbed)
    counts = {name: int(t) for name, t in weights.items() if name.endswith("num_batches_tracked")}
    expected = {"encoder.": 12 * 3, "decoders.normals.": 12 * 2, "transfers.seg.": 12, "contour.": 8}
    for prefix, count in expected.items():
        of_part = {c for name, c in counts.items() if name.startswith(prefix)}
        assert of_part == {count}, (prefix, of_part)


def test_nan_in_an_image_is_named(tiny: object) -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    images = torch.ones(3, 1)
    images[1] = float("nan")
    turn = Turn[Batch]("depth", [weight], lambda b: Loss({"direct": (weight * b.images).mean()}), 0.1)
    batch = Batch(["a", "b", "c"], images)
    with pytest.raises(Exception, match=r"loss of depth is not finite \(direct\); samples b;"):
        take(turn, batch, torch.optim.Adam([weight]), 1.0, True, "stage base, step 7")
    assert weight.item() == 1, "no update was made"


@pytest.mark.parametrize("rate", ["1e6", "1e30"])
def test_a_training_that_diverges_stops_and_says_so(
    toy_world: Path, tmp_path: Path, rate: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """At 1e6 losses stay finite, the statistics of BatchNorm do not."""
    assert main([*train(toy_world, tmp_path / "run", "--transfer-steps", "4"), "--lr", rate]) == 2
    assert re.search(r"stage transfer, step \d+: .*lower --lr", capsys.readouterr().err)
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_nothing_is_written_of_a_network_that_is_not_finite(tiny: UMAdapt, tmp_path: Path) -> None:
    model = tiny
    run = RunFolder(toy_record(tmp_path / "run", variant="noadv", domain="target", model=model.spec, target="photos"))
    run.finish("adapt", model)
    before = (run.path / "model.safetensors").read_bytes()
    model.encoder.add_target()
    next(buffer for name, buffer in model.named_buffers() if name.endswith("running_var")).fill_(math.inf)
    with pytest.raises(UserError, match=r"run, end of stage adapt: 1 of \d+ tensors hold NaN or infinity.*lower --lr"):
        run.finish("adapt", model)
    for parameter in model.encoder.branches["target"].parameters():
        parameter.data.fill_(math.nan)
    with pytest.raises(UserError, match=r"stage adapt, step 3: .* such as .*: the training diverged"):
        save_candidate(run.path, 3, model)
    assert (run.path / "model.safetensors").read_bytes() == before
    assert not (run.path / "checkpoints").exists()


def test_a_network_that_is_not_finite_is_not_read(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    tensors = weights_of(tmp_path / "run")
    tensors[next(name for name in tensors if name.endswith("running_mean"))][0] = math.nan
    safetensors.torch.save_file(tensors, tmp_path / "run" / "model.safetensors")
    with pytest.raises(UserError, match=r"model\.safetensors: 1 of .*the training diverged"):
        load_model(tmp_path / "run", "cpu")


def test_a_loss_with_gradients_inside_is_blamed() -> None:
    """As the penalty of b-ccr's critic, under a --joint-lr that is too high."""
    weight = torch.nn.Parameter(torch.full((1,), math.inf))

    def penalty(batch: Batch) -> Loss:
        (gradient,) = torch.autograd.grad((weight * batch.images).sum(), weight, create_graph=True)
        return Loss({"penalty": (gradient * weight).sum()})

    turn = Turn("critic", [weight], penalty, 0.1, option="--joint-lr")
    with pytest.raises(UserError, match=r"loss of critic is not finite \(penalty\); samples a, b; .* lower --joint-lr"):
        take(turn, Batch(["a", "b"], torch.ones(2, 1)), torch.optim.Adam([weight]), 1.0, True, "step 1")


def test_detail_changes_no_update() -> None:
    """Differentiating term by term gives the update of the sum."""
    results = []
    for detail in (True, False):
        weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
        turn = Turn[Batch]("t", [weight], lambda b, w=weight: Loss({"a": w.square().sum(), "b": (3 * w).sum()}), 0.1)
        values = take(turn, Batch([]), torch.optim.Adam([weight], lr=0.1), 100.0, detail, "")
        results.append(weight.detach().clone())
        if detail:
            assert values["t/a/grad"] == pytest.approx(2 * 5**0.5)
            assert values["t/b/grad"] == pytest.approx(3 * 2**0.5)
    assert torch.allclose(*results)


def test_gradients_take_the_parameters_memory_layout() -> None:
    """A fused optimiser walks memory: a contiguous gradient of a channels-last weight would update wrong elements."""
    weight = torch.nn.Parameter(torch.zeros(4, 3, 2, 2).to(memory_format=torch.channels_last))
    wanted = torch.arange(48.0).view(4, 3, 2, 2) - 20.5
    assert wanted.stride() != weight.stride()
    add_gradient((weight * wanted).sum(), [weight])
    assert weight.grad is not None
    assert weight.grad.stride() == weight.stride()
    torch.optim.Adam([weight], lr=0.1, fused=True).step()
    torch.testing.assert_close(weight.detach(), -0.1 * wanted.sign())


def test_loaders_share_the_cores_beside_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(12)))
    assert loaders(torch.device("cpu")) == 1
    assert loaders(torch.device("cuda", 0)) == 8
    for name, value in {"RANK": "0", "WORLD_SIZE": "4", "MASTER_ADDR": "x", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert loaders(torch.device("cuda", 0)) == 2


def test_step_seeds_differ() -> None:
    seeds = {step_seed(seed, stage, step) for seed in range(3) for stage in ("base", "adapt") for step in range(50)}
    assert len(seeds) == 300
