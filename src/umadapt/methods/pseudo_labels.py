"""Classes that a teacher is sure of, of self-training and mean teacher."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def pseudo_label_map(student: Tensor, teacher: Tensor, confidence: float) -> Tensor:
    """Cross-entropy of each pixel with the teacher's class, weighted by how far its probability is above `confidence`.

    OURS: a soft weight, so that the loss is smooth in the teacher; where it is never confident the loss is 0.

    Args:
        student, teacher: (B, C, h, w) logits.

    Returns:
        (B, h, w), at least 0.
    """
    probability, label = teacher.softmax(1).max(1)
    weight = ((probability - confidence) / (1 - confidence)).clamp(min=0)
    return weight * F.cross_entropy(student, label, reduction="none")
