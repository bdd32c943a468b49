"""The schema of dataset.json: every entry that is read or written here, with its type and range."""

from __future__ import annotations

import contextlib
import difflib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from umadapt.errors import UserError

Test = Callable[[Any], str | None]  # what was expected in place of a value; None = it is right


def _text(value: Any) -> str | None:
    return None if value is None or isinstance(value, str) else "text"


def _object(value: Any) -> str | None:
    return None if isinstance(value, dict) else "an object {…}"


def _object_or_null(value: Any) -> str | None:
    return None if value is None or isinstance(value, dict) else "an object {…} or null"


def _any(value: Any) -> str | None:
    return None


def _number(value: Any) -> str | None:
    try:
        right = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        right = False
    return None if right else "a number"


def _positive(value: Any) -> str | None:
    return None if _number(value) is None and float(value) > 0 else "a positive number"


def _pixels(value: Any) -> str | None:
    right = _number(value) is None and float(value).is_integer() and 0 < value <= 1_000_000
    return None if right else "a positive whole number of pixels"


def _id(value: Any) -> str | None:
    right = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255
    return None if right else "a whole number from 0 to 255"


def _classes(value: Any) -> str | None:
    right = isinstance(value, list) and all(isinstance(name, str) and name for name in value) and len(value) <= 256
    if right:
        return None
    listed = ""
    if isinstance(value, dict) and value:
        try:  # {"0": "wall"} or {"wall": 0}
            pairs = [(int(k), v) if isinstance(v, str) else (int(v), k) for k, v in value.items()]
            ordered = [name for _, name in sorted(pairs)]
            listed = f", here {json.dumps(ordered[:3], ensure_ascii=False)[:-1]}{', …' if len(ordered) > 3 else ''}]"
        except (TypeError, ValueError):
            listed = ""
    return f"a list of at most 256 names in the order of their ids, from 0{listed}"


CAMERA: dict[str, Test] = {
    "fx": _positive,
    "fy": _positive,
    "cx": _number,
    "cy": _number,
    "width": _pixels,
    "height": _pixels,
}
DEPTH: dict[str, Test] = {"scale_m": _positive, "max_m": _positive}
SEG: dict[str, Test] = {"classes": _classes, "ignore": _id}
TASKS: dict[str, dict[str, Test]] = {"depth": DEPTH, "normals": {}, "seg": SEG}  # those of other tasks are their own
TEXTS = ("name", "title", "home", "license", "notes", "citation", "colour_of", "depth_of", "normals_of")
TOP: dict[str, Test] = {
    **dict.fromkeys(TEXTS, _text),
    "camera": _object_or_null,
    "cameras": _object_or_null,
    "window": _any,
    "tasks": _object,
    "attribution": _any,
    "render": _object,
    "trust": _object,
    "labelled": _object,
    "normals_axes": _any,
}
MEANT = {  # what others call an entry
    "scale": "scale_m", "depth_scale": "scale_m", "factor": "scale_m", "max": "max_m", "max_depth": "max_m",
    "depth_max": "max_m", "class_names": "classes", "names": "classes", "labels": "classes", "ignore_index": "ignore",
    "ignore_label": "ignore", "intrinsics": "camera", "K": "camera", "calibration": "camera", "crop": "window",
    "f": "fx", "focal": "fx", "fl_x": "fx", "fl_y": "fy", "ppx": "cx", "ppy": "cy", "w": "width", "h": "height",
    "task": "tasks", "licence": "license",
}  # fmt: skip
PLACES = {"scale_m": "tasks.depth", "max_m": "tasks.depth", "classes": "tasks.seg", "ignore": "tasks.seg"}


def read_meta(path: Path) -> tuple[dict[str, Any], list[str]]:
    """What a dataset.json holds, nothing where there is none, and which of its entries nothing reads.

    Raises UserError when it is no JSON, or not of the schema.
    """
    meta: dict[str, Any] = {}
    try:
        with contextlib.suppress(FileNotFoundError):
            meta = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: malformed ({error}); expected JSON as in docs/data.md") from error
    return meta, check_meta(meta, path)


def check_meta(meta: Any, path: Path) -> list[str]:
    """Hold a dataset.json to the schema.

    Returns:
        entries that are not read: their names resemble none that is.

    Raises:
        UserError: an entry of the wrong type or range, or one that resembles a known one and is none.
    """
    if not isinstance(meta, dict):
        raise UserError(f'{path}: found {_shown(meta)}, expected an object such as {{"name": …, "tasks": {{…}}}}')
    strange = _hold(meta, TOP, "", path, strict=False)
    for task, entries in (meta.get("tasks") or {}).items():
        if task not in TASKS:
            near = _near(task, tuple(TASKS))
            if near:
                raise UserError(f'{path}: unknown task "{task}" under "tasks"; is it "{near}"?')
            continue
        if entries is None:
            continue
        if not isinstance(entries, dict):
            raise UserError(f'{path}: "tasks.{task}" is {_shown(entries)}; expected an object {{…}}')
        _hold(entries, TASKS[task], f"tasks.{task}.", path)
    if isinstance(meta.get("camera"), dict):
        _hold(meta["camera"], CAMERA, "camera.", path)
    for id, camera in (meta.get("cameras") or {}).items():
        if not isinstance(camera, dict):
            raise UserError(f'{path}: malformed "cameras": "{id}" is {_shown(camera)}; expected {{"fx", "fy", …}}')
        _hold(camera, CAMERA, f"cameras.{id}.", path)
    return strange


def _hold(
    found: Mapping[str, Any], known: Mapping[str, Test], where: str, path: Path, strict: bool = True
) -> list[str]:
    """Names of unknown entries; raises UserError of those that are wrong."""
    strange = []
    for key, value in found.items():
        if key in known:
            expected = known[key](value)
            if expected is not None:
                cure = "; write it without quotes" if isinstance(value, str) and "number" in expected else ""
                raise UserError(f'{path}: "{where}{key}" is {_shown(value)}; expected {expected}{cure}')
        elif not key.startswith("_"):  # a comment
            near = _near(key, (*known, *PLACES) if not strict else tuple(known))
            if near is None and not strict:
                strange.append(key)
                continue
            inside = f"{PLACES[near]}." if near in PLACES and not strict else where
            meant = f'is it "{inside}{near}"?' if near else f"expected {', '.join(known) or 'none'}"
            raise UserError(f'{path}: unknown entry "{where}{key}"; {meant}')
    return strange


def _near(key: str, known: tuple[str, ...]) -> str | None:
    """The known name that is meant."""
    meant = MEANT.get(key, MEANT.get(key.lower()))
    if meant in known:
        return meant
    near = difflib.get_close_matches(key.lower(), known, 1, 0.7)
    return near[0] if near else None


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"
