"""The ladder as data: its rungs, what each suite trains with, and the command lines that they come to."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from umadapt.config import Reproduce
from umadapt.errors import UserError
from umadapt.methods import METHODS
from umadapt.reports.scheduler import Step


@dataclass(frozen=True)
class Rung:
    """One row of the tables."""

    name: str
    title: str
    adapt: str = ""  # arguments of `adapt`; empty for the rungs that other commands make
    steps: tuple[int, int] = (60, 400)  # of adapt: short, full


# Algorithm 2 without what keeps it from drifting: a few gentle steps from M_s as it is
PRINTED = "--statistics source --forward fresh --decay 0 --kept-views 0"
# what self-training has by itself, so that peers are compared on equal terms; rates chosen on photos (docs/results.md)
BOX = "--adapt all --rehearse --statistics-share 1"
FEW = 0.1  # share of the labelled photos that one rung learns from
PRIOR = "prior"  # a row without a run: `evaluate --prior`, the same for all seeds
_NAMED = (
    Rung(PRIOR, "image-free prior of target labels"),
    Rung("source-only", "source only"),
    Rung("no-distil", "source only, no distillation (α = 0)"),
    Rung("adabn-res5", "AdaBN, Res-5", "--method adabn --statistics res5", (0, 0)),
    Rung("adabn", "AdaBN, whole encoder", "--method adabn", (0, 0)),
    Rung("minent", "entropy minimisation", f"--method minent {BOX} --lr 1e-6"),
    Rung("output-adv", "output adversary", f"--method output-adv {BOX} --lr 1e-6"),
    Rung("mean-teacher", "mean teacher", f"--method mean-teacher {BOX} --lr 3e-4"),
    Rung("b-fcf", "UM-Adapt-B (FCF)", "--method b-fcf", (20, 40)),
    Rung("b-ccr", "UM-Adapt-B (CCR)", "--method b-ccr", (20, 40)),
    Rung("noadv-printed", "UM-Adapt (noAdv), as printed", f"--method noadv {PRINTED}", (20, 50)),
    Rung(
        "adv-printed",
        "UM-Adapt (Adv), as printed",
        f"--method adv --energy literal --real-tuples pred {PRINTED}",
        (20, 50),
    ),
    Rung("noadv-1", "UM-Adapt (noAdv)-1", "--method noadv-1", (20, 50)),
    Rung("noadv", "UM-Adapt (noAdv)", "--method noadv", (20, 50)),  # more steps drift
    Rung("adv", "UM-Adapt (Adv)", "--method adv", (20, 50)),
    Rung("self-training", "self-training", "--method self-training"),
    Rung(
        "self-training-long",
        "self-training, three times the steps, harder views",
        "--method self-training --masked 0.5 --paste 0.5",
        (180, 1200),
    ),
    Rung(
        "self-training-tenth",
        "self-training, with a tenth of the labels",
        f"--method self-training --labelled-share {FEW}",
    ),
    Rung("self-training-labelled", "self-training, with all labels", "--method self-training"),
    Rung("semi", "UM-Adapt-S, transfer nets of stage 1"),
    Rung("oracle", "oracle: trained on target labels"),
)
_TOLD = {rung.adapt.split()[1] for rung in _NAMED if rung.adapt}
RUNGS = (*_NAMED, *(Rung(name, name, f"--method {name}") for name in METHODS if name not in _TOLD))
TRANSFER = "transfer"  # a rung of other tables: `umadapt.reports.transfer_table`
NEEDED = {"semi": ("adv",), TRANSFER: ("source-only",), **{rung.name: ("source-only",) for rung in RUNGS if rung.adapt}}
FIRST = ("source-only", "no-distil", "oracle", "adv", "semi")  # long or in a chain: side by side all end together
# rungs that read labels of the target
LABELLED = (PRIOR, "self-training-tenth", "self-training-labelled", "semi", "oracle")


def reads_source(rung: Rung) -> bool:
    """Whether a rung that `adapt` makes reads the labelled source: it is rehearsed, or the method says so."""
    words = shlex.split(rung.adapt)
    return "--rehearse" in words or bool(METHODS[words[words.index("--method") + 1]].source)


OWN = {  # what indoor-small renders where no data is given: folder, views (short, full), the rest; as recipes/demo.py
    "source": ("rooms", (320, 640), "--style synthetic --seed 1"),
    "target": ("photos", (120, 240), "--style photo --seed 2"),
    "eval": ("test", (100, 100), "--style photo --seed 3"),
    "oracle": ("photos-labelled", (320, 640), "--style photo --seed 4"),  # as many as the source: the domain is the gap
}
LIKE_WHAT_SHIPS = "--depth-loss log --normals plane-fit --rare 0.5 --zoom 0.8-1.4 --precision auto"
VIEWS = "views"  # folder of a seed: what its runs share while the ladder is being made
OWN_LOOK = "--size 96x128 --furniture none --spp 8"


@dataclass(frozen=True)
class Exam:
    """Labelled photos to measure on, and how."""

    address: str
    protocol: str = "raw"
    normals_from_depth: bool = False
    tasks: tuple[str, ...] = ("depth", "normals", "seg")  # that it has truth of
    prior: str = ""  # labelled photos of the target for its image-free prior; empty = there are none


@dataclass(frozen=True)
class Data:
    """Where a ladder reads, as addresses."""

    source: str
    target: tuple[str, ...]
    exams: tuple[Exam, ...]  # outdoors two: the paper measures depth on KITTI and seg on Cityscapes
    labelled: tuple[str, ...] = ()  # for UM-Adapt-S
    oracle: str | None = None  # for the oracle
    tasks: tuple[str, ...] = ()  # of the oracle; empty = all of the suite's
    fitted: bool = False  # whether the oracle's normals are planes fitted to its depth


@dataclass(frozen=True)
class Recipe:
    """Arguments of the three commands that train, without data, seed and folders."""

    train: str
    adapt: str  # of every variant, beside its own
    semi: str


def recipe(config: Reproduce) -> Recipe:
    """What a suite trains with."""
    short = config.budget == "short"
    net = f"--backbone {config.backbone}" if config.backbone else ""
    net += f" --weights {shlex.quote(config.weights)}" if config.weights else ""
    size = f" --size {config.size[0]}x{config.size[1]}" if config.size else ""
    if config.suite != "indoor-small":  # the presets say the rest, as do the commands' own defaults
        train = f"--preset {config.suite} {net}{size}"
        fewer = " --transfer-steps 2000 --base-steps 4000 --contour-steps 500"
        return Recipe(train + fewer, "", "--steps 60") if short else Recipe(train, "", "")
    few = "--transfer-steps 500 --base-steps 400 --contour-steps 60" if short else ""
    semi = "--steps 60" if short else ""
    if config.source is not None:  # recipes/indoor.sh at its first size
        return Recipe(f"--preset small {LIKE_WHAT_SHIPS} {net}{size} {few}", "", semi)
    # from random weights on its own rooms; one optimiser: one forward a step. With few steps a larger α harms
    net = ("" if config.backbone else "--backbone resnet10t ") + net + ("" if config.weights else " --weights none")
    size = size or " --size 96x128"
    lr = "1e-3" if config.weights in (None, "none") else "5e-4"
    few = f"{few or '--transfer-steps 1500 --base-steps 1000 --contour-steps 100'} --batch 12"
    train = f"{net}{size} --width 0.25 --transfer-width 0.25 {few} --optimiser joint --alpha 0.1"
    return Recipe(f"{train} --lr {lr}", "", semi)


def chosen(config: Reproduce, labelled: bool = True, oracle: bool = True) -> tuple[list[Rung], dict[str, str]]:
    """(rungs to run, {rung: why it is left out}).

    Raises:
        UserError: --rungs names one that there is not, or lacks one that another goes on from.
    """
    names = [rung.name for rung in RUNGS]
    unknown = [name for name in config.rungs if name not in (*names, TRANSFER)]
    if unknown:
        raise UserError(f"--rungs: no rung {unknown[0]!r}; there are {', '.join((*names, TRANSFER))}")
    wanted = set(config.rungs or names)
    for name in list(wanted):
        lacking = [need for need in NEEDED.get(name, ()) if need not in wanted]
        if lacking:
            raise UserError(f"--rungs: {name} goes on from {lacking[0]}; give --rungs {lacking[0]},{name}")
    left_out = {name: "not among --rungs" for name in names if name not in wanted}
    for name, there in ((name, oracle if name == "oracle" else labelled) for name in LABELLED):
        if not there and name not in left_out:
            several = name == "oracle" and len(config.labelled) > 1
            why = "it trains on one folder; give one" if several else "the photos have no labels; give"
            left_out[name] = f"{why} --labelled DATA"
    return [rung for rung in RUNGS if rung.name not in left_out], left_out


def asks_for(config: Reproduce, rung: str) -> bool:
    """Whether --rungs names this one, or is not given."""
    return not config.rungs or rung in config.rungs


def renders(config: Reproduce) -> list[Step]:
    """The data sets that are not given. One after the other: a render takes every core by itself."""
    given = {"source": config.source, "target": config.target, "eval": config.eval}
    given["oracle"] = config.target or not asks_for(config, "oracle")
    steps: list[Step] = []
    for role, (name, views, arguments) in OWN.items():
        if not given[role]:
            count = f"--views {views[config.budget == 'full']} "
            words = ("render", str(config.out / name), *(count + arguments).split(), *OWN_LOOK.split())
            steps.append(Step(f"render/{name}", words, config.out / name / "dataset.json"))
    return steps


def ladder(config: Reproduce, data: Data, rungs: Sequence[Rung]) -> list[Step]:
    """All commands of all seeds; those of `FIRST` first within a seed."""
    made = recipe(config)
    device = [] if config.device == "auto" else ["--device", config.device]
    order = sorted(rungs, key=lambda rung: FIRST.index(rung.name) if rung.name in FIRST else len(FIRST))
    targets = [word for address in data.target for word in ("--target", address)]
    if len(data.target) > 1:
        targets += ["--mix", config.mix]
    labelled = [word for address in data.labelled for word in ("--labelled", address)]
    steps: list[Step] = []
    for seed in range(config.seeds):
        folder = config.out / f"seed-{seed}"
        for rung in order:
            if rung.name == PRIOR:
                steps += _priors(config, data) if seed == 0 else []
                continue
            name, run = f"seed-{seed}/{rung.name}", str(folder / rung.name)
            tail = ["--out", run, "--seed", str(seed), *device]
            # what the rungs of a seed have in common is computed once; of the paper's sizes it would fill a disk
            views = ["--shared-views", str(folder / VIEWS)] if config.suite == "indoor-small" else []
            base = str(folder / "source-only")
            if rung.adapt:
                count = rung.steps[config.budget == "full"]
                own = f"{rung.adapt} --steps {count}" if count else rung.adapt
                words = ["adapt", base, *targets, *shlex.split(f"{own} {made.adapt}")]
                words += ["--source", data.source] if reads_source(rung) else []
                words += labelled if rung.name in LABELLED else []
                words += views if count and "--kept-views 0" not in rung.adapt else []
            elif rung.name == "semi":
                words = ["semi", str(folder / "adv"), *targets]
                words += [*labelled, *shlex.split(made.semi)]
                words += ["--depth-labels", str(config.depth_labels)] if config.depth_labels else []
                words += views
            else:
                words = ["train", *_train(rung.name, made.train, data)]
            needs = tuple(f"seed-{seed}/{need}" for need in NEEDED.get(rung.name, ()))
            steps.append(Step(name, (*words, *tail), Path(run) / "model.safetensors", needs))
            for i, exam in enumerate(data.exams):
                if rung.name == "oracle" and data.tasks and not set(data.tasks) & set(exam.tasks):
                    continue
                json_file = evaluation_file(config.out, seed, rung.name, i)
                words = ("evaluate", run, *_measure(exam), "--json", str(json_file), *device)
                steps.append(Step(evaluation_name(seed, rung.name, i), words, json_file, (name,)))
    return steps


def _priors(config: Reproduce, data: Data) -> list[Step]:
    """The measurements of the image-free prior, of the exams that there are labels for."""
    steps: list[Step] = []
    for i, exam in enumerate(data.exams):
        if exam.prior:
            json_file = evaluation_file(config.out, 0, PRIOR, i)
            words = ("evaluate", "--prior", exam.prior, *_measure(exam), "--json", str(json_file))
            steps.append(Step(evaluation_name(0, PRIOR, i), words, json_file))
    return steps


def _measure(exam: Exam) -> tuple[str, ...]:
    """Arguments of `evaluate`."""
    own = ("--normals-from-depth",) if exam.normals_from_depth else ()
    return ("--data", exam.address, "--protocol", exam.protocol, *own)


def evaluation_file(out: Path, seed: int, rung: str, exam: int = 0) -> Path:
    return out / "evaluations" / f"seed-{seed}" / f"{rung}{f'-{exam + 1}' if exam else ''}.json"


def evaluation_name(seed: int, rung: str, exam: int = 0) -> str:
    """Of the step."""
    return f"seed-{seed}/{rung}/evaluate{f'-{exam + 1}' if exam else ''}"


def _train(rung: str, arguments: str, data: Data) -> list[str]:
    if rung == "oracle":
        assert data.oracle is not None
        tasks = ["--tasks", ",".join(data.tasks)] if data.tasks else []
        tasks += ["--normals", "plane-fit"] if data.fitted else []
        # OURS: it learns from every label that its row counts; what others hold out weighs witnesses, and it asks none
        return ["--source", data.oracle, *shlex.split(arguments), *tasks, "--holdout", "0"]
    words = ["--source", data.source, *shlex.split(arguments)]
    if rung == "no-distil":
        # OURS: no transfer and contour steps, because with α = 0 nothing reads these nets
        for option in ("--transfer-steps", "--contour-steps", "--alpha"):
            if option in words:
                del words[words.index(option) : words.index(option) + 2]
        words += ["--alpha", "0", "--transfer-steps", "0", "--contour-steps", "0"]
    return words
