"""Visitors, their files, and their adaptations."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from serve.conftest import write_photo
from umadapt.errors import UserError
from umadapt.serve import adaptation, session
from umadapt.serve.adaptation import Adaptation, OneAtATime
from umadapt.serve.photos import Limits
from umadapt.serve.session import Session, Sessions

SAYS = 'for k in 1 2 3; do printf "\\radapt:  10%%|#  | $k/3 [00:01<00:02, 1.0s/step]" >&2; done; '


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have `umadapt adapt` be a script of the shell."""

    def put(script: str) -> None:
        (tmp_path / "python").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "python").chmod(0o755)
        monkeypatch.setattr(adaptation.sys, "executable", str(tmp_path / "python"))

    return put


def fill(one: Session, tmp_path: Path, limits: Limits, count: int = 3) -> None:
    given = [write_photo(tmp_path / "given" / f"{i}.jpg") for i in range(count)]
    assert list(one.add(given, limits)) == [None] * count


def test_a_visitor_leaves_nothing(sessions: Sessions, tmp_path: Path) -> None:
    one, other = sessions.of("one"), sessions.of("other")
    assert sessions.of("one") is one
    fill(one, tmp_path, sessions.limits)
    shown = one.show(0, "base")
    assert shown.shape is not None
    sessions.close("one")
    assert [path.name for path in sessions.root.iterdir()] == [other.folder.name]
    sessions.close("one")  # once more, as a browser may
    sessions.close_all()
    assert not list(sessions.root.iterdir())


def test_bad_photos_are_named_and_good_ones_stay(sessions: Sessions, photo: Path, tmp_path: Path) -> None:
    one = sessions.of("one")
    (tmp_path / "words.jpg").write_text("no picture")
    good, bad = one.add([photo, tmp_path / "words.jpg"], sessions.limits)
    assert good is None
    assert bad is not None
    assert bad.startswith("words.jpg: not a picture")
    assert len(one.photos) == 1
    more = list(one.add([write_photo(tmp_path / f"{i}.jpg") for i in range(6)], sessions.limits))
    assert len(one.photos) == sessions.limits.photos
    assert [found is None for found in more] == [True] * 4 + [False] * 2
    assert "5 photos are here" in str(more[-1])


def test_only_the_last_results_are_kept(sessions: Sessions, tmp_path: Path) -> None:
    one = sessions.of("one")
    fill(one, tmp_path, sessions.limits)
    shown = [one.show(1, "base") for _ in range(session.KEPT + 3)]
    assert len(list(one.folder.glob("shown-*"))) == session.KEPT
    assert [each.under.exists() for each in shown] == [False] * 3 + [True] * session.KEPT
    with pytest.raises(UserError, match="not here any more"):
        one.show(7, "base")
    with pytest.raises(UserError, match="no model 'gone'"):
        one.show(0, "gone")


def test_visitors_beyond_the_most_are_forgotten_the_longest_gone_first(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "MOST", 2)
    first = sessions.of("a").folder
    sessions.of("b")
    sessions.of("c")
    assert not first.exists()
    assert len(list(sessions.root.iterdir())) == 2


def test_eight_at_once(sessions: Sessions, tmp_path: Path) -> None:
    """Each gets its own result, whole."""
    one = sessions.of("one")
    fill(one, tmp_path, sessions.limits)
    found: list[float] = []

    def ask(key: str) -> None:
        visitor = sessions.of(key)
        fill_one = [write_photo(tmp_path / key / "x.jpg")]
        assert list(visitor.add(fill_one, sessions.limits)) == [None]
        found.append(visitor.show(0, "base").classes[0].share)

    threads = [threading.Thread(target=ask, args=(str(i),)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_progress_and_the_end(sessions: Sessions, tmp_path: Path, command: Callable[[str], None]) -> None:
    one = sessions.of("one")
    with pytest.raises(UserError, match="3 photos at least"):
        next(one.adapt(sessions.turn, "quick", 20))
    fill(one, tmp_path, sessions.limits)
    command(SAYS + "sleep 0.3")
    seen = list(one.adapt(sessions.turn, "quick", 20, wait_s=0.02))
    assert [now for now in seen if now.state == "adapting"][-1].text == "step 3 of 3, 00:02 left"
    assert seen[-1].state == "done"


def test_what_goes_wrong_is_told_in_the_commands_own_words(
    sessions: Sessions, tmp_path: Path, command: Callable[[str], None]
) -> None:
    one = sessions.of("one")
    fill(one, tmp_path, sessions.limits)
    command(SAYS + 'echo "\\numadapt adapt: no room; give more" >&2; exit 2')
    *_, last = one.adapt(sessions.turn, "thorough", 20, wait_s=0.02)
    assert last == ("failed", 0.0, "no room; give more")


def test_rooms_that_are_rendered_first_are_counted(tmp_path: Path, command: Callable[[str], None]) -> None:
    rooms = tmp_path / "some rooms"
    (rooms / "image").mkdir(parents=True)
    command(f"echo 'rendering 3 views of rooms to rehearse on, once; kept in {rooms}'; exec sleep 60")
    turn = OneAtATime()
    running = turn.start(Path("run"), tmp_path, tmp_path / "out" / "run", ())
    for there, text in ((0, "0 of 3"), (2, "2 of 3"), (3, "loading")):
        for number in range(there):
            (rooms / "image" / f"{number}.jpg").touch()
        until = time.monotonic() + 20
        while text not in running.progress().text and time.monotonic() < until:
            time.sleep(0.02)
        assert text in running.progress().text
    turn.stop()


def test_one_at_a_time_and_stopped_when_asked(
    sessions: Sessions, tmp_path: Path, command: Callable[[str], None]
) -> None:
    one, other = sessions.of("one"), sessions.of("other")
    for visitor in (one, other):
        fill(visitor, tmp_path, sessions.limits)
    command(SAYS + "exec sleep 60")
    running = one.adapt(sessions.turn, "quick", 20, wait_s=0.02)
    assert next(running).state in ("preparing", "adapting")
    with pytest.raises(UserError, match="another adaptation runs"):
        next(other.adapt(sessions.turn, "quick", 20))
    one.stop()
    *_, last = running
    assert last.state == "stopped"
    command("true")
    *_, last = other.adapt(sessions.turn, "quick", 20, wait_s=0.02)
    assert last.state == "done"


def test_one_that_is_asked_to_stop_says_so_until_it_has(tmp_path: Path, command: Callable[[str], None]) -> None:
    command("trap 'sleep 1; exit 143' TERM; echo ready; while true; do sleep 0.1; done")
    turn = OneAtATime()
    running = turn.start(Path("run"), tmp_path, tmp_path / "out" / "run", ())
    while "ready" not in (tmp_path / "out" / "run.out").read_text():
        time.sleep(0.02)
    stopping = threading.Thread(target=running.stop)
    stopping.start()
    seen = {running.progress().text}
    while stopping.is_alive():
        seen.add(running.progress().text)
        time.sleep(0.02)
    assert any(text.startswith("stopping") for text in seen)
    assert running.progress().state == "stopped"


def test_who_leaves_stops_theirs(tmp_path: Path, command: Callable[[str], None]) -> None:
    command("exec sleep 60")
    turn = OneAtATime()
    running: Adaptation = turn.start(Path("run"), tmp_path, tmp_path / "out" / "run", ())
    turn.stop()
    assert running.progress().state == "stopped"


def test_a_true_adaptation_becomes_a_model_and_a_file(sessions: Sessions, tmp_path: Path) -> None:
    assert sys.executable
    one = sessions.of("one")
    fill(one, tmp_path, sessions.limits)
    *_, last = one.adapt(sessions.turn, "quick", 20, wait_s=0.2)
    assert last.state == "done", last.text
    assert one.adaptation is not None
    name, file = one.adopt(one.adaptation.out)
    assert name == "adapted to 3 photos"
    before, after = next(iter(one.compare(name)))
    assert before.layers[0].scale == after.layers[0].scale
    from umadapt.inference.loading import load

    photo = one.photos[0].file
    adapted, exported = one.models[name].predictor.predict(photo), load(file, "cpu").predict(photo)
    assert exported["depth"] == pytest.approx(adapted["depth"], rel=0.02)  # half precision
