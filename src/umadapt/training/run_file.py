"""A run as one file: its network's weights in half precision, and in the header what the run is. Every command that
reads a run takes such a file in its place; those in `models/`, which ship with the package, are known by name."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from umadapt.data import json_schema
from umadapt.data.files import whole_file
from umadapt.errors import UserError

KEY = "umadapt"  # of the file's header
MODELS = Path(__file__).parents[1] / "models"
# What is kept of config.json and of the command in it: nothing that names folders of the machine that trained.
KEPT = ("format", "model", "palette", "backbone_weights", "witnesses", "transfer_report", "git", "packages", "card")
KEPT += ("class_map",)
ARGUMENTS = ("alpha", "lr", "holdout", "normals", "batch", "seed", "base_steps", "depth_loss", "decoder", "size")


def shipped() -> dict[str, Path]:
    """Name -> file of the models in the package."""
    return {path.stem: path for path in sorted(MODELS.glob("*.safetensors"))}


def find(run: Path) -> Path:
    """What a command's RUN is: a run folder, a file, or the file of a model that ships; `run` itself where it is none.

    A folder or file of that name in the working directory comes before a model of the package.
    """
    return run if run.exists() else shipped().get(str(run), run)


def read_header(path: Path, schema: json_schema.Schema = json_schema.anything) -> dict[str, Any]:
    """The config of a run that was written as a file.

    Raises:
        UserError: it is damaged, no such file, or not what the schema says.
    """
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            text = (file.metadata() or {})[KEY]
    except KeyError as error:
        raise UserError(f"{path} holds no run; expected what `umadapt export --format safetensors` writes") from error
    except Exception as error:  # of many kinds, by what is wrong with it
        raise UserError(f"{path} is no sound safetensors file: {error}") from error
    try:
        config = json_schema.parse(text)
        schema(config, "")
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}; export it again") from error
    return config


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The weights in single precision. Raises UserError where the file is damaged."""
    try:
        tensors = safetensors.torch.load_file(str(path))
    except Exception as error:
        raise UserError(f"{path} is damaged: {error}") from error
    return {name: x.float() if x.is_floating_point() else x for name, x in tensors.items()}


def write(
    path: Path,
    config: Mapping[str, Any],
    base: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    drop: Collection[str] = (),
) -> None:
    """Write a run as one file.

    Of an adapted run the encoder of the photos becomes the only one, and the run one that may be adapted again.

    Args:
        config: of the run.
        base: of the run of `train` that it began with; of such a run itself the same.
        tensors: as `run_folder.weights` gives them.
        drop: what to leave out: "contour", the contour decoder; names of tasks, the transfer nets to them.
    """
    about = {key: config[key] for key in KEPT if key in config}
    about |= {"variant": config["variant"], "domain": "source", "source": None, "target": None, "data": base["data"]}
    about |= {
        "done": base["done"],
        "command": {key: base["command"][key] for key in ARGUMENTS if key in base["command"]},
    }
    if config["domain"] != "source":
        about["adapted"] = {key: config["command"][key] for key in ("method", "steps", "batch", "lr", "seed")}
        tensors = only_target(tensors)
    if drop:
        graph = {task: inputs for task, inputs in config["model"]["graph"].items() if task not in drop}
        about["model"] = {**config["model"], "graph": graph}
        about["done"] = [stage for stage in base["done"] if stage not in drop]
        gone = tuple("contour." if name == "contour" else f"transfers.{name}." for name in drop)
        tensors = {name: x for name, x in tensors.items() if not name.startswith(gone)}
    half = {name: halved(name, x) for name, x in tensors.items()}
    with whole_file(path) as file:
        safetensors.torch.save_file(half, file, {KEY: json.dumps(about)})


def only_target(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of an adapted model with the target's encoder in the place of the source's."""
    out = {name: x for name, x in tensors.items() if ".target." not in name}
    return out | {name.replace(".target.", ".source."): x for name, x in tensors.items() if ".target." in name}


def halved(name: str, x: Tensor) -> Tensor:
    """Weights of convolutions in half precision; what is small or has a wide range, as BatchNorm's, as it is.

    Raises:
        UserError: a weight is beyond what half precision holds.
    """
    if not x.is_floating_point() or x.ndim < 2:
        return x.contiguous()
    out = x.half()
    if not torch.isfinite(out).all():
        raise UserError(f"{name} has a weight of {x.abs().max():.3g}, which half precision does not hold")
    return out.contiguous()
