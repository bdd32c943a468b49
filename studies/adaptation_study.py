"""What moves adaptation, and which label-free score tells: many recipes from one base run.

    python studies/adaptation_study.py BASE PHOTOS LABELLED OUT [--protocol nyud] [--only NAME,,NAME] [-- ARGUMENTS]
    python studies/adaptation_study.py BASE PHOTOS LABELLED OUT --also FOLDER --only ""

Each recipe below is one `umadapt adapt ARGUMENTS` from BASE to PHOTOS; --also takes every adapted run in a folder as a
further recipe, such as a seed of `umadapt reproduce`. Each checkpoint is evaluated on LABELLED; what was found of it
without labels is what `adapt` noted in the run when it chose one. Writes OUT/study.json and OUT/study.md: errors,
Spearman's correlation of each score with each error and with their mean rank over all distinct checkpoints, and how far
what the selector keeps lies from the best checkpoint of its recipe. Repeated, it goes on where it stopped.
Cost: eight to ten minutes a recipe on one CPU core, a quarter of it with `-- --steps 100`. Two jobs run side by side,
one thread each.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

# Algorithm 2 as printed, from AdaBN: what there was before the consensus
PRINTED = "--consensus 0 --statistics-share 1 --forward fresh --decay 0 --kept-views 0 --steps 100 --lr 1e-5"
AS_PRINTED = {  # name -> arguments beside those
    "noadv": "",
    "noadv, lr x3": "--lr 3e-5",
    "noadv, lr x10": "--lr 1e-4",
    "adv": "--method adv",
    "adv, lr x3": "--method adv --lr 3e-5",
    "adv, strong": "--method adv --critic-lr 1e-4 --critic-every 1",
    "noadv-1": "--method noadv-1",
    "CCR alone": "--energy-weight 0",
    "energy alone": "--ccr 0",
    "energy x0.1": "--energy-weight 0.1",
    "no gradient mask": "--gradient-mask off --lr 3e-5",
    "source statistics": "--statistics source --lr 3e-5",
    "Res-5 statistics": "--statistics res5 --lr 3e-5",
    "BatchNorm trains": "--bn train --lr 3e-5",
    "BatchNorm trains, lr x1": "--bn train",
    "BatchNorm trains, lr x10": "--bn train --lr 1e-4",
    "BatchNorm trains, Res-5 statistics": "--bn train --statistics res5 --lr 3e-5",
    "BatchNorm trains, source statistics": "--bn train --statistics source --lr 3e-5",
    "BatchNorm trains, energy x0.1": "--bn train --energy-weight 0.1 --lr 3e-5",
    "BatchNorm trains, CCR alone": "--bn train --energy-weight 0 --lr 3e-5",
    "BatchNorm trains, adv": "--bn train --method adv --lr 3e-5",
}
PEERS = {  # method -> name -> arguments: the search for each one's defaults
    "minent": {
        **{f"lr {rate}": f"--lr {rate}" for rate in ("1e-6", "3e-6", "1e-5", "3e-5")},
        "lr 3e-6, share 0": "--lr 3e-6 --statistics source",
        "lr 3e-6, share 1": "--lr 3e-6 --statistics-share 1",
        "lr 1e-5, share 1": "--lr 1e-5 --statistics-share 1",
        "lr 3e-6, BatchNorm trains": "--lr 3e-6 --bn train",
        "lr 3e-6, no decay": "--lr 3e-6 --decay 0",
    },
    "mean-teacher": {
        **{f"lr {rate}": f"--lr {rate}" for rate in ("1e-5", "3e-5", "1e-4")},
        "lr 3e-5, teacher 0.9": "--lr 3e-5 --teacher-decay 0.9",
        "lr 3e-5, teacher 0.999": "--lr 3e-5 --teacher-decay 0.999",
        "lr 3e-5, confidence 0": "--lr 3e-5 --confidence 0",
    },
    "output-adv": {
        **{f"lr {rate}": f"--lr {rate}" for rate in ("1e-5", "3e-5", "1e-4")},
        "lr 3e-5, critics 1e-5": "--lr 3e-5 --output-lr 1e-5",
        "lr 3e-5, critics 1e-3": "--lr 3e-5 --output-lr 1e-3",
    },
    "b-ccr": {  # five updates of the critic to each step
        "lr 3e-5": "--steps 40 --lr 3e-5",
        "lr 1e-4": "--steps 40 --lr 1e-4",
    },
    "b-fcf": {"lr 3e-5": "--steps 40 --lr 3e-5"},
}
RECIPES = {  # name -> arguments beside the common ones
    **{f"printed: {name}": f"{PRINTED} {arguments}" for name, arguments in AS_PRINTED.items()},
    "default": "",
    "adv": "--method adv",
    "noadv-1": "--method noadv-1",
    "lr 1e-4": "--lr 1e-4",
    "lr 3e-4": "--lr 3e-4",
    "lr 5e-4": "--lr 5e-4",
    "lr 1e-3": "--lr 1e-3",
    "100 steps": "--steps 100",
    "200 steps": "--steps 200",
    "800 steps": "--steps 800",
    "no energy, no contours": "--energy-weight 0 --ccr 0",
    "no energy": "--energy-weight 0",
    "no contours": "--ccr 0",
    "contours x10": "--ccr 100",
    "energy x0.1": "--energy-weight 0.1",
    "no gradient mask": "--gradient-mask off",
    "adv, strong": "--method adv --critic-lr 1e-4",
    "consensus x0.3": "--consensus 0.3",
    "consensus x3": "--consensus 3",
    "mirror alone": "--witnesses mirror",
    "zoom alone": "--witnesses zoom",
    "transfer nets alone": "--witnesses transfer",
    "no zoom": "--witnesses mirror,transfer",
    "no mirror": "--witnesses zoom,transfer",
    "no transfer nets": "--witnesses mirror,zoom",
    "share 0": "--statistics source",
    "share 0.25": "--statistics-share 0.25",
    "share 0.75": "--statistics-share 0.75",
    "share 1": "--statistics-share 1",
    "share 1, adv": "--statistics-share 1 --method adv",
    "share 1, 100 steps": "--statistics-share 1 --steps 100",
    "two views": "--kept-views 2",
    "eight views": "--kept-views 8",
    "new views": "--kept-views 0",
    "fresh forward": "--forward fresh",
    "no decay": "--decay 0",
    "BatchNorm trains": "--bn train",
    **{
        f"{method}, {name}": f"--method {method} {arguments}"
        for method, lines in PEERS.items()
        for name, arguments in lines.items()
    },
}
ERRORS = {  # label -> where in the evaluation, and whether more is better
    "rel": ("depth", "rel", False),
    "rms": ("depth", "rms", False),
    "normals": ("normals", "mean", False),
    "miou": ("seg", "miou", True),
    "pacc": ("seg", "pacc", True),
}


def measure(run: Path, labelled: str, protocol: str, known: Path) -> list[dict[str, Any]]:
    """Errors and scores of every checkpoint of a run; errors by what is in a checkpoint are kept in a folder."""
    import torch

    from umadapt.data.atomic import write_json
    from umadapt.data.folder import Folder
    from umadapt.evaluation.evaluate import evaluate
    from umadapt.training.candidates import candidate_path, load_candidate
    from umadapt.training.load import load_model

    torch.set_num_threads(1)
    model, record = load_model(run, "cpu")
    folder = Folder(labelled)
    rows = []
    assert record.selected is not None, f"{run} was made with --candidates 0"
    for scores in record.selected.scores:
        step = scores["step"]
        # the start is the same for many recipes: a checkpoint is measured once
        file = known / f"{hashlib.sha256(candidate_path(run, step).read_bytes()).hexdigest()}.json"
        if not file.exists():
            load_candidate(run, step, model)
            found = evaluate(model, "target", folder, protocol, normals_from_depth="normals" not in folder.tasks)
            write_json(file, {name: found[task][key] for name, (task, key, _) in ERRORS.items()})
        kept = step == record.selected.step
        rows.append({"step": step, "kept": kept, **json.loads(file.read_text()), "scores": scores})
    return rows


def made(name: str, arguments: argparse.Namespace) -> tuple[Path, list[str]]:
    """(run folder, command line) of a recipe."""
    run = arguments.out / slug(name)
    words = ["adapt", str(arguments.base), "--target", arguments.photos, "--out", str(run)]
    return run, [*words, *arguments.rest, *shlex.split(RECIPES[name])]


def slug(name: str) -> str:
    """A recipe's name as a file's."""
    return re.sub(r"[^\w.]+", "-", name)


def adapted(folder: Path) -> list[Path]:
    """The runs in a folder of whose checkpoints `adapt` has chosen one."""
    configs = {path.parent: json.loads(path.read_text()) for path in sorted(folder.glob("*/config.json"))}
    return [run for run, config in configs.items() if config.get("selected")]


def job(name: str, run: Path, words: list[str], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Adapt, where there are words for it, and measure in a process of its own, one thread."""
    file = arguments.out / f"{slug(name)}.json"
    if not file.exists():
        command = [sys.executable, __file__, "--measure", str(run), arguments.labelled, arguments.protocol, str(file)]
        with file.with_suffix(".log").open("w") as log:
            env = os.environ | {"OMP_NUM_THREADS": "1"}
            done = subprocess.run([*command, *words], env=env, stdout=log, stderr=log, check=False)
        if done.returncode:
            print(f"{name}: failed, see {log.name}", flush=True)
            return []
    rows = json.loads(file.read_text())
    print(f"{name:<30}" + "".join(f"{e} {rows[-1][e]:<8.3f}" for e in ERRORS), flush=True)
    return [{"recipe": name, **row} for row in rows]


def predictors(row: dict[str, Any]) -> dict[str, float]:
    """Every label-free figure of a checkpoint."""
    from umadapt.evaluation.selection import badness, information

    scores = row["scores"]
    out = {f"energy of {task}": value for task, value in scores["energy"].items()}
    out |= {f"disagreement of {task} with the source model": x for task, x in scores["disagreement"].items()}
    out |= {f"distance of {task} to the source model's consensus": x for task, x in scores["distance"].items()}
    out |= {k: scores[k] for k in ("total", "entropy", "diversity")}
    return out | {"information, negated": -information(scores), "selector": badness(scores)}


def truth_of(rows: list[dict[str, Any]], error: str) -> np.ndarray:
    """An error of every checkpoint, such that less is better."""
    return np.array([row[error] for row in rows]) * (-1 if ERRORS[error][2] else 1)


def distinct(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each checkpoint once: many recipes share their start."""
    return list({tuple(row[error] for error in ERRORS): row for row in rows}.values())


def spearman(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Rank correlation of every score with every error (higher score, higher error: positive), and with the mean rank
    over the errors, "all"."""
    table: dict[str, dict[str, float]] = {}
    columns = [predictors(row) for row in rows]
    places = {error: ranks(truth_of(rows, error)) for error in ERRORS}
    places["all"] = ranks(sum(places.values(), np.zeros(len(rows))))
    for name in columns[0]:
        place = ranks(np.array([c[name] for c in columns]))
        with np.errstate(invalid="ignore"):  # a score that never changes tells nothing
            table[name] = {e: float(np.nan_to_num(np.corrcoef(place, there)[0, 1])) for e, there in places.items()}
    return table


def regret(parts: list[list[dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """How much worse than the best of its recipe what the selector keeps is, as a share: mean and worst of recipes."""
    table: dict[str, dict[str, float]] = {}
    for error in ERRORS:
        shares = []
        for rows in parts:
            truth = truth_of(rows, error)
            kept = [value for row, value in zip(rows, truth, strict=True) if row["kept"]]
            shares += [(value - truth.min()) / abs(truth.min()) for value in kept]
        table[error] = {"mean": float(np.mean(shares)), "worst": float(np.max(shares))} if shares else {}
    return table


def ranks(values: np.ndarray) -> np.ndarray:
    """Place of each value in order, equal ones sharing the mean of their places."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def markdown(rows: list[dict[str, Any]], found: dict[str, Any]) -> str:
    """All three tables."""
    names = list(ERRORS)
    lines = ["| recipe | step | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for row in rows:
        mark = " *" if row["kept"] else ""
        lines.append(f"| {row['recipe']} | {row['step']}{mark} | " + " | ".join(f"{row[n]:.3f}" for n in names) + " |")
    lines += ["", f"Spearman's correlation over {found['checkpoints']} checkpoints; \\* = kept by the selector", ""]
    lines += ["| score | " + " | ".join([*names, "all"]) + " |", "|---" * (len(names) + 2) + "|"]
    lines += [f"| {k} | " + " | ".join(f"{x:+.2f}" for x in v.values()) + " |" for k, v in found["spearman"].items()]
    lines += ["", "What the selector keeps is worse than the best of its recipe by", ""]
    lines += ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for which in ("mean", "worst"):
        lines.append(f"| {which} | " + " | ".join(f"{v[which]:.1%}" for v in found["regret"].values() if v) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        run, labelled, protocol, file, *words = sys.argv[2:]
        from umadapt.cli import main as umadapt

        if words and (code := umadapt(words)):
            sys.exit(code)
        rows = measure(Path(run), labelled, protocol, Path(file).parent / "measured")
        Path(file).write_text(json.dumps(rows))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("photos")
    parser.add_argument("labelled")
    parser.add_argument("out", type=Path)
    parser.add_argument("--jobs", type=int, default=2, help="recipes side by side, one thread each")
    parser.add_argument("--protocol", default="raw")
    parser.add_argument("--only", default=",,".join(RECIPES), help="names of recipes, separated by two commas")
    parser.add_argument("--also", type=Path, help="a folder with adapted runs, which are measured beside them")
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)  # argparse would not take what follows as ours
    arguments = parser.parse_args(words[:end])
    arguments.rest = words[end + 1 :]
    (arguments.out / "measured").mkdir(parents=True, exist_ok=True)
    names = [name for name in arguments.only.split(",,") if name]
    if unknown := [name for name in names if name not in RECIPES]:
        parser.error(f"--only: no recipe {unknown[0]!r}")
    jobs = [(name, *made(name, arguments)) for name in names]
    jobs += [(f"{run.parent.name}: {run.name}", run, []) for run in adapted(arguments.also)] if arguments.also else []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        parts = list(pool.map(lambda each: job(each[0], each[1], each[2], arguments), jobs))
    rows = [row for part in parts for row in part]
    if not rows:
        sys.exit("nothing was measured")
    once = distinct(rows)
    found = {"checkpoints": len(once), "spearman": spearman(once), "regret": regret(parts)}
    (arguments.out / "study.json").write_text(json.dumps({"rows": rows, **found}, indent=1))
    (arguments.out / "study.md").write_text(markdown(rows, found))
    print("\n" + markdown(rows, found))


if __name__ == "__main__":
    main()
