"""`umadapt train`: the source model, stage by stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from umadapt.config import ModelSpec, Train
from umadapt.config.options import parse_graph
from umadapt.data import viz
from umadapt.data.augment import Augment
from umadapt.data.class_map import read_class_map
from umadapt.data.folder import Folder
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.methods import base_model, contour, transfer_nets
from umadapt.nets.ensemble import weigh
from umadapt.nets.model import UMAdapt
from umadapt.tasks import TASKS
from umadapt.training import compute
from umadapt.training.batches import Batches, Detector
from umadapt.training.hed_contours import HedContours
from umadapt.training.layout import lay_out
from umadapt.training.load import read_record, read_weights
from umadapt.training.pretrained import Weights
from umadapt.training.run_folder import RunFolder, digest
from umadapt.training.run_record import RunRecord, command_dict
from umadapt.training.sample_sheet import has_samples, save_samples
from umadapt.training.sizes import check_batch, check_size
from umadapt.training.sources import (
    labelled_ids,
    labelled_source,
    labels_of,
    learnable_tuples,
    split_heldout,
    tuple_tasks,
    whole_tuples,
)
from umadapt.training.stage import Stage
from umadapt.training.stages import run_stages
from umadapt.training.weights import load_weights, own_tensors
from umadapt.training.whole_sets import canonical_focal, class_frequencies

STAGES = ("transfer", "base", "contour")
REPORTED = 64  # real tuples that each transfer net is measured on
SAME = (  # of the networks, where one starts from the other's weights
    *("backbone", "backbone_kwargs", "mean", "std", "decoder", "width", "transfer_width"),
    *("tasks", "classes", "depth_scale_m", "depth_head"),
)
WEIGHED = 64  # images that the witnesses of the consensus are weighed on
PAPER_GRAPH = {"seg": ("depth", "normals"), "depth": ("seg",)}  # Section 4.1


def run(config: Train) -> int:
    """Train the stages that are asked for and not yet done."""
    device = compute.pick_device(config.device)
    config = compute.settle(config, device)
    class_map = read_class_map(config.class_map) if config.class_map else None
    folder = labelled_source(config.source, config.tasks, config.normals, class_map)
    ids = source_ids(folder, config)
    train_ids, heldout_ids = split_heldout(ids, config.holdout)
    begun = (config.out / "config.json").exists()
    torch.manual_seed(config.seed)
    try:
        weights = Weights(config.backbone, config.weights)
        spec = read_record(config.out).model if begun else make_spec(config, weights, folder, train_ids)
        spec = spec if begun or config.init is None else spec_from(config.init, spec)
        model = UMAdapt(spec)
    except ValueError as error:
        raise UserError(str(error)) from error
    check_size(model)
    check_batch(model, config.batch, config.micro_batch, lambda copy: trained_parts(copy, config.stage))
    detector = HedContours(device) if spec.contours == "hed" else None
    trained = (config.out / "model.safetensors").exists()
    if not trained and not (config.out / "state.pt").exists():
        if config.init is None:
            with process_group.first():  # a download is found in the cache by the others
                weights.fill(model.encoder)
        else:
            begin_from(config.init, model, config)
    run_folder = RunFolder(
        RunRecord(
            variant="source-only",
            domain="source",
            model=spec,
            command=command_dict(config),
            source=config.source,
            target=None,
            data={"source": digest([*folder.known_as(ids), *map(str, (class_map or {}).items())])},
            palette=viz.palette(len(spec.classes)).tolist(),
            backbone_weights=weights.about() if config.init is None else origin_of(config.init),
            class_map=class_map,
            path=config.out,
        )
    )
    if trained:
        load_weights(model, read_weights(config.out))
    lay_out(model, device)

    def build(name: str) -> Stage[Any] | None:
        earlier = [before for before in STAGES[: STAGES.index(name)] if not run_folder.done(before)]
        if earlier:
            raise UserError(f"stage {name} needs {', '.join(earlier)} first: run with --stage {earlier[0]} or all")
        if name == "transfer" and not model.learnt_transfers:
            return None  # there is no net to train
        stage = make_stage(name, model, config, folder, train_ids, detector)
        if detector is not None and name == "contour":
            detector.prepare(stage.data[0].seen(stage.steps))
        return stage

    asked = STAGES if config.stage == "all" else (config.stage,)
    run_stages({name: partial(build, name) for name in asked}, model, run_folder, config)
    record = run_folder.record
    if run_folder.done("transfer") and model.graph and record.transfer_report is None and not process_group.rank():
        report_transfers(model, run_folder, folder, {"source": train_ids, "heldout": heldout_ids}, config.batch)
    if run_folder.done("base") and record.witnesses is None and not process_group.rank():
        report_witnesses(model, run_folder, folder, heldout_ids or train_ids, config)
    if run_folder.done("base") and not has_samples(config.out, "base"):
        save_samples(model, run_folder, folder, heldout_ids or train_ids, "base")
    print(f"{config.out}: {', '.join(record.done)} done")
    return 0


def spec_from(run: Path, spec: ModelSpec) -> ModelSpec:
    """The network that goes on from the weights of a finished run of train, by that run's canonical camera.

    Raises:
        UserError: it is no such run, or its network is another.
    """
    stored = read_record(run)
    if stored.domain != "source" or "base" not in stored.done:
        raise UserError(f"--init {run} is no run whose base `umadapt train` has finished")
    theirs = stored.model
    differing = [name for name in SAME if getattr(theirs, name) != getattr(spec, name)]
    if differing:
        shown = "; ".join(f"{name} {getattr(theirs, name)!r}, here {getattr(spec, name)!r}" for name in differing)
        raise UserError(f"--init {run} has another network: {shown}\ngive the options that it was trained with")
    focal = None if theirs.focal is None else theirs.focal * max(spec.size) / max(theirs.size)
    return dataclasses.replace(spec, focal=focal)


def begin_from(run: Path, model: UMAdapt, config: Train) -> None:
    """Fill a model with the weights of another run. Transfer nets of edges that the run has not begin anew.

    Raises:
        UserError: there are such nets, and no step would train them.
    """
    stored, tensors = read_record(run).model, read_weights(run)
    theirs = {task: inputs for task, inputs in stored.graph.items() if task not in stored.geometry}
    new = [task for task in model.learnt_transfers if theirs.get(task) != model.graph[task]]
    if new and not config.transfer_steps:
        edges = ", ".join(f"{task}<-{','.join(model.graph[task])}" for task in new)
        raise UserError(
            f"--init {run} has no transfer net {edges}; give --transfer-steps, which trains it, or another --transfer"
        )
    nets, kept = "transfers.", tuple(f"transfers.{task}." for task in model.learnt_transfers if task not in new)
    taken = {name: x for name, x in tensors.items() if not name.startswith(nets) or name.startswith(kept)}
    own = {name: x for name, x in own_tensors(model).items() if name.startswith(nets)}
    load_weights(model, own | taken)


def origin_of(run: Path) -> dict[str, Any]:
    """Where the backbone of a run began, and that it went on from there."""
    return {**(read_record(run).backbone_weights or {}), "trained_on_in": str(run)}


def trained_parts(model: UMAdapt, stage: str) -> list[nn.Module]:
    """The networks that a stage, or "all", trains."""
    parts: dict[str, list[nn.Module]] = {
        "transfer": [model.transfers],
        "base": [model.encoder, model.decoders],
        "contour": [model.contour],
    }
    return [net for name in STAGES if stage in (name, "all") for net in parts[name]]


def source_ids(folder: Folder, config: Train) -> tuple[str, ...]:
    """The images of a source that have a label at least.

    Raises:
        UserError: a task has no labels at all, or there are too few images.
    """
    unknown = [task for task in config.tasks if task not in TASKS]
    if unknown:
        raise UserError(f"--tasks: no task {unknown[0]!r}; there are {', '.join(TASKS)}")
    if len(set(config.tasks)) < len(config.tasks):
        raise UserError(f"--tasks {','.join(config.tasks)} names a task twice")
    labels = labels_of(config.tasks)
    missing = [label for label in labels if label not in folder.tasks]
    if missing or not config.tasks:
        have = ",".join(folder.tasks)
        if not have:
            raise UserError(f"{config.source} has no labels; training needs depth, normals or seg beside the images")
        raise UserError(f"{config.source} has no labels of {', '.join(missing) or 'no task'}; give --tasks {have}")
    ids = labelled_ids(folder, config.tasks)
    left = len(split_heldout(ids, config.holdout)[0])
    if left < 2:
        held = f", of which --holdout {config.holdout:g} leaves {left} to train on" if config.holdout else ""
        cure = "give a smaller --holdout, or more images" if config.holdout and len(ids) > 2 else "training needs more"
        raise UserError(f"{config.source} has {len(ids)} labelled images{held}; {cure}")
    return ids


def make_stage(
    name: str, model: UMAdapt, config: Train, folder: Folder, ids: tuple[str, ...], detector: Detector | None
) -> Stage[Any]:
    """A stage with its data."""
    spec = model.spec
    tasks = {"transfer": tuple_tasks(model), "base": spec.tasks, "contour": ()}[name]
    batches = Batches(
        folder,
        learnable_tuples(folder, ids, tasks) if name == "transfer" else ids,
        spec.size,
        model.grid(spec.size),
        tasks=tasks,
        focal=spec.focal,
        batch=config.batch,
        seed=config.seed * len(STAGES) + STAGES.index(name),
        recipe=Augment(scale=config.zoom, strength=config.augment),
        rare=config.rare if name == "base" and "seg" in spec.tasks else 0.0,
        images=name != "transfer",
        contours=name == "contour",
        detector=detector,
        device=model.mean.device,
        rank=process_group.rank(),
        world=process_group.size(),
    )
    if name == "transfer":
        stage = transfer_nets.stage(model, batches, config.transfer_steps, config.lr)
    elif name == "base":
        rates = (config.lr, config.alpha, config.optimiser, config.encoder_rate, config.ema)
        stage = base_model.stage(model, batches, config.base_steps, *rates)
    else:
        stage = contour.stage(model, batches, config.contour_steps, config.contour_lr)
    return dataclasses.replace(stage, data=(batches,))


def make_spec(config: Train, weights: Weights, folder: Folder, train_ids: tuple[str, ...]) -> ModelSpec:
    """The network that the arguments and the data ask for."""
    graph, geometry = parse_graph(config.transfer)
    graph = graph or {
        task: tuple(i for i in inputs if i in config.tasks)
        for task, inputs in PAPER_GRAPH.items()
        if task in config.tasks and any(i in config.tasks for i in inputs)
    }
    return ModelSpec(
        backbone=config.backbone,
        backbone_kwargs=weights.kwargs,
        size=config.size,
        tasks=config.tasks,
        graph=graph,
        geometry=geometry,
        classes=folder.classes if "seg" in config.tasks else (),
        class_frequencies=class_frequencies(folder, train_ids) if "seg" in config.tasks else (),
        class_weights=config.class_weights,
        depth_scale_m=config.depth_scale_m,
        depth_head=config.depth_head,
        depth_loss=config.depth_loss,
        focal=canonical_focal(folder, train_ids, config.size),
        decoder=config.decoder,
        width=config.width,
        dropout=config.dropout,
        transfer_width=config.transfer_width,
        contours=config.contours,
        pseudo_softmax=config.pseudo_softmax,
        **weights.statistics,
    )


def report_witnesses(model: UMAdapt, run: RunFolder, folder: Folder, ids: tuple[str, ...], config: Train) -> None:
    """Print and store what share of the consensus each witness is worth, on images that were held out."""
    chosen = ids[:: -(-len(ids) // WEIGHED)]
    size = min(config.batch, len(chosen))
    grid, recipe = model.grid(model.spec.size), Augment(strength=config.augment)
    make = Batches(
        folder, chosen, model.spec.size, grid, tasks=model.spec.tasks, focal=model.spec.focal, batch=size, recipe=recipe
    )
    count = -(-2 * len(chosen) // size)  # each image twice
    model.eval()
    shares = weigh(model, lambda k: make(k).to(model.mean.device), count)
    run.record.witnesses = shares
    run.write_record()
    for witness, tasks in shares.items():
        print(f"share of {witness} in the consensus: " + ", ".join(f"{t} {share:.2f}" for t, share in tasks.items()))


def report_transfers(
    model: UMAdapt, run: RunFolder, folder: Folder, parts: Mapping[str, tuple[str, ...]], batch: int
) -> None:
    """Print and store energy and accuracy of every transfer net on real tuples, of the source and held out."""
    report: dict[str, dict[str, dict[str, float]]] = {task: {} for task in model.graph}
    tasks = tuple_tasks(model)
    for part, there in parts.items():
        ids = whole_tuples(folder, there, tasks)
        chosen = ids[:: -(-len(ids) // REPORTED)] if ids else ()
        size = min(batch, len(chosen))
        count = len(chosen) // size if size else 0
        if not count:
            continue
        grid = model.grid(model.spec.size)
        make = Batches(
            folder, chosen, model.spec.size, grid, tasks=tasks, focal=model.spec.focal, batch=size, images=False
        )
        measured = transfer_nets.measure(model, (make(k).to(model.mean.device) for k in range(count)))
        for task, figures in measured.items():
            report[task][part] = figures
            shown = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
            print(f"transfer {task}<-{','.join(model.graph[task])} on {count * size} real tuples ({part}): {shown}")
    run.record.transfer_report = report
    run.write_record()
