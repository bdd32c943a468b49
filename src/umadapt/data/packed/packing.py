"""Writing a packed set: begun, gone on with after a kill, verified and finished; what of a folder is left out."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm

from umadapt.config.data import Pack
from umadapt.data import json_schema
from umadapt.data.atomic import LOCK, sweep, write_bytes, write_json
from umadapt.data.files import hxw
from umadapt.data.folder import Folder
from umadapt.data.packed.plan import Shard, make_index, write_shard
from umadapt.data.packed.shards import INDEX, KINDS, PROGRESS, SHARDS, Index
from umadapt.errors import UserError

PACKING = json_schema.record(  # of pack.json
    {
        "data": json_schema.text(),
        "shards": json_schema.table(
            json_schema.record({"key": json_schema.text(), "sha256": json_schema.text(), "verified": json_schema.flag})
        ),
    }
)


def beside(folder: Folder) -> dict[str, bytes]:
    """Name -> content of what lies beside the shards. Of a split, those splits that lie wholly within it."""
    path = folder.root / "dataset.json"
    named = json.dumps({"name": folder.name}).encode()  # a folder of photos is called by its folder's name
    meta = {"dataset.json": path.read_bytes() if path.exists() else named}
    for path in sorted((folder.root / "splits").glob("[!.]*.txt")):
        data = path.read_bytes()
        lines = {line.strip() for line in data.decode("utf-8-sig", "replace").splitlines()} - {""}
        if folder.split is None or lines <= set(folder.ids):
            meta[f"splits/{path.name}"] = data
    return meta


def not_packed(folder: Folder, meta: Mapping[str, bytes], out: Path) -> list[str]:
    """What of DATA is not packed, and not by wish."""
    taken = {*KINDS, *meta, "splits", "check.png"}
    if folder.photos_in_root:
        taken |= {id.partition("/")[0] for id in folder.stored("image") if "/" in id}
    found = [entry for entry in sorted(folder.root.iterdir()) if entry.name not in taken and entry.name[0] != "."]
    left = [e.name for e in found if e.resolve() != out.resolve() and not (folder.photos_in_root and e.is_file())]
    if folder.split is not None:
        splits = (path.relative_to(folder.root) for path in sorted((folder.root / "splits").glob("[!.]*.txt")))
        return left + [path.as_posix() for path in splits if path.as_posix() not in meta]
    ids = set(folder.ids)
    return left + [f"{kind}/{id}.png" for kind in KINDS[1:] for id in folder.stored(kind) if id not in ids]


def key_of(shards: Sequence[Shard], meta: Mapping[str, bytes]) -> str:
    """Of a whole set: changes when one of its files does, or what lies beside the shards."""
    return hashlib.sha256(repr([shard.key for shard in shards] + [sorted(meta.items())]).encode()).hexdigest()


def is_finished(out: Path, key: str) -> bool:
    """Whether OUT is this set, packed. Raises UserError when it is another."""
    try:
        index = Index.from_bytes((out / INDEX).read_bytes(), out / INDEX)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if index.key != key:
        raise UserError(f"{out} holds a packed set of other data, or these with other options; give another folder")
    (out / PROGRESS).unlink(missing_ok=True)  # of a run that was killed at its very end
    return True


def _data(folder: Folder) -> str:
    """What is packed, from anywhere."""
    return str(folder.root.resolve()) + (f":{folder.split}" if folder.split else "")


def begin(config: Pack, folder: Folder) -> dict[str, Any]:
    """What an earlier run has finished: shard -> its key, SHA-256, and whether it was verified."""
    out, path = config.out, config.out / PROGRESS
    data = _data(folder)
    try:
        before = json_schema.read(path, PACKING, f"remove {out}, or give another folder")
        if before["data"] != data:
            raise UserError(f"{out} is a begun packing of {before['data']}, not of {data}; give another folder")
        done = before["shards"]
    except (FileNotFoundError, NotADirectoryError):
        if out.exists() and (not out.is_dir() or any(path.name != LOCK for path in out.iterdir())):
            raise UserError(f"{out} is not empty and holds no begun packing; give another folder") from None
        done = {}
    write_json(path, {"data": data, "shards": done})
    for place in (out, out / SHARDS, out / "splits"):
        sweep(place)  # temporary files of a run that was killed
    return done


def write_shards(config: Pack, folder: Folder, shards: Sequence[Shard], done: dict[str, Any]) -> list[str]:
    """Write the shards that are not there yet, and note them in `done`; returns a line for each bad file.

    A shard with a bad file is not written.
    """
    bad: list[str] = []
    progress = {"data": _data(folder)}
    bar = tqdm(total=len(folder.ids), desc="pack", unit="image", disable=None, leave=False)
    with bar, ThreadPoolExecutor(config.workers or os.cpu_count() or 1) as pool:
        for number, shard in enumerate(shards):
            name = f"{number:06d}"
            path = config.out / SHARDS / f"{name}.tar"
            if _kept(path, shard, done.get(name), config.verify):
                bar.update(len(shard.ids))
                continue
            faults = list(_verify(folder, shard.ids, pool, bar)) if config.verify else []
            bad += faults
            if faults:
                continue
            if done.pop(name, None):  # what is noted of it holds no longer
                write_json(config.out / PROGRESS, {**progress, "shards": done})
            done[name] = {"key": shard.key, "sha256": write_shard(path, shard), "verified": config.verify}
            write_json(config.out / PROGRESS, {**progress, "shards": done})
            if not config.verify:
                bar.update(len(shard.ids))
    names = {f"{number:06d}.tar" for number in range(len(shards))}
    for path in (config.out / SHARDS).glob("*.tar"):
        if path.name not in names:  # of a run with smaller shards
            path.unlink()
    return bad


def finish(out: Path, shards: Sequence[Shard], done: Mapping[str, Any], meta: Mapping[str, bytes], key: str) -> None:
    """Write what lies beside the shards, their index last: with it the set is whole."""
    digests = [done[f"{number:06d}"]["sha256"] for number in range(len(shards))]
    splits = [Path(name).stem for name in meta if name.startswith("splits/")]
    for name, data in meta.items():
        write_bytes(out / name, data)
    write_bytes(out / INDEX, make_index(shards, digests, splits, key).to_bytes())
    (out / PROGRESS).unlink()


def _kept(path: Path, shard: Shard, done: Mapping[str, Any] | None, verify: bool) -> bool:
    if done is None or done["key"] != shard.key or (verify and not done["verified"]):
        return False
    return path.is_file() and path.stat().st_size == shard.size


def _verify(folder: Folder, ids: Sequence[str], pool: ThreadPoolExecutor, bar: Any) -> Iterator[str]:
    """A line for each file that training would refuse."""
    try:
        for faults in pool.map(lambda id: _faults(folder, id), ids):
            bar.update()
            yield from faults
    except BaseException:  # Ctrl-C must not wait for the files in the queue
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _faults(folder: Folder, id: str) -> list[str]:
    faults, expected = [], ""
    for kind in KINDS:
        path = folder.stored(kind).get(id)
        try:
            array = None if path is None else folder.read_image(id) if kind == "image" else folder.read_label(kind, id)
            if array is not None and kind == "image":
                folder.crop(id, array)  # a window that does not fit
        except UserError as error:
            faults.append(str(error))
            continue
        if array is not None:
            expected = expected or hxw(array)
            if hxw(array) != expected:
                faults.append(f"{path}: found {hxw(array)}, expected {expected} as the others of {id}")
    return faults
