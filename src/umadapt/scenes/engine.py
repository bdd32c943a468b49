"""Which of Mitsuba's engines works here: `cuda_ad_rgb` (an NVIDIA GPU), `llvm_ad_rgb` (fast, needs a shared LLVM) or
`scalar_rgb` (always there)."""

from __future__ import annotations

import ctypes
import glob
import importlib
import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Literal

from umadapt.errors import UserError

_MIN_LLVM = 17  # with LLVM 15 and 16 the process aborts
_TIMEOUT_S = 60.0
_PACKAGE = "karellen-llvm-core"  # an LLVM by pip, for Linux on x86-64
_SUPPORT = ("libunwind.so.1", "libc++abi.so.1", "libc++.so.1")  # of the package's LLVM; each needs those before it
_HINT = f"for the fast engine type: pip install {_PACKAGE} (Linux on x86-64), else: apt install libllvm19"

# A whole tiny render: an LLVM or a driver that loads may still abort while it compiles.
_PROBE = """
import ctypes, sys
support = [ctypes.CDLL(path) for path in sys.argv[2:]]
import drjit, mitsuba as mi
mi.set_variant(sys.argv[1])
drjit.set_thread_count(1)
scene = mi.load_dict({"type": "scene", "a": {"type": "sphere"}, "b": {"type": "point"}, "c": {"type": "path"}})
sensor = mi.load_dict({"type": "perspective", "film": {"type": "hdrfilm", "width": 4, "height": 4}})
drjit.eval(mi.render(scene, sensor=sensor, spp=1))
drjit.sync_thread()
print("works")
"""


def mitsuba() -> Any:
    """The module, imported where it is needed: its variant is chosen first."""
    return importlib.import_module("mitsuba")


@dataclass(frozen=True)
class Engine:
    """A Mitsuba variant and the LLVM library that it needs ("" = none, or the one that Dr.Jit finds itself)."""

    name: Literal["cuda", "llvm", "scalar"]
    variant: str
    library: str = ""
    support: tuple[str, ...] = ()  # libraries that must be loaded before it, in this order

    def export(self) -> None:
        """Load the support and put the library where Dr.Jit looks for it; child processes inherit the latter alone."""
        for path in self.support:
            ctypes.CDLL(path)  # not RTLD_GLOBAL: Mitsuba's exceptions would meet two unwinders and end the process
        if self.library:
            os.environ["DRJIT_LIBLLVM_PATH"] = self.library


SCALAR = Engine("scalar", "scalar_rgb")
CUDA = Engine("cuda", "cuda_ad_rgb")


def _version(path: str) -> int:
    """Of a libLLVM by its file name; 0 where that has none."""
    found = re.search(r"libLLVM(?:-|\.so\.)(\d+)", path)
    return int(found[1]) if found else 0


def _packaged() -> Engine | None:
    """With the LLVM of the pip package; None where that is absent, too old, or laid out otherwise (--target)."""
    try:
        listed = metadata.files(_PACKAGE) or []
    except metadata.PackageNotFoundError:
        return None
    # Its links (libc++.so.1) are made at the next start of Python, its files (libc++.so.1.0) are there at once.
    names = {name: os.path.realpath(file.locate()) for file in listed if ".so." in (name := file.name)}
    there = {name: path for name, path in sorted(names.items()) if os.path.isfile(path)}
    library = next((path for name, path in there.items() if _version(name) >= _MIN_LLVM), None)
    if library is None:
        return None
    support = (next((path for name, path in there.items() if name.startswith(soname)), None) for soname in _SUPPORT)
    return Engine("llvm", "llvm_ad_rgb", library, tuple(path for path in support if path))


def candidates() -> list[Engine]:
    """Engines with an LLVM worth trying: the user's own DRJIT_LIBLLVM_PATH alone where it is set, else the pip package,
    then the system's libraries, newest first."""
    packaged = _packaged()
    own = os.environ.get("DRJIT_LIBLLVM_PATH")
    if own:
        if packaged and os.path.realpath(own) == packaged.library:
            return [packaged]
        return [Engine("llvm", "llvm_ad_rgb", own)]
    found: dict[str, int] = {}
    for pattern in ("/usr/lib/*/libLLVM*.so*", "/usr/lib/llvm-*/lib/libLLVM*.so*", "/usr/lib64/libLLVM*.so*"):
        for path in sorted(glob.glob(pattern)):
            if _version(path) >= _MIN_LLVM:
                found.setdefault(os.path.realpath(path), _version(path))
    newest_first = sorted(found, key=lambda path: (-found[path], path))
    return [*([packaged] if packaged else []), *(Engine("llvm", "llvm_ad_rgb", path) for path in newest_first)]


def probe(engine: Engine) -> str:
    """Render a few pixels with that engine in a process of its own. Returns "" where it works, else the reason."""
    environment = {**os.environ, **({"DRJIT_LIBLLVM_PATH": engine.library} if engine.library else {})}
    command = [sys.executable, "-c", _PROBE, engine.variant, *engine.support]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"no answer within {_TIMEOUT_S:.0f} s"
    if done.returncode == 0 and "works" in done.stdout:
        return ""
    if done.returncode < 0:
        return f"the process was ended by signal {-done.returncode}"
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"


def _first(engines: list[Engine]) -> tuple[Engine | None, str]:
    """The first that works, and why those before it do not."""
    reasons = []
    for engine in engines:
        reason = probe(engine)
        if not reason:
            return engine, "; ".join(reasons)
        reasons.append(f"{engine.library or engine.name}: {reason}")
    return None, "; ".join(reasons)


def choose(wanted: Literal["auto", "cuda", "llvm", "scalar"]) -> tuple[Engine, str]:
    """The engine to use and a line about it for the user ("" where there is nothing to say).

    `auto` takes cuda where there is an NVIDIA device, else llvm, which takes about half of scalar's processor time at
    96x128 and less at larger sizes, else scalar. Raises UserError without Mitsuba, and for an engine asked for by name
    that does not work here.
    """
    if importlib.util.find_spec("mitsuba") is None:
        raise UserError("rendering needs Mitsuba 3, which is not installed; type: pip install mitsuba")
    if wanted == "scalar":
        return SCALAR, ""
    if wanted == "cuda" or (wanted == "auto" and os.path.exists("/dev/nvidiactl")):
        found, problem = _first([CUDA])
        if found:
            return found, ""
        if wanted == "cuda":
            raise UserError(f"--engine cuda does not work here ({problem}); type --engine auto")
    found, problem = _first(candidates())
    if found:
        return found, ""
    problem = problem or f"no LLVM {_MIN_LLVM} or newer was found"
    if wanted == "llvm":
        raise UserError(f"--engine llvm does not work here ({problem});\n{_HINT}, or type --engine scalar")
    return SCALAR, f"rendering with the scalar engine ({problem}); {_HINT}"
