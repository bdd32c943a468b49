"""`--kept-views`: what frozen networks make of a few views of each photo, computed once and not at every step."""

from __future__ import annotations

import shutil
from typing import Any

import torch

from umadapt.config import Adapt, Semi
from umadapt.data.batch import Batch
from umadapt.distributed import process_group
from umadapt.training import compute
from umadapt.training.batches import Batches
from umadapt.training.frozen_views import FrozenViews, NoRoom
from umadapt.training.mixture import Union
from umadapt.training.stage import Stage

OWN = "views"  # folder of a run


def keep_views(stage: Stage[Any], target: Union, config: Adapt | Semi, device: torch.device) -> None:
    """Let the batches give what frozen networks make of the few views of each photo, computed once and kept on disk:
    in `--shared-views`, where other runs find them, too, or in the run's own folder, until `forget_views`.

    Not where the steps see each view once at the most; nor with several ranks, which would each compute what another
    one needs. The steps are the same either way.
    """
    samples, photos = stage.steps * config.batch, sum(len(part.ids) for part in target.parts)
    if stage.frozen is None or process_group.size() > 1 or not 0 < config.kept_views * photos < samples:
        return
    frozen, parts = compute.in_precision(stage.frozen, config.precision, device), list[FrozenViews]()

    def see(batch: Batch) -> Batch:
        return frozen(batch.to(device))

    for k, part in enumerate(pictures(target)):
        try:
            folder = config.shared_views or config.out / OWN / str(k)
            parts.append(FrozenViews(part, see, folder, shared=config.shared_views is not None))
        except NoRoom as error:
            print(
                f"views are made again at every step: keeping {config.kept_views} of each photo takes {error}",
                flush=True,
            )
            forget_views(config)
            return
        part.cache.clear()
    target.parts = tuple(parts)


def forget_views(config: Adapt | Semi) -> None:
    """Remove those that are the run's own."""
    shutil.rmtree(config.out / OWN, ignore_errors=True)


def pictures(target: Union) -> tuple[Batches, ...]:
    """The parts that decode photos at every step."""
    return tuple(part for part in target.parts if isinstance(part, Batches))
