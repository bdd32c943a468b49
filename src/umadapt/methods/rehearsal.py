"""Rehearsal: labelled source images in the steps of an adaptation, so that it does not forget what it has learnt.

Self-training always rehearses; any other method does with `--rehearse`, so that methods can be compared on equal terms.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from umadapt.config import Adapt
from umadapt.data.batch import Batch
from umadapt.methods.depth_level import Line
from umadapt.nets.encoder import Features
from umadapt.nets.model import UMAdapt
from umadapt.training.stage import Loss, Prepared, Stage, Turn

LEAST = 1e-6  # a loss below this has no gradient
NONE: Mapping[str, Line] = {}


class Rehearsed(NamedTuple):
    """What the network in training makes of labelled images, of one task."""

    prediction: Tensor  # (B, C, h, w)
    truth: Tensor  # in the network's units
    loss: Tensor  # a scalar


def rehearse(
    model: UMAdapt, encoder: Callable[[Tensor], Features], source: Batch, lines: Mapping[str, Line] = NONE
) -> dict[str, Rehearsed]:
    """Every task's loss on labelled images.

    Args:
        encoder: of normalised images; of the source's, the target's weights with its statistics, `Encoder.rehearsal`.
        lines: changes of the last layers of tasks, which are for photos alone.
    """
    features, out = encoder(model.normalise(source.images)), {}
    for name, task in model.tasks.items():
        raw, truth = model.decoders[name](features), task.prepare(source.truths[name])
        known = task.activate(lines[name].back(raw) if name in lines else raw)
        out[name] = Rehearsed(known, truth, task.loss(known, truth).clamp(min=LEAST))
    return out


def rehearsing(stage: Stage[Any], model: UMAdapt, config: Adapt) -> Stage[Any]:
    """The same stage with one more turn, on the labelled images that are beside the photos (`Batch.labelled`).

    The loss is the sum of the logarithms of the tasks' losses, as in the joint form of the base model.
    """
    encoder, parameters = model.encoder.rehearsal(), stage.turns[0].parameters

    def losses(seen: Batch | Prepared) -> Loss:
        labelled = (seen.batch if isinstance(seen, Prepared) else seen).labelled
        assert labelled is not None
        return Loss({name: one.loss.log() for name, one in rehearse(model, encoder, labelled).items()})

    turn = Turn[Any]("rehearsal", parameters, losses, config.lr)
    return dataclasses.replace(stage, turns=[*stage.turns, turn], shadows=(*stage.shadows, encoder))
