"""What goes where in a packed set: it follows from the names and sizes of the files, before any of them is read.

Files are copied byte for byte, and every shard has the same bytes whenever it is made. See `shards` for the format.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from umadapt.data.atomic import whole_file
from umadapt.data.folder import Folder
from umadapt.data.packed.shards import KINDS, Index, member_name
from umadapt.errors import UserError

BLOCK, RECORD = tarfile.BLOCKSIZE, tarfile.RECORDSIZE  # bytes; a tar is made of the one and padded to the other


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
