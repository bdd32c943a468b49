"""`umadapt pack DATA OUT`: a data folder as tar shards, which `Folder` reads in its place. See `shards` for the format.

What goes where follows from the names and sizes of the files, before any of them is read. Files are copied byte for
byte, and every shard has the same bytes whenever it is made.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from umadapt.config.data import Pack
from umadapt.data import json_schema
from umadapt.data.atomic import LOCK, claimed, sweep, whole_file, write_bytes, write_json
from umadapt.data.files import hxw
from umadapt.data.folder import Folder
from umadapt.data.packed.shards import INDEX, KINDS, PROGRESS, SHARDS, Index, member_name
from umadapt.errors import UserError

BLOCK, RECORD = tarfile.BLOCKSIZE, tarfile.RECORDSIZE  # bytes; a tar is made of the one and padded to the other

PACKING = json_schema.record(  # of pack.json
    {
        "data": json_schema.text(),
        "shards": json_schema.table(
            json_schema.record({"key": json_schema.text(), "sha256": json_schema.text(), "verified": json_schema.flag})
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file on its way into a shard."""

    id: str
    kind: str
    path: str
    size: int
    changed_ns: int
    offset: int  # of its first byte in the shard

    def header(self) -> bytes:
        return _header(self.id, self.kind, self.path, self.size)


@dataclass(frozen=True)
class Shard:
    """The files of one shard, those of a sample together."""

    entries: Sequence[Entry]
    size: int  # bytes of the whole tar

    @property
    def ids(self) -> list[str]:
        return list(dict.fromkeys(entry.id for entry in self.entries))

    @property
    def key(self) -> str:
        """Of the files that go in: changes when one of them does."""
        told = [(e.id, e.kind, os.path.basename(e.path), e.size, e.changed_ns, e.offset) for e in self.entries]
        return hashlib.sha256(repr(told).encode("utf-8", "surrogateescape")).hexdigest()


def _header(id: str, kind: str, path: str, size: int) -> bytes:
    info = tarfile.TarInfo(member_name(id, kind, os.path.splitext(path)[1].lower()))
    info.size, info.mode = size, 0o644  # no owner and no time: the same data give the same shard
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _padded(size: int, to: int) -> int:
    return -(-size // to) * to


def plan_shards(folder: Folder, limit: int) -> list[Shard]:
    """Ids in sorted order, as many to a shard as fit in `limit` bytes; at least one."""
    shards: list[Shard] = []
    entries: list[Entry] = []
    at = 0
    for id in sorted(folder.ids):
        files = []
        for kind in KINDS:
            path = folder.stored(kind).get(id)
            if path is not None:
                stat = os.stat(str(path))
                header = len(_header(id, kind, str(path), stat.st_size))
                files.append((kind, str(path), stat, header))
        length = sum(header + _padded(stat.st_size, BLOCK) for _, _, stat, header in files)
        if entries and at + length + 2 * BLOCK > limit:
            shards.append(Shard(entries, _padded(at + 2 * BLOCK, RECORD)))
            entries, at = [], 0
        for kind, path, stat, header in files:
            entries.append(Entry(id, kind, path, stat.st_size, stat.st_mtime_ns, at + header))
            at += header + _padded(stat.st_size, BLOCK)
    return [*shards, Shard(entries, _padded(at + 2 * BLOCK, RECORD))]


def write_shard(path: Path, shard: Shard) -> str:
    """Write a tar, whole or not at all; returns its SHA-256.

    Raises UserError naming the file that cannot be read or has changed since it was planned.
    """
    digest = hashlib.sha256()
    with whole_file(path) as temporary, temporary.open("wb") as file:
        for entry in shard.entries:
            try:
                data = Path(entry.path).read_bytes()
            except OSError as error:
                raise UserError(f"{entry.path}: cannot be read ({error.strerror or error})") from error
            if len(data) != entry.size:
                raise UserError(f"{entry.path}: has changed since packing began; give the same umadapt pack again")
            block = entry.header() + data + bytes(-len(data) % BLOCK)
            digest.update(block)
            file.write(block)
        end = bytes(shard.size - file.tell())
        digest.update(end)
        file.write(end)
    return digest.hexdigest()


def make_index(shards: Sequence[Shard], digests: Sequence[str], splits: Sequence[str], key: str) -> Index:
    """The index of what `plan_shards` gave."""
    ids = tuple(id for shard in shards for id in shard.ids)
    rows = {id: row for row, id in enumerate(ids)}
    number = np.repeat(np.arange(len(shards), dtype=np.int32), [len(shard.ids) for shard in shards])
    suffix = np.zeros(len(ids), "U8")
    offset = {kind: np.full(len(ids), -1, np.int64) for kind in KINDS}
    size = {kind: np.zeros(len(ids), np.int64) for kind in KINDS}
    for entry in (entry for shard in shards for entry in shard.entries):
        row = rows[entry.id]
        offset[entry.kind][row], size[entry.kind][row] = entry.offset, entry.size
        if entry.kind == "image":
            suffix[row] = os.path.splitext(entry.path)[1].lower()
    sizes = np.array([shard.size for shard in shards], np.int64)
    return Index(ids, number, suffix, offset, size, sizes, tuple(digests), tuple(splits), key)


# --- The command


def run(config: Pack) -> int:
    """Pack; 0, or 1 when a file is bad: then the set stays unfinished.

    Raises UserError when OUT holds other things, or another process packs into it.
    """
    with claimed(config.out):
        return pack(config)


def pack(config: Pack) -> int:
    """`run`, alone in its folder."""
    folder = Folder(config.data)
    if folder.packed is not None:
        raise UserError(f"{folder.root} is a packed set already; give the folder that it was made from")
    shards = plan_shards(folder, config.shard_mb * 1_000_000)
    meta = _meta(folder)
    key = hashlib.sha256(repr([shard.key for shard in shards] + [sorted(meta.items())]).encode()).hexdigest()
    bad: list[str] = []
    left_out = _left_out(folder, meta, config.out)
    if _finished(config.out, key):
        print(f"{config.out} is packed already: nothing to do")
    else:
        done = _begin(config, folder)
        bad = _write_shards(config, folder, shards, done)
        if not bad:
            digests = [done[f"{number:06d}"]["sha256"] for number in range(len(shards))]
            splits = [Path(name).stem for name in meta if name.startswith("splits/")]
            for name, data in meta.items():
                write_bytes(config.out / name, data)
            write_bytes(config.out / INDEX, make_index(shards, digests, splits, key).to_bytes())  # last
            (config.out / PROGRESS).unlink()
    size = sum(shard.size for shard in shards)
    for line in bad:
        print(line)
    if bad:
        print(f"bad: {len(bad)}; {config.out} stays unfinished. Mend or remove these files, then pack again")
    else:
        print(f"{config.out}: {len(folder.ids)} ids in {len(shards)} shards, {size / 1e6:.1f} MB")
    if left_out:
        print(f"left out: {', '.join(left_out[:8])}" + (f" and {len(left_out) - 8} more" if left_out[8:] else ""))
    if config.json:
        told = {"n": len(folder.ids), "shards": len(shards), "bytes": size, "bad": bad, "left_out": left_out}
        write_json(config.json, {"data": config.data, "out": config.out, **told})
    return 1 if bad else 0


def _meta(folder: Folder) -> dict[str, bytes]:
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


def _left_out(folder: Folder, meta: Mapping[str, bytes], out: Path) -> list[str]:
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


def _finished(out: Path, key: str) -> bool:
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


def _begin(config: Pack, folder: Folder) -> dict[str, Any]:
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


def _write_shards(config: Pack, folder: Folder, shards: Sequence[Shard], done: dict[str, Any]) -> list[str]:
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
