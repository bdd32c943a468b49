"""Data that is made ahead."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest

from umadapt.data.prefetch import prefetch


def test_everything_comes_once_and_errors_pass() -> None:
    def make(key: int) -> int:
        if key == 4:
            raise ValueError("bad file")
        return 10 * key

    assert list(prefetch(make, range(1, 4), 1)) == [10, 20, 30]
    made = prefetch(make, range(3, 6), 1)
    assert next(made) == 30
    with pytest.raises(ValueError, match="bad file"):
        next(made)
    assert list(prefetch(make, range(5, 5), 1)) == []


def test_several_threads_keep_the_order() -> None:
    here, passed = threading.Barrier(3, timeout=20), threading.Lock()
    ended = []

    def make(key: int) -> int:
        if key < 3:
            here.wait()  # only if three are made at once
        time.sleep(0.01 * (3 - key % 4))  # the later, the sooner
        with passed:
            ended.append(key)
        return key

    assert list(prefetch(make, range(9), 3)) == list(range(9))
    assert sorted(ended) == list(range(9))
    assert ended != sorted(ended)


def test_no_more_is_made_than_was_asked_for() -> None:
    begun = []
    with closing(prefetch(begun.append, range(100), 2, ahead=4)) as made:
        for used in range(1, 11):
            next(made)
            assert len(begun) <= used + 4
    count = len(begun)
    time.sleep(0.02)
    assert len(begun) == count <= 14, "who is closed makes nothing more"
