"""Sets behind a URL of any fsspec protocol (https, s3, gs, memory, …), and what is kept of them here."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from pathlib import Path, PosixPath

from umadapt.data.atomic import alone, sweep, whole_file
from umadapt.errors import UserError

CACHE_LIMIT = "UMADAPT_SHARD_CACHE_GB"  # environment variable: how much is kept of remote shards
CACHE_GB = 50.0  # where it is not set
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):/+")  # two letters at least: C:/photos is a local folder


class Url(PosixPath):
    """A folder or file behind a URL, in the shape of a `Path`; to reach it there are `read_bytes` and `fetch` alone."""

    def __str__(self) -> str:
        return _SCHEME.sub(r"\1://", super().__str__())  # a path keeps one slash of two

    def resolve(self, strict: bool = False) -> Url:
        return self

    def read_bytes(self) -> bytes:
        """Raises FileNotFoundError, or UserError naming the URL for whatever else goes wrong."""
        import fsspec

        try:
            system, path = fsspec.url_to_fs(str(self))
            return system.cat_file(path)
        except FileNotFoundError:
            raise
        except Exception as error:  # of any protocol's library, or because it is not installed
            raise UserError(f"{self}: cannot be read ({error})") from error

    def fetch(self, to: Path) -> None:
        """Copy to a local file. Raises UserError naming the URL."""
        import fsspec

        try:
            system, path = fsspec.url_to_fs(str(self))
            system.get_file(path, str(to))
        except Exception as error:
            raise UserError(f"{self}: cannot be fetched to {to.parent} ({error})") from error


def place(text: str) -> Path:
    """A folder by its path or URL; `file://` URLs are local paths. What exists here under that very name wins."""
    scheme = _SCHEME.match(text)
    if scheme is None or Path(text).exists():
        return Path(text)
    return Path("/" + text[scheme.end() :]) if scheme[1] in ("file", "local") else Url(text)


def is_host(text: str) -> bool:
    """Whether a text is a URL's scheme and host alone, so that `:8080` after it is a port."""
    scheme = _SCHEME.match(text)
    return scheme is not None and "/" not in text[scheme.end() :]


def split_address(address: str | Path) -> tuple[Path, str | None]:
    """`DATA:NAME` -> (DATA, NAME); (DATA, None) without a split. A ':' inside a folder's own name is left alone.

    DATA may be a URL; a number after its host alone is a port, not a split.
    """
    text = str(address)
    head, _, tail = text.rpartition(":")
    # A folder of exactly that name wins; `C:\photos` and `host:dir/photos` name no split.
    if not head or not tail or "/" in tail or "\\" in tail or Path(text).exists():
        return place(text), None
    if tail.isdecimal() and is_host(head):
        return place(text), None
    return place(head), tail


class ShardCache:
    """Remote shards kept in a local folder, named by the digest of their content. Threads and processes may share it.

    Those not used for longest are removed when the folder passes `limit` bytes; processes that fetch at the same time
    may pass it by a shard each.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.limit = folder, _cache_limit()
        self._used: set[str] = set()

    def get(self, url: Url, size: int, digest: str) -> Path:
        """The local copy of a shard of that size and SHA-256, fetched whole if it is not there.

        Others may remove it at any time; once opened it stays readable. Raises UserError when what is behind the URL
        is another shard, or cannot be had.
        """
        path = self.folder / f"{digest}.tar"
        if digest in self._used and path.exists():
            return path
        with alone(self.folder / f"lock-{digest[:2]}", "set XDG_CACHE_HOME"):
            if path.exists():
                os.utime(path)  # in use: once a process is enough
            else:
                self._fetch(url, path, size, digest)
        self._used.add(digest)
        return path

    def _fetch(self, url: Url, path: Path, size: int, digest: str) -> None:
        sweep(self.folder)
        self._make_room(size)
        with whole_file(path) as temporary:
            url.fetch(temporary)
            found = temporary.stat().st_size
            if found != size:
                raise UserError(f"{url}: found {found} bytes, expected {size}; copy or pack the set anew")
            with temporary.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    raise UserError(f"{url}: not the shard that the index was made for; copy or pack the set anew")

    def _make_room(self, size: int) -> None:
        kept: list[tuple[float, int, str]] = []
        for path in self.folder.glob("*.tar"):
            with contextlib.suppress(FileNotFoundError):  # removed by another process
                kept.append((path.stat().st_mtime, path.stat().st_size, path.name))
        for _, bytes_, name in sorted(kept, reverse=True):  # the last used first
            size += bytes_
            if size > self.limit:
                (self.folder / name).unlink(missing_ok=True)


def _cache_limit() -> float:
    """Bytes."""
    text = os.environ.get(CACHE_LIMIT, "")
    try:
        limit_gb = float(text or CACHE_GB)
    except ValueError:
        limit_gb = -1.0
    if not limit_gb >= 0:
        raise UserError(f"{CACHE_LIMIT} is {text!r}; expected a number of gigabytes, such as {CACHE_GB:g}")
    return limit_gb * 1e9
