"""`umadapt adapt`: from a source model and a folder of photos to a model of those photos, without labels."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from umadapt.config import Adapt
from umadapt.data.atomic import write_json
from umadapt.data.augment import Augment
from umadapt.data.batch import Batch
from umadapt.data.folder import Folder
from umadapt.data.joined import join
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.evaluation.label_free import real_energy, select
from umadapt.methods import METHODS, adabn, transfer_nets
from umadapt.methods.method import Given
from umadapt.methods.rehearsal import rehearsing
from umadapt.nets.ensemble import UNKNOWN, shares_of
from umadapt.nets.model import UMAdapt
from umadapt.training import candidates, compute
from umadapt.training.batches import Batches, Detector
from umadapt.training.feature_cache import forget_views, keep_views, pictures
from umadapt.training.hed_contours import HedContours
from umadapt.training.layout import lay_out
from umadapt.training.load import load_model, read_record, read_weights
from umadapt.training.mixture import Union
from umadapt.training.replay import rendered_rooms
from umadapt.training.run_folder import RunFolder, digest
from umadapt.training.run_record import RunRecord, command_dict
from umadapt.training.sample_sheet import has_samples, save_before_after, save_samples
from umadapt.training.sizes import check_batch
from umadapt.training.sources import (
    evenly,
    labelled_ids,
    labelled_photos,
    labelled_source,
    learnable_tuples,
    split_heldout,
    target_labels,
)
from umadapt.training.stage import Stage
from umadapt.training.stages import run_stages
from umadapt.training.weights import load_weights
from umadapt.training.whole_sets import whole_images

MEASURED = 128  # photos that a method may ask for as they are


def run(config: Adapt) -> int:
    """Re-estimate statistics, then take the method's steps."""
    before, method = read_record(config.run), METHODS[config.method]
    if not config.target:
        raise UserError("adapt wants --target PHOTOS, a folder of photos")
    model, _ = load_model(config.run, "cpu")
    asked, config = config, dataclasses.replace(config, adapt=config.adapt or method.trains)
    refuse(config, before, model)
    config = dataclasses.replace(config, lr=config.lr or METHODS[config.method].lr)
    device = compute.pick_device(config.device)
    config = compute.settle(config, device)
    if method.stage is not None:
        check_batch(model, config.batch, config.micro_batch, lambda copy: trained_norms(copy, config), "target")
    learned = model.spec.contours == "hed" and method.contours
    detector = HedContours(device) if learned else None
    photos = join(config.target)
    source = open_source(config, before, model) if method.source or config.rehearse else None
    labelled = open_labelled(config, before, model)
    variant = method.variant(config) if method.variant else method.name
    run_folder = RunFolder(
        RunRecord(
            variant=variant,
            domain="target",
            model=before.model,
            command=command_dict(dataclasses.replace(config, adapt=asked.adapt)),
            source=config.source or before.source,
            target=", ".join(config.target),
            data={"target": digest(photos.known_as(photos.ids)), "base": before.data}
            | {f"labelled-{i}": digest(folder.known_as(folder.ids)) for i, folder in enumerate(labelled)},
            palette=before.palette,
            backbone_weights=before.backbone_weights,
            transfer_report=before.transfer_report,
            witnesses=before.witnesses,
            alpha=before.argument("alpha"),
            class_map=before.class_map,
            path=config.out,
        )
    )
    chosen = run_folder.done("select")
    if (chosen if chooses(config) else run_folder.done("adapt")) and has_samples(config.out, "adapt", "before-after"):
        print(f"{config.out} is done")
        tell(config, run_folder, len(photos.ids))
        return 0
    model.encoder.add_target(share=config.trains == "res5")
    model.freeze(model)
    lay_out(model, device)
    if run_folder.done("adapt"):
        load_weights(model, read_weights(config.out))
    else:
        images = whole(model, config, photos)
        share = method.share if config.statistics_share is None else config.statistics_share
        adabn.reestimate(model, images, config.statistics, share)

    def build() -> Stage[Any] | None:
        if method.stage is None:
            return None
        torch.manual_seed(config.seed)  # of the networks that some methods add
        target = open_target(model, config, photos, detector)
        stage = make_stage(model, config, photos, target, source, labelled)
        if detector is not None:
            detector.prepare(target.seen(stage.steps))
        keep_views(stage, target, config, device)
        return keep_candidates(stage, model, config) if chooses(config) else stage

    run_stages({"adapt": build}, model, run_folder, config)
    forget_views(config)
    if chooses(config) and not chosen:
        step = select(run_folder, model.eval(), photos, shares_of(before.witnesses, model.tasks, UNKNOWN))
        run_folder.finish("select", model)
        print(f"kept the checkpoint of step {step} of {', '.join(map(str, candidates.candidates(config.out)))}")
    save_samples(model, run_folder, photos, photos.ids, "adapt")
    base, _ = load_model(config.run, config.device)
    picture = save_before_after(base, model, run_folder, photos, photos.ids)
    print(f"{config.out}: adapted by {config.method} to {len(photos.ids)} photos of {', '.join(config.target)}")
    print(f"before and after: {picture}")
    tell(config, run_folder, len(photos.ids))
    return 0


def tell(config: Adapt, run: RunFolder, photos: int) -> None:
    """Write --json: {"run", "base", "variant", "method", "target", "photos", "steps", "batch", "lr", "selected": step
    of the checkpoint that was chosen, or null, "seconds" of steps, "losses": of the last step that was logged}."""
    if config.json is None or process_group.rank():
        return
    log = run.path / "metrics.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    last = json.loads(lines[-1]) if lines else {}
    result = {"run": str(config.out), "base": str(config.run), "variant": run.record.variant, "method": config.method}
    result |= {"target": list(config.target), "photos": photos, "steps": config.steps, "batch": config.batch}
    result |= {"lr": config.lr, "selected": (run.record.selected or {}).get("step")}
    result["seconds"] = last.pop("seconds", None)
    write_json(config.json, result | {"losses": {k: x for k, x in last.items() if k not in ("stage", "step")}})


def trained_norms(model: UMAdapt, config: Adapt) -> list[nn.Module]:
    """The parts of a model whose BatchNorm an adaptation trains."""
    return list(model.target(config.trains)) if config.bn == "train" else []


def refuse(config: Adapt, before: RunRecord, model: UMAdapt) -> None:
    """Raise a UserError where the run, the method and the options do not go together."""
    method = METHODS[config.method]
    wanted = ("transfer", "base", *(("contour",) if method.contours else ()))
    unfinished = [stage for stage in wanted if stage not in before.done]
    reports = ("transfer_report", "witnesses") if model.graph else ("witnesses",)  # what follows the stages
    unfinished += [name for name in reports if getattr(before, name) is None]
    adapted = before.domain != "source"
    if adapted or unfinished:
        what = "is adapted already" if adapted else f"lacks {', '.join(unfinished)}"
        raise UserError(f"{config.run} {what}; give a run that `umadapt train` has finished")
    if config.rehearse and method.stage is None:
        raise UserError(f"--rehearse is of methods that take steps, and {config.method} takes none")
    if config.labelled and not method.rehearses:
        raise UserError(f"--labelled is of self-training, and {config.method} reads no labels of photos; see also semi")
    if not 0 < config.labelled_share <= 1:
        raise UserError(f"--labelled-share {config.labelled_share:g} is no share; give one above 0 and at most 1")
    if config.labelled_share < 1 and not config.labelled:
        raise UserError("--labelled-share is of labelled photos; give them by --labelled DATA")
    if not model.graph and method.transfers:
        raise UserError(f"{config.run} has no transfer nets to adapt with; use --method self-training")
    reason = method.refuse(config, model)
    if reason:
        raise UserError(f"{config.run}: {reason}")
    shares_of(before.witnesses, model.tasks, method.votes(config))  # refuses one that there is not
    if config.candidates and config.trains == "all" and method.selects:
        raise UserError(
            "--adapt all moves the decoders, which the source model shares, so that no checkpoint can be compared with "
            "it; give --candidates 0"
        )


def chooses(config: Adapt) -> bool:
    """Whether the label-free selector decides on the checkpoint."""
    return config.candidates > 0 and METHODS[config.method].selects


def keep_candidates(stage: Stage[Any], model: UMAdapt, config: Adapt) -> Stage[Any]:
    """The same stage, which stores what it trains at the start and at a few steps on the way."""
    steps = candidates.candidate_steps(stage.steps, config.candidates)
    if not steps:
        return stage
    average = stage.extra.get("average")
    if not candidates.candidate_path(config.out, 0).exists():
        candidates.save_candidate(config.out, 0, model)

    def after(step: int) -> None:
        stage.after(step)
        if step + 1 in steps:
            candidates.save_candidate(config.out, step + 1, model, average)

    return dataclasses.replace(stage, after=after)


def open_target(model: UMAdapt, config: Adapt, photos: Folder, detector: Detector | None) -> Union:
    """Batches of the photos; of each folder in turn where they are not mixed."""
    size, grid = model.spec.size, model.grid(model.spec.size)
    folders = [photos] if config.mix == "union" else [Folder(address) for address in config.target]
    method = METHODS[config.method]
    recipe = Augment(plain=method.plain(config))
    parts = [
        Batches(
            f,
            f.ids,
            size,
            grid,
            batch=config.batch,
            seed=config.seed + 2 * i,
            recipe=recipe,
            views=config.kept_views if method.keeps_views else 0,
            contours=method.contours,
            detector=detector,
            device=model.mean.device,
            rank=process_group.rank(),
            world=process_group.size(),
        )
        for i, f in enumerate(folders)
    ]
    return Union(parts, "alternate", config.seed)


def whole(model: UMAdapt, config: Adapt, photos: Folder, most: int = 0) -> Iterator[Tensor]:
    """All photos as they are, or at most so many, evenly spaced; see `whole_images`."""
    ids = photos.ids[:: -(-len(photos.ids) // most)] if most else photos.ids
    return whole_images(photos, ids, model.spec.size, max(config.batch, 16), config.seed)


def make_stage(
    model: UMAdapt,
    config: Adapt,
    photos: Folder,
    target: Union,
    folder: Folder | None,
    labelled: Sequence[Folder] = (),
) -> Stage[Any]:
    """The method's stage with its data.

    Args:
        target: the photos as batches.
        folder: the labelled source, for a method that reads it.
        labelled: photos with labels, to learn from beside it.
    """
    before, method = read_record(config.run), METHODS[config.method]
    assert method.stage is not None
    given = Given(real_energy(before), shares_of(before.witnesses, model.tasks, method.votes(config)))
    given = given._replace(photos=partial(whole, model, config, photos, MEASURED))
    if folder is None:
        return dataclasses.replace(method.stage(model, config, target, given), data=pictures(target))
    holdout = float(before.argument("holdout"))
    kinds = [method.source] if method.source else []
    kinds += ["rehearsal"] if config.rehearse and not method.rehearses else []
    streams = {kind: open_labels(model, config, folder, holdout, kind) for kind in kinds}
    if "tuples" in streams:
        given = given._replace(real=margins(model, streams["tuples"], config.margin))
    every = method.source_every(config)
    known = Union([open_labels(model, config, one, 0.0, "photos") for one in labelled], "union", config.seed)
    others = known if labelled else streams.get("rehearsal")

    def beside(step: int) -> Batch:
        out = target(step)
        if method.source and (step + 1) % every == 0:
            out = dataclasses.replace(out, source=streams[method.source](step // every))
        return dataclasses.replace(out, labelled=others(step)) if others else out

    stage = method.stage(model, config, beside, given)
    stage = rehearsing(stage, model, config) if "rehearsal" in streams else stage
    return dataclasses.replace(stage, data=(*pictures(target), *pictures(known), *streams.values()))


def open_labels(model: UMAdapt, config: Adapt, folder: Folder, holdout: float, kind: str) -> Batches:
    """Batches of labelled images, but for the share that training held out.

    Args:
        kind: of the source "images" or "tuples" as `Method.source` says, or "rehearsal"; or "photos".
    """
    tasks = METHODS[config.method].source_tasks(model) if kind in ("images", "tuples") else tuple(model.tasks)
    ids, _ = split_heldout(labelled_ids(folder, model.tasks), holdout)
    return Batches(
        folder,
        ids if kind == "photos" else learnable_tuples(folder, ids, tasks),
        model.spec.size,
        model.grid(model.spec.size),
        tasks=tasks,
        focal=model.spec.focal,
        batch=config.batch,
        seed=config.seed + (1 if kind in ("images", "tuples") else 2),
        recipe=Augment(),
        images=kind != "tuples" or config.real_tuples == "pred",
        device=model.mean.device,
        rank=process_group.rank(),
        world=process_group.size(),
    )


def margins(model: UMAdapt, source: Batches, factor: float) -> dict[str, float]:
    """Energy of real tuples of each task, the unit of the hinge margins, which are printed."""
    device = model.mean.device
    measured = transfer_nets.measure(model, (source(k).to(device) for k in range(8)), shared=True)
    real = {task: figures["energy"] for task, figures in measured.items()}
    print("hinge margins: " + ", ".join(f"{task} {factor * energy:.3f}" for task, energy in real.items()))
    return real


def open_labelled(config: Adapt, before: RunRecord, model: UMAdapt) -> list[Folder]:
    """The labelled photos, `config.labelled_share` of them, their normals and classes as the run with the record
    `before` has learnt them.

    Raises:
        UserError: one has no labels, or other classes.
    """
    kind, out = before.command.get("normals", "exact"), []
    for address in config.labelled:
        folder = Folder(address)
        folder.merge_classes(before.class_map or {})
        folder = labelled_photos(folder, model.tasks, kind)
        folder.ids = evenly(target_labels(folder, address, model), config.labelled_share)
        out.append(folder)
    return out


def open_source(config: Adapt, before: RunRecord, model: UMAdapt) -> Folder:
    """The labelled source of the run with the record `before`, its normals as they were learnt from.

    Raises:
        UserError: it moved, or has other classes.
    """
    address, method = config.source or before.source, METHODS[config.method]
    tasks = tuple(model.tasks) if config.rehearse else method.source_tasks(model)
    what = "labels" if method.source == "tuples" else "images"
    try:
        class_map = before.class_map
        address = address or str(rendered_rooms(() if class_map else model.spec.classes))
        folder = labelled_source(address, tasks, before.command.get("normals", "exact"), class_map)
    except UserError as error:
        cure = "" if "--source DATA" in str(error) else "\ngive --source DATA"
        raise UserError(f"{config.method} reads {what} of the run's source: {error}{cure}") from error
    if "seg" in model.tasks and folder.classes != model.spec.classes:
        raise UserError(f"{Path(address)} has other classes than the run was trained on")
    return folder
