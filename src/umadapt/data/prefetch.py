"""Threads that prepare data beside a network."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import torch


def one_thread() -> None:
    """Keep the torch operators of the calling thread to itself."""
    torch.get_num_threads()  # the first look copies the process's count into the thread; only then can it be changed
    torch.set_num_threads(1)


def data_pool(workers: int) -> ThreadPoolExecutor:
    """A thread pool whose own torch operators run on one thread each.

    OpenMP gives every Python thread a team of its own. Two teams on the same cores wait for each other inside each
    small operator: a batch of 16 label maps took 0.35 s that way and takes 0.016 s on one thread.
    """
    threads = torch.get_num_threads()
    started = threading.Barrier(workers + 1)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="data", initializer=one_thread)
    for _ in range(workers):
        pool.submit(started.wait)
    started.wait()
    torch.set_num_threads(threads)  # the count is each thread's own once set; this restores the caller's
    return pool
