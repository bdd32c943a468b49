"""`umadapt evaluate`: metrics under a named protocol, of a run, of a folder of predictions, or of a prior."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from umadapt.config import Evaluate
from umadapt.data.atomic import write_json
from umadapt.data.class_map import Names, read_class_map
from umadapt.data.folder import Folder
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.evaluation.evaluate import evaluate, evaluate_predictions, evaluate_prior
from umadapt.evaluation.evaluations import Evaluation, conditions, read_evaluation
from umadapt.inference.photos import merge_classes, voting
from umadapt.tasks import TASKS
from umadapt.training.load import load_model


def run(config: Evaluate) -> int:
    """Print a table; write --json, and of a run RUN/evaluations/PROTOCOL-NAME-SPLIT.json."""
    refuse(config)
    class_map = read_class_map(config.class_map) if config.class_map else {}
    folder = _folder(config.data, class_map)
    address = _address(folder)
    options: dict[str, Any] = {"normals_from_depth": config.normals_from_depth, "align": config.align}
    if config.run is not None:
        what, result = of_run(config, config.run, folder, class_map, options)
    elif config.prior is not None:
        prior = _folder(config.prior, class_map, folder)
        result = evaluate_prior(prior, folder, config.protocol, **options, progress=True)
        result |= {"data": address, "prior": _address(prior)}
        what = f"the prior of {config.prior}"
    else:
        assert config.predictions is not None
        predictions = _folder(config.predictions, class_map, folder)
        result = evaluate_predictions(predictions, folder, config.protocol, **options, progress=True)
        result |= {"data": address}
        what = f"predictions in {config.predictions}"
    if config.json is not None and not process_group.rank():
        write_json(config.json, result)
    print(f"{what} on {config.data}")
    print(table(result, len(folder.classes)))
    return 0


def refuse(config: Evaluate) -> None:
    """Raise a UserError where there is no data, or not exactly one thing to measure."""
    if not config.data:
        raise UserError("no labelled data given; expected for example: umadapt evaluate RUN --data DATA:SPLIT")
    given = {"RUN": config.run, "--predictions DIR": config.predictions, "--prior DATA": config.prior}
    found = [name for name, value in given.items() if value is not None]
    if len(found) != 1:
        raise UserError(f"expected one of {', '.join(given)}; found {' and '.join(found) or 'none of them'}")
    if config.witnesses and config.run is None:
        raise UserError("--witnesses asks a RUN; give it to `umadapt predict`, which writes the predictions")


def of_run(
    config: Evaluate, run: Path, folder: Folder, class_map: Names, options: dict[str, Any]
) -> tuple[str, Evaluation]:
    """(what it is, its evaluation), which is kept in the run's folder too.

    Data of a name and split that other data has taken get their own file, see `own_file`.
    """
    model, stored = load_model(run, config.device)
    if not class_map and folder.classes != model.classes:
        folder.merge_classes(stored.class_map or {})
    if folder.classes != model.classes:
        merge_classes(model, class_map, run)
    shares = voting(model, stored, config.witnesses)
    result = evaluate(
        *(model, stored.domain, folder, config.protocol),
        **options,
        batch=config.batch,
        shares=shares,
        progress=True,
    )
    address = _address(folder)
    result |= {"variant": stored.variant, "data": address}
    result |= {"witnesses": shares} if config.witnesses else {}
    result |= {"class_map": class_map} if class_map else {}
    suffix = "-normals-from-depth" if "normals_from" in result else ""
    suffix += f"-align-{config.align}" if "align" in result else ""
    suffix += "".join(f"-{witness}" for witness in config.witnesses)
    suffix += f"-{Path(config.class_map).stem}" if config.class_map else ""
    name = re.sub(r"[^\w.-]+", "_", f"{config.protocol}-{folder.name}-{folder.split or 'all'}{suffix}")
    if not process_group.rank() and run.is_dir():
        write_json(own_file(run / "evaluations" / f"{name}.json", address), result)
    return f"{run} ({stored.variant})", result


def _folder(address: str | Path, class_map: Names, beside: Folder | None = None) -> Folder:
    """A folder, its classes merged; not where they are those of another that was."""
    folder = Folder(address)
    if beside is None or folder.classes != beside.classes:
        folder.merge_classes(class_map)
    return folder


def _address(folder: Folder) -> str:
    """Of a folder or its split, from anywhere."""
    return f"{folder.root.resolve()}:{folder.split}" if folder.split else str(folder.root.resolve())


def own_file(path: Path, address: str) -> Path:
    """Where the evaluation on the data at `address` goes: `path`, or beside it where other data of that name has it."""
    try:
        taken = read_evaluation(path).get("data", address)
    except (FileNotFoundError, UserError):  # none there, or none that could be read
        return path
    if taken == address:
        return path
    return path.with_stem(f"{path.stem}-{hashlib.sha256(address.encode(errors='surrogateescape')).hexdigest()[:8]}")


def table(result: Mapping[str, Any], classes: int) -> str:
    """The evaluation as aligned plain text: what was measured first, then one block a task."""
    lines = [f"{name:<8} {told}" for name, told in conditions(result, classes).items()]
    for task in TASKS:
        figures = {key: x for key, x in result.get(task, {}).items() if key != "iou"}
        if figures:
            lines += ["", f"{task:<8}" + "".join(f"{key:>11}" for key in figures)]
            lines.append(" " * 8 + "".join(f"{x:>11.3f}" for x in figures.values()))
    lines += [f"warning: {line}" for line in result.get("premises", ())]
    return "\n".join(lines)
