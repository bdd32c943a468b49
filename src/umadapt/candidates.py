"""Checkpoints on the way of an adaptation: RUN/checkpoints/STEP.safetensors, the target's Res-5 after that step."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
from torch import nn

from umadapt import ranks
from umadapt.data.folder import write_bytes
from umadapt.errors import UserError
from umadapt.nets.model import UMAdapt


def candidate_steps(steps: int, count: int) -> tuple[int, ...]:
    """The start and `count` more steps, evenly spaced up to the end; nothing for count 0."""
    return tuple(sorted({round(k * steps / count) for k in range(count + 1)})) if count else ()


def candidate_path(run: Path, step: int) -> Path:
    return run / "checkpoints" / f"{step:06d}.safetensors"


def save_candidate(run: Path, step: int, model: UMAdapt, average: nn.Module | None = None) -> None:
    """Keep the target's Res-5, all that adaptation changes, as it is after `step`."""
    if ranks.rank():
        return
    branch = model.encoder.branches["target"] if average is None else average
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in branch.state_dict().items()}
    write_bytes(candidate_path(run, step), safetensors.torch.save(tensors))


def load_candidate(run: Path, step: int, model: UMAdapt) -> None:
    """Put a candidate into the model. Raises UserError where the file is damaged."""
    path = candidate_path(run, step)
    try:
        model.encoder.branches["target"].load_state_dict(safetensors.torch.load_file(str(path)))
    except Exception as error:  # a damaged file raises many kinds
        raise UserError(f"{path} is damaged ({error}); delete it to go without") from error


def candidates(run: Path) -> list[int]:
    """Steps of the candidates that a run has kept, in order."""
    stems = (path.stem for path in (run / "checkpoints").glob("*.safetensors"))
    return sorted(int(stem) for stem in stems if stem.isdecimal())
