"""RUN/config.json: what a run is and what made it, as one record with a version. Read and written here alone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from umadapt.config import Adapt, ModelSpec, Semi, Train, Transfer
from umadapt.data import json_schema
from umadapt.data.atomic import write_json
from umadapt.data.class_map import SCHEMA as CLASS_MAP
from umadapt.data.class_map import Names
from umadapt.errors import UserError
from umadapt.nets.ensemble import Shares

FORMAT = 1
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
    dropout=json_schema.number(0, 1),
    pseudo_softmax=json_schema.number(0, 1),
)
_LOOSE = {
    "clip": json_schema.maybe(json_schema.number()),
    "method": json_schema.text(),
}  # an infinite clip; methods of other versions
COMMANDS = {kind: json_schema.fields(kind, **_LOOSE) for kind in (Train, Adapt, Semi)}
Report = dict[str, dict[str, dict[str, float]]]  # task -> "source" or "heldout" -> figure -> value, of transfer nets


def command_of(command: Mapping[str, Any]) -> type[Train | Adapt | Semi]:
    """Whose arguments a record's "command" holds."""
    return Adapt if "method" in command else Semi if "labelled" in command else Train


def command_dict(options: Train | Adapt | Semi | Transfer) -> dict[str, Any]:
    """A command's arguments as JSON, which has no word for infinity: null."""
    return json.loads(json.dumps(dataclasses.asdict(options), default=str), parse_constant=lambda name: None)


def defaults(kind: type[Train | Adapt | Semi]) -> dict[str, Any]:
    """The arguments of a command that may be left out, as `command_dict` gives them."""
    known = {f.name: f.default for f in dataclasses.fields(kind) if f.default is not dataclasses.MISSING}
    return json.loads(json.dumps(known, default=str), parse_constant=lambda name: None)


def _command(value: Any, where: str) -> None:
    json_schema.record({})(value, where)
    COMMANDS[command_of(value)](value, where)


SCHEMA = json_schema.record(
    {
        "variant": json_schema.text(),
        "domain": json_schema.text("source", "target"),
        "model": MODEL,
        "command": _command,
        "source": json_schema.maybe(json_schema.text()),
        "target": json_schema.maybe(json_schema.text()),
        "data": json_schema.table(json_schema.anything),
        "palette": json_schema.items(json_schema.items(json_schema.count(0, 255), 3)),
        "done": json_schema.items(json_schema.text()),
        "git": json_schema.maybe(json_schema.text()),
        "packages": json_schema.table(json_schema.text()),
    },
    {
        "format": json_schema.count(),
        "alpha": json_schema.maybe(json_schema.number()),
        "class_map": json_schema.maybe(CLASS_MAP),
        "backbone_weights": json_schema.maybe(json_schema.table(json_schema.anything)),
        "transfer_report": json_schema.maybe(
            json_schema.table(json_schema.table(json_schema.table(json_schema.maybe(json_schema.number()))))
        ),
        "witnesses": json_schema.maybe(json_schema.table(json_schema.table(json_schema.number(0, 1)))),
        "selected": json_schema.maybe(
            json_schema.record({"step": json_schema.count(), "scores": json_schema.items(json_schema.record({}))})
        ),
        "adapted": json_schema.maybe(json_schema.table(json_schema.anything)),
        "card": json_schema.maybe(json_schema.table(json_schema.anything)),
    },
)


@dataclass
class Selected:
    """The checkpoint that the label-free selector kept."""

    step: int
    scores: list[dict[str, Any]]  # of all checkpoints


@dataclass
class RunRecord:
    """What a run is and what made it. What may be None was not measured, or is no part of such a run."""

    FILE: ClassVar[str] = "config.json"

    variant: str  # "source-only", the method that adapted it, or "semi"
    domain: Literal["source", "target"]  # whose encoder predicts
    model: ModelSpec
    command: dict[str, Any]  # the arguments that began it, of `train`, `adapt` or `semi` of any version
    source: str | None  # DATA that it learnt from; None = not on this machine
    target: str | None  # the photos
    data: dict[str, Any]  # digests of the ids that it reads
    palette: list[list[int]]  # colours of the classes
    backbone_weights: dict[str, Any] | None = None  # where the backbone's first weights came from, and their licence
    transfer_report: Report | None = None  # of the transfer nets on real tuples
    witnesses: Shares | None = None  # what each look is worth in a consensus
    alpha: float | None = None  # of the training that it goes back to
    class_map: Names | None = None  # how classes of the source were merged
    selected: Selected | None = None
    adapted: dict[str, Any] | None = None  # of a file: how it was adapted
    card: dict[str, Any] | None = None  # of a model that ships
    done: list[str] = field(default_factory=list)  # stages
    git: str | None = None  # commit
    packages: dict[str, str] = field(default_factory=dict)  # versions
    format: int = FORMAT
    path: Path = field(default=Path("."), compare=False)  # where it was read; not stored

    @classmethod
    def from_json(cls, data: dict[str, Any], path: Path) -> RunRecord:
        """From what `to_json` gave, here or in an earlier version, which `SCHEMA` has passed.

        Raises:
            UserError: it is of a newer format.
        """
        if data.get("format", 0) > FORMAT:
            raise UserError(f"{path} has format {data['format']}, this umadapt reads up to {FORMAT}: update umadapt")
        known = {f.name for f in dataclasses.fields(cls)} - {"path"}
        stored = {name: value for name, value in data.items() if name in known}
        stored["model"] = ModelSpec.from_json(data["model"])
        if stored.get("selected") is not None:
            stored["selected"] = Selected(**{name: stored["selected"][name] for name in ("step", "scores")})
        return cls(**stored, path=path)

    def to_json(self) -> dict[str, Any]:
        """Without what is None and may be."""
        needed = {f.name for f in dataclasses.fields(self) if f.default is dataclasses.MISSING} | {"git"}
        stored = {name: value for name, value in dataclasses.asdict(self).items() if name != "path"}
        return {name: value for name, value in stored.items() if value is not None or name in needed}

    @classmethod
    def read(cls, path: Path) -> RunRecord:
        """Of a run folder.

        Raises:
            UserError: it is damaged, or of a newer format.
            FileNotFoundError: there is none.
        """
        cure = "copy the run anew, or repeat it with another --out"
        return cls.from_json(json_schema.read(path / cls.FILE, SCHEMA, cure), path)

    @property
    def where(self) -> Path:
        """The file that holds it: RUN/config.json, or the one file of a run."""
        return self.path if self.path.is_file() else self.path / self.FILE

    def write(self) -> None:
        """Write RUN/config.json."""
        write_json(self.path / self.FILE, self.to_json())

    def readme(self) -> str:
        """The run's README.md."""
        spec = self.model
        h, w = spec.size
        return (
            f"# umadapt run: {self.variant}\n\n"
            f"{spec.backbone} at {h}x{w}; tasks {', '.join(spec.tasks)}; {len(spec.classes)} classes.\n"
            f"Stages done: {', '.join(self.done)}. Source: {self.source}. Target: {self.target}.\n\n"
            "```\numadapt predict THIS_FOLDER PHOTO --out OUT\n"
            "umadapt evaluate THIS_FOLDER --data DATA:SPLIT\n```\n"
            f"Made with umadapt {self.packages.get('umadapt')}, torch {self.packages.get('torch')}"
            f"{', commit ' + self.git if self.git else ''}.\n"
        )

    def argument(self, name: str) -> Any:
        """One that the run was begun with. Raises UserError where the record lacks it."""
        if name not in self.command:
            raise UserError(f"{self.where} is damaged: it lacks command.{name}; copy the run anew")
        return self.command[name]
