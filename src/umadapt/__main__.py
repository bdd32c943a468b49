"""`python -m umadapt`, and the command `umadapt`: SIGTERM stops it in a line from its very start on."""

from __future__ import annotations

import sys

from umadapt.errors import Terminated, heed_sigterm


def entry() -> None:
    heed_sigterm()
    try:
        from umadapt.cli import entry
    except KeyboardInterrupt as stop:
        print("umadapt: stopped", file=sys.stderr)
        sys.exit(143 if isinstance(stop, Terminated) else 130)
    entry()


if __name__ == "__main__":
    entry()
