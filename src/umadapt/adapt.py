"""`umadapt adapt`: from a source model and a folder of photos to a model of those photos, without labels."""

from __future__ import annotations

from pathlib import Path

import torch

from umadapt.checkpoint import RunFolder, command_dict, digest, load_model, pick_device, read_config
from umadapt.config import Adapt
from umadapt.data.augment import Augment
from umadapt.data.batches import Batches, split_heldout, whole_images
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.loop import fit, to_device
from umadapt.nets.model import UMAdapt
from umadapt.samples import save_samples
from umadapt.stages import adapt, statistics, transfer


def run(config: Adapt) -> int:
    """Re-estimate statistics, then run Algorithm 2 unless the method is AdaBN alone."""
    before = read_config(config.run)
    unfinished = [stage for stage in ("transfer", "base", "contour") if stage not in before["done"]]
    adapted = before["domain"] != "source"
    if adapted or unfinished:
        what = "is adapted already" if adapted else f"lacks {', '.join(unfinished)}"
        raise UserError(f"{config.run} {what}; give a run that `umadapt train` has finished")
    model, _ = load_model(config.run, "cpu")
    if config.method == "noadv-1" and "seg" not in model.graph:
        raise UserError(f"noadv-1 uses the transfer net of seg alone, and {config.run} has none")
    if not model.graph and config.method != "adabn":
        raise UserError(f"{config.run} has no transfer nets to adapt with; use --method adabn")
    if config.method == "adabn" and config.statistics == "source":
        raise UserError("adabn with --statistics source changes nothing; give res5 or encoder")
    device = pick_device(config.device)
    photos = Folder(config.target)
    if not photos.has("image", photos.ids[0]):
        raise UserError(f"{config.target} holds labels alone; expected a folder of photos")
    source = open_source(config.source or before["source"], model) if config.method == "adv" else None
    variant = "adabn-res5" if (config.method, config.statistics) == ("adabn", "res5") else config.method
    run_folder = RunFolder(
        config.out,
        {
            "variant": variant,
            "domain": "target",
            "model": before["model"],
            "command": command_dict(config),
            "source": config.source or before["source"],
            "target": config.target,
            "transfer_report": before.get("transfer_report"),
            "palette": before["palette"],
            "data": {"target": digest(photos.ids), "base": before["data"]},
        },
    )
    if run_folder.done("adapt"):
        print(f"{config.out} is done")
        return 0
    model.encoder.add_target()
    model.freeze(model)
    model.to(device).to(memory_format=torch.channels_last)
    images = whole_images(photos, photos.ids, model.spec.size, max(config.batch, 16), config.seed)
    statistics.reestimate(model, images, config.statistics)
    if config.method == "adabn":
        run_folder.finish("adapt", model)
    else:
        stage = make_stage(model, config, photos, source)
        fit(stage, model, run_folder, seed=config.seed, clip=config.clip, save_every=config.save_every)
    save_samples(model, run_folder, photos, photos.ids, "adapt")
    print(f"{config.out}: adapted by {config.method} to {len(photos.ids)} photos of {config.target}")
    return 0


def make_stage(model: UMAdapt, config: Adapt, photos: Folder, folder: Folder | None) -> adapt.Stage:
    """Algorithm 2 with its data; `folder` is the labelled source, for `adv` alone."""
    size = model.spec.size
    grid = model.grid(size)
    target = Batches(
        photos, photos.ids, size, grid, batch=config.batch, seed=config.seed, recipe=Augment(), contours=True
    )
    if folder is None:
        return adapt.stage(model, config, target)
    ids, _ = split_heldout(folder.ids, float(read_config(config.run)["command"]["holdout"]))
    tasks = tuple(t for t in model.tasks if t in model.graph or any(t in inputs for inputs in model.graph.values()))
    source = Batches(
        folder,
        ids,
        size,
        grid,
        tasks=tasks,
        batch=config.batch,
        seed=config.seed + 1,
        recipe=Augment(),
        images=config.real_tuples == "pred",
    )
    device = model.mean.device
    energies = transfer.measure(model, (to_device(source(k), device) for k in range(8)))
    margins = {task: config.margin * figures["energy"] for task, figures in energies.items()}
    print("hinge margins: " + ", ".join(f"{task} {margin:.3f}" for task, margin in margins.items()))
    return adapt.stage(model, config, target, source, margins)


def open_source(address: str, model: UMAdapt) -> Folder:
    """The labelled source of a run.

    Raises:
        UserError: it moved, or has other classes.
    """
    try:
        folder = Folder(address)
    except UserError as error:
        raise UserError(f"adv reads the labels of the run's source: {error}\ngive --source DATA") from error
    if "seg" in model.tasks and folder.classes != model.spec.classes:
        raise UserError(f"{Path(address)} has other classes than the run was trained on")
    return folder
