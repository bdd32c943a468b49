"""Run folders: config.json, model.safetensors, state.pt, samples/, README.md, each written whole or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from umadapt.config import Adapt, ModelSpec, Semi, Train
from umadapt.data import json_schema
from umadapt.data.class_map import SCHEMA as CLASS_MAP
from umadapt.data.files import LOCK, sweep, whole_file
from umadapt.data.folder import write_bytes, write_json
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.nets.model import UMAdapt
from umadapt.training import run_file

FORMAT = 1
LEFT_OUT = "contour."  # weights that a file may lack, which only some methods of adaptation read
WIDTH = json_schema.number(above=0, most=1000)
MODEL = json_schema.fields(
    ModelSpec,
    size=json_schema.items(json_schema.count(32, 8192), 2),
    mean=json_schema.items(json_schema.number(), 3),
    std=json_schema.items(json_schema.number(above=0), 3),
    class_frequencies=json_schema.items(json_schema.number(0, 1)),
    ignore=json_schema.count(0, 255),
    depth_scale_m=json_schema.number(above=0),
    focal=json_schema.maybe(json_schema.number(above=0)),
    width=WIDTH,
    transfer_width=WIDTH,
    pseudo_softmax=json_schema.number(0, 1),
)
_LOOSE = {
    "clip": json_schema.maybe(json_schema.number()),
    "method": json_schema.text(),
}  # an infinite clip; methods of other versions
COMMANDS = {kind: json_schema.fields(kind, **_LOOSE) for kind in (Train, Adapt, Semi)}
CALM = "give a lower --lr, and another --out"  # what helps a training that diverges
PARTS = ("checkpoints", "evaluations", "samples")  # folders of a run with files that are written whole
PACKAGES = ("umadapt", "torch", "torchvision", "timm", "numpy", "pillow", "safetensors")
# Arguments that change neither the weights nor their meaning: a run may be continued with others.
FREE = {"out", "device", "save_every", "stage", "checkpoint_activations", "compile"}
# Arguments that are no more, and what all does now: a run that was begun so may be continued.
GONE = {"pull": "loss", "energy_floor": 0.0, "route": "both", "sharpen": 0.0, "prior": 0.0, "teacher": "start"}
GONE |= {"average": 0.0, "memory_budget": 0.0}


def command_of(command: Mapping[str, Any]) -> type[Train | Adapt | Semi]:
    """Whose arguments a config.json holds as "command"."""
    return Adapt if "method" in command else Semi if "labelled" in command else Train


def _command(value: Any, where: str) -> None:
    json_schema.record({})(value, where)
    COMMANDS[command_of(value)](value, where)


CONFIG = json_schema.record(  # of config.json
    {
        "variant": json_schema.text(),
        "domain": json_schema.text("source", "target"),
        "model": MODEL,
        "command": _command,
        "done": json_schema.items(json_schema.text()),
        "git": json_schema.maybe(json_schema.text()),
        "packages": json_schema.table(json_schema.text()),
    },
    {
        "format": json_schema.count(),
        "source": json_schema.maybe(json_schema.text()),
        "target": json_schema.maybe(json_schema.text()),
        "data": json_schema.table(json_schema.anything),
        "alpha": json_schema.number(),
        "class_map": json_schema.maybe(CLASS_MAP),
        "palette": json_schema.items(json_schema.items(json_schema.count(0, 255), 3)),
        "backbone_weights": json_schema.maybe(json_schema.table(json_schema.anything)),
        "transfer_report": json_schema.maybe(
            json_schema.table(json_schema.table(json_schema.table(json_schema.maybe(json_schema.number()))))
        ),
        "witnesses": json_schema.maybe(json_schema.table(json_schema.table(json_schema.number(0, 1)))),
        "memory": json_schema.table(json_schema.items(json_schema.either(json_schema.flag, json_schema.count()), 2)),
        "selected": json_schema.record(
            {"step": json_schema.count(), "scores": json_schema.items(json_schema.record({}))}
        ),
    },
)


class RunFolder:
    """One run on disk. All ranks read it, rank 0 alone writes it.

    Args:
        path: the folder; made when it is missing.
        config: what the run is: "variant", "domain", "model", "command", "source", "target", "data" (digests of
            the ids that it reads). Versions are added.

    Raises:
        UserError: the folder holds another run, or one with other arguments (the difference is shown), or another
            process is at work in it.
    """

    def __init__(self, path: Path, config: dict[str, Any]):
        self.path = path
        with process_group.first():
            there = (path / "config.json").exists()
            if there:
                self._lock()
            self.config = self._open(json.loads(json.dumps(config, default=str)))
            if not there:
                self._lock()
            self._sweep()
        process_group.barrier()  # nothing is rewritten before all have read it

    def _open(self, config: dict[str, Any]) -> dict[str, Any]:
        """The config of what is there, or of what is begun."""
        path = self.path
        if (path / "config.json").exists():
            stored = read_config(path)
            untouched = {file.name for file in path.iterdir()} <= {"config.json", LOCK}
            if untouched and not process_group.rank():  # stopped before its first step
                return self._begin(config)
            refuse_changes(path, stored["command"], config["command"])
            if stored.get("data") != config["data"]:
                raise UserError(
                    f"{path} was begun on other data: images were added or removed, or their window changed; "
                    "give another --out"
                )
            return stored
        if process_group.rank():
            raise UserError(f"{path} is not seen on this machine; give --out a folder that all machines share")
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UserError(f"{path} exists and is no run folder; give --out a new or an empty folder")
        return self._begin(config)

    def _begin(self, config: dict[str, Any]) -> dict[str, Any]:
        begun = {"format": FORMAT, **config, "git": git_commit(), "packages": versions(), "done": []}
        write_json(self.path / "config.json", begun)
        return begun

    def _lock(self) -> None:
        """Keep other processes out while this object lives. The kernel lets go of it whatever way the process ends."""
        if process_group.rank():
            return
        try:
            file = os.open(self.path / LOCK, os.O_WRONLY | os.O_CREAT, 0o644)
        except OSError:  # a folder that may only be read
            return
        weakref.finalize(self, os.close, file)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of this process, which may open its own run twice
        except BlockingIOError as error:
            raise UserError(f"another process is at work in {self.path}; wait until it ends, or stop it") from error
        except OSError:  # a file system without locks
            return

    def _sweep(self) -> None:
        """Remove the temporary files of a process that was killed in the run."""
        if process_group.rank() or not self.path.is_dir():
            return
        for folder in (self.path, *(self.path / name for name in PARTS)):
            sweep(folder)

    def write_config(self) -> None:
        if not process_group.rank():
            write_json(self.path / "config.json", self.config)

    def done(self, stage: str) -> bool:
        return stage in self.config["done"]

    def finish(self, stage: str, model: UMAdapt) -> None:
        """Write the weights and note that a stage is complete. Weights first: a kill between repeats the last step.

        Raises:
            UserError: the weights are not finite, or cannot be written.
        """
        refuse_diverged(weights(model), f"{self.path}, end of stage {stage}")
        if stage not in self.config["done"]:
            self.config["done"].append(stage)
        if not process_group.rank():
            self.save_model(model)
            self.write_config()
            write_bytes(self.path / "README.md", run_readme(self.config).encode(errors="replace"))
        process_group.barrier()  # what is done can be read

    def save_model(self, model: UMAdapt) -> None:
        # one entry only: safetensors writes several in random order, and equal weights shall be equal files
        with whole_file(self.path / "model.safetensors") as path:
            safetensors.torch.save_file(weights(model), path, {"format": "pt"})

    def save_state(self, state: dict[str, Any]) -> None:
        """Write state.pt: all that is needed to go on, weights included, so that one rename decides."""
        # never whole in memory: optimisers are the larger part; torch refuses names such as the temporary one
        with whole_file(self.path / "state.pt") as path, path.open("wb") as file:
            torch.save(state, file)

    def load_state(self, stage: str) -> dict[str, Any] | None:
        """The saved state if it is one of `stage`."""
        path = self.path / "state.pt"
        if not path.exists():
            return None
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            name = state["stage"]
        except Exception as error:  # a damaged zip raises many kinds
            raise UserError(f"{path} is damaged ({error}); delete it to repeat the stage from its start") from error
        return state if name == stage else None


def weights(model: UMAdapt) -> dict[str, Tensor]:
    """What is stored of a model, on the CPU."""
    return {name: tensor.cpu().contiguous() for name, tensor in own_tensors(model).items()}


def own_tensors(model: UMAdapt) -> dict[str, Tensor]:
    """The state dict without what the domains share: of a shared trunk the target keeps its BatchNorm statistics."""
    source, prefix = dict(model.encoder.trunks["source"].named_parameters()), "encoder.trunks.target."
    target = model.encoder.trunks["target"].named_parameters() if "target" in model.encoder.trunks else ()
    shared = {prefix + name for name, parameter in target if parameter is source[name]}
    return {k: v.detach() for k, v in model.state_dict().items() if k not in shared}


def refuse_diverged(tensors: Mapping[str, Tensor], where: str, cure: str = CALM) -> None:
    """Raise a UserError where numbers of a network are not finite, statistics of its normalisation too."""
    bad = [name for name, x in tensors.items() if x.is_floating_point() and not bool(torch.isfinite(x).all())]
    if bad:
        raise UserError(
            f"{where}: {len(bad)} of {len(tensors)} tensors hold NaN or infinity, such as {bad[0]}: the training "
            f"diverged; {cure}"
        )


def load_weights(model: UMAdapt, tensors: Mapping[str, Tensor], fill: bool = True) -> None:
    """Fill a model, or only look whether the weights are its own; adds its target domain when they have one.

    Raises:
        UserError: names or shapes differ.
    """
    if "target" not in model.encoder.branches and any(k.startswith("encoder.branches.target.") for k in tensors):
        name = next(iter(dict(model.encoder.trunks["source"].named_parameters())))
        model.encoder.add_target(share=f"encoder.trunks.target.{name}" not in tensors)
    have = own_tensors(model)
    odd = sorted(name for name in set(have) ^ set(tensors) if name in tensors or not name.startswith(LEFT_OUT))
    if odd:
        raise UserError(f"the weights do not fit the model: {len(odd)} names differ, such as {odd[0]}")
    for name, tensor in have.items():
        if name in tensors and tensor.shape != tensors[name].shape:
            shapes = f"{name} is {tuple(tensors[name].shape)}, the model's {tuple(tensor.shape)}"
            raise UserError(f"the weights do not fit the model: {shapes}")
    if fill:
        model.load_state_dict(dict(tensors), strict=False)


def read_weights(run: Path) -> dict[str, Tensor]:
    """RUN/model.safetensors, or what is in a run that is a file. Raises UserError where it is damaged or not finite."""
    run = run_file.find(run)
    if run.is_file():
        return run_file.read_tensors(run)
    path = run / "model.safetensors"
    try:
        tensors = safetensors.torch.load_file(str(path))
    except Exception as error:
        raise UserError(f"{path} is damaged: {error}; copy it anew, or repeat the run") from error
    refuse_diverged(tensors, str(path), f"repeat the run: {CALM}")
    return tensors


def read_config(run: Path) -> dict[str, Any]:
    """RUN/config.json, or that of a run that is a file, or of a model that ships.

    Raises:
        UserError: no run, a damaged file, or one of a newer format.
    """
    found = run_file.find(run)
    if found.is_file():
        config = run_file.read_header(found, CONFIG)
    elif (run / "config.json").exists():
        config = json_schema.read(run / "config.json", CONFIG, "copy the run anew, or repeat it with another --out")
    else:
        models = f"; models that ship: {', '.join(run_file.shipped())}" if run_file.shipped() else ""
        raise UserError(
            f"{run} is no run folder (it has no config.json); `umadapt train --out {run}` makes one{models}"
        )
    if config.get("format", 0) > FORMAT:
        raise UserError(f"{found} has format {config['format']}, this umadapt reads up to {FORMAT}: update umadapt")
    return config


def load_model(run: Path, device: str = "auto") -> tuple[UMAdapt, dict[str, Any]]:
    """A run's model in eval mode, and its config.

    Raises:
        UserError: no run, not yet trained, or damaged.
    """
    config = read_config(run)
    if run_file.find(run).is_dir() and not (run / "model.safetensors").exists():
        raise UserError(f"{run} has no weights yet: its training was stopped early; repeat the command that began it")
    if config["domain"] == "source" and "base" not in config["done"]:
        raise UserError(f"{run} lacks base: transfer nets alone predict nothing; go on with `umadapt train`")
    tensors = read_weights(run)
    try:
        model = make_model(run, config, tensors)
        load_weights(model, tensors)
    except UserError as error:
        raise UserError(
            f"{error}.\nconfig.json and model.safetensors of {run} do not belong together: copy the run anew"
        ) from error
    model.freeze(model)
    return model.eval().to(pick_device(device)).to(memory_format=torch.channels_last), config


def make_model(run: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> UMAdapt:
    """The network of a run's config, without its weights.

    Raises:
        UserError: there is no such network, or the weights are another's; before it takes memory.
    """
    try:
        spec = ModelSpec.from_json(config["model"])
        with contextlib.suppress(NotImplementedError, RuntimeError), torch.device("meta"):
            load_weights(UMAdapt(spec), tensors, fill=False)  # where the backbone can be made without numbers
        return UMAdapt(spec)
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        reason = (str(error).splitlines() or [""])[0]
        path = run / "config.json"
        raise UserError(f"{path} is damaged: there is no such model ({reason})") from error


def require(run: Path, config: Mapping[str, Any], names: Sequence[str], arguments: Sequence[str] = ()) -> None:
    """Raise a UserError where a run's config lacks some of what a command goes on from."""
    lacking = [name for name in names if name not in config]
    lacking += [f"command.{name}" for name in arguments if name not in config["command"]]
    if lacking:
        raise UserError(f"{run / 'config.json'} is damaged: it lacks {', '.join(lacking)}; copy the run anew")


def pick_device(name: str) -> torch.device:
    """ "auto" is the GPU where there is one; of several processes on a machine each has its own.

    Raises:
        UserError: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and process_group.size() > 1:
        if process_group.local_size() > torch.cuda.device_count():
            found = f"{process_group.local_size()} processes on a machine with {torch.cuda.device_count()} GPUs"
            raise UserError(f"{found}; start one for each, torchrun --nproc-per-node gpu, or give --device cpu")
        torch.cuda.set_device(process_group.local_rank())
        name = f"cuda:{process_group.local_rank()}"
    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()  # "meta" makes tensors without numbers
    except Exception as error:  # every backend raises kinds of its own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"--device {name!r} is not to be had here ({reason}); try --device cpu") from error
    return device


def refuse_changes(path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Raise a UserError that shows which arguments differ from those that a run was begun with."""
    old = {k: v for k, v in old.items() if k in new or v != GONE.get(k, ...)}
    changed = [k for k in sorted({*old, *new} - FREE) if old.get(k) != new.get(k)]
    if changed:
        shown = "; ".join(f"{k} was {old.get(k)!r}, now {new.get(k)!r}" for k in changed)
        raise UserError(f"{path} was begun with other arguments: {shown}\nrepeat them, or give another --out")


def digest(ids: Sequence[str]) -> str:
    """Which images a run reads, in short; of `Folder.known_as`."""
    return hashlib.sha256("\n".join(ids).encode(errors="surrogateescape")).hexdigest()[:16]


def source_key(model: UMAdapt) -> str:
    """SHA-256 of the source model and its transfer nets: runs with the same key have comparable scores."""
    key = hashlib.sha256()
    encoder = model.encoder
    for part in (encoder.trunks["source"], encoder.branches["source"], model.decoders, model.transfers):
        for name, tensor in sorted(part.state_dict().items()):
            key.update(name.encode())
            key.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return key.hexdigest()


def versions() -> dict[str, str]:
    """Versions of the packages that the result depends on."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}


def git_commit() -> str | None:
    """The commit of the source tree that this package runs from, or None when it is installed elsewhere."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # not a user's repository around a virtual environment
        return git("describe", "--always", "--dirty", "--abbrev=12")
    except (OSError, subprocess.SubprocessError):
        return None


def run_readme(config: dict[str, Any]) -> str:
    spec = ModelSpec.from_json(config["model"])
    h, w = spec.size
    return (
        f"# umadapt run: {config['variant']}\n\n"
        f"{spec.backbone} at {h}x{w}; tasks {', '.join(spec.tasks)}; {len(spec.classes)} classes.\n"
        f"Stages done: {', '.join(config['done'])}. Source: {config['source']}. Target: {config['target']}.\n\n"
        "```\numadapt predict THIS_FOLDER PHOTO --out OUT\n"
        "umadapt evaluate THIS_FOLDER --data DATA:SPLIT\n```\n"
        f"Made with umadapt {config['packages'].get('umadapt')}, torch {config['packages'].get('torch')}"
        f"{', commit ' + config['git'] if config['git'] else ''}.\n"
    )


def command_dict(config: Any) -> dict[str, Any]:
    """A command's arguments as JSON, which has no word for infinity: null."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=str), parse_constant=lambda name: None)
