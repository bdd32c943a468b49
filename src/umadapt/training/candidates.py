"""Checkpoints on the way of an adaptation: RUN/checkpoints/STEP.safetensors, the target's encoder after that step."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
from torch import nn

from umadapt.data.atomic import write_bytes
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.nets.encoder import shares_trunk
from umadapt.nets.model import UMAdapt
from umadapt.training.weights import refuse_diverged


def candidate_steps(steps: int, count: int) -> tuple[int, ...]:
    """The start and `count` more steps, evenly spaced up to the end; nothing for count 0."""
    return tuple(sorted({round(k * steps / count) for k in range(count + 1)})) if count else ()


def candidate_path(run: Path, step: int) -> Path:
    return run / "checkpoints" / f"{step:06d}.safetensors"


def adapted(model: UMAdapt) -> nn.Module:
    """What of the target's encoder is its own: Res-5, or all of it."""
    return model.encoder.branches["target"] if shares_trunk(model.encoder) else model.target("encoder")


def save_candidate(run: Path, step: int, model: UMAdapt, average: nn.Module | None = None) -> None:
    """Keep what adaptation changes, the decoders aside, as it is after `step`.

    Args:
        average: of the same weights, which is kept in their place.

    Raises:
        UserError: it is not finite.
    """
    if process_group.rank():
        return
    kept = adapted(model).state_dict()
    if average is not None:
        kept = dict(zip(kept, average.state_dict().values(), strict=True))
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in kept.items()}
    refuse_diverged(tensors, f"stage adapt, step {step}")
    write_bytes(candidate_path(run, step), safetensors.torch.save(tensors))


def load_candidate(run: Path, step: int, model: UMAdapt) -> None:
    """Put a candidate into the model. Raises UserError where the file is damaged."""
    path = candidate_path(run, step)
    try:
        adapted(model).load_state_dict(safetensors.torch.load_file(str(path)))
    except Exception as error:  # a damaged file raises many kinds
        raise UserError(f"{path} is damaged ({error}); delete it to go without") from error


def candidates(run: Path) -> list[int]:
    """Steps of the candidates that a run has kept, in order."""
    stems = (path.stem for path in (run / "checkpoints").glob("*.safetensors"))
    return sorted(int(stem) for stem in stems if stem.isdecimal())
