"""What the processes of tests/test_ranks.py do. One server imports everything once and forks them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from umadapt.cli import main
from umadapt.data.batch import Batch, each
from umadapt.distributed import global_batch as batch
from umadapt.distributed import process_group
from umadapt.training import trainer

COMMANDS = [f"umadapt.commands.{name}" for name in ("train", "adapt", "semi", "evaluate", "score", "trust", "predict")]
PRELOAD = ["rank_work", *COMMANDS, "torch.utils.tensorboard"]


def together(size: int, work: Callable[..., Any], *arguments: Any) -> list[int | None]:
    """Run `work(*arguments)` in so many ranks; returns their exit codes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [context.Process(target=_start, args=(rank, size, port, work, arguments)) for rank in range(size)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(600)  # a hang, not a slow machine
        process.kill()
    return [process.exitcode for process in processes]


def _start(rank: int, size: int, port: int, work: Callable[..., Any], arguments: Sequence[Any]) -> None:
    told = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": size}
    told |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in told.items()}
    torch.set_num_threads(1)
    sys.exit(work(*arguments))


def run(*arguments: object) -> None:
    """A command that must succeed."""
    code = main([str(argument) for argument in arguments])
    if code:
        raise SystemExit(code)


def in_float64() -> None:
    """Every network and batch that this process makes from now on."""
    torch.set_default_dtype(torch.float64)
    move = Batch.to

    def to(batch: Batch, device: torch.device) -> Batch:
        return each(move(batch, device), lambda x: x.double() if x.is_floating_point() else x)

    Batch.to = to  # type: ignore[method-assign]


SMALL = "--backbone test_resnet --weights none --size 32x64 --width 0.03 --transfer-width 0.03 --batch 12".split()
STEPS = "--transfer-steps 3 --base-steps 3 --contour-steps 3 --lr 1e-3 --decay 0".split()
FEW = "--transfer-steps 1 --base-steps 3 --contour-steps 1 --lr 1e-3 --decay 0".split()
THREE = "--steps 3 --batch 12 --candidates 0 --lr 1e-3".split()
METHODS = {
    "noadv": "--bn train",
    "adv": "--critic-every 1 --margin 3 --micro-batch 2",
    "b-ccr": "--joint-steps 1",
    "mean-teacher": "--bn train --rehearse",
    "self-training": "--masked 0.5 --paste 0.5 --looks mirror,zoom",
}


def train_everything(out: Path, world: Path, photos: Path, starts: Path) -> None:
    """Three steps of every stage and of several methods, in float64, into folders of `out`.

    Args:
        starts: the `out` whose runs are adapted.
    """
    in_float64()
    for optimiser, steps in (("joint", STEPS), ("per-task", FEW)):
        run("train", "--source", world, "--out", out / optimiser, "--optimiser", optimiser, *SMALL, *steps)
    for method, options in METHODS.items():
        where = ["--target", photos, "--out", out / method, "--method", method]
        run("adapt", starts / "joint", *where, *THREE, *options.split())
    where = ["--target", photos, "--labelled", world, "--out", out / "semi", "--steps", 3, "--batch", 12, "--lr", 1e-3]
    run("semi", starts / "noadv", *where, "--train-decoders")


def measure_everything(out: Path, run_path: Path, world: Path, photos: Path) -> None:
    """Every command that looks at photos."""
    run("evaluate", run_path, "--data", world, "--batch", 2, "--json", out / "evaluate.json")
    run("score", run_path, "--photos", photos, "--batch", 2, "--json", out / "score.json")
    run("trust", run_path, "--data", world, "--batch", 2, "--json", out / "trust.json")
    run("predict", run_path, world, "--out", out / "predicted")
    run("evaluate", "--predictions", out / "predicted", "--data", world, "--json", out / "predictions.json")


def train_joint(out: Path, world: Path) -> int:
    """The run "joint" of `train_everything`, with a save after each step."""
    in_float64()
    where = ["--source", str(world), "--out", str(out), "--optimiser", "joint", "--save-every", "1"]
    return main(["train", *where, *SMALL, *STEPS])


def at_step(step: int, act: Callable[[], None], of: str = "base") -> None:
    """Do something when step `step` (from 0) of a stage begins."""
    seed = trainer.step_seed

    def step_seed(number: int, stage: str, at: int) -> int:
        if (stage, at) == (of, step):
            act()
        return seed(number, stage, at)

    trainer.step_seed = step_seed


def train_and_die(out: Path, world: Path, log: Path, victim: int | None, step: int) -> int:
    """One rank is killed when a step begins; what the ranks say goes to LOG-RANK."""
    with Path(f"{log}-{process_group.rank()}").open("w") as file, contextlib.redirect_stderr(file):
        return train_and_perhaps_die(out, world, victim, step)


def train_and_perhaps_die(out: Path, world: Path, victim: int | None, step: int) -> int:
    if process_group.rank() == victim:
        at_step(step, lambda: os.kill(os.getpid(), signal.SIGKILL))
    return train_joint(out, world)


def adapt_and_die(arguments: Sequence[str], step: int | None) -> int:
    """A command of `adapt`, killed when that step begins; None = never."""
    if step is not None:
        at_step(step, lambda: os.kill(os.getpid(), signal.SIGKILL), of="adapt")
    return main(["adapt", *arguments])


def train_and_stop(out: Path, world: Path) -> int:
    """The last rank is asked to stop in the second step."""
    if process_group.rank() == process_group.size() - 1:
        at_step(1, lambda: os.kill(os.getpid(), signal.SIGTERM))
    return train_joint(out, world)


def assert_close(found: torch.Tensor | None, wanted: torch.Tensor | None) -> None:
    assert found is not None
    assert wanted is not None
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


def check_batch_norm() -> None:
    """BatchNorm over shares of 3, 0 and 2 samples is BatchNorm over 5, as are its gradients and running statistics."""
    torch.manual_seed(0)
    whole = torch.randn(5, 4, 3, 2, dtype=torch.float64)
    weigh = torch.randn_like(whole)
    share = [range(3), range(3, 5)] if process_group.size() == 2 else [range(3), range(0), range(3, 5)]
    mine = list(share[process_group.rank()])
    alone, shared = torch.nn.BatchNorm2d(4).double(), torch.nn.BatchNorm2d(4).double()
    for norm in (alone, shared):
        torch.nn.init.uniform_(norm.weight, generator=torch.Generator().manual_seed(1))
    x, part = whole.clone().requires_grad_(True), whole[mine].clone().requires_grad_(True)
    (alone(x).square() * weigh).sum().backward()
    with batch.shared(len(mine)):
        loss = batch.total((shared(part).square() * weigh[mine]).sum())
        assert batch.rows(len(mine)).mine.tolist() == mine
        drawn = batch.rows(len(mine)).draw(lambda count: torch.arange(count) * 10)
        assert drawn.tolist() == [10 * i for i in mine]
        assert batch.std(part.detach()).item() == pytest.approx(whole.std().item())
    assert_close(loss.detach(), (alone(whole).square() * weigh).sum().detach())
    loss.backward()
    process_group.all_reduce([p.grad for p in shared.parameters() if p.grad is not None])
    assert x.grad is not None
    assert_close(part.grad, x.grad[mine])
    for norm, other in zip(shared.parameters(), alone.parameters(), strict=True):
        assert_close(norm.grad, other.grad)
    fresh = torch.nn.BatchNorm2d(4).double()
    fresh(whole)
    assert_close(shared.running_mean, fresh.running_mean)
    assert_close(shared.running_var, fresh.running_var)
