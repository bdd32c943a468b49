"""Worker processes that render rooms."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event

from umadapt.config.data import Render
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.scenes import engine, renderer


def _cores() -> int:
    """Cores that this process may use; not every system can tell which those are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def workers(config: Render, chosen: engine.Engine, jobs: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of worker processes for so many jobs."""
    count = min(config.workers or max(1, _cores() // process_group.local_size()), jobs)
    context = multiprocessing.get_context("spawn")  # forked copies of Mitsuba's threads would hang
    stop = context.Event()
    pool = ProcessPoolExecutor(count, context, _start_worker, (config, chosen, stop))
    try:
        yield pool
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process died, perhaps for want of memory; what is finished is kept:\n"
            "type the same command again to continue, with fewer --workers or with --engine scalar"
        ) from error
    finally:
        stop.set()  # on an error or Ctrl-C the workers finish the view in hand, no more
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker(config: Render, chosen: engine.Engine, stop: Event) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    renderer.prepare(config, chosen, stop)


def _end_with_parent() -> None:
    """A killed parent stops nobody: without this its workers would wait for rooms for ever. Files are renamed whole."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
