"""Run folders: config.json, model.safetensors, state.pt, samples/, README.md, each written whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import safetensors.torch
import torch
from torch import nn

from umadapt.data.atomic import LOCK, sweep, whole_file, write_bytes
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.training.provenance import git_commit, versions
from umadapt.training.run_record import command_of, defaults
from umadapt.training.weights import refuse_diverged, weights

PARTS = ("checkpoints", "evaluations", "samples")  # folders of a run with files that are written whole
# Arguments that change neither the weights nor their meaning: a run may be continued with others.
FREE = {"out", "json", "device", "save_every", "stage", "checkpoint_activations", "compile"}
# Arguments that are no more, and what all does now: a run that was begun so may be continued.
GONE = {"pull": "loss", "energy_floor": 0.0, "route": "both", "sharpen": 0.0, "prior": 0.0, "teacher": "start"}
GONE |= {"average": 0.0, "memory_budget": 0.0}


class Record(Protocol):
    """What a folder says of itself, in one JSON file."""

    FILE: ClassVar[str]
    path: Path  # the folder
    command: dict[str, Any]
    data: dict[str, Any]
    done: list[str]
    git: str | None
    packages: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Of a folder. Raises UserError where it is damaged."""
        ...

    def write(self) -> None: ...

    def readme(self) -> str:
        """The folder's README.md."""
        ...


R = TypeVar("R", bound=Record)


class RunFolder(Generic[R]):
    """One run on disk. All ranks read it, rank 0 alone writes it.

    Args:
        wanted: what the run is to be, in the folder `wanted.path`, which is made when it is missing; versions are
            added.

    Raises:
        UserError: the folder holds another run, or one with other arguments (the difference is shown), or another
            process is at work in it.
    """

    def __init__(self, wanted: R):
        self.path, self.file = wanted.path, wanted.path / wanted.FILE
        with process_group.first():
            there = self.file.exists()
            if there:
                self._lock()
            self.record: R = self._open(wanted)
            if not there:
                self._lock()
            self._sweep()
        process_group.barrier()  # nothing is rewritten before all have read it

    def _open(self, wanted: R) -> R:
        """The record of what is there, or of what is begun."""
        path = self.path
        if self.file.exists():
            stored = wanted.read(path)
            untouched = {file.name for file in path.iterdir()} <= {self.file.name, LOCK}
            if untouched and not process_group.rank():  # stopped before its first step
                return self._begin(wanted)
            refuse_changes(path, stored.command, wanted.command)
            if stored.data != wanted.data:
                raise UserError(
                    f"{path} was begun on other data: images were added or removed, or their window changed; "
                    "give another --out"
                )
            return stored
        if process_group.rank():
            raise UserError(f"{path} is not seen on this machine; give --out a folder that all machines share")
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UserError(f"{path} exists and is no run folder; give --out a new or an empty folder")
        return self._begin(wanted)

    def _begin(self, wanted: R) -> R:
        wanted.git, wanted.packages, wanted.done = git_commit(), versions(), []
        wanted.write()
        return wanted

    def _lock(self) -> None:
        """Keep other processes out while this object lives. The kernel lets go of it whatever way the process ends."""
        if process_group.rank():
            return
        try:
            file = os.open(self.path / LOCK, os.O_WRONLY | os.O_CREAT, 0o644)
        except OSError:  # a folder that may only be read
            return
        weakref.finalize(self, os.close, file)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of this process, which may open its own run twice
        except BlockingIOError as error:
            raise UserError(f"another process is at work in {self.path}; wait until it ends, or stop it") from error
        except OSError:  # a file system without locks
            return

    def _sweep(self) -> None:
        """Remove the temporary files of a process that was killed in the run."""
        if process_group.rank() or not self.path.is_dir():
            return
        for folder in (self.path, *(self.path / name for name in PARTS)):
            sweep(folder)

    def write_record(self) -> None:
        if not process_group.rank():
            self.record.write()

    def done(self, stage: str) -> bool:
        return stage in self.record.done

    def finish(self, stage: str, model: nn.Module) -> None:
        """Write the weights and note that a stage is complete. Weights first: a kill between repeats the last step.

        Raises:
            UserError: the weights are not finite, or cannot be written.
        """
        refuse_diverged(weights(model), f"{self.path}, end of stage {stage}")
        if stage not in self.record.done:
            self.record.done.append(stage)
        if not process_group.rank():
            self.save_model(model)
            self.write_record()
            write_bytes(self.path / "README.md", self.record.readme().encode(errors="replace"))
        process_group.barrier()  # what is done can be read

    def save_model(self, model: nn.Module) -> None:
        # one entry only: safetensors writes several in random order, and equal weights shall be equal files
        with whole_file(self.path / "model.safetensors") as path:
            safetensors.torch.save_file(weights(model), path, {"format": "pt"})

    def save_state(self, state: dict[str, Any]) -> None:
        """Write state.pt: all that is needed to go on, weights included, so that one rename decides."""
        # never whole in memory: optimisers are the larger part; torch refuses names such as the temporary one
        with whole_file(self.path / "state.pt") as path, path.open("wb") as file:
            torch.save(state, file)

    def load_state(self, stage: str) -> dict[str, Any] | None:
        """The saved state if it is one of `stage`."""
        path = self.path / "state.pt"
        if not path.exists():
            return None
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            name = state["stage"]
        except Exception as error:  # a damaged zip raises many kinds
            raise UserError(f"{path} is damaged ({error}); delete it to repeat the stage from its start") from error
        return state if name == stage else None


def refuse_changes(path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Raise a UserError that shows which arguments differ from those that a run was begun with."""
    old = {k: v for k, v in old.items() if k in new or v != GONE.get(k, ...)}
    old = {k: v for k, v in defaults(command_of(new)).items() if k in new} | old  # of arguments that are new since
    changed = [k for k in sorted({*old, *new} - FREE) if old.get(k) != new.get(k)]
    if changed:
        shown = "; ".join(f"{k} was {old.get(k)!r}, now {new.get(k)!r}" for k in changed)
        raise UserError(f"{path} was begun with other arguments: {shown}\nrepeat them, or give another --out")


def digest(ids: Sequence[str]) -> str:
    """Which images a run reads, in short; of `Folder.known_as`."""
    return hashlib.sha256("\n".join(ids).encode(errors="surrogateescape")).hexdigest()[:16]
