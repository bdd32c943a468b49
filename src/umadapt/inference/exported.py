"""ONNX files that `umadapt export` wrote, read by ONNX Runtime: no torch."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from umadapt.data import json_schema
from umadapt.data.fit import fit_size
from umadapt.data.maps import make_map
from umadapt.errors import UserError
from umadapt.inference.enlarge import Enlarged, finite, reduced
from umadapt.inference.predictor import Predictor

if TYPE_CHECKING:
    import onnxruntime

KEY = "umadapt"  # of the ONNX metadata, whose value is a JSON object
FORMAT = 3
READS = (2, 3)  # without and with what is in GRID
ABOUT = json_schema.record(  # what is read of it
    {
        "maps": json_schema.table(json_schema.text("depth", "normals", "seg", "share")),
        "tasks": json_schema.table(
            json_schema.record(
                {},
                {
                    "scale_m": json_schema.number(above=0),
                    "classes": json_schema.items(json_schema.text()),
                    "ignore": json_schema.count(0, 255),
                },
            )
        ),
        "trust": json_schema.table(json_schema.record({"white": json_schema.number(above=0)})),
        "fov": json_schema.maybe(json_schema.number(0, 180)),
    }
)
TRUST = "trust_"  # what the names of the trust maps begin with
GRID = "grid_"  # and those of the maps on the network's grid
LARGE = 1_000_000  # pixels of a photo beyond which it is made smaller, and its maps larger, here and not in the graph
OLD_PIXELS = 12_500_000  # of a photo for a file without that: 4 GB


def load_onnx(path: Path, device: str = "auto", large: int = LARGE) -> Predictor:
    """An ONNX file that `umadapt export` wrote; needs onnxruntime, numpy and pillow.

    Args:
        large: pixels of a photo beyond which no copy of it goes into the graph.

    Raises:
        UserError: no such file, none of ours, damaged, onnxruntime is missing or too old, or no such device.
    """
    session = open_session(path, device)
    about = read_about(path, session.get_modelmeta().custom_metadata_map)
    try:
        maps = {task: make_map(about["maps"][task], stored) for task, stored in about["tasks"].items()}
        exported = Exported(str(path), about["maps"], size_of(about), about["format"] > 2, large)
        return Predictor(maps, about["trust"], functools.partial(infer_onnx, session, exported), about["fov"])
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
        about = json_schema.parse(text)
        json_schema.record({"format": json_schema.count()})(about, "")
        written = about["format"]
        if written in READS:
            ABOUT(about, "")
    except ValueError as error:
        raise UserError(f"{path} is damaged: its metadata cannot be read ({error}); export it again") from error
    if written not in READS:
        cure = "update umadapt" if written > FORMAT else "export it again"
        raise UserError(f"{path} has format {written}, this umadapt reads {READS[0]} to {FORMAT}: {cure}")
    return about


class Exported(NamedTuple):
    """What has to be known of an exported file to call its graph."""

    name: str  # for messages
    kinds: Mapping[str, str]  # task -> kind of its map
    size: tuple[int, int]  # (H, W) of the network
    has_grids: bool  # whether it gives maps on the network's grid, and takes photos that are made smaller
    large: int  # pixels of a photo beyond which these are asked for

    def by_grids(self, rgb: np.ndarray) -> bool:
        """Whether the maps of a photo (H, W, 3) are enlarged outside of the graph.

        Raises:
            UserError: they would have to be, and the file is too old for that.
        """
        height, width = rgb.shape[:2]
        if not self.has_grids and height * width > OLD_PIXELS:
            raise UserError(
                f"{self.name} was exported by an earlier umadapt, and takes photos of up to {OLD_PIXELS / 1e6:g} "
                f"megapixels; found {height}x{width}: export it again, or make the photo smaller"
            )
        narrow = min(height, width) < 2  # which a program of torch resizes to 3e-4 of the depth
        return self.has_grids and (height * width > self.large or narrow)


def size_of(about: Mapping[str, Any]) -> tuple[int, int]:
    """The size (H, W) of the network that a file tells."""
    return int(about["size"][0]), int(about["size"][1])


def infer_onnx(
    session: onnxruntime.InferenceSession, exported: Exported, rgb: np.ndarray, focal: float | None = None
) -> dict[str, Any]:
    """One photo, (H, W, 3) uint8, of that focal length in pixels, to what `Predictor.look` gives."""
    import onnxruntime

    by_grids = exported.by_grids(rgb)
    names = [output.name for output in session.get_outputs() if output.name.startswith(GRID) == by_grids]
    if by_grids:
        image = reduced(rgb, fit_size((rgb.shape[0], rgb.shape[1]), exported.size))[None]
        given = {"image": image, "photo": np.zeros((1, 1, 1, 3), np.uint8)}
    else:
        given = {"photo": np.ascontiguousarray(rgb)[None]}
    if focal is not None and any(known.name == "focal" for known in session.get_overridable_initializers()):
        length = focal / rgb.shape[1] if by_grids else focal  # of a photo that is one pixel wide
        given["focal"] = np.array(length, np.float32)
    options = onnxruntime.RunOptions()
    options.only_execute_path_to_fetches = True
    found = {n: np.asarray(map_)[0] for n, map_ in zip(names, session.run(names, given, options), strict=True)}
    return grids_of(found, exported.kinds, (rgb.shape[0], rgb.shape[1])) if by_grids else result_of(found)


def grids_of(outputs: Mapping[str, np.ndarray], kinds: Mapping[str, str], size: tuple[int, int]) -> dict[str, Any]:
    """The outputs on the network's grid for one photo, (C, h, w), as `Predictor.look` gives maps of that size.

    Raises:
        UserError: one is not finite.
    """
    names = {name.removeprefix(GRID): grid for name, grid in outputs.items()}
    return split_trust({n: Enlarged(finite(n, grid), kinds.get(n, "trust"), size) for n, grid in names.items()})


def result_of(outputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The named outputs of a graph for one photo as `Predictor.look` gives them.

    Raises:
        UserError: one is not finite.
    """
    return split_trust({name: finite(name, map_) for name, map_ in outputs.items()})


def split_trust(maps: Mapping[str, Any]) -> dict[str, Any]:
    """Maps by the names of a graph, the trust maps in an entry of their own."""
    result = {name: map_ for name, map_ in maps.items() if not name.startswith(TRUST)}
    return {**result, "trust": {n.removeprefix(TRUST): map_ for n, map_ in maps.items() if n.startswith(TRUST)}}
