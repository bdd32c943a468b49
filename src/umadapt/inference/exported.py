"""ONNX files that `umadapt export` wrote, read by ONNX Runtime: no torch."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from umadapt.data.maps import make_map
from umadapt.errors import UserError
from umadapt.inference.predictor import Predictor

if TYPE_CHECKING:
    import onnxruntime

KEY = "umadapt"  # of the ONNX metadata, whose value is a JSON object
FORMAT = 2
TRUST = "trust_"  # what the names of the trust maps begin with


def load_onnx(path: Path, device: str = "auto") -> Predictor:
    """An ONNX file that `umadapt export` wrote; needs onnxruntime, numpy and pillow.

    Raises:
        UserError: no such file, none of ours, damaged, onnxruntime is missing or too old, or no such device.
    """
    session = open_session(path, device)
    about = read_about(path, session.get_modelmeta().custom_metadata_map)
    try:
        maps = {task: make_map(about["maps"][task], stored) for task, stored in about["tasks"].items()}
        return Predictor(maps, about["trust"], functools.partial(infer_onnx, session), about["fov"])
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged: its metadata lack {error}; export it again") from error


def open_session(path: Path, device: str = "auto") -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on "cpu", "cuda", or "auto": the GPU where onnxruntime has one."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; `umadapt export RUN --out {path}` makes one")
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"{path} needs ONNX Runtime, which is not installed; type: pip install onnxruntime") from error
    available = onnxruntime.get_available_providers()
    gpu = "CUDAExecutionProvider"
    if device not in ("auto", "cpu") and gpu not in available:
        raise UserError(f"this onnxruntime has no GPU for device {device!r}; try cpu, or install onnxruntime-gpu")
    providers = [gpu, "CPUExecutionProvider"] if device != "cpu" and gpu in available else ["CPUExecutionProvider"]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone: they come as exceptions
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime raises kinds of its own
        reason = str(error).splitlines()[0][:300]
        raise UserError(
            f"{path}: onnxruntime {onnxruntime.__version__} cannot read it ({reason}).\n"
            "Expected a file that umadapt export wrote; if it is one, update onnxruntime, or export it again"
        ) from error


def read_about(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """What a file says of itself, from its metadata.

    Raises:
        UserError: it is no export of ours, or one of another format.
    """
    if KEY not in metadata:
        raise UserError(f"{path} was not written by umadapt export (it has no {KEY!r} entry in its metadata)")
    return parse_about(path, metadata[KEY])


def parse_about(path: Path, text: str | bytes) -> dict[str, Any]:
    """The JSON of an exported file; a UserError where it is none, or of another format."""
    try:
        about = json.loads(text)
        written = int(about["format"])
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} is damaged: its metadata cannot be read ({error}); export it again") from error
    if written != FORMAT:
        cure = "update umadapt" if written > FORMAT else "export it again"
        raise UserError(f"{path} has format {written}, this umadapt reads {FORMAT}: {cure}")
    return about


def infer_onnx(session: onnxruntime.InferenceSession, rgb: np.ndarray, focal: float | None = None) -> dict[str, Any]:
    """One photo, (H, W, 3) uint8, of that focal length in pixels, to what `Predictor.predict` gives."""
    names = [output.name for output in session.get_outputs()]
    given = {"photo": np.ascontiguousarray(rgb)[None]}
    if focal is not None and any(known.name == "focal" for known in session.get_overridable_initializers()):
        given["focal"] = np.array(focal, np.float32)
    found = session.run(None, given)
    return result_of({name: np.asarray(map_)[0] for name, map_ in zip(names, found, strict=True)})


def result_of(outputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The named outputs of a graph for one photo as `Predictor.predict` gives them.

    Raises:
        UserError: one is not finite.
    """
    for name, map_ in outputs.items():
        if map_.dtype.kind == "f" and not np.isfinite(map_).all():
            raise UserError(f"the prediction of {name} holds NaN or infinity; the run's training probably diverged")
    result: dict[str, Any] = {name: map_ for name, map_ in outputs.items() if not name.startswith(TRUST)}
    result["trust"] = {n.removeprefix(TRUST): map_ for n, map_ in outputs.items() if n.startswith(TRUST)}
    return result
