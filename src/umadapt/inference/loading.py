"""A model that ships, a run folder, or an exported file as what predicts. No torch for an exported graph."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from umadapt.errors import UserError
from umadapt.inference.exported import load_onnx
from umadapt.inference.predictor import Predictor

if TYPE_CHECKING:
    from umadapt.inference.hub import Model


def load(
    model: str | Path, device: str = "auto", witnesses: Sequence[str] = (), class_map: str | Path | None = None
) -> Predictor:
    """Load a model that ships by its name, a run folder, or a file that `umadapt export` wrote.

    Args:
        witnesses: of a run: merge its predictions with those of the mirror image ("mirror"), a larger copy ("zoom") and
            the transfer nets ("transfer"); all together take 3.4 times as long.
        class_map: of a run: merge its classes, their probabilities added, by a JSON file {old: new, or "ignore"} in
            which "*" is every class that it does not name, or "nyu13", which ships.

    Raises:
        UserError: no run, not trained yet, no export of ours, damaged, no such device or witness, a map of other
            classes; witnesses or a map for a file.
    """
    if not isinstance(model, str | os.PathLike):
        raise UserError(f"load takes the name of a run folder or of an exported file; found {type(model).__name__}")
    path = Path(model)
    witnesses = (witnesses,) if isinstance(witnesses, str) else tuple(witnesses)
    exported = path.is_file() and path.suffix != ".safetensors"
    if witnesses and exported:
        raise UserError(f"{path} is an exported network, which looks at a photo once; --witnesses asks a run folder")
    if class_map is not None and exported:
        raise UserError(f"{path} is an exported network, whose classes are fixed; --class-map asks a run folder")
    if path.suffix == ".onnx":
        return load_onnx(path, device)
    if path.suffix == ".pt2":
        from umadapt.inference.exported_programs import load_programs

        return load_programs(path, device)
    if exported:
        raise UserError(
            f"{path} is a file; expected a run folder, or FILE.onnx, FILE.pt2 or FILE.safetensors of umadapt export"
        )
    return load_run(path, device, witnesses, class_map)


def load_run(
    run: Path, device: str = "auto", witnesses: Sequence[str] = (), class_map: str | Path | None = None
) -> Model:
    """`load` of a run folder, a run that is a file, or a model that ships."""
    from umadapt.data.class_map import read_class_map
    from umadapt.inference.hub import Model
    from umadapt.inference.photos import merge_classes, predictor_of
    from umadapt.training.load import load_model

    names = {} if class_map is None else read_class_map(str(class_map))
    model, config = load_model(run, device)
    merge_classes(model, names, run)
    return Model.of(predictor_of(model, config, witnesses), run)
