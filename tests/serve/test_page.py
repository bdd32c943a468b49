"""The page as its clients see it over HTTP, without a browser: the command in a process of its own."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from benchmarks.serving import Page, ask, photos, serving

from serve.conftest import write_photo
from umadapt.cli import main

pytest.importorskip("gradio")


@pytest.fixture(scope="module")
def page(runs: Path) -> Iterator[Page]:
    with serving(str(runs / "base"), "--upload-mb", "2", "--megapixels", "13", "--most-photos", "5") as answering:
        yield answering


def look(page: Page, *files: Path) -> tuple[str, str, str]:
    return page.look(*((file.name, file.read_bytes()) for file in files))


def test_a_photo_is_shown_and_its_files_can_be_had(page: Page, photo: Path, tmp_path: Path) -> None:
    status, strip, viewer = look(page, photo)
    assert not status
    assert "1 photo" in strip
    assert viewer.count('role="tab"') == 5
    shown = set(re.findall(r'src="(gradio_api/file=[^"]+)"', viewer + strip))
    assert len(shown) == 7  # photo, small photo, five maps
    for address in shown:
        answer = page.http.get(address)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("image/")
    outside = tmp_path / "secret.txt"
    outside.write_text("not of the page")
    assert page.http.get(f"gradio_api/file={outside}").status_code == 403


def test_what_is_no_photo_is_told_in_a_sentence(page: Page, tmp_path: Path, photo: Path) -> None:
    words = tmp_path / "words.jpg"
    words.write_text("these are words")
    status, strip, viewer = look(page, words)
    assert 'role="alert"' in status
    assert "words.jpg: not a picture" in status
    assert "/" not in re.sub(r"</?\w+", "", status)  # no paths of the machine
    assert not strip
    assert not viewer
    status, strip, viewer = look(page, words, photo)
    assert "words.jpg: not a picture" in status
    assert "1 photo" in strip
    assert "um-stage" in viewer


def test_eight_at_once_each_get_their_own(page: Page, tmp_path: Path) -> None:
    files = [write_photo(tmp_path / f"{i}.jpg", (60 + i, 90)) for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for file, (_, _, viewer) in zip(files, pool.map(lambda file: look(page, file), files), strict=True):
            assert f"{file.name} · 90 × {60 + int(file.stem)}" in viewer


def test_every_kind_of_file_is_answered_by_a_result_or_a_sentence(page: Page) -> None:
    for name, (content, sound) in photos().items():
        assert ask(page, name, content, sound)[0] == ("result" if sound else "sentence")


def test_a_file_beyond_the_limit_is_refused_before_it_is_stored(page: Page) -> None:
    answer = page.http.post("gradio_api/upload", files=[("files", ("large.jpg", b"\0" * 2_500_000))])
    assert answer.status_code == 413


def test_it_asks_for_nothing_beyond_this_machine(page: Page) -> None:
    sent = page.http.get("").text + page.http.get("theme.css").text
    assert "fonts.googleapis" not in sent
    config = page.http.get("config").json()
    assert config["analytics_enabled"] is False


def test_it_rests_while_nobody_asks_for_anything(page: Page) -> None:
    def woken() -> int:
        tasks = Path(f"/proc/{page.process.pid}/task").glob("*/status")
        return sum(int(task.read_text().split("\nvoluntary_ctxt_switches:")[1].split()[0]) for task in tasks)

    page.http.get("").raise_for_status()
    time.sleep(1)
    before = woken()
    time.sleep(2)
    assert woken() - before < 300


def test_a_port_that_is_taken(page: Page, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = str(page.http.base_url.port)
    assert main(["serve", str(runs / "base"), "--port", port]) == 2
    assert f"--port {port}" in capsys.readouterr().err


def test_arguments_that_make_no_sense(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", "70000"]) == 2
    assert "--port is 70000; expected 65535 or less" in capsys.readouterr().err
    assert main(["serve", "nowhere"]) == 2
    assert "nowhere is no run folder" in capsys.readouterr().err


def test_what_is_left_when_it_ends(runs: Path, tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with serving(str(runs / "base")) as page:
        look(page, photo)
        assert any((tmp_path / "temporary").rglob("*.glb"))
    assert page.process.returncode == 143
    assert not list((tmp_path / "temporary").glob("umadapt-*"))
