"""`--micro-batch`, `--checkpoint-activations`: how a stage saves memory (docs/memory.md)."""

from __future__ import annotations

from umadapt import ranks
from umadapt.config import Training
from umadapt.errors import UserError
from umadapt.loop import Stage
from umadapt.nets.model import UMAdapt
from umadapt.nets.recompute import BatchNorm, Economy, economise


def arrange(options: Training, model: UMAdapt, stage: Stage) -> None:
    """Make the networks of a stage save the memory that the options ask for.

    Raises:
        UserError: this is one of several processes, and BatchNorm trains, which would ask the others in a second pass
            too.
    """
    nets = [model, *stage.extra.values()]
    asked = Economy(options.micro_batch, options.checkpoint_activations)
    model.train()  # as the loop will; what is frozen stays in eval mode
    norms = any(m.training for net in nets for m in net.modules() if isinstance(m, BatchNorm))
    if ranks.size() > 1 and asked and norms:
        raise UserError(
            "--micro-batch and --checkpoint-activations are for a process alone where BatchNorm trains\n"
            f"under torchrun each of the {ranks.size()} processes holds its share of --batch: give more processes"
        )
    economise(asked, *nets)
