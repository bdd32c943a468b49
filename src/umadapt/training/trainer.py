"""The training loop: turns of optimisers over batches, with logging, checkpoints, resume and clean stops.

All randomness of a step comes from (seed, stage, step), so that a run which was killed and goes on takes the same
steps as one that was not.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import torch
from torch import Tensor, nn

from umadapt.config import Looped
from umadapt.data.prefetch import prefetch
from umadapt.distributed import global_batch, process_group
from umadapt.errors import Terminated, UserError
from umadapt.training.compute import compiled, in_precision
from umadapt.training.metrics_log import Track
from umadapt.training.run_folder import RunFolder
from umadapt.training.schedule import Schedule
from umadapt.training.signals import stop_signals
from umadapt.training.stage import Seen, Stage, Turn
from umadapt.training.weights import load_weights, refuse_diverged, weights

LOADERS = 8  # threads that make batches beside a GPU, at most
SAVE_S = 300  # seconds after which a checkpoint is due whatever the steps: a large one takes a slow machine many
LOG_EVERY = (10, 50)  # steps between lines of the log, in the first hundred and later: a line costs a backward a term


def fit(stage: Stage[Any], model: nn.Module, run: RunFolder[Any], config: Looped) -> None:
    """Run a stage to its end, from its last checkpoint when there is one.

    Args:
        config: seed, clip, save_every, precision, compile and what `Schedule` is made of are read.

    Raises:
        UserError: the checkpoint is damaged; a loss or a gradient is not finite, named by stage, turn, term and sample;
            or a weight or a buffer is not, where a checkpoint or the end of the stage was to be written.
        KeyboardInterrupt: stopped by Ctrl-C or SIGTERM, after the checkpoint was written.
    """
    device = next(model.parameters()).device
    stage = computed(stage, config.precision, device)
    nets = stage.networks(model)
    schedule = Schedule.of(config, stage.steps, stage.warm_up)
    optimisers = {turn.name: turn.optimiser(schedule.weight_decay) for turn in stage.turns}
    state = run.load_state(stage.name)
    try:
        first = restore(state, model, stage, optimisers) if state else 0
    except (UserError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        path = run.path / "state.pt"
        reason = (str(error).splitlines() or [""])[0]
        raise UserError(f"{path} is damaged ({reason}); delete it to repeat the stage from its start") from error
    process_group.broadcast(tensor for net in nets for tensor in net.state_dict().values())
    del state  # a second copy of all weights
    model.train()  # what a stage has frozen stays in eval mode
    track = Track(run.path, stage.name, first, stage.steps)
    todo, saved, saved_at = range(first, stage.steps), first, time.monotonic()

    def check(step: int) -> None:
        extra = {f"{name}.{k}": x for name, module in stage.extra.items() for k, x in module.state_dict().items()}
        options = dict.fromkeys(option for turn in stage.turns for option in turn.option.split(" or "))
        cure = f"give a lower {' or '.join(options)}, and another --out"
        refuse_diverged(weights(model) | extra, f"stage {stage.name}, step {step}", cure)

    def save(step: int) -> None:
        check(step)
        if process_group.rank():
            return
        run.save_state(
            {
                "stage": stage.name,
                "step": step,
                "model": weights(model),
                "extra": {name: module.state_dict() for name, module in stage.extra.items()},
                "optimisers": {name: optimiser.state_dict() for name, optimiser in optimisers.items()},
            }
        )

    try:
        with (
            compiled(config.compile, *nets),
            stop_signals() as stop,
            closing(prefetch(lambda step: stage.batch(step).pinned(device), todo, loaders(device))) as batches,
        ):
            for step in todo:
                torch.manual_seed(step_seed(config.seed, stage.name, step))
                batch = stage.prepare(next(batches).to(device))
                watch = {}
                rate = schedule.rate(step)
                for turn in stage.turns:
                    for group in optimisers[turn.name].param_groups:
                        group["lr"] = turn.lr * rate * group["share"]
                    if (step + 1) % turn.every == 0:
                        detail = (step + 1) % LOG_EVERY[step >= 100] == 0 or step == 0 or turn.every > 1
                        where = f"stage {stage.name}, step {step + 1}"
                        watch |= take(turn, batch, optimisers[turn.name], config.clip, detail, where)
                stage.after(step)
                track.advance()
                if watch:
                    track.log(step + 1, watch)
                stopped = process_group.any_of(stop.is_set())  # signals reach the ranks in different steps
                due = (step + 1) % config.save_every == 0 or process_group.any_of(time.monotonic() > saved_at + SAVE_S)
                if (due and step + 1 < stage.steps) or stopped:
                    save(saved := step + 1)
                    saved_at = time.monotonic()
                if stopped:
                    track.say(f"stopped after step {saved} of {stage.steps}; the same command goes on from there")
                    raise Terminated if process_group.any_of(stop.terminated) else KeyboardInterrupt
        check(stage.steps)
        run.finish(stage.name, model)
    finally:
        track.close()


def computed(stage: Stage[Seen], precision: str, device: torch.device) -> Stage[Seen]:
    """The same stage in another precision: what runs its networks does, backward passes follow each its forward."""
    turns = [dataclasses.replace(turn, loss=in_precision(turn.loss, precision, device)) for turn in stage.turns]
    return dataclasses.replace(stage, prepare=in_precision(stage.prepare, precision, device), turns=turns)


def take(
    turn: Turn[Seen], batch: Seen, optimiser: torch.optim.Optimizer, clip: float, detail: bool, where: str
) -> dict[str, float]:
    """One update. With `detail`, differentiates term by term and returns all figures, else only checks them.

    A loss without terms says that the batch holds nothing for this turn: no step is taken.
    """
    optimiser.zero_grad(set_to_none=True)
    with global_batch.shared(len(batch)):
        terms, watch = turn.loss(batch)
    if not terms:
        return {}
    total = torch.stack(list(terms.values())).sum()
    if not torch.isfinite(total):
        bad = ", ".join(name for name, term in terms.items() if not torch.isfinite(term))
        raise UserError(
            f"{where}: the loss of {turn.name} is not finite ({bad}){blame(turn, batch)}; try a lower {turn.option}"
        )
    values: dict[str, float] = {}
    if detail:
        for name, term in terms.items():
            if term.requires_grad:
                values[f"{turn.name}/{name}/grad"] = add_gradient(term, turn.parameters)
    else:
        total.backward(inputs=turn.parameters)  # no gradients of frozen nets, nor of the other side's
        process_group.all_reduce([p.grad for p in turn.parameters if p.grad is not None])
    try:
        norm = nn.utils.clip_grad_norm_(turn.parameters, clip, error_if_nonfinite=True)
    except RuntimeError as error:
        named = blame(turn, batch)
        raise UserError(
            f"{where}: a gradient of {turn.name} is not finite{named}; try a lower {turn.option}"
        ) from error
    optimiser.step()
    if not detail:
        return {}
    values |= {f"{turn.name}/{name}": float(value.detach()) for name, value in {**terms, **watch}.items()}
    return values | {f"{turn.name}/loss": float(total.detach()), f"{turn.name}/grad": float(norm)}


def add_gradient(term: Tensor, parameters: list[nn.Parameter]) -> float:
    """Add a term's gradient to what the parameters hold, and return its norm."""
    grads = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
    process_group.all_reduce([grad for grad in grads if grad is not None])
    for parameter, grad in zip(parameters, grads, strict=True):
        if grad is not None:
            if parameter.grad is None:  # in the parameter's own memory layout, which the fused optimiser relies on
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad += grad
    present = [grad.norm() for grad in grads if grad is not None]
    return float(torch.stack(present).norm()) if present else 0.0


def blame(turn: Turn[Seen], batch: Seen) -> str:
    """Which samples of a batch make a turn's loss infinite, taken one by one.

    With gradients, which are part of some losses.
    """
    everyone = batch.names
    bad: list[str] = []
    for index, name in enumerate(everyone):
        try:
            finite = all(bool(torch.isfinite(term)) for term in turn.loss(batch.only(index)).terms.values())
        except ValueError:  # BatchNorm cannot train on one value a channel
            bad = everyone
            break
        if not finite:
            bad.append(name)
    parts = process_group.gather((bad, everyone))
    named = [name for found, _ in parts for name in found] or [name for _, there in parts for name in there]
    return f"; samples {', '.join(named)}"


def restore(
    state: Mapping[str, Any], model: nn.Module, stage: Stage[Any], optimisers: dict[str, torch.optim.Optimizer]
) -> int:
    """Fill model, extra modules and optimisers from a checkpoint; returns its step."""
    load_weights(model, state["model"])
    for name, module in stage.extra.items():
        module.load_state_dict(state["extra"][name])
    for name, optimiser in optimisers.items():
        optimiser.load_state_dict(state["optimisers"][name])
    return int(state["step"])


def step_seed(seed: int, stage: str, step: int) -> int:
    digest = hashlib.sha256(f"{seed}/{stage}/{step}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def loaders(device: torch.device) -> int:
    """Threads that make batches: beside a CPU's networks one, which wants to have the cores; beside a GPU this
    process's share of the cores, up to LOADERS."""
    if device.type == "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) // process_group.local_size()
    return max(1, min(LOADERS, cores - 1))
