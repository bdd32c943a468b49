"""How long does a training step take beside the paper's algorithms as printed (literal.py)?

`noadv` and `base` are whole steps with all their turns; `adv` is one on which the transfer nets are updated too (with
the default --critic-every 5 that is one step in five). "careful" is
the literal form with the gradients of frozen weights switched off; "fresh" and "shared" are ours with that --forward,
"kept" is shared with the features that --kept-views keeps; "per-task" and "joint" are ours with that --optimiser.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from benchmarks import literal
from benchmarks.measure import (
    forget_peak,
    interleave,
    make_batch,
    make_model,
    own_peak,
    parser,
    ratio,
    report,
    show,
    summary,
)

from umadapt.config import Adapt
from umadapt.data.batch import Batch
from umadapt.methods import base_model, um_adapt
from umadapt.methods.method import Given
from umadapt.nets.activation_checkpointing import Economy, economise
from umadapt.nets.model import UMAdapt
from umadapt.training.stage import Stage
from umadapt.training.trainer import take

KINDS = ("base", "noadv", "adv")
WAYS = {  # what is compared: the paper's, ours
    "base": (("literal",), ("per-task", "joint")),
    "adapt": (("literal", "careful"), ("fresh", "shared", "kept")),
}
FRUGAL = "frugal"  # shared with --micro-batch 1, which benchmarks.memory looks at too
CLIP = 10.0


def stepper(stage: Stage[Any], model: UMAdapt, batch: Batch) -> Callable[[], None]:
    """A step as the loop takes it, away from the steps that it logs."""
    optimisers = {turn.name: torch.optim.Adam(turn.parameters, lr=turn.lr, fused=True) for turn in stage.turns}
    model.train()

    def step() -> None:
        prepared = stage.prepare(batch)
        for turn in stage.turns:
            take(turn, prepared, optimisers[turn.name], CLIP, False, "benchmark")

    return step


def no_batches(step: int) -> Batch:
    """For stages whose batches are made here."""
    return Batch([])


def make_stage(kind: str, model: UMAdapt, way: str) -> Stage[Any]:
    """The stage of the library that takes a kind of step.

    Args:
        way: "per-task" or "joint" for `base`; "fresh" or "shared" for the others.
    """
    if kind == "base":
        return base_model.stage(model, no_batches, 1, 1e-4, 10.0, way)
    config = Adapt(Path("run"), ("photos",), Path("out"), method=kind, forward=way)  # type: ignore[arg-type]
    return um_adapt.stage(model, config, no_batches, Given(dict.fromkeys(model.graph, 1.0)))


def ours(kind: str, model: UMAdapt, batch: Batch, way: str) -> Callable[[], None]:
    """Our step of a kind."""
    forward = "shared" if way in ("kept", FRUGAL) else way
    stage = make_stage(kind, model.to(memory_format=torch.channels_last), forward)
    if way == FRUGAL:
        economise(Economy(micro=1), model, *stage.extra.values())
    if way == "kept":
        assert stage.frozen is not None
        batch = stage.frozen(batch)
    return stepper(stage, model, batch)


def plain(kind: str, model: UMAdapt, batch: Batch, careful: bool = False) -> Callable[[], None]:
    """The literal step of a kind."""
    steps = literal.prepare_base(model) if kind == "base" else literal.prepare_adapt(model, careful)
    take_step: Callable[[Batch], None] = getattr(steps, kind)
    return lambda: take_step(batch)


def variant(kind: str, name: str, size: str, batch: int) -> Callable[[], None]:
    """One of the things compared, see WAYS. Each has a network of its own."""
    model = make_model(size)
    data = dataclasses.replace(make_batch(model, batch), source=make_batch(model, batch, seed=1))
    if name in ("literal", "careful"):
        return plain(kind, model, data, careful=name == "careful")
    return ours(kind, model, data, name)


def measure(kind: str, size: str, batch: int, repeats: int, warm: int) -> dict[str, Any]:
    """Times of one kind of step in all variants, interleaved."""
    theirs, own = WAYS["base" if kind == "base" else "adapt"]
    times = interleave({name: variant(kind, name, size, batch) for name in theirs + own}, repeats, warm)
    found: dict[str, Any] = {"times": summary(times), "speedup": {}}
    for slow in theirs:
        for fast in own:
            found["speedup"][f"{slow}/{fast}"] = ratio(times, slow, fast)
            print(f"{kind:6}{slow + ' / ' + fast:18} {show(times, slow, fast)}", flush=True)
    return found


def main() -> None:
    options = parser(__doc__, "size", "batch", "repeats")
    options.add_argument("--kinds", default=",".join(KINDS), help="which steps")
    options.add_argument("--warm", type=int, default=1, help="repeats before those that count")
    options.add_argument("--peak", metavar="VARIANT", help="peak memory (MiB) of one step of a variant, or nothing")
    given = options.parse_args()
    if given.peak:
        if given.peak != "nothing":  # which is what Python, torch and our imports take
            step = variant(given.kinds, given.peak, given.size, given.batch)
            forget_peak()
            step()
        print(own_peak())
        return
    print(f"steps at the {given.size}'s size, batch {given.batch}: seconds of both, speed-up (range)")
    kinds = given.kinds.split(",")
    found = {kind: measure(kind, given.size, given.batch, given.repeats, given.warm) for kind in kinds}
    report({"question": "step", "size": given.size, "batch": given.batch, "steps": found}, given.json)


if __name__ == "__main__":
    main()
