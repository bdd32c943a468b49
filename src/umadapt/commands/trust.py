"""`umadapt trust`: how well the trust maps of a run find its errors, measured against labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from umadapt.config import Trust
from umadapt.data.atomic import whole_file, write_json
from umadapt.data.folder import Folder
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.evaluation.protocols import PROTOCOLS
from umadapt.evaluation.sparsification import BOTH, FRACTIONS, PIXELS, PLACE, trust
from umadapt.training.load import load_model

PLOTS = (".png", ".pdf", ".svg")


def run(config: Trust) -> int:
    """Print a table; write --json and --plot."""
    if not config.data:
        raise UserError("no labelled data given; expected for example: umadapt trust RUN --data DATA:SPLIT")
    if config.plot is not None and config.plot.suffix.lower() not in PLOTS:
        raise UserError(f"--plot is {config.plot}; expected a name that ends in {' '.join(PLOTS)}")
    folder = Folder(config.data)
    model, stored = load_model(config.run, config.device)
    batch, seed = config.batch, config.seed
    made = config.normals_from_depth
    result = trust(
        model, stored.domain, folder, config.protocol, from_depth=made, batch=batch, seed=seed, progress=True
    )
    result |= {"run": str(config.run), "variant": stored.variant, "data": config.data}
    if config.json is not None and not process_group.rank():
        write_json(config.json, result)
    print(f"{config.run} ({stored.variant}) on {config.data}")
    print(table(result))
    if config.plot is not None and not process_group.rank():
        plot(result, config.plot)
    return 0


def table(result: Mapping[str, Any]) -> str:
    """Aligned plain text: what was measured first, then one block a task."""
    lines = [f"protocol {PROTOCOLS[result['protocol']].describe()}", f"images   {result['n']}"]
    lines.append(f"pixels   at most {PIXELS} a photo, drawn at random at the size of the ground truth")
    lines.append("AUSE     area to the oracle's sparsification curve, 0 = perfect; AURG: gain over random removal")
    lines.append("spread   of a photo and its mirror image; place: the mean over photos, which does not look")
    if any("entropy" in result[task] for task in result["errors"]):
        lines.append("entropy  that of seg's prediction, for every task")
    for task, error in result["errors"].items():
        keys = [key for key in result[task]["oracle"] if key != "curve"]
        lines += ["", f"{task}: {error['kind']}, mean {error['mean']:.3f} over {error['pixels']} pixels"]
        lines.append(" " * 22 + "".join(f"{key:>12}" for key in keys))
        for name, figures in result[task].items():
            cells = "".join(f"{figures[key]:>12.3f}" if key in figures else f"{'-':>12}" for key in keys)
            lines.append(f"{name:<22}{cells}")
    return "\n".join(lines)


def plot(result: Mapping[str, Any], path: Path) -> None:
    """Write the sparsification curves as a picture, one panel a task."""
    from matplotlib.figure import Figure

    tasks = list(result["errors"])
    figure = Figure(figsize=(4.2 * len(tasks), 4.4), layout="constrained")
    styles = {"oracle": ("black", "-"), "random": ("grey", ":"), BOTH: ("tab:green", "--")}
    styles |= {"disagreement": ("tab:blue", "-"), "entropy": ("tab:orange", "-")}
    styles |= {"spread": ("tab:purple", "-"), PLACE: ("tab:brown", ":")}
    for axes, task in zip(figure.subplots(1, len(tasks), squeeze=False)[0], tasks, strict=True):
        for name, figures in result[task].items():
            colour, line = styles[name]
            label = f"{name} ({figures['ause']:.3f})"
            axes.plot(FRACTIONS, figures["curve"], color=colour, linestyle=line, label=label)
        axes.set(title=f"{task}: {result['errors'][task]['kind']}", xlabel="share of pixels removed", ylim=(0, None))
        axes.set_ylabel("error of the rest / error of all")
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.16), "ncol": 2}
        axes.legend(title="uncertainty (AUSE)", fontsize="small", title_fontsize="small", **below)
    title = f"{result.get('variant', '')} on {Path(result.get('data', '')).name}, {result['protocol']}"
    figure.suptitle(f"{title}, {result['n']} photos")
    with whole_file(path) as new:
        figure.savefig(new, dpi=100, format=path.suffix[1:].lower())
