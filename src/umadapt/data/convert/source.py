"""The files of a data set as its owner distributes it: folders, zip, rar and tar archives, read in place.

Archives are never unpacked: a member is read into memory, as many bytes as the archive declares. So no path of an
archive can leave the destination, no link is followed, and nothing grows beyond its declared size.
"""

from __future__ import annotations

import os
import re
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from umadapt.errors import UserError

LIMIT = 4 << 30  # bytes of one member; no file of the known sets is larger but whole archives
ARCHIVES = (".zip", ".rar", ".tar")
PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z")
LATER_VOLUME = re.compile(r"\.part0*(?!1\.)\d+\.rar\Z", re.IGNORECASE)
NO_ACCESS = "this kind of archive cannot be read in place; unpack it"
DAMAGED = (OSError, zipfile.BadZipFile, tarfile.TarError, EOFError, ValueError, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class Member:
    """Where a file is."""

    container: Path  # the file itself, or its archive
    member: str | None = None  # its name in a zip or rar
    offset: int | None = None  # in a tar
    size: int = 0  # declared, bytes; of archives

    @property
    def packed(self) -> bool:
        """Whether it lies in an archive."""
        return self.member is not None or self.offset is not None


class Source:
    """One flat list of names over everything below one or several places.

    Names are paths with '/' relative to the place or to the archive's root. Where a folder and an archive have the
    same name, the folder's file counts. Links in the folders are followed: they are the user's own.

    Args:
        places: folders (with the archives that lie in them), archives or single files.

    Raises:
        UserError: a place is missing, holds nothing, or is an archive that cannot be read in place.
    """

    def __init__(self, *places: Path):
        self.places = places
        self.refused: list[str] = []  # damaged archives, and members that are not read: a line each
        self.unread: list[str] = []  # archives of other kinds: a line each
        self._files: dict[str, Member] = {}
        self._opened: dict[Path, Any] = {}  # zipfile.ZipFile, or rarfile.RarFile, which has the same methods
        self._lock = threading.Lock()
        archives: list[Path] = []
        for place in places:
            if place.is_dir():
                archives += self._walk(place)
            elif not place.exists():
                raise UserError(f"{place}: no such file or folder; expected the data set as its owner distributes it")
            elif place.suffix.lower() in ARCHIVES:
                archives.append(place)
            elif place.name.lower().endswith(PACKED):
                raise UserError(f"{place}: {NO_ACCESS}, and give the folder")
            else:
                self._files[place.name] = Member(place)
        for archive in archives:
            for name, member in self._list(archive):
                self._files.setdefault(name, member)
        self.archives = tuple(archives)
        self.names: tuple[str, ...] = tuple(sorted(self._files))

    def _walk(self, place: Path) -> list[Path]:
        """Add the files below a folder; returns the archives among them."""
        archives = []
        for folder, below, names in os.walk(place, followlinks=True):
            below[:] = sorted(name for name in below if not name.startswith(".") and not _leads_up(folder, name))
            for name in sorted(names):
                path = Path(folder) / name
                if path.suffix.lower() in ARCHIVES:
                    if not LATER_VOLUME.search(name):  # the first one leads to them
                        archives.append(path)
                elif name.lower().endswith(PACKED):
                    self.unread.append(f"{path}: {NO_ACCESS} if its files are wanted")
                elif not name.startswith("."):
                    self._files[path.relative_to(place).as_posix()] = Member(path)
        return archives

    def _list(self, archive: Path) -> Iterator[tuple[str, Member]]:
        """The sound members of an archive, up to where it is damaged; the others go to `refused`."""
        count = 0
        try:
            for name, why, member in self._members(archive):
                why = why or _unsafe(name) or (f"declares {member.size} bytes" if member.size > LIMIT else "")
                if why:
                    self.refused.append(f"{archive}: member {name!r} {why}; it is not read")
                else:
                    count += 1
                    yield PurePosixPath(name).as_posix(), member
        except UserError as error:  # sound, but not to be read here: in a folder it may not be wanted
            if archive in self.places:
                raise
            self.unread.append(str(error))
        except DAMAGED as error:
            rest = f"; the {count} files before the damage are read" if count else ""
            self.refused.append(f"{archive}: truncated or damaged archive ({error}){rest}")

    def _members(self, archive: Path) -> Iterator[tuple[str, str, Member]]:
        """(name, why it is not read or nothing, where it is) of each file of an archive."""
        if archive.suffix.lower() == ".tar":
            yield from _tar(archive)
            return
        rar = archive.suffix.lower() == ".rar"
        opened: Any = _rar(archive) if rar else zipfile.ZipFile(archive)
        self._opened[archive] = opened
        for info in opened.infolist():
            if not info.is_dir():
                link = info.is_symlink() if rar else (info.external_attr >> 16) & 0o170000 == 0o120000
                yield info.filename, "is a link" if link else "", Member(archive, info.filename, size=info.file_size)

    def match(self, pattern: str) -> Iterator[tuple[str, re.Match[str]]]:
        """(name, match) of every file whose name ends as the pattern says, after a '/' or at the start."""
        compiled = re.compile(rf"(?:^|.*/)(?:{pattern})\Z")
        for name in self.names:
            found = compiled.match(name)
            if found:
                yield name, found

    def where(self, name: str) -> str:
        """A file for people: its path, or `archive: member`."""
        member = self._files[name]
        return f"{member.container}:{name}" if member.packed else str(member.container)

    def downloads(self) -> list[Path]:
        """The archives, and the single files that are no part of one."""
        return [*self.archives, *(member.container for member in self._files.values() if not member.packed)]

    def path(self, name: str) -> Path | None:
        """The file on disk, None for one inside an archive."""
        member = self._files[name]
        return None if member.packed else member.container

    def read(self, name: str) -> bytes:
        """All bytes of a file; from any thread. Raises UserError naming it."""
        if name not in self._files:
            raise UserError(f"{name}: not there; looked in {', '.join(map(str, self.places))}")
        member = self._files[name]
        try:
            if member.member is not None:
                with self._lock:  # to open and close; several may read at a time
                    file = self._opened[member.container].open(member.member)
                try:
                    data = file.read(member.size + 1)  # one more than declared: more is an error
                finally:
                    with self._lock:
                        file.close()
            elif member.offset is not None:
                with member.container.open("rb") as file:
                    file.seek(member.offset)
                    data = file.read(member.size)
            else:
                return member.container.read_bytes()
        except DAMAGED as error:
            raise UserError(f"{self.where(name)}: cannot be read ({error})") from error
        except Exception as error:  # zlib.error, lzma.LZMAError: a damaged stream
            raise UserError(f"{self.where(name)}: damaged ({error})") from error
        if len(data) != member.size:
            raise UserError(f"{self.where(name)}: found {len(data)} bytes, the archive declares {member.size}")
        return data


def _tar(archive: Path) -> Iterator[tuple[str, str, Member]]:
    with tarfile.open(archive, "r:") as opened:  # uncompressed only, so that members can be read where they lie
        for info in opened:
            if not info.isdir():
                why = "" if info.isreg() and not info.issparse() else "is sparse" if info.isreg() else "is a link"
                yield info.name, why, Member(archive, offset=info.offset_data, size=info.size)


def _rar(archive: Path) -> Any:
    """An opened rar. Its packed members are unpacked by a program that the user has, one call a member.

    Raises:
        UserError: it cannot be read member by member.
        ValueError: it is damaged.
    """
    try:
        import rarfile
    except ImportError as error:
        raise UserError(f"{archive}: a rar needs the package rarfile; type: pip install rarfile") from error
    try:
        opened = rarfile.RarFile(archive)
        if opened.is_solid() or opened.needs_password():
            raise UserError(f"{archive}: a solid rar, or one with a password; {NO_ACCESS}, and give the folder")
        if any(info.compress_type != rarfile.RAR_M0 for info in opened.infolist() if not info.is_dir()):
            rarfile.tool_setup(bsdtar=False)  # which misreads some
    except rarfile.RarCannotExec as error:
        raise UserError(
            f"{archive}: to read it, install unrar, unar or 7z; or unpack it and give the folder"
        ) from error
    except rarfile.Error as error:
        raise ValueError(str(error) or "no rar") from error
    return opened


def _leads_up(folder: str, name: str) -> bool:
    """Whether an entry of a folder is a link to that folder or one above it: to follow it would never end."""
    above, target = os.path.realpath(folder), os.path.realpath(os.path.join(folder, name))
    return os.path.commonpath([above, target]) == target


def _unsafe(name: str) -> str:
    """Why a member's name is no good, or nothing."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or parts[0] == "/" or re.match(r"[A-Za-z]:", name):
        return "has an absolute path"
    return "leaves the archive" if ".." in parts else ""
