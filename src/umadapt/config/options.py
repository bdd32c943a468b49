"""How arguments are written on the command line, and which numbers make sense."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from umadapt.errors import UserError

Graph = dict[str, tuple[str, ...]]  # task -> the tasks that its transfer net reads


def parse_size(text: str) -> tuple[int, int]:
    """`228x304` -> (228, 304), height first."""
    match = re.fullmatch(r"(\d+)[xX](\d+)", text.strip())
    if not match or not all(32 <= int(side) <= 8192 for side in match.groups()):
        raise ValueError(f"a size is HEIGHTxWIDTH in pixels, each from 32 to 8192, such as 228x304; found {text!r}")
    return int(match[1]), int(match[2])


def parse_shard(text: str) -> tuple[int, int]:
    """`2/8` -> (2, 8), the second of eight."""
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError(f"a shard is I/N with I from 1 to N, such as 2/8; found {text!r}")
    return int(match[1]), int(match[2])


def parse_span(text: str) -> tuple[float, float]:
    """`50-75` -> (50.0, 75.0); `63` -> (63.0, 63.0)."""
    first, _, last = text.strip().partition("-")
    try:
        low, high = float(first), float(last or first)
    except ValueError:
        low, high = 0.0, 0.0
    if not 0 < low <= high < math.inf:
        raise ValueError(f"a span is LOW-HIGH, two numbers above 0, such as 50-75; found {text!r}")
    return low, high


def parse_names(text: str) -> tuple[str, ...]:
    """`depth,normals` -> ("depth", "normals")."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def parse_graph(edges: tuple[str, ...]) -> tuple[Graph, tuple[str, ...]]:
    """("seg<-depth", "normals<-depth:geometry") -> {"seg": ("depth",), "normals": ("depth",)}, ("normals",): the graph,
    and the tasks whose transfer is geometry and not a net."""
    graph: Graph = {}
    computed = []
    for edge in edges:
        target, arrow, inputs = edge.partition("<-")
        if not arrow or not parse_names(inputs):
            raise UserError(f'a transfer is written "seg<-depth,normals"; found {edge!r}')
        inputs, colon, kind = inputs.partition(":")
        if colon and kind.strip() != "geometry":
            raise UserError(f"transfer {edge} ends in {kind!r}; there is geometry, or nothing for a net that learns")
        if target.strip() in graph:
            raise UserError(f"two transfers write {target.strip()}; give one edge with all that it reads")
        graph[target.strip()] = parse_names(inputs)
        computed += [target.strip()] if colon else []
    return graph, tuple(computed)


_ONE = (
    "shard_mb batch save_every critic_every joint_steps views views_per_room seeds jobs port upload_mb megapixels "
    "most_photos"
)
_ZERO = (
    "seed workers rooms spp pictures depth_labels steps transfer_steps base_steps contour_steps lr contour_lr "
    "critic_lr alpha ccr energy_weight margin clutter augment kept_views "
    "candidates joint_weight joint_lr gp fcf micro_batch entropy_weight output_weight output_lr "
    "consistency warm_up weight_decay"
)
# argument, of whatever command -> its smallest sound value
AT_LEAST = dict.fromkeys(_ONE.split(), 1.0) | dict.fromkeys(_ZERO.split(), 0.0)
AT_MOST = {"batch": 65_536, "micro_batch": 65_536, "workers": 4096, "jobs": 4096, "candidates": 1000, "seeds": 1000}
AT_MOST |= {"port": 65_535, "upload_mb": 1000, "megapixels": 100}
MOST = 10**9  # of every other whole number
LONGEST_NAME, LONGEST_PATH = 255, 4095  # bytes, of Linux
POSITIVE = ("epochs", "encoder_rate", "clip", "depth_scale_m", "width", "transfer_width")
SHARES = ("rare", "dropout", "masked", "paste", "holdout", "decay", "teacher_decay", "confidence", "ema")


def check_numbers(arguments: Any) -> None:
    """Raise a UserError that names an argument of a command whose number makes no sense."""
    for name, value in vars(arguments).items():
        argument = f"--{name.replace('_', '-')}"
        check_names(argument, value)
        if value is None or isinstance(value, str):
            continue
        option = f"{argument} is {value}"
        if isinstance(value, float) and not math.isfinite(value) and not (name == "clip" and value == math.inf):
            raise UserError(f"{option}; expected a finite number")
        if type(value) is int and name != "seed" and value > AT_MOST.get(name, MOST):
            raise UserError(f"{option}; expected {AT_MOST.get(name, MOST)} or less")
        if name == "seed" and value >= 2**63:
            raise UserError(f"{option}; expected less than 2^63")
        if name in AT_LEAST and not value >= AT_LEAST[name]:
            raise UserError(f"{option}; expected {AT_LEAST[name]:g} or more")
        if name in POSITIVE and not value > 0:
            raise UserError(f"{option}; expected more than 0")
        if name in SHARES and not 0 <= value < 1:
            raise UserError(f"{option}; expected a share from 0 up to, but not including, 1")
        if name == "fov" and isinstance(value, float) and not 0 <= value < 180:
            raise UserError(f"{option}; expected an angle in degrees, below 180")
        if name in ("statistics_share", "pseudo_softmax") and not 0 <= value <= 1:
            raise UserError(f"{option}; expected a share from 0 to 1")


def check_names(argument: str, value: Any) -> None:
    """Raise a UserError where a text, a path or one of several holds a name that no file can have."""
    for one in value if isinstance(value, tuple) else (value,):
        if not isinstance(one, str | Path):
            continue
        text = os.fspath(one)
        if "\0" in text:
            raise UserError(f"{argument} holds a zero byte, which no name of a file has")
        if any(0xD800 <= ord(c) < 0xDC80 or 0xDCFF < ord(c) <= 0xDFFF for c in text):
            raise UserError(f"{argument} holds half a character, which no name of a file has")
        if re.match("[a-z][a-z0-9+.-]+:/", text):  # a URL has other limits
            continue
        longest = max((len(os.fsencode(name)) for name in re.split("[/:]", text)), default=0)
        if longest > LONGEST_NAME or len(os.fsencode(text)) > LONGEST_PATH:
            found = f"a name of {longest} bytes" if longest > LONGEST_NAME else f"a path of {len(text)} bytes"
            limits = f"file systems take {LONGEST_NAME} a name and {LONGEST_PATH} a path"
            raise UserError(f"{argument} has {found}, {text[:40]!r}…; {limits}")


def _one_word(metavar: str, parse: Any, show: Any) -> Any:
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda args: parse(args[0]),
        is_instance=lambda x: isinstance(x, tuple),
        str_from_instance=lambda x: [show(x)],
    )


Size = Annotated[tuple[int, int], _one_word("HxW", parse_size, lambda s: f"{s[0]}x{s[1]}")]
Span = Annotated[tuple[float, float], _one_word("LOW-HIGH", parse_span, lambda s: f"{s[0]:g}-{s[1]:g}")]
Shard = Annotated[tuple[int, int], _one_word("I/N", parse_shard, lambda s: f"{s[0]}/{s[1]}")]
Names = Annotated[tuple[str, ...], _one_word("A,B,…", parse_names, ",".join)]
JsonFile = Annotated[Path | None, tyro.conf.arg(metavar="FILE")]
ClassMap = Annotated[str | None, tyro.conf.arg(metavar="FILE.json")]
