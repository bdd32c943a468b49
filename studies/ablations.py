"""What a choice of the recipe is worth: the same small training with one thing changed at a time, measured on photos.

    python studies/ablations.py train OUT --source ROOMS --eval nyudv2:val-a [--seeds 0,1,2] [--only NAME,NAME]
    python studies/ablations.py adapt OUT --run BASE --target nyudv2:target --eval nyudv2:val-a [--oracle RUN]

`train` changes the recipe of the models that ship (recipes/indoor.sh) at 120x160 for --steps steps of 12; `adapt` the
self-training of BASE, for --steps steps of 8, with the paper's terms and the peers beside it; {seed} in BASE is the
seed, so that each has a base of its own. Beside an oracle, RUN of `train` on the photos' labels, the table tells how
far towards it each line gets from source-only, figure by figure. OUT gets a run a line and seed, and table.md, written
anew after each. Run again, it goes on where it stopped; with another --eval it measures the same runs on that. Cost: .4
CPU seconds a step of `train`, one of `adapt` at 120x160.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

BASE = "--preset small --alpha 0 --holdout 0.03 --precision bf16 --transfer-steps {transfer} --contour-steps 20"
FULL = "--depth-loss log --normals plane-fit --rare 0.5 --zoom 0.8-1.4"
TRAIN = {  # line -> arguments; of an option that is given twice the later holds
    "the recipe": FULL,
    "depth: BerHu in place of logarithms": f"{FULL} --depth-loss berhu",
    "normals: exact in place of plane fits": f"{FULL} --normals exact",
    "no sampling of rare classes": f"{FULL} --rare 0",
    "zoom 1-1.4: in only": f"{FULL} --zoom 1-1.4",
    "no colours, blur, noise": f"{FULL} --augment 0",
    "moving average of weights, .998": f"{FULL} --ema 0.998",
    "one Adam a task (Algorithm 1)": f"{FULL} --optimiser per-task",
    "distillation, alpha 1": f"{FULL} --alpha 1",
    "normals of depth by geometry, alpha 1": f"{FULL} --transfer 'normals<-depth:geometry' --alpha 1",
    "decoders without skips (fcrn, a quarter as wide)": f"{FULL} --decoder fcrn --width 0.25",
}
SELF = "--method self-training"
SOURCE, ORACLE = "source-only", "oracle"
ADAPT = {
    SOURCE: "",
    "AdaBN": "--method adabn",
    "self-training": SELF,
    "sure classes": f"{SELF} --sure",
    "the source rehearsed alone": f"{SELF} --consistency 0",
    "rate 3e-4": f"{SELF} --lr 3e-4",
    "rate 2e-3": f"{SELF} --lr 2e-3",
    "encoder at a fifth of the rate": f"{SELF} --encoder-rate 0.2",
    "features undisturbed": f"{SELF} --no-disturb",
    "depth's level and contrast as they come": f"{SELF} --no-keep-level",
    "no mirror in the teacher": f"{SELF} --looks ''",
    "a larger copy in the teacher too": f"{SELF} --looks mirror,zoom",
    "the same, and pseudo labels times 3": f"{SELF} --looks mirror,zoom --consistency 3",
    "patches hidden, .5": f"{SELF} --masked 0.5",
    "objects pasted by depth, .5": f"{SELF} --paste 0.5",
    "hidden and pasted": f"{SELF} --masked 0.5 --paste 0.5",
    "encoder alone": f"{SELF} --adapt encoder",
}
# the same box for all: all weights, statistics of the photos, the source rehearsed; a few rates of each
BOX = "--adapt all --rehearse --statistics-share 1 --lr"
LOW, HIGH = ("1e-6", "1e-5", "1e-4"), ("1e-5", "1e-4", "3e-4", "1e-3")
OTHERS = {
    "UM-Adapt (noAdv)-1": ("noadv-1", LOW),
    "UM-Adapt (noAdv)": ("noadv", LOW),
    "UM-Adapt (Adv)": ("adv", LOW),
    "UM-Adapt-B (CCR)": ("b-ccr", LOW),
    "mean teacher": ("mean-teacher", HIGH),
    "entropy minimisation": ("minent", LOW),
    "output adversary": ("output-adv", LOW),
}
ADAPT |= {
    f"{name} at {rate}": f"--method {method} {BOX} {rate}" for name, (method, rates) in OTHERS.items() for rate in rates
}
# its term makes features of Res-4 again, which must stand still
ADAPT |= {f"UM-Adapt-B (FCF) at {rate}": f"--method b-fcf {BOX.replace('all', 'res5')} {rate}" for rate in LOW}
FIGURES = (
    *(("depth", "rel"), ("depth", "log10"), ("depth", "rms"), ("normals", "mean")),
    *(("seg", "miou"), ("seg", "pacc")),
)


def umadapt(words: list[str], log: Path) -> None:
    """One command; ends the study with the log's name when it fails."""
    with log.open("a") as file:
        if subprocess.run([sys.executable, "-m", "umadapt", *words], stdout=file, stderr=file).returncode:
            sys.exit(f"umadapt {' '.join(words)}\nfailed; see {log}")


def measure(given: argparse.Namespace, name: str, options: list[str], seed: int) -> dict:
    """Train or adapt one line, and evaluate it; of a line without options a run that is there."""
    run = given.out / f"{''.join(c if c.isalnum() else '-' for c in name)}-{seed}"
    result, log = run.with_name(f"{run.name}-{Path(given.eval).name.replace(':', '-')}.json"), run.with_suffix(".log")
    base = str((given.oracle if name == ORACLE else given.run) or "").format(seed=seed)
    if not result.exists():
        where = ["--out", str(run), "--seed", str(seed)]
        if given.kind == "train":
            steps = ["--base-steps", str(given.steps), *BASE.format(transfer=given.transfer).split()]
            umadapt(["train", "--source", given.source, *where, *steps, *options], log)
        elif options:
            steps = [] if "adabn" in options else ["--steps", str(given.steps)]
            umadapt(["adapt", base, "--target", given.target, *where, *steps, "--precision", "bf16", *options], log)
        measured = str(run) if given.kind == "train" or options else base
        judge = ["--protocol", "nyud", "--normals-from-depth", "--json", str(result)]
        umadapt(["evaluate", measured, "--data", given.eval, *judge], log)
    return json.loads(result.read_text())


def table(results: dict[str, list[dict]]) -> str:
    """Markdown: the mean over seeds of each line, with the spread where there are several."""
    ends = all(results.get(name) for name in (SOURCE, ORACLE))
    heads = ["", *(f"{task} {key}" for task, key in FIGURES), *(["of the way to the oracle"] if ends else [])]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    means = {name: [statistics.mean(values) for values in figures(found)] for name, found in results.items() if found}
    for name, mean in means.items():
        cells = [name]
        for (task, _), middle, values in zip(FIGURES, mean, figures(results[name]), strict=True):
            digits = 1 if task == "normals" else 3
            spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
            cells.append(f"{middle:.{digits}f}{spread}")
        if ends:
            ways = zip(means[SOURCE], mean, means[ORACLE], strict=True)
            cells.append(", ".join(f"{round(100 * (x - start) / (end - start))}" for start, x, end in ways) + " %")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def figures(found: list[dict]) -> list[list[float]]:
    """Of each figure the values of the seeds."""
    return [[result[task][key] for result in found] for task, key in FIGURES]


def main() -> None:
    """Seed by seed, so that a table of all lines is there first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("train", "adapt"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--source", help="train: rendered rooms")
    parser.add_argument("--run", help="adapt: run of train")
    parser.add_argument("--target", help="adapt: photos")
    parser.add_argument("--oracle", help="adapt: run of train on their labels")
    parser.add_argument("--eval", required=True, help="labelled photos")
    parser.add_argument("--steps", type=int, help="default: 2500 of train, 200 of adapt")
    parser.add_argument("--transfer", type=int, default=1, help="train: steps of the transfer nets")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--only", default="", help="names of lines, or beginnings of them")
    given = parser.parse_args()
    given.steps = given.steps or {"train": 2500, "adapt": 200}[given.kind]
    if (given.kind == "train" and not given.source) or (given.kind == "adapt" and not (given.run and given.target)):
        parser.error("train needs --source, adapt --run and --target")
    if given.oracle and given.kind == "train":
        parser.error("--oracle is of adapt")
    lines = {"train": TRAIN, "adapt": ADAPT}[given.kind]
    wanted = [name for name in given.only.split(",") if name]
    chosen = {n: o for n, o in lines.items() if not wanted or n.startswith(tuple(wanted))}
    chosen |= {ORACLE: ""} if given.oracle else {}
    given.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    results: dict[str, list[dict]] = {}
    for seed in map(int, given.seeds.split(",")):
        for name, options in chosen.items():
            results.setdefault(name, []).append(measure(given, name, shlex.split(options), seed))
            (given.out / "table.md").write_text(table(results))
    print(table(results), end="")


if __name__ == "__main__":
    main()
