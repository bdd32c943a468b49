"""Packed sets: the index, files in tar shards, and shards behind a URL. Beside them stand dataset.json and splits/.

SET/{dataset.json, splits/NAME.txt, index.npz, shards/000000.tar, …}. A shard is an uncompressed POSIX tar by the
WebDataset convention: the files of a sample follow each other as ID.image.jpg, ID.depth.png, ID.normals.png,
ID.seg.png. The index says where each file lies, so that nothing is listed and a file is one read.
"""

from __future__ import annotations

import io
import itertools
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np

from umadapt.data.atomic import cache_folder
from umadapt.data.files import PHOTO_FORMATS, Stored
from umadapt.data.ids import check_id
from umadapt.data.packed.remote import CACHE_LIMIT, ShardCache, Url
from umadapt.errors import UserError

INDEX, SHARDS = "index.npz", "shards"
PROGRESS = "pack.json"  # there while a set is being packed
VERSION = 1  # of the index
KINDS = ("image", "depth", "normals", "seg")  # in the order in which a sample's files follow each other
SHA256 = re.compile("[0-9a-f]{64}")


# --- The index


@dataclass(frozen=True)
class Index:
    """Where every file of a packed set lies; n ids in s shards.

    Raises UserError naming the file when it is damaged or of another version.
    """

    ids: tuple[str, ...]  # sorted
    shard: np.ndarray  # (n,) int32, the shard that holds an id
    suffix: np.ndarray  # (n,) str, of the photo, with its dot
    offset: Mapping[str, np.ndarray]  # kind -> (n,) int64 bytes from the start of the shard, -1 = no such file
    size: Mapping[str, np.ndarray]  # kind -> (n,) int64 bytes
    shard_size: np.ndarray  # (s,) int64 bytes
    sha256: tuple[str, ...]  # s digests of whole shards, hexadecimal
    splits: tuple[str, ...]  # names
    key: str  # of what was packed: the same files under the same options give the same key

    def to_bytes(self) -> bytes:
        """The file index.npz."""
        joined = "\0".join(self.ids).encode("utf-8", "surrogateescape")
        arrays = {
            "version": np.array(VERSION),
            "ids": np.frombuffer(joined, np.uint8),  # UTF-8, a zero byte between two
            "shard": self.shard,
            "suffix": self.suffix,
            "shard_size": self.shard_size,
            "shard_sha256": np.array(self.sha256, "U64"),
            "splits": np.array(self.splits, np.str_),
            "key": np.array(self.key),
        }
        for kind in KINDS:
            arrays |= {f"{kind}_offset": self.offset[kind], f"{kind}_size": self.size[kind]}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, where: Path) -> Index:
        """Read index.npz; `where` is its name for messages."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                arrays = {name: np.asarray(file[name]) for name in file.files}
            version = int(arrays["version"])
            if version != VERSION:
                raise UserError(f"{where}: found version {version} of the index, expected {VERSION}; update umadapt")
            ids = tuple(arrays["ids"].tobytes().decode("utf-8", "surrogateescape").split("\0"))
            index = cls(
                ids,
                arrays["shard"],
                arrays["suffix"],
                {kind: arrays[f"{kind}_offset"] for kind in KINDS},
                {kind: arrays[f"{kind}_size"] for kind in KINDS},
                arrays["shard_size"],
                tuple(str(digest) for digest in arrays["shard_sha256"]),
                tuple(str(name) for name in arrays["splits"]),
                str(arrays["key"]),
            )
            fault = index._fault()
        except UserError:
            raise
        except Exception as error:  # a damaged zip or array raises many kinds
            raise UserError(f"{where}: damaged index of a packed set ({error}); copy or pack the set anew") from error
        if fault:
            raise UserError(f"{where}: damaged index of a packed set ({fault}); copy or pack the set anew")
        for name in (*index.ids, *index.splits):
            check_id(name, where)
        return index

    def _fault(self) -> str:
        """What cannot be in it, but for ids; nothing where it is sound."""
        rows = [self.shard, self.suffix, *self.offset.values(), *self.size.values()]
        if any(row.shape != (len(self.ids),) for row in rows) or self.shard_size.shape != (len(self.sha256),):
            return "arrays differ in length"
        if self.suffix.dtype.kind != "U":
            return "suffixes that are no text"
        if not all(np.can_cast(row.dtype, np.int64) for row in (*rows[:1], *rows[2:], self.shard_size)):
            return "places that are no whole numbers"
        if any(a >= b for a, b in itertools.pairwise(self.ids)):
            return "ids that are not sorted, or there twice"
        if not ((self.shard >= 0) & (self.shard < len(self.sha256))).all():
            return "a shard that there is not"
        if not all(SHA256.fullmatch(digest) for digest in self.sha256):
            return "a digest that is none"
        for kind in KINDS:
            offset, size, there = self.offset[kind], self.size[kind], self.offset[kind] >= 0
            end = self.shard_size[self.shard] - offset  # of the shard, from the start of the file
            if ((offset < -1) | (size < 0) | (there & (size > end))).any():
                return f"a file of {kind} that lies outside its shard"
            if kind == "image" and not set(np.unique(self.suffix[there]).tolist()) <= set(PHOTO_FORMATS):
                return "a photo's suffix that is none"
        return ""


def member_name(id: str, kind: str, suffix: str) -> str:
    """`0001`, "image", ".jpg" -> `0001.image.jpg`. A sample's name ends at the first dot: those of the id are escaped,
    `a.b` -> `a%2Eb.image.jpg`."""
    return f"{id.replace('%', '%25').replace('.', '%2E')}.{kind}{suffix}"


# --- Reading


def open_packed(root: Path) -> Packed | None:
    """The packed set there; None where a plain folder or nothing is.

    Raises UserError when its packing was not finished, its index is damaged, or a URL leads to no packed set.
    """
    if isinstance(root, Url):
        try:
            return Packed(root)
        except FileNotFoundError as error:
            raise UserError(f"{root}: no {INDEX}; expected a set that umadapt pack has written") from error
    if not (root / SHARDS).is_dir() and not (root / PROGRESS).is_file():
        return None
    try:
        return Packed(root)
    except FileNotFoundError as error:
        if not (root / PROGRESS).is_file():
            return None  # a folder of that name for something else
        raise UserError(f"{root}: packing was not finished; give the same umadapt pack again to go on") from error
    except OSError as error:
        raise UserError(f"{root / INDEX}: cannot be read ({error.strerror or error})") from error


class Packed:
    """A packed set, opened: nothing but its index is read. Reading is safe from any thread."""

    def __init__(self, root: Path) -> None:
        """Raises FileNotFoundError without an index, UserError when it is damaged."""
        self.root = root
        self.index = Index.from_bytes((root / INDEX).read_bytes(), root / INDEX)
        self.rows = {id: row for row, id in enumerate(self.index.ids)}
        self._cache = ShardCache(cache_folder() / SHARDS) if isinstance(root, Url) else None
        total = int(self.index.shard_size.sum())
        if self._cache is not None and total > self._cache.limit:
            print(
                f"{root} takes {total / 1e9:.1f} GB, {self._cache.folder} keeps {self._cache.limit / 1e9:.1f} GB: "
                f"shards will be fetched more than once. Raise {CACHE_LIMIT}, or copy the set",
                file=sys.stderr,
            )

    def files(self, kind: str) -> Mapping[str, Stored]:
        """id -> file."""
        return Files(self, kind)

    def shard_path(self, shard: int) -> Path:
        return self.root / SHARDS / f"{shard:06d}.tar"

    def read(self, row: int, kind: str) -> bytes:
        """A whole file. Raises UserError naming the shard when that is missing or not the one that was packed."""
        shard, size = int(self.index.shard[row]), int(self.index.size[kind][row])
        path, expected = self.shard_path(shard), int(self.index.shard_size[shard])
        try:
            with self._open(path, expected, self.index.sha256[shard]) as file:
                found = os.fstat(file.fileno()).st_size
                file.seek(int(self.index.offset[kind][row]))
                data = file.read(size)
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror or error}); copy or pack the set anew") from error
        if found != expected or len(data) != size:
            raise UserError(f"{path}: found {found} bytes, expected {expected}; copy or pack the set anew")
        return data

    def _open(self, path: Path, size: int, digest: str) -> io.FileIO:
        if self._cache is None or not isinstance(path, Url):
            return io.FileIO(path)
        while True:
            try:
                return io.FileIO(self._cache.get(path, size, digest))
            except FileNotFoundError:  # another process made room between the look and this
                continue


class Files(Mapping[str, "Member"]):
    """id -> file of one kind. Members are made as they are asked for: 100,000 ids cost no memory here."""

    def __init__(self, packed: Packed, kind: str) -> None:
        self._packed, self._kind = packed, kind
        self._has = packed.index.offset[kind] >= 0  # (n,) bool
        self._count = int(np.count_nonzero(self._has))

    def __contains__(self, id: object) -> bool:
        row = self._packed.rows.get(id) if isinstance(id, str) else None
        return row is not None and bool(self._has[row])

    def __getitem__(self, id: str) -> Member:
        if id not in self:
            raise KeyError(id)
        return Member(self._packed, self._packed.rows[id], self._kind)

    def __iter__(self) -> Iterator[str]:
        return (self._packed.index.ids[row] for row in np.flatnonzero(self._has))

    def __len__(self) -> int:
        return self._count


@dataclass(frozen=True, slots=True)
class Member:
    """One file in a shard."""

    packed: Packed
    row: int
    kind: str

    @property
    def stem(self) -> str:
        """The id."""
        return self.packed.index.ids[self.row]

    def __str__(self) -> str:
        return str(self._under(self.packed.root))

    def resolve(self) -> PurePath:
        return self._under(self.packed.root.resolve())

    def _under(self, root: Path) -> Path:
        index = self.packed.index
        suffix = str(index.suffix[self.row]) if self.kind == "image" else ".png"
        return root / SHARDS / f"{index.shard[self.row]:06d}.tar" / member_name(self.stem, self.kind, suffix)

    def read_bytes(self) -> bytes:
        """Raises UserError naming the shard."""
        return self.packed.read(self.row, self.kind)
