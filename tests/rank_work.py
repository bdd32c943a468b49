"""What the processes of tests/test_ranks.py do. One server imports everything once and forks them."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from umadapt import adapt, loop, train
from umadapt.cli import main

PRELOAD = ["rank_work", "umadapt.evaluate", "umadapt.predict", "umadapt.trust", "umadapt.semi", "torch.utils.tensorboard"]


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
    start = time.process_time()
    code = main([str(argument) for argument in arguments])
    print("CPU", arguments[0], arguments[-1], time.process_time() - start, file=sys.stderr)
    if code:
        raise SystemExit(code)


def in_float64() -> None:
    """Every network and batch that this process makes from now on."""
    torch.set_default_dtype(torch.float64)
    move = loop.to_device

    def to_device(batch: loop.Batch, device: torch.device) -> loop.Batch:
        return {
            k: v.double() if isinstance(v, torch.Tensor) and v.is_floating_point() else v
            for k, v in move(batch, device).items()
        } | {k: to_device(v, device) for k, v in batch.items() if isinstance(v, dict)}

    for module in (loop, train, adapt):
        setattr(module, "to_device", to_device)


SMALL = "--backbone test_resnet --weights none --size 32x64 --width 0.03 --transfer-width 0.03 --batch 12".split()
STEPS = "--transfer-steps 3 --base-steps 3 --contour-steps 3 --lr 1e-3 --decay 0".split()
FEW = "--transfer-steps 1 --base-steps 3 --contour-steps 1 --lr 1e-3 --decay 0".split()
THREE = "--steps 3 --batch 12 --candidates 0 --lr 1e-3".split()
METHODS = {
    "noadv": "--bn train --prior 0.1 --sharpen 0.1 --anchor 0.1",
    "adv": "--critic-every 1 --energy-floor 0.5 --margin 3",
    "b-ccr": "--joint-steps 1",
    "mean-teacher": "--bn train",
}


def train_everything(out: Path, world: Path, photos: Path) -> None:
    """Three steps of every stage and of several methods, in float64, into folders of `out`."""
    in_float64()
    for optimiser, steps in (("joint", STEPS), ("per-task", FEW)):
        run("train", "--source", world, "--out", out / optimiser, "--optimiser", optimiser, *SMALL, *steps)
    for method, options in METHODS.items():
        where = ["--target", photos, "--out", out / method, "--method", method]
        run("adapt", out / "joint", *where, *THREE, *options.split())
    where = ["--target", photos, "--labelled", world, "--out", out / "semi", "--steps", 3, "--batch", 12, "--lr", 1e-3]
    run("semi", out / "noadv", *where, "--train-decoders")


def measure_everything(out: Path, run_path: Path, world: Path, photos: Path) -> None:
    """Every command that looks at photos."""
    run("evaluate", run_path, "--data", world, "--batch", 2, "--json", out / "evaluate.json")
    run("score", run_path, "--photos", photos, "--batch", 2, "--json", out / "score.json")
    run("trust", run_path, "--data", world, "--batch", 2, "--json", out / "trust.json")
    run("predict", run_path, photos, "--out", out / "predicted")
    run("evaluate", "--predictions", out / "predicted", "--data", photos, "--json", out / "predictions.json")
