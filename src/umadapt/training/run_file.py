"""A run as one file: its network's weights in half precision, and in the header what the run is. Every command that
reads a run takes such a file in its place; those in `models/`, which ship with the package, are known by name."""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from umadapt.data import json_schema
from umadapt.data.atomic import whole_file
from umadapt.errors import UserError
from umadapt.training.run_record import SCHEMA, RunRecord

KEY = "umadapt"  # of the file's header
MODELS = Path(__file__).parents[1] / "models"
# What is kept of the command: nothing that names folders of the machine that trained.
ARGUMENTS = ("alpha", "lr", "holdout", "normals", "batch", "seed", "base_steps", "depth_loss", "decoder", "size")


def shipped() -> dict[str, Path]:
    """Name -> file of the models in the package."""
    return {path.stem: path for path in sorted(MODELS.glob("*.safetensors"))}


def find(run: Path) -> Path:
    """What a command's RUN is: a run folder, a file, or the file of a model that ships; `run` itself where it is none.

    A folder or file of that name in the working directory comes before a model of the package.
    """
    return run if run.exists() else shipped().get(str(run), run)


def read_record(path: Path) -> RunRecord:
    """The record of a run that was written as a file.

    Raises:
        UserError: it is damaged, no such file, or of a newer format.
    """
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            text = (file.metadata() or {})[KEY]
    except KeyError as error:
        raise UserError(f"{path} holds no run; expected what `umadapt export --format safetensors` writes") from error
    except Exception as error:  # of many kinds, by what is wrong with it
        raise UserError(f"{path} is no sound safetensors file: {error}") from error
    try:
        stored = json_schema.parse(text)
        SCHEMA(stored, "")
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}; export it again") from error
    return RunRecord.from_json(stored, path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The weights in single precision. Raises UserError where the file is damaged."""
    try:
        tensors = safetensors.torch.load_file(str(path))
    except Exception as error:
        raise UserError(f"{path} is damaged: {error}") from error
    return {name: x.float() if x.is_floating_point() else x for name, x in tensors.items()}


def write(
    path: Path, record: RunRecord, base: RunRecord, tensors: Mapping[str, Tensor], drop: Collection[str] = ()
) -> None:
    """Write a run as one file.

    Of an adapted run the encoder of the photos becomes the only one, and the run one that may be adapted again.

    Args:
        base: the run of `train` that it began with; of such a run itself the same.
        tensors: as `weights` gives them.
        drop: what to leave out: "contour", the contour decoder, which goes without saying where it has learnt nothing;
            names of tasks, the transfer nets to them.
    """
    drop = {*drop, *({"contour"} - {*base.done})}
    about = dataclasses.replace(
        record,
        domain="source",
        source=None,
        target=None,
        data=base.data,
        done=[stage for stage in base.done if stage not in drop],
        command={key: base.command[key] for key in ARGUMENTS if key in base.command},
        selected=None,
        alpha=None,
    )
    if record.domain != "source":
        about.adapted = {key: record.argument(key) for key in ("method", "steps", "batch", "lr", "seed")}
        tensors = only_target(tensors)
    graph = {task: inputs for task, inputs in record.model.graph.items() if task not in drop}
    about.model = dataclasses.replace(record.model, graph=graph)
    gone = tuple("contour." if name == "contour" else f"transfers.{name}." for name in drop)
    half = {name: halved(name, x) for name, x in tensors.items() if not name.startswith(gone)}
    with whole_file(path) as file:
        safetensors.torch.save_file(half, file, {KEY: json.dumps(about.to_json())})


def only_target(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of an adapted model with the target's encoder in the place of the source's."""
    out = {name: x for name, x in tensors.items() if ".target." not in name}
    return out | {name.replace(".target.", ".source."): x for name, x in tensors.items() if ".target." in name}


def halved(name: str, x: Tensor) -> Tensor:
    """Weights of convolutions in half precision; what is small or has a wide range, as BatchNorm's, as it is.

    OURS: rounded up or down by chance, the nearer the likelier. An adaptation of a model that is a file begins with
    weights of half precision and moves most of them by less than half a step, which the nearest would undo.

    Raises:
        UserError: a weight is beyond what half precision holds.
    """
    if not x.is_floating_point() or x.ndim < 2:
        return x.contiguous()
    near, chance = x.half(), torch.Generator().manual_seed(zlib.crc32(name.encode()))  # equal runs are equal files
    step = torch.ldexp(torch.ones_like(x), torch.frexp(x).exponent.clamp(min=-13) - 11)
    out = torch.where(near == x, near, (x + (torch.rand(x.shape, generator=chance) - 0.5) * step).half())
    if not torch.isfinite(out).all():
        raise UserError(f"{name} has a weight of {x.abs().max():.3g}, which half precision does not hold")
    return out.contiguous()
