"""Truth that is made of a label: one shape for all who ask, and one that does not fit is told."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from umadapt import tasks
from umadapt.data.augment import LABELS
from umadapt.tasks import TASKS, Edges, derive_truth, label_of
from umadapt.training.batches import truth_of


def label(task: str) -> Tensor:
    """An entry of a sample."""
    kind = LABELS[label_of(task)]
    return torch.full((*kind.channels, 6, 8), kind.missing).clone()


@pytest.mark.parametrize("task", TASKS)
def test_a_batch_and_an_evaluation_see_the_same(task: str) -> None:
    entry = label(task)
    whole = entry.squeeze(0) if entry.shape[0] == 1 else entry  # as a reader gives it
    measured, learnt = derive_truth(task, whole), truth_of(task, entry)
    assert learnt.shape == ((6, 8) if TASKS[task].categorical else (TASKS[task].channels, 6, 8))
    assert torch.equal(learnt.reshape(measured.shape), measured)


@pytest.mark.parametrize("shape", [(1, 6, 8), (3, 6, 8), (6, 7)])
def test_another_shape_is_told(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]) -> None:
    class Wrong(Edges):
        @staticmethod
        def derive(label: Tensor) -> Tensor:
            return torch.zeros(shape)

    monkeypatch.setitem(tasks.TASKS, "edges", Wrong)
    with pytest.raises(TypeError, match=r"Wrong.derive made \(.* of a label; edges is \(6, 8\)"):
        truth_of("edges", label("edges"))
