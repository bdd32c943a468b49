"""A run as one file, compared with PyTorch before it is written."""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from umadapt import config as configs
from umadapt.data.atomic import write_json
from umadapt.data.viz import palette
from umadapt.errors import UserError
from umadapt.inference.exported import FORMAT, load_onnx
from umadapt.inference.hub import write_run
from umadapt.inference.photos import predictor_of
from umadapt.inference.predictor import Predictor
from umadapt.nets.model import UMAdapt
from umadapt.training.load import load_model
from umadapt.training.provenance import git_commit, versions
from umadapt.training.run_record import RunRecord

SIZES = ((480, 640), (228, 304), (700, 1000))  # H, W of the photos that are compared, beside the network's own
TOLERANCE = 1e-4  # relative to the value, or absolute below 1
STRAY = 1e-4  # share of pixels that may differ by more: near ties of classes, normals that cancel where they meet
NEEDED = {"onnx": ("onnx", "onnxruntime", "onnxscript"), "torch": (), "safetensors": ()}  # packages, by format
SUFFIX = {"onnx": ".onnx", "torch": ".pt2", "safetensors": ".safetensors"}
UNITS = {"depth": "m", "normals": "unit vector: x right, y up, z towards the viewer", "seg": "class id", "share": "1"}


def run(config: configs.Export) -> int:
    """The command `export`."""
    refuse(config)
    lacking = [name for name in NEEDED[config.format] if importlib.util.find_spec(name) is None]
    if lacking:
        raise UserError(f"export needs {', '.join(lacking)}; type: pip install {' '.join(lacking)}")
    if config.format == "safetensors":
        return as_run_file(config)
    start = time.perf_counter()
    model, stored = load_model(config.run, "cpu")
    about = describe(predictor_of(model, stored), stored)
    export = as_programs if config.format == "torch" else as_onnx
    out, what = export(config, model, stored, about)
    result = {"file": str(out), "format": config.format, "mb": out.stat().st_size / 1e6, "compared": about["compared"]}
    result |= {"int8": about.get("int8"), "seconds": time.perf_counter() - start}
    if config.json is not None:
        write_json(config.json, result)
    print(f"{out}: {result['mb']:.1f} MB, {what}, in {result['seconds']:.0f} s")
    return 0


def as_run_file(config: configs.Export) -> int:
    """Write the run with weights in half precision."""
    out = default_out(config, "-half.safetensors")
    write_run(config.run, out)
    size = out.stat().st_size / 1e6
    if config.json is not None:
        write_json(config.json, {"file": str(out), "format": config.format, "mb": size})
    print(f"{out}: {size:.1f} MB, a run in half precision")
    return 0


def default_out(config: configs.Export, ending: str) -> Path:
    """Where the file goes: --out, in the run folder, or for a run that is a file in the working directory."""
    if config.out is not None:
        return config.out
    return config.run / f"model{ending}" if config.run.is_dir() else Path(f"{config.run.stem}{ending}")


def as_onnx(config: configs.Export, model: UMAdapt, stored: RunRecord, about: dict[str, Any]) -> tuple[Path, str]:
    """Write the ONNX file; where it is, and what it is."""
    from umadapt.commands.export_int8 import quantise
    from umadapt.inference.export_graph import OPSET, to_onnx, write_onnx

    about["packages"]["exported"]["onnx"] = version("onnx")
    graph = to_onnx(model, stored.domain)
    with tempfile.TemporaryDirectory() as folder:
        plain = write_onnx(Path(folder) / "model.onnx", graph, about)
        compare_all(model, stored, load_onnx(plain, "cpu"), about)
        compare(predictor_of(model, stored), load_onnx(plain, "cpu", large=0), SIZES[:1])  # as large photos are
        if config.int8:
            graph, about["int8"] = quantise(plain, config)
    out = default_out(config, "-int8.onnx" if config.int8 else ".onnx")
    return write_onnx(out, graph, about), f"ONNX opset {OPSET}"


def as_programs(config: configs.Export, model: UMAdapt, stored: RunRecord, about: dict[str, Any]) -> tuple[Path, str]:
    """Write the programs of torch.export; where they are, and what they are."""
    from umadapt.inference.export_programs import to_programs, write_programs
    from umadapt.inference.exported_programs import load_programs

    programs = to_programs(model, stored.domain)
    with tempfile.TemporaryDirectory() as folder:
        file = write_programs(Path(folder) / "model.pt2", programs, about)
        compare_all(model, stored, load_programs(file, "cpu"), about)
        large = load_programs(file, "cpu", large=0)
        compare(predictor_of(model, stored), large, SIZES[:1])  # as large photos are taken
    out = default_out(config, ".pt2")
    return write_programs(out, programs, about), f"programs of torch {torch.__version__}"


def compare_all(model: UMAdapt, stored: RunRecord, exported: Predictor, about: dict[str, Any]) -> None:
    """Print how far the file is from PyTorch, and store it in `about`."""
    about["compared"] = compare(predictor_of(model, stored), exported, (*SIZES, model.spec.size))
    print(table(about["compared"]))


def refuse(config: configs.Export) -> None:
    """Raise a UserError where the arguments do not go together."""
    suffix = SUFFIX[config.format]
    if config.out is not None and config.out.suffix != suffix:
        raise UserError(f"--out is {config.out}; expected a name that ends in {suffix}")
    if config.out is not None and config.out.is_dir():
        raise UserError(f"--out is {config.out}, a folder; expected a file such as {config.out / f'model{suffix}'}")
    if config.int8 and config.format != "onnx":
        raise UserError("--int8 is for --format onnx")
    if config.int8 and config.photos is None and config.data is None:
        raise UserError("--int8 needs photos that set its ranges: give --photos PHOTOS, or --data DATA with labels")
    if not config.int8 and (config.photos is not None or config.data is not None):
        raise UserError("--photos and --data are for --int8, which is not given")


def describe(predictor: Predictor, stored: RunRecord) -> dict[str, Any]:
    """What the file says of itself: JSON under the key "umadapt" of its metadata."""
    spec = stored.model
    kinds = {task: map_.kind for task, map_ in predictor.maps.items()}
    return {
        "format": FORMAT,
        "maps": kinds,
        "tasks": {task: map_.stored() for task, map_ in predictor.maps.items()},
        "trust": predictor.trust,
        "units": {task: UNITS[kind] for task, kind in kinds.items()},
        "classes": predictor.classes,
        "palette": palette(len(predictor.classes)).tolist(),
        "size": list(spec.size),
        "fov": predictor.fov,
        "protocol": {
            "focal": "focal length in pixels of the photo as it is given, a scalar; 0, the default, where it is "
            "unknown: then the photo is taken to see `fov` degrees along its longer side",
            "photo": "whole photo, RGB uint8, upright, any size; resized to `size` (H, W) where the aspect ratios "
            "differ by 5 % at most, else to as many pixels at its own aspect, sides multiples of 32; antialiased "
            "bilinear",
            "maps": "at the photo's size: bilinear, normals made unit again, classes the largest of bilinear logits",
            "evaluation": "no crop, no cap, every class may be predicted (protocol raw)",
        },
        "normalisation": {"mean": list(spec.mean), "std": list(spec.std)},
        "variant": stored.variant,
        "backbone": spec.backbone,
        "git": {"trained": stored.git, "exported": git_commit()},
        "packages": {"trained": stored.packages, "exported": versions()},
    }


def compare(exact: Predictor, exported: Predictor, sizes: tuple[tuple[int, int], ...]) -> dict[str, dict[str, Any]]:
    """Both on made photos of each size.

    Returns:
        {"480x640": {map: figures of `difference`}}, trust maps as "trust of …".

    Raises:
        UserError: more than a share of STRAY of the pixels of a map differ.
    """
    found: dict[str, dict[str, Any]] = {}
    for height, width in sizes:
        photo = made_photo(height, width)
        right, ours = (flat(predictor.predict(photo)) for predictor in (exact, exported))
        here = found[f"{height}x{width}"] = {name: difference(right[name], ours[name]) for name in right}
        for name, figures in here.items():
            if figures["share"] > STRAY:
                raise UserError(
                    f"the exported {name} differs from PyTorch's on {figures['share']:.2%} of a {height}x{width} "
                    "photo; nothing was written.\n"
                    "Use the versions of constraints.txt, or another backbone"
                )
    return found


def flat(result: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """All maps of a prediction by name."""
    maps = {name: map_ for name, map_ in result.items() if name != "trust"}
    return maps | {f"trust of {name}": map_ for name, map_ in result["trust"].items()}


def difference(right: np.ndarray, ours: np.ndarray) -> dict[str, float]:
    """{"largest": difference, "share": of values beyond TOLERANCE}; of class ids only the share that is another."""
    if right.shape != ours.shape or right.dtype != ours.dtype:
        raise UserError(f"the exported map is {ours.dtype} {ours.shape}, PyTorch's {right.dtype} {right.shape}")
    if right.dtype.kind == "u":
        return {"share": float((ours != right).mean())}
    apart = np.abs(ours - right)
    return {"largest": float(apart.max()), "share": float((apart > TOLERANCE * np.maximum(1, np.abs(right))).mean())}


def made_photo(height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8, always the same: soft blobs of colour under a little noise, smooth as photos are."""
    rng = np.random.default_rng(height * width)
    blobs = Image.fromarray(rng.integers(0, 256, (9, 12, 3)).astype(np.uint8))
    smooth = np.asarray(blobs.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    return (smooth + rng.normal(0, 4, smooth.shape)).clip(0, 255).astype(np.uint8)


def table(compared: Mapping[str, Mapping[str, Any]]) -> str:
    """The comparison as aligned plain text."""
    names = list(next(iter(compared.values())))
    lines = [
        "largest difference from PyTorch; of class ids, the share of pixels that differ",
        "photo     " + "".join(f"{name:>16}" for name in names),
    ]
    for size, maps in compared.items():
        figures = (f"{f['largest']:.1e}" if "largest" in f else f"{f['share']:.4%}" for f in maps.values())
        lines.append(f"{size:<10}" + "".join(f"{figure:>16}" for figure in figures))
    return "\n".join(lines)
