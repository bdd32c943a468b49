"""The stages of a command, one after the other, each from where it was stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from umadapt.config import Training
from umadapt.nets.model import UMAdapt
from umadapt.training import memory
from umadapt.training.run_folder import RunFolder
from umadapt.training.stage import Stage
from umadapt.training.trainer import fit

Build = Callable[[], Stage[Any] | None]  # None = there is nothing to train in it


def run_stages(builds: Mapping[str, Build], model: UMAdapt, run: RunFolder[Any], options: Training) -> None:
    """Run each stage, by name, that the run has not finished.

    Raises:
        UserError, KeyboardInterrupt: as `fit`.
    """
    for name, build in builds.items():
        if run.done(name):
            print(f"stage {name} is done")
            continue
        stage = build()
        if stage is None:
            run.finish(name, model)
            continue
        memory.arrange(options, model, stage)
        fit(stage, model, run, options)
