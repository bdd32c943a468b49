"""`--micro-batch`, `--checkpoint-activations`, `--memory-budget`: how a stage saves memory, and what it will take."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from umadapt import ranks
from umadapt.checkpoint import RunFolder
from umadapt.config import Training
from umadapt.data.batches import Batches
from umadapt.errors import UserError
from umadapt.loop import Batch, Stage, loaders
from umadapt.nets.model import UMAdapt
from umadapt.nets.recompute import BatchNorm, Economy, economise
from umadapt.rehearsal import held, hollow, rehearse

GB = 1e9
ADAM = 2  # moments that Adam keeps of every parameter
WAITING = 2  # batches beside the one at hand: the next one, and its samples before they are stacked
# What operators take beside the tensors that PyTorch knows of, in copies of the largest (oneDNN packs weights and
# feature maps into layouts of its own), and what a process grows by in its first steps (threads, kernels).
WORKSPACE, FIRST_STEPS = 1.0, 0.1e9


@dataclass
class Expected:
    """Bytes at the peak of a stage."""

    before: int  # what the process holds before the first step, weights among it
    highest: int  # the most that it has held so far
    weights: int
    optimisers: int
    step: int  # gradients and activations
    workspace: int
    saving: int  # copies that are made to write a checkpoint, when no activation is alive
    data: int  # batches that wait, and decoded samples that will be kept

    @property
    def total(self) -> int:
        return max(self.highest, self.before + self.optimisers + self.data + self.passing)

    @property
    def passing(self) -> int:
        """The larger of what a step and what a checkpoint takes for a moment."""
        return max(self.step + self.workspace, self.saving)

    def __str__(self) -> str:
        named = {"weights": self.weights, "optimisers": self.optimisers, "activations": self.step, "data": self.data}
        rest = max(0, self.total - sum(named.values()))
        return ", ".join(f"{name} {size / GB:.2f}" for name, size in {**named, "rest": rest}.items())


def arrange(options: Training, model: UMAdapt, stage: Stage, build: Callable[[UMAdapt], Stage], run: RunFolder) -> None:
    """Make the networks of a stage save the memory that the options ask for; of a budget, print the expected peak.

    Args:
        build: makes the same stage for a copy of `model`.
        run: remembers what was chosen, so that a run that goes on takes the same steps.

    Raises:
        UserError: the budget is too small for every split that leaves the result as it is; or this is one of several
            processes, and there is a budget, or BatchNorm trains, which would ask the others in a second pass too.
    """
    nets = [model, *stage.extra.values()]
    asked = Economy(options.micro_batch, options.checkpoint_activations)
    model.train()  # as the loop will; what is frozen stays in eval mode
    norms = any(m.training for net in nets for m in net.modules() if isinstance(m, BatchNorm))
    if ranks.size() > 1 and (options.memory_budget or (asked and norms)):
        which = "--memory-budget is" if options.memory_budget else "--micro-batch and --checkpoint-activations are"
        where = "" if options.memory_budget else " where BatchNorm trains"
        raise UserError(
            f"{which} for a process alone{where}\n"
            f"under torchrun each of the {ranks.size()} processes holds its share of --batch: give more processes"
        )
    economise(asked, *nets)
    if not options.memory_budget:
        return
    batch = stage.batch(max(turn.every for turn in stage.turns) - 1)  # of a step on which every turn is taken
    budget, count = int(options.memory_budget * GB), len(batch["ids"])
    known = run.config.setdefault("memory", {}).get(stage.name)
    tries = [Economy(*known)] if known else []
    tries += [split for split in splits(asked, count, norms) if split not in tries]
    narrow = options.precision == "bf16"
    peak, economy = first_fit(tries, budget, lambda economy: expect(model, stage, build, batch, economy, narrow))
    if peak.total > budget:
        raise UserError(too_small(options.memory_budget, stage.name, peak, economy, count, norms))
    economise(economy, *nets)
    run.config["memory"][stage.name] = list(economy)
    run.write_config()
    keep_samples(peak, stage.data, budget, stage.steps * count)
    print(
        f"stage {stage.name}: expected peak {peak.total / GB:.2f} GB of {options.memory_budget:g} "
        f"({describe(economy, count)}): {peak}",
        flush=True,
    )


def first_fit(tries: list[Economy], budget: int, expected: Callable[[Economy], Expected]) -> tuple[Expected, Economy]:
    """The fastest that fits, else the last. The first is looked at first; the others, each smaller, by bisection."""
    peak = expected(tries[0])
    if peak.total <= budget or len(tries) == 1:
        return peak, tries[0]
    low, high, found = 1, len(tries) - 1, expected(tries[-1])
    while found.total <= budget and low < high:
        middle = (low + high) // 2
        peak = expected(tries[middle])
        if peak.total <= budget:
            high, found = middle, peak
        else:
            low = middle + 1
    return found, tries[high]


def splits(asked: Economy, batch: int, norms: bool) -> list[Economy]:
    """What may be tried, the fastest first; each gives the gradients that `asked` gives.

    Args:
        norms: whether BatchNorm trains, which would see the parts of a batch.
    """
    micro, out = asked.micro or batch, [asked]
    while micro > 1 and not norms:
        micro //= 2
        out.append(Economy(micro, asked.blocks))
    last = Economy(out[-1].micro, True)
    return out if last in out else [*out, last]


def expect(
    model: UMAdapt,
    stage: Stage,
    build: Callable[[UMAdapt], Stage],
    batch: Batch,
    economy: Economy,
    narrow: bool = False,
) -> Expected:
    """The peak of a stage under an economy, as long as no more decoded samples are kept than are there now.

    OURS: with bfloat16 (`narrow`) an upper bound, because a rehearsal counts float32: the activations of that, and a
    copy of all weights in half of their bytes, which the backward pass keeps.
    """
    copy = hollow(model)
    rehearsed = build(copy)
    copy.train()  # as the loop will
    economise(economy, copy, *rehearsed.extra.values())
    need = rehearse(rehearsed, batch)
    on_cpu = model.mean.device.type == "cpu"
    before, highest = held(model.mean.device)
    trained = [size_of(turn.parameters) for turn in stage.turns]
    weights = size_of([*model.parameters(), *(p for net in stage.extra.values() for p in net.parameters())])
    return Expected(
        before=before,
        highest=highest,
        weights=weights,
        optimisers=ADAM * sum(trained),
        step=need.peak + (weights // 2 if narrow else 0),
        workspace=int(WORKSPACE * need.largest + (FIRST_STEPS if on_cpu else 0)),
        saving=max(trained) + size_of(model.state_dict().values()) if on_cpu else 0,
        data=(WAITING if on_cpu else 1 + loaders(model.mean.device)) * size_of(tree_leaves(batch)),
    )


def size_of(tensors: Iterable[Any]) -> int:
    return sum({id(t): t.nbytes for t in tensors if isinstance(t, Tensor)}.values())


def keep_samples(peak: Expected, data: tuple[Batches, ...], budget: int, samples: int) -> None:
    """Let decoded samples take what the budget leaves, at most what a stage of so many samples will decode."""
    wanted = [part.room(samples) for part in data]
    share = min(1.0, (budget - peak.total) / max(1, sum(wanted)))
    for part, room in zip(data, wanted, strict=True):
        part.keep_bytes = part.cached_bytes + int(share * room)
    peak.data += int(share * sum(wanted))


def describe(economy: Economy, batch: int) -> str:
    micro = economy.micro or batch
    how = f"batch of {batch}, {micro} at a time" if micro < batch else f"batch of {batch} at once"
    return f"{how}, block by block" if economy.blocks else how


def too_small(budget: float, stage: str, peak: Expected, economy: Economy, batch: int, norms: bool) -> str:
    gigabytes = -(-peak.total // 1e8) / 10
    more = ", or --micro-batch, with which BatchNorm sees parts of the batch (docs/memory.md)" if norms else ""
    return (
        f"--memory-budget {budget:g} is too small for stage {stage}, which takes {gigabytes:.1f} GB at the least "
        f"({describe(economy, batch)}): {peak}\ngive --memory-budget {gigabytes:.1f} or a smaller --batch{more}"
    )
