"""`umadapt adapt`: from a source model and a folder of photos to a model of those photos, without labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from umadapt.config import Adapt, Method
from umadapt.data.augment import Augment
from umadapt.data.folder import Folder
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.evaluation.label_free import real_energy, select
from umadapt.methods import adabn, adaptsegnet, mean_teacher, minent, self_training, transfer_nets, um_adapt, um_adapt_b
from umadapt.nets import output_critic
from umadapt.nets.ensemble import UNKNOWN, shares_of
from umadapt.nets.model import UMAdapt
from umadapt.training import candidates, compute, memory
from umadapt.training.batches import Batches, Detector, split_heldout, whole_images
from umadapt.training.feature_cache import forget_views, keep_views, pictures
from umadapt.training.hed_contours import HedContours
from umadapt.training.mixture import Union
from umadapt.training.replay import rendered_rooms
from umadapt.training.run_folder import (
    RunFolder,
    command_dict,
    digest,
    load_model,
    load_weights,
    pick_device,
    read_config,
    read_weights,
)
from umadapt.training.sample_sheet import save_samples
from umadapt.training.sources import labelled_ids, labelled_source, learnable_tuples, tuple_tasks
from umadapt.training.trainer import Batch, Stage, fit, to_device

STAGES: dict[str, Callable[[UMAdapt, Adapt, Callable[[int], Batch]], Stage]] = {
    "b-ccr": um_adapt_b.stage,
    "b-fcf": um_adapt_b.stage,
    "minent": minent.stage,
    "output-adv": adaptsegnet.stage,
    "mean-teacher": mean_teacher.stage,
}
# learning rates of Res-5, chosen on rendered photos (docs/results.md)
RATES: dict[Method, float] = {
    "self-training": 3e-4,
    "b-ccr": 3e-5,
    "b-fcf": 3e-5,
    "minent": 1e-6,
    "output-adv": 1e-5,
    "mean-teacher": 1e-5,
}
PRINTED_RATE = 1e-5  # the energy alone drifts at more
# what a method reads of the labelled source; the others read nothing of it
READS = {"self-training": "images", "adv": "labels", "b-ccr": "images", "b-fcf": "images", "output-adv": "images"}
NEED_TRANSFERS = ("noadv", "noadv-1", "adv")
READ_CONTOURS = (*NEED_TRANSFERS, "b-ccr")


def run(config: Adapt) -> int:
    """Re-estimate statistics, then run Algorithm 2 unless the method is AdaBN alone."""
    before = read_config(config.run)
    if not config.target:
        raise UserError("adapt wants --target PHOTOS, a folder of photos")
    model, _ = load_model(config.run, "cpu")
    refuse(config, before, model)
    config = dataclasses.replace(config, lr=config.lr or own_rate(config, float(before["command"]["lr"])))
    device = pick_device(config.device)
    compute.check(config, device)
    learned = model.spec.contours == "hed" and config.method in READ_CONTOURS
    detector = HedContours(device) if learned else None
    photos = Folder.joined(config.target)
    source = open_source(config, before, model) if config.method in READS else None
    variant = "adabn-res5" if (config.method, config.statistics) == ("adabn", "res5") else config.method
    run_folder = RunFolder(
        config.out,
        {
            "variant": variant,
            "domain": "target",
            "model": before["model"],
            "backbone_weights": before.get("backbone_weights"),
            "command": command_dict(config),
            "source": config.source or before["source"],
            "target": ", ".join(config.target),
            "transfer_report": before.get("transfer_report"),
            "witnesses": before.get("witnesses"),
            "alpha": before["command"]["alpha"],
            "palette": before["palette"],
            "data": {"target": digest(photos.known_as(photos.ids)), "base": before["data"]},
        },
    )
    if run_folder.done("select" if chooses(config) else "adapt"):
        print(f"{config.out} is done")
        return 0
    model.encoder.add_target(share=config.trains == "res5")
    model.freeze(model)
    model.to(device).to(memory_format=torch.channels_last)
    if run_folder.done("adapt"):
        load_weights(model, read_weights(config.out))
    else:
        images = whole_images(photos, photos.ids, model.spec.size, max(config.batch, 16), config.seed)
        share = 1.0 if config.method in ("adabn", "self-training") else config.statistics_share
        adabn.reestimate(model, images, config.statistics, share)
    if config.method == "adabn":
        run_folder.finish("adapt", model)
    elif not run_folder.done("adapt"):
        torch.manual_seed(config.seed)  # of the networks that some methods add
        target = open_target(model, config, photos, detector)
        stage = make_stage(model, config, target, source)
        if detector is not None:
            detector.prepare(target.seen(stage.steps))
        keep_views(stage, target, config, device)
        memory.arrange(config, model, stage)
        stage = keep_candidates(stage, model, config) if chooses(config) else stage
        fit(stage, model, run_folder, config)
    forget_views(config)
    if chooses(config):
        step = select(run_folder, model.eval(), photos, shares_of(before, model.tasks, UNKNOWN))
        run_folder.finish("select", model)
        print(f"kept the checkpoint of step {step} of {', '.join(map(str, candidates.candidates(config.out)))}")
    save_samples(model, run_folder, photos, photos.ids, "adapt")
    print(f"{config.out}: adapted by {config.method} to {len(photos.ids)} photos of {', '.join(config.target)}")
    return 0


def own_rate(config: Adapt, trained_at: float) -> float:
    """The learning rate of a method that is given none; of AdaBN, which takes no step, 0.

    OURS: what a teacher holds may learn as fast as the base model did, whose rate fits the network.
    """
    if config.method not in NEED_TRANSFERS:
        return RATES.get(config.method, 0.0)
    return trained_at if config.consensus else PRINTED_RATE


def refuse(config: Adapt, before: dict[str, Any], model: UMAdapt) -> None:
    """Raise a UserError where the run, the method and the options do not go together."""
    unfinished = [stage for stage in ("transfer", "base", "contour") if stage not in before["done"]]
    reports = ("transfer_report", "witnesses") if model.graph else ("witnesses",)  # what follows the stages
    unfinished += [name for name in reports if name not in before]
    adapted = before["domain"] != "source"
    if adapted or unfinished:
        what = "is adapted already" if adapted else f"lacks {', '.join(unfinished)}"
        raise UserError(f"{config.run} {what}; give a run that `umadapt train` has finished")
    if config.method == "noadv-1" and "seg" not in model.graph:
        raise UserError(f"noadv-1 uses the transfer net of seg alone, and {config.run} has none")
    if not model.graph and config.method in NEED_TRANSFERS:
        raise UserError(f"{config.run} has no transfer nets to adapt with; use --method adabn")
    if config.method == "minent" and "seg" not in model.tasks:
        raise UserError(f"minent lowers the entropy of seg, and {config.run} does not predict it")
    if config.method == "adabn" and config.statistics == "source":
        raise UserError("adabn with --statistics source changes nothing; give res5 or encoder")
    if config.method == "adabn" and not adabn.norms_of(model, "source", config.statistics):
        raise UserError(f"adabn re-estimates BatchNorm statistics, and {model.spec.backbone} has none to re-estimate")
    if config.method == "output-adv" and min(grid := model.grid(model.spec.size)) < output_critic.SMALLEST:
        raise UserError(
            f"output-adv judges maps of at least {output_critic.SMALLEST} cells a side, those of {config.run} have "
            f"{grid[0]}x{grid[1]}; train at a larger --size"
        )
    shares_of(before, model.tasks, config.witnesses)  # refuses one that there is not
    if config.method == "self-training":
        shares_of(before, model.tasks, config.looks)
        if "transfer" in (config.trust, *config.looks) and not model.graph:
            raise UserError(f"{config.run} has no transfer nets; leave transfer out of --looks and --trust")
        if config.paste and "seg" not in model.tasks:
            raise UserError(f"--paste takes objects by their class, and {config.run} does not predict seg")
    if config.method == "b-fcf" and config.trains != "res5":
        raise UserError("b-fcf makes features of Res-4 again, which must stand still; leave --adapt res5")
    if config.candidates and config.trains == "all" and config.method != "self-training":
        raise UserError(
            "--adapt all moves the decoders, which the source model shares, so that no checkpoint can be compared with "
            "it; give --candidates 0"
        )


def chooses(config: Adapt) -> bool:
    """Whether the label-free selector decides on the checkpoint."""
    return config.candidates > 0 and config.method not in ("adabn", "self-training")


def keep_candidates(stage: Stage, model: UMAdapt, config: Adapt) -> Stage:
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
    taught = config.method == "self-training" or (config.method in NEED_TRANSFERS and config.consensus > 0)
    recipe = Augment(plain=taught)
    parts = [
        Batches(
            f,
            f.ids,
            size,
            grid,
            batch=config.batch,
            seed=config.seed + 2 * i,
            recipe=recipe,
            views=0 if config.method == "self-training" else config.kept_views,
            contours=config.method in READ_CONTOURS,
            detector=detector,
            device=model.mean.device,
            rank=process_group.rank(),
            world=process_group.size(),
        )
        for i, f in enumerate(folders)
    ]
    return Union(parts, "alternate", config.seed)


def make_stage(model: UMAdapt, config: Adapt, target: Union, folder: Folder | None) -> Stage:
    """The method's stage with its data; `folder` is the labelled source, for the methods in READS."""
    before = read_config(config.run)
    shares = shares_of(before, model.tasks, config.witnesses)
    if folder is None:
        if config.method in ("noadv", "noadv-1"):
            stage = um_adapt.stage(model, config, target, real_energy(before), shares)
        else:
            stage = STAGES[config.method](model, config, target)
        return dataclasses.replace(stage, data=pictures(target))
    ids, _ = split_heldout(labelled_ids(folder, model.tasks), float(before["command"]["holdout"]))
    tasks = {"adv": tuple_tasks(model), "output-adv": ()}.get(config.method, tuple(model.tasks))
    source = Batches(
        folder,
        learnable_tuples(folder, ids, tasks),
        model.spec.size,
        model.grid(model.spec.size),
        tasks=tasks,
        focal=model.spec.focal,
        batch=config.batch,
        seed=config.seed + 1,
        recipe=Augment(),
        images=READS[config.method] == "images" or config.real_tuples == "pred",
        device=model.mean.device,
        rank=process_group.rank(),
        world=process_group.size(),
    )
    every = config.critic_every if config.method == "adv" else 1

    def both(step: int) -> Batch:
        out = target(step)
        return {**out, "source": source(step // every)} if (step + 1) % every == 0 else out

    if config.method == "adv":
        stage = um_adapt.stage(model, config, both, margins(model, source, config.margin), shares)
    elif config.method == "self-training":
        stage = self_training.stage(model, config, both, shares_of(before, model.tasks, config.looks))
    else:
        stage = STAGES[config.method](model, config, both)
    return dataclasses.replace(stage, data=(*pictures(target), source))


def margins(model: UMAdapt, source: Batches, factor: float) -> dict[str, float]:
    """Energy of real tuples of each task, the unit of the hinge margins, which are printed."""
    device = model.mean.device
    measured = transfer_nets.measure(model, (to_device(source(k), device) for k in range(8)), shared=True)
    real = {task: figures["energy"] for task, figures in measured.items()}
    print("hinge margins: " + ", ".join(f"{task} {factor * energy:.3f}" for task, energy in real.items()))
    return real


def open_source(config: Adapt, before: dict[str, Any], model: UMAdapt) -> Folder:
    """The labelled source of the run with the config `before`, its normals as they were learnt from.

    Raises:
        UserError: it moved, or has other classes.
    """
    address, what = config.source or before["source"], READS[config.method]
    tasks = model.tasks if what == "labels" else ()
    try:
        address = address or str(rendered_rooms(model.spec.classes))
        folder = labelled_source(address, tasks, before["command"].get("normals", "exact"))
    except UserError as error:
        raise UserError(f"{config.method} reads {what} of the run's source: {error}\ngive --source DATA") from error
    if "seg" in model.tasks and folder.classes != model.spec.classes:
        raise UserError(f"{Path(address)} has other classes than the run was trained on")
    return folder
