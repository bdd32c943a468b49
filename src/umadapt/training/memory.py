"""`--micro-batch`, `--checkpoint-activations`: how a stage saves memory (docs/memory.md)."""

from __future__ import annotations

from typing import Any

from umadapt.config import Training
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.nets.activation_checkpointing import BatchNorm, Economy, economise
from umadapt.nets.model import UMAdapt
from umadapt.training.stage import Stage


def arrange(options: Training, model: UMAdapt, stage: Stage[Any]) -> None:
    """Make the networks of a stage save the memory that the options ask for.

    Raises:
        UserError: this is one of several processes, and BatchNorm trains, which would ask the others in a second pass
            too.
    """
    nets = stage.networks(model)
    asked = Economy(options.micro_batch, options.checkpoint_activations)
    model.train()  # as the loop will; what is frozen stays in eval mode
    norms = any(m.training for net in nets for m in net.modules() if isinstance(m, BatchNorm))
    if process_group.size() > 1 and asked and norms:
        raise UserError(
            "--micro-batch and --checkpoint-activations are for a process alone where BatchNorm trains\n"
            f"under torchrun each of {process_group.size()} processes holds its share of --batch: give more processes"
        )
    economise(asked, *nets)
