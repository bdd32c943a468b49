"""Kill every method on its way and go on: does it end in the same bits?

    python studies/resume_check.py BASE PHOTOS OUT [METHOD ...]

BASE is a finished run of `umadapt train`, such as demo/base, PHOTOS what it is adapted to, demo/photos. Each METHOD, or
every one that takes steps, takes 20 once undisturbed, and once killed by SIGKILL after the checkpoint of step 7 and
called again. Prints a line a method; exit code 1 if the weights of any differ. Cost: one to three minutes a method,
one CPU core.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

from umadapt.config import MethodName

STEPS = "--steps 20 --save-every 7 --candidates 0".split()


def adapt(base: str, photos: str, method: str, out: Path) -> subprocess.Popen[bytes]:
    """Start the command; its output goes to a file beside its run folder."""
    words = [sys.executable, "-m", "umadapt", "adapt", base, "--target", photos, "--method", method, "--out", str(out)]
    with out.with_suffix(".log").open("ab") as log:
        return subprocess.Popen([*words, *STEPS], stdout=log, stderr=log, env=os.environ | {"OMP_NUM_THREADS": "1"})


def finish(process: subprocess.Popen[bytes], out: Path) -> bytes:
    """The weights that it ends in."""
    if process.wait():
        sys.exit(f"failed, see {out.with_suffix('.log')}")
    return (out / "model.safetensors").read_bytes()


def killed(process: subprocess.Popen[bytes], out: Path) -> bool:
    """Kill it at its first checkpoint; False where it ended before."""
    while process.poll() is None:
        if (out / "state.pt").exists():
            process.send_signal(signal.SIGKILL)
            return process.wait() == -signal.SIGKILL
        time.sleep(0.02)
    return False


def main() -> None:
    methods = [m for m in get_args(MethodName) if m != "adabn"]  # which takes no steps
    if len(sys.argv) < 4 or set(sys.argv[4:]) - set(methods):
        sys.exit(__doc__)
    base, photos, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    out.mkdir(parents=True, exist_ok=True)
    differ = False
    for method in sys.argv[4:] or methods:
        whole, cut = out / f"{method}-whole", out / f"{method}-cut"
        for folder in (whole, cut):
            shutil.rmtree(folder, ignore_errors=True)
        expected = finish(adapt(base, photos, method, whole), whole)
        was_killed = killed(adapt(base, photos, method, cut), cut)
        same = finish(adapt(base, photos, method, cut), cut) == expected
        differ |= not (same and was_killed)
        said = "the same bits" if same else "DIFFERS"
        print(f"{method:<14}{said if was_killed else 'ended before it was killed'}", flush=True)
    sys.exit(differ)


if __name__ == "__main__":
    main()
