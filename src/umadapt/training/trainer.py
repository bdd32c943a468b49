"""The training loop: turns of optimisers over batches, with logging, checkpoints, resume and clean stops.

All randomness of a step comes from (seed, stage, step), so that a run which was killed and goes on takes the same
steps as one that was not.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from umadapt.config import Looped
from umadapt.data.prefetch import data_pool
from umadapt.distributed import global_batch, process_group
from umadapt.errors import Terminated, UserError
from umadapt.training.compute import compiled, in_precision
from umadapt.training.metrics_log import Track
from umadapt.training.run_folder import RunFolder
from umadapt.training.schedule import Schedule
from umadapt.training.weights import load_weights, refuse_diverged, weights

Batch = dict[str, Any]  # "image", tasks, "contour": tensors with the sample first; "ids": list of names
CPU = torch.device("cpu")
LOADERS = 8  # threads that make batches beside a GPU, at most
LOG_EVERY = (10, 50)  # steps between lines of the log, in the first hundred and later: a line costs a backward a term


class Loss(NamedTuple):
    """What a step minimises (the sum of `terms`) and what it only shows (`watch`)."""

    terms: dict[str, Tensor]
    watch: dict[str, Tensor] = {}  # noqa: RUF012


class SGD(NamedTuple):
    """Stochastic gradient descent, in the place of AdamW."""

    momentum: float = 0.9
    weight_decay: float = 1e-4


@dataclass
class Turn:
    """One optimiser and its loss. The turns of a stage are taken one after the other, each with a fresh forward."""

    name: str
    parameters: list[nn.Parameter]
    loss: Callable[[Batch], Loss]
    lr: float
    every: int = 1  # taken only after each so many steps
    betas: tuple[float, float] = (0.9, 0.999)  # of Adam
    sgd: SGD | None = None  # None = AdamW
    slow: tuple[Sequence[nn.Parameter], float] = (
        (),
        1.0,
    )  # some of the parameters, and their share of the learning rate
    option: str = "--lr"  # what is too high where its loss diverges, joined by " or "

    def groups(self) -> list[dict[str, Any]]:
        """The parameters as an optimiser takes them, each group with its "share" of the learning rate."""
        slow, share = self.slow
        theirs = {id(p) for p in slow}
        groups = [([p for p in self.parameters if id(p) not in theirs], 1.0), (list(slow), share)]
        return [{"params": parameters, "share": share} for parameters, share in groups if parameters]

    def optimiser(self, weight_decay: float) -> torch.optim.Optimizer:
        """A fresh one; `weight_decay` is AdamW's."""
        if self.sgd is not None:
            return torch.optim.SGD(self.groups(), self.lr, self.sgd.momentum, weight_decay=self.sgd.weight_decay)
        # fused: on two cores a step of 12 million parameters takes 0.007 s instead of 0.017 s
        return torch.optim.AdamW(self.groups(), lr=self.lr, betas=self.betas, weight_decay=weight_decay, fused=True)


@dataclass
class Stage:
    """What the loop needs to know of a stage."""

    name: str
    turns: list[Turn]
    batch: Callable[[int], Batch]  # step (from 0) -> batch on the CPU, a pure function
    steps: int
    prepare: Callable[[Batch], Batch] = lambda batch: batch  # once a step, before the turns
    frozen: Callable[[Batch], Batch] | None = None  # the part of it that networks give which never change: may be kept
    extra: dict[str, nn.Module] = field(default_factory=dict)  # modules beside the model that change too
    after: Callable[[int], None] = lambda step: None  # once a step (from 0), after the turns: moving averages
    warm_up: int = 0  # steps over which learning rates rise, where the options do not say
    data: tuple[Any, ...] = ()  # the `Batches` behind `batch`, which keep decoded samples in memory


def fit(stage: Stage, model: nn.Module, run: RunFolder, config: Looped) -> None:
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
    nets = (model, *stage.extra.values())
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
    saved = first

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
            Prefetch(stage.batch, first, stage.steps, device, loaders(device)) as batches,
        ):
            for step in range(first, stage.steps):
                torch.manual_seed(step_seed(config.seed, stage.name, step))
                batch = stage.prepare(to_device(next(batches), device))
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
                if ((step + 1) % config.save_every == 0 and step + 1 < stage.steps) or stopped:
                    save(saved := step + 1)
                if stopped:
                    track.say(f"stopped after step {saved} of {stage.steps}; the same command goes on from there")
                    raise Terminated if process_group.any_of(stop.terminated) else KeyboardInterrupt
        check(stage.steps)
        run.finish(stage.name, model)
    finally:
        track.close()


def computed(stage: Stage, precision: str, device: torch.device) -> Stage:
    """The same stage in another precision: what runs its networks does, backward passes follow each its forward."""
    turns = [dataclasses.replace(turn, loss=in_precision(turn.loss, precision, device)) for turn in stage.turns]
    return dataclasses.replace(stage, prepare=in_precision(stage.prepare, precision, device), turns=turns)


def take(
    turn: Turn, batch: Batch, optimiser: torch.optim.Optimizer, clip: float, detail: bool, where: str
) -> dict[str, float]:
    """One update. With `detail`, differentiates term by term and returns all figures, else only checks them.

    A loss without terms says that the batch holds nothing for this turn: no step is taken.
    """
    optimiser.zero_grad(set_to_none=True)
    with global_batch.shared(len(batch["ids"])):
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


def blame(turn: Turn, batch: Batch) -> str:
    """Which samples of a batch make a turn's loss infinite, taken one by one.

    With gradients, which are part of some losses.
    """
    everyone = [names(only(batch, index)) for index in range(len(batch["ids"]))]
    bad: list[str] = []
    for index, name in enumerate(everyone):
        try:
            finite = all(bool(torch.isfinite(term)) for term in turn.loss(only(batch, index)).terms.values())
        except ValueError:  # BatchNorm cannot train on one value a channel
            bad = everyone
            break
        if not finite:
            bad.append(name)
    parts = process_group.gather((bad, everyone))
    named = [name for found, _ in parts for name in found] or [name for _, there in parts for name in there]
    return f"; samples {', '.join(named)}"


def only(batch: Batch, index: int) -> Batch:
    """One sample of a batch, and of the batches and maps inside it."""

    def pick(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: pick(v) for k, v in value.items()}
        return value[index : index + 1] if isinstance(value, Tensor | list) else value

    return {k: pick(v) for k, v in batch.items()}


def names(sample: Batch) -> str:
    """The id of a sample, and those of the samples beside it: "004 with labelled 017"."""
    others = [f"{k} {v['ids'][0]}" for k, v in sample.items() if isinstance(v, dict) and v.get("ids")]
    return sample["ids"][0] + (f" with {' and '.join(others)}" if others else "")


def restore(
    state: Mapping[str, Any], model: nn.Module, stage: Stage, optimisers: dict[str, torch.optim.Optimizer]
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


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch there. To a GPU from pinned memory the copy is queued before the step's work; nobody waits for it."""
    return each(batch, lambda tensor: tensor.to(device, non_blocking=device.type == "cuda"))


def pinned(batch: Batch, device: torch.device) -> Batch:
    """The batch in memory that a GPU reads by itself; for another device as it is."""
    if device.type != "cuda":
        return batch
    with torch.cuda.device(device):  # a thread begins with the first GPU, where each rank would leave a context
        return each(batch, lambda tensor: tensor if tensor.is_cuda else tensor.pin_memory())


def each(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """A batch, and the batches inside it, with all tensors changed."""
    return {
        k: change(v) if isinstance(v, Tensor) else each(v, change) if isinstance(v, dict) else v
        for k, v in batch.items()
    }


def loaders(device: torch.device) -> int:
    """Threads that make batches: beside a CPU's networks one, which wants to have the cores; beside a GPU this
    process's share of the cores, up to LOADERS."""
    if device.type == "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) // process_group.local_size()
    return max(1, min(LOADERS, cores - 1))


class Prefetch:
    """Batches first, first + 1, … last - 1 in this order, each made, and pinned for `device`, in one of `threads` while
    the ones before are used."""

    def __init__(
        self, make: Callable[[int], Batch], first: int, last: int, device: torch.device = CPU, threads: int = 1
    ):
        self.make: Callable[[int], Batch] = lambda step: pinned(make(step), device)
        self.pool = data_pool(threads)
        self.coming = iter(range(first, last))
        self.futures = deque(self.pool.submit(self.make, step) for step in islice(self.coming, threads))

    def __enter__(self) -> Prefetch:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if not self.futures:
            raise StopIteration
        batch = self.futures.popleft().result()
        self.futures.extend(self.pool.submit(self.make, step) for step in islice(self.coming, 1))
        return batch


class Stop(threading.Event):
    """Set when the process was asked to stop."""

    terminated = False  # by SIGTERM

    def raised(self) -> KeyboardInterrupt:
        """What is raised for it."""
        return Terminated() if self.terminated else KeyboardInterrupt()


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Ctrl-C and SIGTERM set the event, so that the step at hand ends whole; a second one stops at once."""
    event = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def ask(number: int, frame: Any) -> None:
        event.terminated |= number == signal.SIGTERM
        if event.is_set():
            raise event.raised()
        event.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
