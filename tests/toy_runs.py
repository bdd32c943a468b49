"""Run folders as train and adapt leave them, without training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from toys import CLASSES, tiny_spec, write_toy_world
from umadapt.config import Adapt, Train
from umadapt.nets.model import UMAdapt
from umadapt.training.run_folder import RunFolder, digest
from umadapt.training.run_record import RunRecord, command_dict


def toy_record(path: Path, **changes: Any) -> RunRecord:
    """Of a run of `train` that is to begin in `path`."""
    known: dict[str, Any] = {"variant": "source-only", "domain": "source", "model": tiny_spec(), "command": {"lr": 0.1}}
    known |= {"source": "rooms", "target": None, "data": {}, "palette": [], "path": path}
    return RunRecord(**known | changes)


def make_run(
    path: Path,
    variant: str = "source-only",
    nets: int = 0,
    weights: int = 0,
    moved: int = 0,
    report: dict | None = None,
    done: tuple[str, ...] = (),
    **spec: object,
) -> UMAdapt:
    """Write a run folder with a random tiny network; returns the network, in eval mode.

    Args:
        nets: seed of the transfer nets.
        weights: seed of everything else.
        moved: seed of the noise on an adapted run's Res-5; 0 = none.
        report: "transfer_report" of the config.
        done: stages that are noted as done beside the last one.
        spec: changes of `tiny_spec`.
    """
    torch.manual_seed(weights)
    model = UMAdapt(tiny_spec(**spec))
    torch.manual_seed(nets)
    model.transfers.load_state_dict(UMAdapt(tiny_spec(**spec)).transfers.state_dict())
    domain, command = "source", command_dict(Train(source="rooms", out=path, size=(64, 96), base_steps=30))
    if variant != "source-only":
        model.encoder.add_target()
        if moved:
            generator = torch.Generator().manual_seed(moved)
            with torch.no_grad():
                for parameter in model.encoder.branches["target"].parameters():
                    parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
        domain, command = "target", command_dict(Adapt(run=Path("base"), target=("photos",), out=path, steps=30))
        command["method"] = variant
    target = None if domain == "source" else "photos"
    known = {"variant": variant, "domain": domain, "model": model.spec, "command": command, "target": target}
    record = toy_record(path, **known, transfer_report=report or {}, witnesses={})
    run = RunFolder(record)
    run.record.done = list(done)
    run.finish("base" if domain == "source" else "adapt", model)
    lines = [{"stage": "adapt", "step": k, "seconds": k, "seg/energy": 1 / (k + 1)} for k in range(30)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return model.eval()


def write_runs(out: Path, **spec: Any) -> Path:
    """A trained run, an adapted one, and photos."""
    write_toy_world(out / "photos", 6, seed=1)
    for name, variant in (("base", "source-only"), ("adapted", "adabn")):
        make_run(out / name, variant, **spec)
        config = json.loads((out / name / "config.json").read_text())
        config["done"] = ["transfer", "base", "contour"] if name == "base" else ["adapt"]
        config["transfer_report"] = {task: {"source": {"energy": 1.0}} for task in ("seg", "depth")}
        config["data"] = {"source": digest(("000",))}
        config["palette"] = [[0, 0, 0]] * len(CLASSES)
        (out / name / "config.json").write_text(json.dumps(config))
    return out


def adapt_command(root: Path, out: Path, *more: str) -> list[str]:
    common = ["adapt", str(root / "base"), "--target", str(root / "photos"), "--out", str(out), "--batch", "32"]
    return [*common, "--method", "noadv", "--steps", "1", "--candidates", "0", *more]
