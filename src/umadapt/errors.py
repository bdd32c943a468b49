"""The exceptions that are messages to the user: the command line prints them in plain lines, without a traceback."""

from __future__ import annotations

import signal
from typing import Any


class UserError(Exception):
    """A mistake in what was given: says what was found, what was expected, and what to type next. Exit code 2."""


class Terminated(KeyboardInterrupt):
    """SIGTERM: what Ctrl-C does. Exit code 143."""


class LostRank(Exception):
    """Another process of the job is gone, so that this one cannot go on either. Exit code 1."""


def terminate(number: int, frame: Any) -> None:
    """SIGTERM stops as Ctrl-C does."""
    raise Terminated


def heed_sigterm(heed: bool = True) -> None:
    """Raise `Terminated` at a SIGTERM, where nobody else has a say in it; or pass over further ones."""
    if heed and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, terminate)
    if not heed and signal.getsignal(signal.SIGTERM) is terminate:
        signal.signal(signal.SIGTERM, lambda *_: None)  # unlike SIG_IGN, no child inherits it
