"""Run folders as train and adapt leave them, without training."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import torch

from toys import tiny_spec
from umadapt.checkpoint import RunFolder, command_dict
from umadapt.config import Adapt, Train
from umadapt.nets.model import UMAdapt


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
    config = {"variant": variant, "domain": domain, "model": dataclasses.asdict(model.spec), "command": command}
    config |= {
        "source": "rooms",
        "target": None if domain == "source" else "photos",
        "transfer_report": report,
        "witnesses": None,  # not measured
    }
    run = RunFolder(path, config)
    run.config["done"] = list(done)
    run.finish("base" if domain == "source" else "adapt", model)
    lines = [{"stage": "adapt", "step": k, "seconds": k, "seg/energy": 1 / (k + 1)} for k in range(30)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return model.eval()
