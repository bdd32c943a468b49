"""bfloat16 forward passes and compiled networks: near the plain ones, resumed in the same bits, refused in time."""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from toy_runs import adapt_command, write_runs
from toys import random_batch, tiny_spec
from umadapt.cli import main
from umadapt.config import Adapt
from umadapt.errors import UserError
from umadapt.methods import adaptsegnet, base_model, mean_teacher, transfer_nets, um_adapt, um_adapt_b
from umadapt.methods.method import Given
from umadapt.nets.activation_checkpointing import Economy, economise
from umadapt.nets.model import UMAdapt
from umadapt.training import compute
from umadapt.training.stage import Stage
from umadapt.training.trainer import computed, take

SMALL = "--size 64x96 --width 0.03 --transfer-width 0.03 --batch 4 --backbone test_resnet --weights none".split()
CPU = torch.device("cpu")
# torch looks at .grad of what it compiles and hides the warning, unless warnings are errors
looked = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")


@pytest.fixture
def model() -> UMAdapt:
    torch.manual_seed(0)
    model = UMAdapt(tiny_spec())
    model.encoder.add_target()
    return model


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """torch.compile with everything but code of its own: no C++ compiler is needed."""
    monkeypatch.setattr(compute, "BACKEND", "aot_eager")
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_runs(tmp_path_factory.mktemp("runs"))


def make_adapt(model: UMAdapt, method: str, **changes: Any) -> Stage:
    config = Adapt(run=Path("r"), target=("t",), out=Path("o"), method=method, **changes)  # type: ignore[arg-type]
    batches = [
        dataclasses.replace(random_batch(model, 4, step), source=random_batch(model, 4, 9 + step)) for step in range(4)
    ]
    if method in ("b-ccr", "b-fcf"):
        return um_adapt_b.stage(model, config, batches.__getitem__)
    if method == "output-adv":
        return adaptsegnet.stage(model, config, batches.__getitem__)
    if method == "mean-teacher":
        return mean_teacher.stage(model, config, batches.__getitem__)
    return um_adapt.stage(model, config, batches.__getitem__, Given({"seg": 1.0, "depth": 1.0}))


def make_trained(model: UMAdapt, name: str) -> Stage:
    batches = [random_batch(model, 4, step) for step in range(4)]
    if name == "transfer":
        return transfer_nets.stage(model, batches.__getitem__, 4, 1e-3)
    return base_model.stage(model, batches.__getitem__, 4, 1e-3, 10.0, "per-task")


STAGES: dict[str, Callable[[UMAdapt], Stage]] = {
    "transfer": lambda model: make_trained(model, "transfer"),
    "base": lambda model: make_trained(model, "base"),
    "noadv": lambda model: make_adapt(model, "noadv", forward="fresh"),
    "shared": lambda model: make_adapt(model, "noadv", forward="shared"),
    "adv": lambda model: make_adapt(model, "adv", critic_every=2),
    "b-fcf": lambda model: make_adapt(model, "b-fcf", joint_steps=2),
    "output-adv": lambda model: make_adapt(model, "output-adv"),
    "mean-teacher": lambda model: make_adapt(model, "mean-teacher"),
}


def build(model: UMAdapt, name: str) -> Stage:
    """A stage, and the networks of its own always with the same random weights."""
    torch.manual_seed(3)
    return STAGES[name](model)


def steps(model: UMAdapt, stage: Stage, precision: str, *, compiled: bool = False) -> list[dict[str, float]]:
    """What four steps log, gradients term by term in every other one."""
    stage = computed(stage, precision, CPU)
    model.train()
    optimisers = {t.name: torch.optim.Adam(t.parameters, lr=t.lr, betas=t.betas, fused=True) for t in stage.turns}
    logged = []
    with compute.compiled(compiled, model, *stage.extra.values()):
        for step in range(4):
            torch.manual_seed(step)
            batch = stage.prepare(stage.batch(step))
            for turn in stage.turns:
                if (step + 1) % turn.every == 0:
                    logged.append(take(turn, batch, optimisers[turn.name], 10.0, step % 2 == 1, "test"))
            stage.after(step)
    return [values for values in logged if values]


@pytest.mark.parametrize("name", STAGES)
def test_bf16_stays_near_fp32(model: UMAdapt, name: str) -> None:
    """What four steps log: measured 2.4 % away in base, 7.8 % in b-fcf, whose critic moves by signs."""
    other = copy.deepcopy(model)
    plain, narrow = steps(model, build(model, name), "fp32"), steps(other, build(other, name), "bf16")
    for a, b in zip(plain, narrow, strict=True):
        for key, value in a.items():
            if not key.endswith("grad"):
                assert b[key] == pytest.approx(value, rel=0.15 if name == "b-fcf" else 0.05, abs=0.02), key
    assert {tensor.dtype for tensor in other.state_dict().values()} == {torch.float32, torch.int64}
    found = computed(build(other, name), "bf16", CPU)
    for turn in found.turns:
        terms = turn.loss(found.prepare(found.batch(1))).terms
        assert {term.dtype for term in terms.values()} == {torch.float32}


def test_bf16_is_taken_in_networks_alone(model: UMAdapt) -> None:
    images = random_batch(model).images

    def run(images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        features = model.encode(images, "target")
        maps = model.decode(features)
        return features["res5"], {"contour": model.contour(features["res5"]), **maps, **model.cross(maps)}

    features, maps = compute.in_precision(run, "bf16", CPU)(images)
    assert features.dtype == torch.bfloat16
    assert {map_.dtype for map_ in maps.values()} == {torch.float32}
    model.double()
    features, maps = run(images.double())
    assert {x.dtype for x in (features, *maps.values())} == {torch.float64}
    assert compute.in_precision(run, "fp32", CPU) is run


@pytest.mark.parametrize("economy", [Economy(micro=2), Economy(blocks=True), Economy(1, True)])
def test_bf16_is_taken_again_in_the_second_pass(model: UMAdapt, economy: Economy) -> None:
    """Computed again in float32, activations would differ by a hundredth; in parts, sums are taken in another order."""

    def gradients() -> list[Tensor]:
        stage = computed(make_adapt(model, "noadv"), "bf16", CPU)
        model.train()
        torch.manual_seed(0)
        batch = stage.prepare(stage.batch(0))
        found = []
        for turn in stage.turns:
            torch.manual_seed(1)
            found += torch.autograd.grad(torch.stack([*turn.loss(batch).terms.values()]).sum(), turn.parameters)
        return found

    plain = gradients()
    economise(economy, model)
    for a, b in zip(plain, gradients(), strict=True):
        if economy.micro:
            assert float((a - b).norm()) <= 0.01 * float(a.norm()) + 1e-6
        else:
            assert torch.equal(a, b)


def cut(run: Path, copy: Path) -> None:
    """A finished run as one that was killed after its last save."""
    shutil.copytree(run, copy)
    (copy / "model.safetensors").unlink()
    config = json.loads((copy / "config.json").read_text())
    config["done"] = []
    (copy / "config.json").write_text(json.dumps(config))


def weights_of(run: Path) -> dict[str, Tensor]:
    return safetensors.torch.load_file(run / "model.safetensors")


@pytest.mark.parametrize("more", [[], ["--micro-batch", "2"], ["--checkpoint-activations"]])
def test_a_bf16_run_that_was_cut_ends_in_the_same_weights(runs: Path, tmp_path: Path, more: list[str]) -> None:
    options = [*"--precision bf16 --batch 3 --steps 3 --save-every 2".split(), *more]
    assert main([*adapt_command(runs, tmp_path / "whole"), *options]) == 0
    cut(tmp_path / "whole", tmp_path / "cut")
    assert main([*adapt_command(runs, tmp_path / "cut"), *options]) == 0
    whole, again = weights_of(tmp_path / "whole"), weights_of(tmp_path / "cut")
    assert all(torch.equal(tensor, again[name]) for name, tensor in whole.items())


def test_a_run_does_not_change_its_precision(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = "--batch 3 --steps 1".split()
    assert main([*adapt_command(runs, tmp_path / "run"), *options]) == 0
    assert main([*adapt_command(runs, tmp_path / "run"), *options, "--precision", "bf16"]) == 2
    assert "precision was 'fp32', now 'bf16'" in capsys.readouterr().err


@pytest.mark.parametrize("there", [True, False])
def test_auto_is_what_the_machine_computes_in(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True} if there else {})
    assert main([*adapt_command(runs, tmp_path / "run"), *"--batch 3 --steps 1 --precision auto".split()]) == 0
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    assert stored["command"]["precision"] == ("bf16" if there else "fp32"), "a run keeps what it was begun with"


@looked
@pytest.mark.usefixtures("compiler")
def test_compiled_networks_take_the_same_steps(model: UMAdapt) -> None:
    other = copy.deepcopy(model)
    stage = build(other, "noadv")
    torch._dynamo.utils.counters.clear()
    plain, found = steps(model, build(model, "noadv"), "fp32"), steps(other, stage, "fp32", compiled=True)
    for a, b in zip(plain, found, strict=True):
        assert b == pytest.approx(a, rel=1e-4, abs=1e-5)
    assert list(model.state_dict()) == list(other.state_dict())
    assert not torch._dynamo.utils.counters["graph_break"]
    assert 2 < torch._dynamo.utils.counters["stats"]["unique_graphs"] < compute.GRAPHS
    assert all(module._compiled_call_impl is None for module in other.modules()), "plain networks afterwards"


def test_a_copy_of_a_compiled_network_is_plain(model: UMAdapt) -> None:
    with compute.compiled(True, model):
        twin = copy.deepcopy(model)
        assert model.contour._compiled_call_impl is not None
        assert all(module._compiled_call_impl is None for module in twin.modules())


@looked
def test_a_compiled_run_is_cut_and_goes_on(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same bits; and without --compile too, which is no other run."""
    monkeypatch.setattr(compute, "BACKEND", "eager")
    options = "--batch 3 --steps 3 --save-every 2".split()
    assert main([*adapt_command(runs, tmp_path / "whole"), *options, "--compile"]) == 0
    cut(tmp_path / "whole", tmp_path / "cut")
    shutil.copytree(tmp_path / "cut", tmp_path / "plain")
    assert main([*adapt_command(runs, tmp_path / "cut"), *options, "--compile"]) == 0
    assert main([*adapt_command(runs, tmp_path / "plain"), *options]) == 0
    whole, again, plain = (weights_of(tmp_path / name) for name in ("whole", "cut", "plain"))
    assert list(whole) == list(plain)
    for name, tensor in whole.items():
        assert torch.equal(tensor, again[name])
        torch.testing.assert_close(tensor, plain[name], rtol=1e-3, atol=1e-5)


@looked
def test_every_stage_of_train_and_semi_runs_with_both(
    toy_world: Path, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compute, "BACKEND", "eager")
    both = ["--compile", "--precision", "bf16"]
    count = "--transfer-steps 1 --base-steps 1 --contour-steps 1 --tasks depth,seg".split()
    assert main(["train", "--source", str(toy_world), "--out", str(tmp_path / "r"), *SMALL, *count, *both]) == 0
    assert {tensor.dtype for tensor in weights_of(tmp_path / "r").values()} == {torch.float32, torch.int64}
    semi = ["semi", str(runs / "adapted"), "--target", str(runs / "photos"), "--labelled", str(runs / "photos")]
    assert main([*semi, "--out", str(tmp_path / "s"), "--steps", "1", "--batch", "2", *both]) == 0


def test_a_missing_compiler_is_named_before_the_first_step(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: Any) -> None:
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setattr(compute, "BACKEND", missing)
    assert main([*adapt_command(runs, tmp_path / "run"), "--compile"]) == 2
    error = capsys.readouterr().err
    assert "--compile finds nothing to compile with here (No working C++ compiler found)" in error
    assert "install a C++ compiler such as g++" in error
    assert not (tmp_path / "run").exists(), "so the same --out can be given without --compile"


@pytest.mark.parametrize("more", [["--micro-batch", "2"], ["--checkpoint-activations"]])
def test_compile_and_saving_memory_are_refused(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    assert main([*adapt_command(runs, tmp_path / "run"), "--compile", *more]) == 2
    assert "leave out either" in capsys.readouterr().err


def test_compile_is_refused_under_several_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("umadapt.distributed.process_group.size", lambda: 2)
    config = Adapt(run=Path("r"), target=("t",), out=Path("o"), compile=True)
    with pytest.raises(UserError, match="one of 2"):
        compute.settle(config, CPU)
