"""`--forward shared`: the losses of several tasks and their gradients, from one forward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from umadapt.nets.encoder import Features
from umadapt.nets.model import Maps, UMAdapt
from umadapt.training.stage import Loss


class Forward(NamedTuple):
    """What M_t makes of a batch."""

    features: Features
    predictions: Maps


class Update(NamedTuple):
    """A task's loss, whose terms have no gradients any more, and the gradients of their sum by what is trained."""

    loss: Loss
    gradients: list[Tensor]


def shared_updates(
    model: UMAdapt,
    features: Features,
    decoded: tuple[str, ...],
    tasks: Sequence[str],
    loss: Callable[[Forward, str], Loss],
) -> dict[str, Update]:
    """The update of every task.

    OURS. Algorithm 2 takes a fresh forward after each task's update; these gradients are all taken before the first
    one. They differ by what updates of one learning rate change (tests/methods/test_shared.py).

    Args:
        features: of M_t's encoder, with their graph.
        decoded: the tasks whose predictions the losses read.
        tasks: whose losses.
    """
    trained = {name: x for name, x in features.items() if x.requires_grad}
    leaves = {name: x.detach().requires_grad_(True) for name, x in trained.items()}  # the encoder is passed once a task
    encoder = [p for p in model.target("encoder").parameters() if p.requires_grad]
    decoders = [p for p in model.decoders.parameters() if p.requires_grad]
    cut = {**features, **leaves}
    seen = Forward(cut, model.decode(cut, decoded))
    found = {}
    for task in tasks:
        made, again = loss(seen, task), task != tasks[-1]
        total = torch.stack(list(made.terms.values())).sum()
        inputs = [*leaves.values(), *decoders]
        pulls = torch.autograd.grad(total, inputs, retain_graph=again, allow_unused=True, materialize_grads=True)
        above, beyond = pulls[: len(leaves)], pulls[len(leaves) :]
        grads = torch.autograd.grad(list(trained.values()), encoder, above, retain_graph=again)
        terms = {name: term.detach() for name, term in made.terms.items()}
        found[task] = Update(Loss(terms, made.watch), [*grads, *beyond])
    return found


def surrogate(update: Update, parameters: list[nn.Parameter]) -> Loss:
    """A loss whose value is that of the terms together, and whose gradient by `parameters` is the given one."""
    (terms, watch), gradients = update
    linear = torch.stack([(p * g).sum() for p, g in zip(parameters, gradients, strict=True)]).sum()
    return Loss({"shared": torch.stack(list(terms.values())).sum() + (linear - linear.detach())}, {**watch, **terms})
