"""The page of a report: what stands on it, that it needs nothing else, and its JSON."""

from __future__ import annotations

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from toy_runs import make_run
from umadapt.commands.report import run
from umadapt.config import Adapt, Report
from umadapt.data.atomic import write_json
from umadapt.data.viz import thumbnail
from umadapt.errors import UserError
from umadapt.reports.figures import smooth
from umadapt.reports.page import command_line
from umadapt.training.metrics_log import read_metrics

DEPTH = {"rel": 0.3, "log10": 0.1, "rms": 1.0, "rms_log": 0.3, "sq_rel": 0.2, "d1": 0.5, "d2": 0.8, "d3": 0.9}
SEG = {"miou": 0.1, "macc": 0.2, "pacc": 0.5, "iou": {"wall": 0.2, "floor": 0.0}}
TRANSFERS = {"seg": {"source": {"energy": 0.4, "pacc": 0.9}, "heldout": {"energy": 0.512, "pacc": 0.85}}}


def write_evaluation(path: Path, data: str, rel: float, protocol: str = "raw", seconds: int = 0) -> dict:
    name = Path(data).name
    result = {"protocol": protocol, "n": 12, "depth": {**DEPTH, "rel": rel}, "seg": SEG, "data": data}
    file = path / "evaluations" / f"{protocol}-{name}-all.json"
    write_json(file, result)
    os.utime(file, (1_000_000 + seconds, 1_000_000 + seconds))
    return result


@pytest.fixture
def ladder(tmp_path, toy_world) -> tuple[Path, ...]:
    for i, variant in enumerate(["source-only", "noadv", "adv"]):
        make_run(tmp_path / f"run-{variant}", variant, report=TRANSFERS)
        write_evaluation(tmp_path / f"run-{variant}", str(toy_world), [0.5, 0.25, 0.31][i])
    return tuple(tmp_path / f"run-{variant}" for variant in ("source-only", "noadv", "adv"))


class Audit(HTMLParser):
    """Collects what a page would fetch, and checks that its tags are balanced."""

    VOID = ("meta", "img", "br", "link", "input")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.sources += [value or "" for key, value in attrs if key in ("src", "href", "srcset", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_is_complete_and_self_contained(tmp_path, ladder):
    out = tmp_path / "page.html"
    assert run(Report(ladder, out, pictures=2, device="cpu", json=tmp_path / "report.json")) == 0
    text = out.read_text()
    audit = Audit()
    audit.feed(text)
    assert not audit.open
    assert not audit.tags & {"script", "link", "iframe", "object"}
    assert audit.sources
    assert all(source.startswith("data:image/") for source in audit.sources)
    assert "url(" not in text
    assert "@import" not in text
    assert "<b>0.250</b>" in text  # the best rel
    assert "<b>0.500</b>" in text  # equal in all rows: all best
    assert "0.512" in text  # the transfer nets' report
    for words in ("source-only", "noadv", "adv", "not comparable one to one", "0.175", "0.619"):
        assert words in text
    assert "umadapt adapt base --target photos" in text
    assert "umadapt train --source rooms" in text
    assert "torch" in text
    assert text.count('class="compare"') == 2
    for task, end in (("seg", "nats"), ("depth", "share of the depth")):  # two photos, three runs
        assert text.count(f'alt="trust of {task}, ') == 6
        assert re.search(rf"{end} or more \({task}\)", text)
    assert text.count("image/svg+xml") == 1  # the runs share one figure of one stage
    assert "prefers-color-scheme" in text


def test_json_is_keyed_by_variant(tmp_path, ladder):
    assert run(Report(ladder, tmp_path / "page.html", pictures=0, device="cpu", json=tmp_path / "report.json")) == 0
    found = json.loads((tmp_path / "report.json").read_text())
    assert set(found) == {"source-only", "noadv", "adv", "default"}
    assert found["noadv"]["depth"]["rel"] == 0.25
    assert found["default"] == Adapt(run=Path(), target=("",), out=Path()).method


def test_json_takes_the_common_evaluation_that_was_written_last(tmp_path, ladder, toy_world):
    for i, path in enumerate(ladder):
        write_evaluation(path, str(toy_world), 0.7 + i / 100, "nyud", seconds=10)
        write_evaluation(path, f"{toy_world}-older", 0.8, "nyud", seconds=-10)
    write_evaluation(ladder[0], "elsewhere", 0.9, "raw", seconds=20)  # newest, but only one run has it
    assert run(Report(ladder, tmp_path / "page.html", pictures=0, json=tmp_path / "report.json")) == 0
    found = json.loads((tmp_path / "report.json").read_text())
    assert [found[v]["depth"]["rel"] for v in ("source-only", "noadv", "adv")] == [0.7, 0.71, 0.72]


def test_json_without_a_common_evaluation(tmp_path, ladder, toy_world):
    only = ladder[:1]
    write_evaluation(ladder[0], "other", 0.1)
    (ladder[0] / "evaluations" / f"raw-{toy_world.name}-all.json").unlink()
    config = Report(ladder[:2], tmp_path / "page.html", pictures=0, json=tmp_path / "report.json")
    assert run(config) == 0  # one each: each run's own
    write_evaluation(ladder[0], "third", 0.1)
    with pytest.raises(UserError, match="no evaluation in common"):
        run(config)
    assert run(Report(only, tmp_path / "page.html", pictures=0, json=tmp_path / "report.json")) == 0


def test_runs_of_one_variant_keep_apart(tmp_path, ladder, toy_world):
    make_run(tmp_path / "again", "noadv")
    write_evaluation(tmp_path / "again", str(toy_world), 0.2)
    assert run(Report((*ladder, tmp_path / "again"), tmp_path / "p.html", pictures=0, json=tmp_path / "r.json")) == 0
    found = json.loads((tmp_path / "r.json").read_text())
    assert set(found) == {"source-only", "noadv", "adv", "noadv (again)", "default"}


def test_runs_without_evaluations_are_told_what_to_type(tmp_path):
    make_run(tmp_path / "run")
    with pytest.raises(UserError, match=r"umadapt evaluate .*run --data"):
        run(Report((tmp_path / "run",), tmp_path / "page.html"))
    with pytest.raises(UserError, match="no runs given"):
        run(Report((), tmp_path / "page.html"))


def test_page_without_the_data_has_no_pictures(tmp_path, capsys):
    make_run(tmp_path / "run")
    write_evaluation(tmp_path / "run", str(tmp_path / "gone"), 0.3)
    assert run(Report((tmp_path / "run",), tmp_path / "page.html", device="cpu")) == 0
    assert "no pictures" in capsys.readouterr().err
    assert 'class="compare"' not in (tmp_path / "page.html").read_text()


def test_names_are_escaped(tmp_path):
    make_run(tmp_path / "run", classes=("<script>", "floor", "box", "ball"))
    write_evaluation(tmp_path / "run", "<b>data", 0.3)
    assert run(Report((tmp_path / "run",), tmp_path / "page.html", pictures=0)) == 0
    text = (tmp_path / "page.html").read_text()
    assert "<script>" not in text
    assert "&lt;b&gt;data" in text


def test_command_line_shows_what_differs_from_the_defaults(tmp_path):
    command = {"source": "my rooms", "out": "run", "size": [64, 96], "tasks": ["depth", "seg"], "batch": 16}
    command |= {"base_steps": 10, "transfer": ["seg<-depth"], "stage": "all"}
    assert command_line(command) == (
        "umadapt train --source 'my rooms' --out run --tasks depth,seg --transfer 'seg<-depth' --size 64x96 "
        "--base-steps 10"
    )
    semi = {"run": "adv", "target": ["a", "b:train"], "labelled": ["c", "d"], "out": "s", "steps": 100}
    assert command_line(semi) == (
        "umadapt semi adv --target a --target b:train --labelled c --labelled d --out s --steps 100"
    )


def test_smoothing_keeps_a_constant_and_follows_a_step():
    assert smooth(np.full(100, 3.0)) == pytest.approx(3)
    step = smooth(np.repeat([0.0, 1.0], 200))
    assert step[199] == 0
    assert step[-1] > 0.99
    assert (np.diff(step) >= 0).all()


def test_thumbnails_invent_no_labels():
    seg = np.random.default_rng(0).choice([3, 200], (480, 640)).astype(np.uint8)
    small = thumbnail(seg, 100)
    assert small.shape == (75, 100)
    assert set(np.unique(small)) == {3, 200}
    assert thumbnail(seg, 1000).shape == seg.shape


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"depth": [0.1]}, "depth is [0.1], expected an object"),
        ({"depth": {"rel": "small"}}, "depth.rel is"),
        ({"seg": {"miou": 0.1}}, "seg lacks iou"),
        ({"seg": {"iou": {"wall": None}}}, "seg.iou.wall is null"),
        ({"protocol": "mine"}, "protocol is"),
        ({"n": None}, "n is null"),
        ({"align": "by eye"}, "align is"),
        ({"witnesses": 3}, "witnesses is 3"),
        ({"data": ["x"]}, "data is"),
    ],
)
def test_a_damaged_evaluation_is_named(tmp_path: Path, change: dict, said: str) -> None:
    make_run(tmp_path / "run")
    write_json(tmp_path / "run" / "evaluations" / "a.json", {"protocol": "raw", "n": 1, "depth": DEPTH} | change)
    with pytest.raises(UserError) as error:
        run(Report((tmp_path / "run",), tmp_path / "report.html", pictures=0))
    assert said in str(error.value)
    assert "a.json is damaged" in str(error.value)
    assert "evaluate again" in str(error.value)


@pytest.mark.parametrize("line", ["12", "[]", '{"stage": 3, "step": 1}', '{"step": 2}', "\xff", '{"stage": "adapt"}'])
def test_a_damaged_line_of_the_log_costs_itself(
    tmp_path: Path, ladder: tuple[Path, ...], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log = ladder[1] / "metrics.jsonl"
    whole = read_metrics(ladder[1])
    odd = '{"stage": "adapt", "step": 30, "seconds": 1, "text": "x", "inf": 1e999, "good": 2}'
    log.write_bytes(f"{line}\n".encode("latin-1") + log.read_bytes() + f"{odd}\n".encode() + b'{"cut": ')
    assert read_metrics(ladder[1]) == [*whole, {"stage": "adapt", "step": 30, "seconds": 1, "good": 2}]
    assert "metrics.jsonl: 1 damaged lines are left out" in capsys.readouterr().err
    assert run(Report(ladder, tmp_path / "report.html", pictures=0)) == 0
