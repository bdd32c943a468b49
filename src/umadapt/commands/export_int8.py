"""Convolutions in 8 bits, and what that costs: against labels where there are some, else against the fp32 maps."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from umadapt import config as configs
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.evaluation.evaluate import evaluate_predictor
from umadapt.inference.exported import load_onnx
from umadapt.inference.predictor import Predictor

CALIBRATION = 32  # photos that set the ranges, at most


class Photos(CalibrationDataReader):
    """The photos of a folder one by one, as ONNX Runtime's calibration asks for them."""

    def __init__(self, folder: Folder, ids: Sequence[str]):
        self.photos = ({"photo": folder.read_window(id)[None]} for id in ids)

    def get_next(self) -> dict[str, np.ndarray]:
        return next(self.photos, {})


def quantise(plain: Path, config: configs.Export) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The graph of the fp32 file with 8-bit convolutions, and {"calibrated_on", "measured_on", "against", …}.

    Raises:
        UserError: too few photos, or labels of other tasks or classes.
    """
    labelled = Folder(config.data) if config.data else None
    photos = Folder(config.photos) if config.photos else labelled
    assert photos is not None
    apart = labelled is not None and config.photos is not None  # calibrated on photos, measured on labels
    ranges, rest = (photos.ids, ()) if apart else (photos.ids[::2], photos.ids[1::2])
    ranges = ranges[:: max(1, len(ranges) // CALIBRATION)][:CALIBRATION]
    measured = (labelled.ids if apart else rest) if labelled else rest
    if not measured:
        raise UserError(f"{photos.root} holds {len(photos.ids)} photo; --int8 needs two at least, better fifty")
    graph = in_eight_bits(plain, Photos(photos, ranges))
    small = plain.with_name("int8.onnx")
    onnx.helper.set_model_props(graph, {p.key: p.value for p in onnx.load(plain).metadata_props})
    onnx.save(graph, small)
    both = {"fp32": load_onnx(plain, "cpu"), "int8": load_onnx(small, "cpu")}
    cost: dict[str, Any] = {"calibrated_on": len(ranges), "measured_on": len(measured)}
    if labelled is not None:
        cost["against"] = "labels"
        cost |= {n: evaluate_predictor(p, labelled, config.protocol, measured) for n, p in both.items()}
    else:
        cost["against"] = "fp32 maps"
        cost["change"] = change(both["fp32"], both["int8"], photos, measured)
    print(table(cost))
    return graph, cost


def in_eight_bits(plain: Path, photos: Photos) -> onnx.ModelProto:
    """Static quantisation of the convolutions: 7-bit weights a channel, because 8 saturate on CPUs without VNNI.

    OURS: transposed convolutions stay as they are, for ONNX Runtime has no 8-bit kernel of them.
    """
    target = plain.with_name("quantised.onnx")
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it recommends a step that the graph has behind it
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            quantize_static(
                str(plain),
                str(target),
                photos,
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
    finally:
        logging.disable(before)
    return onnx.load(target)


def change(right: Predictor, ours: Predictor, folder: Folder, ids: Sequence[str]) -> dict[str, float]:
    """How far the maps of two predictors are apart, the mean over all pixels of all photos.

    depth: relative; normals: degrees; seg: share of pixels of another class; shares: absolute.
    """
    total: dict[str, float] = {}
    for id in ids:
        photo = folder.photo(id)
        one, two = right.predict(*photo), ours.predict(*photo)
        for task, map_ in right.maps.items():
            total[task] = total.get(task, 0.0) + _apart(map_.kind, one[task], two[task]) / len(ids)
    return total


def _apart(kind: str, right: np.ndarray, ours: np.ndarray) -> float:
    if kind == "seg":
        return float((right != ours).mean())
    if kind == "normals":
        cosine = np.clip(np.sum(right.astype(np.float64) * ours, axis=-1), -1, 1)
        return float(np.degrees(np.arccos(cosine)).mean())
    apart = np.abs(ours.astype(np.float64) - right)
    return float((apart / np.maximum(right, 1e-3)).mean() if kind == "depth" else apart.mean())


def table(cost: dict[str, Any]) -> str:
    """What 8 bits cost, in a few lines."""
    photos = f"ranges from {cost['calibrated_on']} photos, cost on {cost['measured_on']} others"
    lines = [f"int8: {photos} against {cost['against']}"]
    if "change" in cost:
        names = {"depth": "relative", "normals": "degrees", "seg": "share of pixels"}
        lines += [f"{task:<9} {x:9.4f} {names.get(task, 'absolute')}" for task, x in cost["change"].items()]
        return "\n".join(lines)
    for task, figures in cost["fp32"].items():
        if isinstance(figures, dict):
            for key, x in figures.items():
                if isinstance(x, float):
                    lines.append(f"{task:<9} {key:<9} fp32 {x:9.4f}  int8 {cost['int8'][task][key]:9.4f}")
    return "\n".join(lines)
