"""The help of a command with many arguments, in groups: those that everybody wants first."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Annotated, Any, get_type_hints

import tyro

from umadapt.config.training import Adapt

GROUPS: dict[type[Any], dict[str, str]] = {  # arguments -> title -> names; tests/config/test_grouped.py misses none
    Adapt: {
        "what": "run target out method",
        "data": "source labelled labelled_share mix kept_views",
        "method": "adapt rehearse statistics statistics_share looks keep_level energy_weight ccr consistency",
        "schedule": "steps batch lr encoder_rate decay candidates save_every seed json",
        "hardware": "device precision compile micro_batch checkpoint_activations shared_views",
        "expert": "bn gradient_mask forward critic_every critic_lr energy margin real_tuples joint_weight joint_lr "
        "joint_steps gp fcf entropy_weight output_weight output_lr teacher_decay masked paste disturb "
        "sure confidence clip",
    }
}


def print_help(kind: type[Any], prog: str) -> None:
    """Print what `--help` does, in the groups of GROUPS; ends in SystemExit, as the parser does."""
    hints, said = get_type_hints(kind, include_extras=True), lines_of(kind)
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    parts: list[Any] = []
    for title, names in GROUPS[kind].items():
        fields: list[Any] = []
        for name in names.split():
            hint = Annotated[hints[name], tyro.conf.arg(help=said[name])]
            needed = defaults[name] is dataclasses.MISSING
            fields.append((name, hint) if needed else (name, hint, dataclasses.field(default=defaults[name])))
        part = dataclasses.make_dataclass(title, fields, kw_only=True, namespace={"__doc__": ""})
        parts.append((title, part))
    whole = dataclasses.make_dataclass(kind.__name__, parts, kw_only=True, namespace={"__doc__": kind.__doc__})
    tyro.cli(whole, args=["--help"], prog=prog, config=(tyro.conf.OmitArgPrefixes,))


def lines_of(kind: type[Any]) -> dict[str, str]:
    """What is said of each argument: the comment on its line."""
    return dict(re.findall(r"^    (\w+): .*  # (.+)$", inspect.getsource(kind), re.MULTILINE))
