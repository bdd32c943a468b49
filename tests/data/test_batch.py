"""Batches: parts are moved, pinned and picked to their depth."""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor

from umadapt.data.batch import Batch

CPU = torch.device("cpu")


def make(ids: str, start: int = 0) -> Batch:
    x = torch.arange(float(start), start + len(ids)).view(-1, 1, 1, 1)
    return Batch(list(ids), x, x + 100, truths={"depth": x + 200}, trunk={"res4": x + 300})


def pair() -> Batch:
    return dataclasses.replace(make("abc"), source=make("xyz", 10))


def test_one_sample_is_picked_of_every_part() -> None:
    one = pair().only(1)
    assert (one.ids, one.images.item(), one.plain.item()) == (["b"], 1, 101)
    assert (one.truths["depth"].item(), one.trunk["res4"].item()) == (201, 301)
    assert not len(one.contours)
    assert one.source is not None
    assert (one.source.ids, one.source.truths["depth"].item()) == (["y"], 211)


def test_samples_are_named_with_those_beside_them() -> None:
    assert make("ab").names == ["a", "b"]
    assert pair().only(2).names == ["c with source z"]
    semi = dataclasses.replace(make("ab"), labelled=make("uv"))
    assert semi.names == ["a with labelled u", "b with labelled v"]


def test_every_part_is_moved() -> None:
    moved = pair().to(torch.device("meta"))
    assert moved.source is not None
    parts = [moved.images, moved.truths["depth"], moved.trunk["res4"], moved.source.trunk["res4"]]
    assert {part.device.type for part in parts} == {"meta"}
    assert moved.ids == ["a", "b", "c"]


def test_a_batch_for_a_gpu_is_pinned_to_its_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU is needed to see what would be pinned; for the CPU nothing is copied."""
    batch = pair()
    assert batch.pinned(CPU) is batch
    assert batch.source is not None
    moved = batch.to(CPU)
    assert moved.source is not None
    assert moved.source.images is batch.source.images
    seen: list[Tensor] = []
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: seen.append(tensor) or tensor)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    again = batch.pinned(torch.device("cuda"))
    assert len(seen) == 2 * 4, "and nothing that is absent"
    assert again.ids is batch.ids
