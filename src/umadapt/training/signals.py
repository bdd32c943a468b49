"""Ctrl-C and SIGTERM end a stage after a whole step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from umadapt.errors import Terminated


class Stop(threading.Event):
    """Set when the process was asked to stop."""

    terminated = False  # by SIGTERM

    def raised(self) -> KeyboardInterrupt:
        """What is raised for it."""
        return Terminated() if self.terminated else KeyboardInterrupt()


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Ctrl-C and SIGTERM set the event, so that the step at hand ends whole; a second one stops at once."""
    event = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def ask(number: int, frame: Any) -> None:
        event.terminated |= number == signal.SIGTERM
        if event.is_set():
            raise event.raised()
        event.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
