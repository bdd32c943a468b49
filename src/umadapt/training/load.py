"""A run from disk: a folder, or one file."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from umadapt.errors import UserError
from umadapt.nets.model import UMAdapt
from umadapt.training import run_file
from umadapt.training.compute import pick_device
from umadapt.training.run_record import RunRecord
from umadapt.training.weights import CALM, load_weights, refuse_diverged


def read_record(run: Path) -> RunRecord:
    """RUN/config.json, or the record in a run that is a file, or in a model that ships.

    Raises:
        UserError: no run, a damaged file, or one of a newer format.
    """
    found = run_file.find(run)
    if found.is_file():
        return run_file.read_record(found)
    if (run / "config.json").exists():
        return RunRecord.read(run)
    models = f"; models that ship: {', '.join(run_file.shipped())}" if run_file.shipped() else ""
    raise UserError(f"{run} is no run folder (it has no config.json); `umadapt train --out {run}` makes one{models}")


def base_of(record: RunRecord) -> RunRecord:
    """The record of the run of `train` that a run began with; of such a run its own.

    Raises:
        UserError: it is not there any more.
    """
    return record if record.domain == "source" else read_record(Path(record.argument("run")))


def read_weights(run: Path) -> dict[str, Tensor]:
    """RUN/model.safetensors, or what is in a run that is a file. Raises UserError where it is damaged or not finite."""
    run = run_file.find(run)
    if run.is_file():
        return run_file.read_tensors(run)
    path = run / "model.safetensors"
    try:
        tensors = safetensors.torch.load_file(str(path))
    except Exception as error:
        raise UserError(f"{path} is damaged: {error}; copy it anew, or repeat the run") from error
    refuse_diverged(tensors, str(path), f"repeat the run: {CALM}")
    return tensors


def load_model(run: Path, device: str = "auto") -> tuple[UMAdapt, RunRecord]:
    """A run's model in eval mode, and its record.

    Raises:
        UserError: no run, not yet trained, or damaged.
    """
    record = read_record(run)
    if run_file.find(run).is_dir() and not (run / "model.safetensors").exists():
        raise UserError(f"{run} has no weights yet: its training was stopped early; repeat the command that began it")
    if record.domain == "source" and "base" not in record.done:
        raise UserError(f"{run} lacks base: transfer nets alone predict nothing; go on with `umadapt train`")
    tensors = read_weights(run)
    try:
        model = make_model(record, tensors)
        load_weights(model, tensors)
    except UserError as error:
        raise UserError(
            f"{error}.\nconfig.json and model.safetensors of {run} do not belong together: copy the run anew"
        ) from error
    model.freeze(model)
    return model.eval().to(pick_device(device)).to(memory_format=torch.channels_last), record


def make_model(record: RunRecord, tensors: Mapping[str, Tensor]) -> UMAdapt:
    """The network of a record, without its weights.

    Raises:
        UserError: there is no such network, or the weights are another's; before it takes memory.
    """
    try:
        with contextlib.suppress(NotImplementedError, RuntimeError), torch.device("meta"):
            load_weights(UMAdapt(record.model), tensors, fill=False)  # where the backbone can be made without numbers
        with torch.random.fork_rng(devices=()):  # a run ends in the same weights, those too that its file lacks
            torch.manual_seed(0)
            return UMAdapt(record.model)
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise UserError(f"{record.where} is damaged: there is no such model ({reason})") from error
