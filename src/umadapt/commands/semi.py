"""`umadapt semi`: an adapted model, a few labelled photos of the target and many without labels to UM-Adapt-S."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from umadapt.config import Semi
from umadapt.data.augment import Augment
from umadapt.data.batch import Batch
from umadapt.data.class_map import Names, read_class_map
from umadapt.data.folder import Folder
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.methods import METHODS, um_adapt_s
from umadapt.nets.model import UMAdapt
from umadapt.training import compute
from umadapt.training.batches import Batches, Detector
from umadapt.training.feature_cache import forget_views, keep_views, pictures
from umadapt.training.hed_contours import HedContours
from umadapt.training.layout import lay_out
from umadapt.training.load import load_model, read_record, read_weights
from umadapt.training.mixture import Union
from umadapt.training.run_folder import RunFolder, digest
from umadapt.training.run_record import RunRecord, command_dict
from umadapt.training.sample_sheet import has_samples, save_samples
from umadapt.training.sources import labelled_photos, target_labels
from umadapt.training.stage import Stage
from umadapt.training.stages import run_stages
from umadapt.training.weights import load_weights

PAPER_ALPHA = 10.0  # of a run that does not tell with which it was trained


def run(config: Semi) -> int:
    """Train with labelled and unlabelled target batches in turns."""
    before = read_record(config.run)
    known = PAPER_ALPHA if before.alpha is None else before.alpha
    config = dataclasses.replace(config, alpha=known if config.alpha is None else config.alpha)
    if before.domain != "target":
        raise UserError(f"{config.run} is not adapted; give a run of `umadapt adapt {config.run} --target PHOTOS …`")
    if before.variant == "semi":
        raise UserError(f"{config.run} is a run of semi; give the adapted one that it began from")
    model, _ = load_model(config.run, "cpu")
    method = METHODS.get(before.command.get("method", ""))  # None: of another version
    selects = before.command.get("candidates", 0) and (method is None or method.selects)
    if ("select" if selects else "adapt") not in before.done:
        raise UserError(f"{config.run} is unfinished; repeat the command that began it")
    device = compute.pick_device(config.device)
    config = compute.settle(config, device)
    detector = HedContours(device) if model.spec.contours == "hed" else None
    photos = [Folder(address) for address in config.target]
    for folder in photos:
        if not folder.has("image", folder.ids[0]):
            raise UserError(f"{folder.root} holds labels alone; expected a folder of photos")
    class_map = read_class_map(config.class_map) if config.class_map else before.class_map
    labelled = open_labelled(config, model, class_map)
    if not labelled or not photos:
        raise UserError("semi wants --target PHOTOS and --labelled DATA, each at least once")
    digests = {f"labelled-{i}": digest(folder.known_as(ids)) for i, (folder, ids) in enumerate(labelled)}
    digests |= {f"target-{i}": digest(folder.known_as(folder.ids)) for i, folder in enumerate(photos)}
    run_folder = RunFolder(
        RunRecord(
            variant="semi",
            domain="target",
            model=before.model,
            command=command_dict(config),
            source=before.source,
            target=", ".join(config.target),
            data=digests | {"adapted": before.data},
            palette=before.palette,
            backbone_weights=before.backbone_weights,
            transfer_report=before.transfer_report,
            witnesses=before.witnesses,
            class_map=class_map,
            path=config.out,
        )
    )
    finished = run_folder.done("semi")
    if finished and has_samples(config.out, "semi"):
        forget_views(config)  # where it was killed before it could
        print(f"{config.out} is done")
        return 0
    model.freeze(model)
    lay_out(model, device)
    if finished:
        load_weights(model, read_weights(config.out))

    def build() -> Stage[Batch]:
        known = batches(model, labelled, config, tuple(model.tasks), config.seed + 1)
        others = batches(model, [(folder, folder.ids) for folder in photos], config, (), config.seed, detector)
        if detector is not None:
            detector.prepare(others.seen(config.steps))
        stage = um_adapt_s.stage(model, config, known, others)
        stage = dataclasses.replace(stage, data=(*pictures(known), *pictures(others)))
        keep_views(stage, others, config, device)
        return stage

    run_stages({"semi": build}, model, run_folder, config)
    forget_views(config)
    save_samples(model, run_folder, photos[0], photos[0].ids, "semi")
    count = sum(len(ids) for _, ids in labelled)
    print(f"{config.out}: trained on {count} labelled photos and {sum(len(f.ids) for f in photos)} others")
    return 0


def open_labelled(config: Semi, model: UMAdapt, class_map: Names | None = None) -> list[tuple[Folder, tuple[str, ...]]]:
    """The labelled folders, each with the ids that have a label of the model's tasks; see `labelled_photos`.

    Raises:
        UserError: a folder has none, its classes are others than the model's, or --depth-labels asks for too many.
    """
    folders = [Folder(address) for address in config.labelled]
    for folder in folders:
        folder.merge_classes(class_map or {})
    given = [(folder.root.resolve(), folder.split) for folder in folders]
    if len(set(given)) < len(given):
        twice = next(address for i, address in enumerate(config.labelled) if given[i] in given[:i])
        raise UserError(f"--labelled {twice} is given twice")
    if config.depth_labels:
        keep_few(folders, "depth", config.depth_labels, config.seed)
    folders = [labelled_photos(folder, model.tasks) for folder in folders]
    return [(f, target_labels(f, address, model)) for address, f in zip(config.labelled, folders, strict=True)]


def keep_few(folders: Sequence[Folder], task: str, count: int, seed: int) -> None:
    """Forget a task's labels but for `count` of all folders together, drawn with `seed` (the paper's few shots).

    Raises UserError when there are fewer.
    """
    there = [(folder, id) for folder in folders for id in folder.ids if folder.has(task, id)]
    if len(there) < count:
        raise UserError(f"--{task}-labels {count}, but the labelled folders have {len(there)} labels of {task}")
    drawn = [there[i] for i in np.random.default_rng((seed, 4)).permutation(len(there))[:count]]
    for folder in folders:
        folder.keep_labels(task, {id for owner, id in drawn if owner is folder})


def batches(
    model: UMAdapt,
    folders: Sequence[tuple[Folder, tuple[str, ...]]],
    config: Semi,
    tasks: tuple[str, ...],
    seed: int,
    detector: Detector | None = None,
) -> Union:
    """Batches from all folders; without tasks they are photos with contours."""
    size, grid = model.spec.size, model.grid(model.spec.size)
    parts = [
        Batches(
            folder,
            ids,
            size,
            grid,
            tasks=tasks,
            focal=model.spec.focal,
            batch=config.batch,
            seed=seed + 2 * i,
            recipe=Augment(),
            views=0 if tasks else config.kept_views,
            contours=not tasks,
            detector=detector,
            device=model.mean.device,
            rank=process_group.rank(),
            world=process_group.size(),
        )
        for i, (folder, ids) in enumerate(folders)
    ]
    return Union(parts, config.mix, seed)
