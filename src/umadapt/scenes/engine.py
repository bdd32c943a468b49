"""Which of Mitsuba's engines works here: `cuda_ad_rgb` (an NVIDIA GPU), `llvm_ad_rgb` (fast, needs a shared LLVM) or
`scalar_rgb` (always there)."""

from __future__ import annotations

import glob
import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

from umadapt.errors import UserError

_MIN_LLVM = 17  # with LLVM 15 and 16 the process aborts
_TIMEOUT_S = 60.0
_HINT = "for the fast engine install LLVM 17 or newer (Debian, Ubuntu: apt install libllvm19)"

# A whole tiny render: an LLVM or a driver that loads may still abort while it compiles.
_PROBE = """
import sys, drjit, mitsuba as mi
mi.set_variant(sys.argv[1])
drjit.set_thread_count(1)
scene = mi.load_dict({"type": "scene", "a": {"type": "sphere"}, "b": {"type": "point"}, "c": {"type": "path"}})
sensor = mi.load_dict({"type": "perspective", "film": {"type": "hdrfilm", "width": 4, "height": 4}})
drjit.eval(mi.render(scene, sensor=sensor, spp=1))
drjit.sync_thread()
print("works")
"""


@dataclass(frozen=True)
class Engine:
    """A Mitsuba variant and the LLVM library that it needs ("" = none, or the one that Dr.Jit finds itself)."""

    name: Literal["cuda", "llvm", "scalar"]
    variant: str
    library: str = ""

    def export(self) -> None:
        """Put the library where Dr.Jit looks for it; child processes inherit it."""
        if self.library:
            os.environ["DRJIT_LIBLLVM_PATH"] = self.library


SCALAR = Engine("scalar", "scalar_rgb")
CUDA = Engine("cuda", "cuda_ad_rgb")


def candidates() -> list[str]:
    """LLVM libraries worth trying, newest first; the user's own DRJIT_LIBLLVM_PATH alone where it is set."""
    own = os.environ.get("DRJIT_LIBLLVM_PATH")
    if own:
        return [own]
    found: dict[str, int] = {}
    for pattern in ("/usr/lib/*/libLLVM*.so*", "/usr/lib/llvm-*/lib/libLLVM*.so*", "/usr/lib64/libLLVM*.so*"):
        for path in sorted(glob.glob(pattern)):
            version = re.search(r"libLLVM(?:-|\.so\.)(\d+)", path)
            if version and int(version[1]) >= _MIN_LLVM:
                found.setdefault(os.path.realpath(path), int(version[1]))
    return sorted(found, key=lambda path: (-found[path], path))


def probe(engine: Engine) -> str:
    """Render a few pixels with that engine in a process of its own. Returns "" where it works, else the reason."""
    environment = {**os.environ, **({"DRJIT_LIBLLVM_PATH": engine.library} if engine.library else {})}
    command = [sys.executable, "-c", _PROBE, engine.variant]
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
    found, problem = _first([Engine("llvm", "llvm_ad_rgb", library) for library in candidates()])
    if found:
        return found, ""
    problem = problem or f"no LLVM {_MIN_LLVM} or newer was found"
    if wanted == "llvm":
        raise UserError(f"--engine llvm does not work here ({problem});\n{_HINT}, or type --engine scalar")
    return SCALAR, f"rendering with the scalar engine ({problem}); {_HINT}"
