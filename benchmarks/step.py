"""How long does a training step take beside the paper's algorithms as printed (literal.py)?

`noadv` and `base` are whole steps with all their turns; `adv` is one on which the transfer nets are updated too (with
the default --critic-every 5 that is one step in five). "careful" is the literal form with the gradients of frozen
weights switched off.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from benchmarks import literal
from benchmarks.measure import interleave, make_batch, make_model, parser, ratio, report, show, summary

from umadapt.config import Adapt
from umadapt.loop import Stage, take
from umadapt.nets.model import UMAdapt
from umadapt.stages import adapt, base

KINDS = ("base", "noadv", "adv")
CLIP = 10.0


def stepper(stage: Stage, model: UMAdapt, batch: dict[str, Any]) -> Callable[[], None]:
    """A step as the loop takes it, away from the steps that it logs."""
    optimisers = {turn.name: torch.optim.Adam(turn.parameters, lr=turn.lr, fused=True) for turn in stage.turns}
    model.train()

    def step() -> None:
        prepared = stage.prepare(batch)
        for turn in stage.turns:
            take(turn, prepared, optimisers[turn.name], CLIP, False, "benchmark")

    return step


def ours(kind: str, model: UMAdapt, batch: dict[str, Any]) -> Callable[[], None]:
    """Our step of a kind."""
    model.to(memory_format=torch.channels_last)
    if kind == "base":
        return stepper(base.stage(model, None, 1, 1e-4, 10.0, "per-task"), model, batch)
    config = Adapt(run=Path("run"), target=("photos",), out=Path("out"), method=kind)  # type: ignore[arg-type]
    real = dict.fromkeys(model.graph, 1.0)
    return stepper(adapt.stage(model, config, lambda k: {}, real), model, batch)


def plain(kind: str, model: UMAdapt, batch: dict[str, Any], careful: bool = False) -> Callable[[], None]:
    """The literal step of a kind."""
    steps = literal.prepare_base(model) if kind == "base" else literal.prepare_adapt(model, careful)
    take_step: Callable[[dict[str, Any]], None] = getattr(steps, kind)
    return lambda: take_step(batch)


def measure(kind: str, size: str, batch: int, repeats: int) -> dict[str, Any]:
    """Times of one kind of step, ours and literal, interleaved."""
    torch.manual_seed(0)
    data = make_batch(make_model(size), batch)
    data["source"] = make_batch(make_model(size), batch, seed=1)
    functions = {"literal": plain(kind, make_model(size), data), "ours": ours(kind, make_model(size), data)}
    if kind != "base":
        functions["careful"] = plain(kind, make_model(size), data, careful=True)
    times = interleave(functions, repeats)
    found: dict[str, Any] = {"times": summary(times), "speedup": ratio(times, "literal", "ours")}
    print(f"{kind:6} {show(times, 'literal', 'ours')}", flush=True)
    if kind != "base":
        found["speedup_over_careful"] = ratio(times, "careful", "ours")
        print(f"  over the careful form: {show(times, 'careful', 'ours')}", flush=True)
    return found


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--kinds", default=",".join(KINDS), help="which steps")
    given = options.parse_args()
    print(f"steps at the {given.size}'s size, batch {given.batch}: literal, ours, speed-up (range)")
    found = {kind: measure(kind, given.size, given.batch, given.repeats) for kind in given.kinds.split(",")}
    report({"question": "step", "size": given.size, "batch": given.batch, "steps": found}, given.json)


if __name__ == "__main__":
    main()
