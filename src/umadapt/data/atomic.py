"""Writing files: whole or not at all, one process at a time in a folder, nothing left by those that were killed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from umadapt.errors import UserError

LOCK = ".lock"  # of the process that writes a folder
TEMPORARY = ".tmp-"  # what the names of unfinished files begin with
_OLD_S = 86_400.0  # seconds after which that of another machine is nobody's


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a whole file or nothing: a temporary name in the same folder, then renamed. Makes the folder.

    Raises UserError naming the file when the disk is full or the folder is not writable.
    """
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A name to write a file under, which becomes `path` at the end; nothing is left after an error.

    The file gets the mode of every new file here, whatever its writer gives it.

    Raises UserError naming `path` when the disk or a library's writer fails inside.
    """
    path = Path(path)
    # A short name of its own: `path.name` may be at the limit of the file system.
    temporary = path.parent / f"{_mine()}{os.getpid()}-{threading.get_ident()}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.touch()
            mode = stat.S_IMODE(temporary.stat().st_mode)
            yield temporary
            if stat.S_IMODE(temporary.stat().st_mode) != mode:
                temporary.chmod(mode)
            os.replace(temporary, path)
        except UserError:
            raise
        except Exception as error:
            reason = why_unwritten(error, temporary)
            if reason is None:
                raise
            raise UserError(f"{path}: cannot be written{reason}") from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be written{why_unwritten(error, path.parent)}") from error


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SPARE = 1 << 20  # bytes: with less than that free a disk is full


def why_unwritten(error: BaseException, path: Path) -> str | None:
    """Why `path` could not be written, to follow "cannot be written"; None where the error is none of writing.

    Writers in C++ and Rust hide the system's error: torch in the context of its own, safetensors in its text.
    """
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, OSError):
        seen = seen.__cause__ or seen.__context__
    hidden = re.search(r"os error (\d+)", str(error))
    code = seen.errno if seen is not None else int(hidden[1]) if hidden else None
    native = isinstance(error, RuntimeError) or type(error).__module__.startswith("safetensors")
    if code is None and seen is None and native and _is_full(path.parent):
        code = errno.ENOSPC
    if code is None and seen is None and not native:
        return None
    reason = os.strerror(code) if code is not None else (str(seen or error).splitlines() or [""])[0]
    cure = "; free some, then give the same command again" if code in _FULL else ""
    return f" ({reason}){cure}"


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < _SPARE
    except OSError:
        return False


def _mine() -> str:
    """How the temporary files of this machine's processes begin."""
    return f"{TEMPORARY}{socket.gethostname()[:64]}-"


def sweep(folder: Path) -> None:
    """Remove what writers of this machine left in a folder when they were killed, and those of others a day ago.

    What processes that live are writing is left alone.
    """
    for path in folder.glob(f"{TEMPORARY}*"):
        pid = path.name.removeprefix(_mine()).partition("-")[0]
        with contextlib.suppress(OSError, OverflowError):  # swept by another process, or in a read-only folder
            stale = not _alive(int(pid)) if pid.isdecimal() else path.stat().st_mtime < time.time() - _OLD_S
            if stale:
                path.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


@contextlib.contextmanager
def alone(lock: Path, cure: str = "give another folder") -> Iterator[None]:
    """One thread of one process at a time, so that nothing is made or fetched twice; a killed process lets go.

    Raises:
        UserError: the file cannot be made.
    """
    import fcntl  # not on Windows

    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("wb")
    except OSError as error:
        raise UserError(f"{lock.parent}: nothing can be kept there ({error.strerror}); {cure}") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


_claimed: set[Path] = set()  # by this process, whose locks do not keep itself out


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder that is written. The kernel lets go of it whatever way the process ends.

    The folder is made; it goes again where nothing was put into it. One that cannot be made or locked is left to the
    writers.

    Raises:
        UserError: another process is at work in it.
    """
    import fcntl

    made = [path for path in (folder, *folder.parents) if not path.exists()]
    where, busy = folder.resolve(), f"another process is at work in {folder}; wait until it ends, or stop it"
    if where in _claimed:
        raise UserError(busy)
    lock = folder / LOCK
    file = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while file is None:
            file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file), os.stat(lock)):
                    break
            os.close(file)  # whoever had it has removed it since
            file = None
    except BlockingIOError as error:
        if file is not None:
            os.close(file)
        raise UserError(busy) from error
    except OSError:  # a folder that may only be read, or a file system without locks
        pass
    _claimed.add(where)
    try:
        yield
    finally:
        _claimed.discard(where)
        if file is not None:
            with contextlib.suppress(OSError):
                lock.unlink()
            os.close(file)
        for path in made:
            with contextlib.suppress(OSError):  # not empty
                path.rmdir()


def cache_folder() -> Path:
    """Where files are kept that can be made again: $XDG_CACHE_HOME or ~/.cache. Not made here."""
    own = os.environ.get("XDG_CACHE_HOME", "")  # the XDG specification ignores a relative one
    return Path(own if os.path.isabs(own) else os.path.expanduser("~/.cache")) / "umadapt"


def _plain(value: Any) -> Any:
    """What JSON can hold: arrays and tuples as lists, paths as text, NaN and infinity as null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def write_json(path: str | Path, data: Any) -> None:
    """Write JSON, indented; NaN and infinity become null, because JSON has no word for them."""
    text = json.dumps(_plain(data), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    # what is no text in the name of a file gets JSON's own escape
    write_bytes(path, text.encode(errors="backslashreplace"))
