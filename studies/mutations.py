"""Seeded changes of files, folders and arguments, for `studies/mutate.py`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Rng = np.random.Generator
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 3.5, 1e-9, -1e9, 1e30, 1e308, 10**20, float("nan"), float("inf")),
    *("", "x", "../x", "/tmp/x", "\ud800", "a\0b", "x" * 300, [], {}, [1], [[]], {"x": 1}, ["x", None], {"": []}),
)


def change_bytes(data: bytes, rng: Rng) -> bytes:
    """Cut, flip, fill or empty."""
    if not data:
        return b"\0"
    at = int(rng.integers(len(data)))
    kind = int(rng.integers(5))
    if kind == 0:
        return data[:at]
    if kind == 1:
        flipped = bytearray(data)
        for place in rng.integers(len(data), size=min(8, len(data))):
            flipped[int(place)] ^= int(rng.integers(1, 256))
        return bytes(flipped)
    if kind == 2:
        return data[:at] + bytes(rng.integers(0, 256, 64, np.uint8)) + data[at:]
    return b"" if kind == 3 else bytes(rng.integers(0, 256, 200, np.uint8))


def change_value(value: Any, rng: Rng) -> Any:
    """One value somewhere in a JSON value replaced, removed, renamed or doubled."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = list(value)[int(rng.integers(len(value)))]
        rest = {k: v for k, v in value.items() if k != key}
        kind = rng.random()
        if kind < 0.1:
            return rest
        if kind < 0.15:
            return {**rest, f"{key}x": value[key]}
        return {**value, key: change_value(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = int(rng.integers(len(value)))
        kind = rng.random()
        if kind < 0.1:
            return value[:at] + value[at + 1 :]
        if kind < 0.2:
            return [*value, value[at]]
        return [*value[:at], change_value(value[at], rng), *value[at + 1 :]]
    return ODD[int(rng.integers(len(ODD)))]


def change_json(path: Path, rng: Rng) -> str:
    lines = path.suffix == ".jsonl"
    texts = path.read_text().splitlines() if lines else [path.read_text()]
    at = int(rng.integers(len(texts)))
    texts[at] = json.dumps(change_value(json.loads(texts[at]), rng))
    path.write_text("\n".join(texts) + "\n")
    return f"value in {path.name}"


def change_npz(path: Path, rng: Rng) -> str:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    name = sorted(arrays)[int(rng.integers(len(arrays)))]
    array = arrays[name]
    kind = int(rng.integers(6))
    if name == "ids" and kind < 4:
        ids = array.tobytes().decode().split("\0")
        ids[int(rng.integers(len(ids)))] = str(rng.choice(["../../x", "/tmp/x", "", "a/b", ids[0], ".x", "x" * 300]))
        arrays[name] = np.frombuffer("\0".join(ids).encode(), np.uint8)
    elif kind == 0:
        del arrays[name]
    elif kind == 1:
        arrays[name] = array.ravel()[:-1]
    elif kind == 2 and array.dtype.kind in "iu":
        arrays[name] = np.full_like(array, int(rng.choice([-1, 99, 10**6])) if array.dtype != np.uint8 else 47)
    elif kind == 3:
        arrays[name] = np.full(array.shape, str(rng.choice(["", "x", "../x", ".jpg"])))
    elif kind == 4:
        arrays[name] = array.astype(np.float64) if array.dtype.kind in "iu" else np.zeros(array.shape)
    else:
        arrays[name] = array[None]
    np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]
    return f"array {name} of {path.name}"


def change_weights(path: Path, rng: Rng) -> str:
    import safetensors.torch

    tensors = safetensors.torch.load_file(path)
    name = sorted(tensors)[int(rng.integers(len(tensors)))]
    kind = int(rng.integers(4))
    if kind == 0:
        del tensors[name]
    elif kind == 1 and tensors[name].is_floating_point():
        tensors[name] = tensors[name] * float("nan")
    elif kind == 2:
        tensors[name] = tensors[name].ravel()[:-1].contiguous()
    else:
        tensors[f"{name}.more"] = tensors[name].clone()
    safetensors.torch.save_file(tensors, path)
    return f"tensor {name} of {path.name}"


def change_picture(path: Path, rng: Rng) -> str:
    """Another size, mode or content, soundly written."""
    from PIL import Image

    with Image.open(path) as image:
        image.load()
        kind = int(rng.integers(4))
        if kind == 0:
            image = image.resize((int(rng.integers(1, 9)), int(rng.integers(1, 200))))
        elif kind == 1:
            image = Image.new(str(rng.choice(["1", "L", "RGBA", "I;16", "P", "LA"])), image.size)
        elif kind == 2:
            image = Image.fromarray(rng.integers(0, 256, (*image.size[::-1], 3), np.uint8))
        else:
            image = image.transpose(Image.Transpose.ROTATE_90)
        image.save(path)
    return f"picture {path.parent.name}/{path.name}"


def change_folder(path: Path, rng: Rng) -> str:
    """A file gone, doubled, renamed, made a folder or a link; or rubbish beside it."""
    kind = int(rng.integers(6))
    if kind == 0:
        path.unlink()
    elif kind == 1:
        name = str(rng.choice(["x" * 240, "ü", "a b", ".hidden", "a.b.c", "-x", "line\nbreak"]))
        path.rename(path.with_name(name + path.suffix))
    elif kind == 2:
        path.unlink()
        path.mkdir()
    elif kind == 3:
        path.unlink()
        path.symlink_to(str(rng.choice([path.name, "/dev/null", "nowhere"])))
    elif kind == 4:
        twins = [name for name in (".jpg", ".txt", ".png", " 2.png") if name != path.suffix]
        path.with_name(f"{path.stem}{rng.choice(twins)}").write_bytes(path.read_bytes())
    else:
        os.rename(path, os.fsencode(path.parent) + b"/caf\xe9" + os.fsencode(path.suffix))
    return f"{['gone', 'renamed', 'a folder', 'a link', 'doubled', 'no text'][kind]}: {path.name}"


def change_arguments(arguments: list[str], rng: Rng) -> str:
    """A value replaced, an option doubled or dropped, or one that cannot be."""
    kind = int(rng.integers(4))
    at = int(rng.integers(1, len(arguments)))
    if kind == 0:
        odd = ["-1", "0", "nan", "inf", "1e30", "99999999999", "x" * 300, "", "a\0b", "/dev/null", "/", "a/b", "\udce9"]
        arguments[at] = str(rng.choice(odd))
    elif kind == 1:
        arguments.append(arguments[at])
    elif kind == 2:
        del arguments[at]
    else:
        from umadapt.cli import COMMANDS

        names = [field.name.replace("_", "-") for field in dataclasses.fields(COMMANDS[arguments[0]][0])]
        odd = [
            "-1",
            "0",
            "1",
            "nan",
            "1e30",
            "0.99",
            "1000000000",
            "99999999999",
            "meta",
            "nobody",
            "32x32",
            "/dev/full",
        ]
        arguments.append(f"--{rng.choice(names)}={rng.choice(odd)}")
    return f"arguments, {['replaced', 'doubled', 'dropped', 'odd'][kind]}"


PICTURES = (".png", ".jpg")


def mutate(root: Path, arguments: list[str], rng: Rng) -> str:
    """Change one thing; says which."""
    named = " ".join(arguments)
    used = [place for place in sorted(root.iterdir()) if place.is_dir() and str(place) in named]
    files = [f for place in used for f in sorted(place.rglob("*")) if f.is_file() and "tensorboard" not in f.parts]
    kind = rng.random()
    if kind < 0.15 or not files:
        return change_arguments(arguments, rng)
    groups: dict[str, list[Path]] = {}
    for file in files:
        groups.setdefault(file.suffix or file.name, []).append(file)
    of_kind = groups[sorted(groups)[int(rng.integers(len(groups)))]]  # rare kinds as often as pictures
    path = of_kind[int(rng.integers(len(of_kind)))]
    closer: dict[str, Callable[[Path, Rng], str]] = {".json": change_json, ".jsonl": change_json, ".npz": change_npz}
    closer |= {".safetensors": change_weights} | dict.fromkeys(PICTURES, change_picture)
    if path.suffix in closer and kind < 0.7:
        with contextlib.suppress(Exception):  # changed beyond that by an earlier mutation
            return closer[path.suffix](path, rng)
    if kind < 0.85:
        path.write_bytes(change_bytes(path.read_bytes(), rng))
        return f"bytes of {path.name}"
    return change_folder(path, rng)
