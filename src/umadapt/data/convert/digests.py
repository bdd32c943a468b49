"""Published checksums of downloads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from umadapt.data.convert.source import Source
from umadapt.errors import UserError

CHUNK = 1 << 24  # bytes


def verify(source: Source, published: Mapping[str, str], known: dict[str, Any]) -> Iterator[str]:
    """Compare the downloads in a source with their published checksums; a line for each that differs.

    Args:
        published: file name -> "md5:…" or "sha1:…", hexadecimal.
        known: path -> [size, time of change, digest] of what was computed before; added to.
    """
    for path in (path for path in source.downloads() if path.name in published):
        kind, _, expected = published[path.name].partition(":")
        stat = path.stat()
        before = known.get(str(path), [None] * 3)
        found = before[2] if before[:2] == [stat.st_size, stat.st_mtime_ns] else digest(path, kind)
        known[str(path)] = [stat.st_size, stat.st_mtime_ns, found]
        if found != expected:
            yield (
                f"{path}: its {kind.upper()} is {found}, that of the published file {expected}; "
                "the download is damaged or of another release"
            )


def digest(path: Path, kind: str) -> str:
    """Hexadecimal, of a whole file, with a progress bar. Raises UserError."""
    total = hashlib.new(kind, usedforsecurity=False)
    try:
        with (
            path.open("rb") as file,
            tqdm(
                total=path.stat().st_size,
                desc=f"verify {path.name}",
                unit="B",
                unit_scale=True,
                disable=None,
                leave=False,
            ) as bar,
        ):
            while data := file.read(CHUNK):
                total.update(data)
                bar.update(len(data))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    return total.hexdigest()
