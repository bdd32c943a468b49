"""The detector's layout: what it reads, what trains, that boxes are mirrored with their image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from umadapt.downstream import detector
from umadapt.downstream.detect import by_class, sample
from umadapt.downstream.detector import make_detector
from umadapt.downstream.starts import Backbone, estimate_statistics
from umadapt.downstream.voc import Objects, Split
from umadapt.nets.encoder import Encoder

TARGET = {"boxes": torch.tensor([[4.0, 6, 40, 50], [50, 10, 88, 60]]), "labels": torch.tensor([1, 2])}


def backbone_of(name: str) -> Backbone:
    torch.manual_seed(0)
    return Backbone(Encoder(name), "source", (0.5, 0.4, 0.3), (0.2, 0.2, 0.2))


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext"])
def test_any_backbone_that_train_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("box_batch_size_per_image", "rpn_post_nms_top_n_train", "rpn_post_nms_top_n_test"):
        monkeypatch.setitem(detector.SETTINGS, key, 16)
    backbone = backbone_of(name)
    net = make_detector(backbone, 3, 64)
    image = torch.rand(3, 72, 96)
    losses = net([image], [TARGET])
    sum(losses.values()).backward()  # pyright: ignore[reportAttributeAccessIssue]
    trained = {k: p for k, p in net.named_parameters() if p.requires_grad}
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in trained.values())
    assert any(k.startswith("backbone.trunk") for k in trained)
    assert any(k.startswith("roi_heads.box_head.branch") for k in trained)
    seen, _ = net.transform([image])
    assert tuple(seen.tensors.shape) == (1, 3, 64, 85), "the shorter side; nothing is padded"
    assert net.backbone(seen.tensors).shape[:3] == (1, backbone.channels["res4"], 4)
    [found] = net.eval()([image])
    assert found["boxes"].shape[1:] == (4,)


def test_batch_norm_stands_still() -> None:
    backbone = backbone_of("test_resnet")
    norms = {k: v.clone() for k, v in backbone.state_dict().items() if "running" in k}
    assert norms
    net = make_detector(backbone, 3, 64).train()
    with torch.no_grad():
        net.backbone(torch.rand(2, 3, 64, 64))
    after = {k: v for k, v in net.state_dict().items() if "running" in k}
    assert len(after) == len(norms)
    pairs = zip(sorted(norms), sorted(after), strict=True)
    assert all(sum(torch.equal(norms[k], v) for v in after.values()) >= 1 for k, _ in pairs)
    assert not any(isinstance(m, torch.nn.modules.batchnorm._BatchNorm) for m in net.modules())


def test_statistics_of_random_weights_are_those_of_the_images() -> None:
    backbone = backbone_of("test_resnet")
    first = next(m for m in backbone.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm))
    seen: list[torch.Tensor] = []
    handle = first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    estimate_statistics(backbone, [torch.rand(4, 3, 64, 64) for _ in range(3)])
    handle.remove()
    wanted = torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0)
    torch.testing.assert_close(first.running_mean, wanted)
    assert not first.training


def test_boxes_are_mirrored_with_the_image() -> None:
    objects = Objects(np.array([[0, 0, 2, 4], [1, 1, 3, 3]], np.float32), np.array([2, 0]), np.array([False, True]))
    image = torch.arange(6, dtype=torch.uint8).expand(3, 5, 6)
    kept, target = sample(image, objects, flip=False)
    assert torch.equal(kept, image)
    assert target["boxes"].tolist() == [[0, 0, 2, 4]], "the difficult one is not learnt"
    assert target["labels"].tolist() == [3], "0 is the background"
    assert type(target["boxes"]) is torch.Tensor
    mirrored, target = sample(image, objects, flip=True)
    assert mirrored[0, 0].tolist() == [5, 4, 3, 2, 1, 0]
    assert target["boxes"].tolist() == [[4, 0, 6, 4]]


def test_detections_and_objects_by_class(tmp_path: Path) -> None:
    objects = Objects(np.array([[0, 0, 9, 9], [5, 5, 9, 9]], np.float32), np.array([1, 1]), np.array([False, True]))
    split = Split(tmp_path, ("a", "b"), (objects, objects), ("cat", "dog"))
    found, truth = by_class([(1, np.array([[1, 0.5, 0, 0, 9, 9], [0, 0.25, 1, 1, 2, 2]]))], split)
    assert found["dog"].images == ["b"]
    assert found["cat"].scores.tolist() == [0.25]
    assert list(truth["dog"]) == ["b"], "of an image that could not be read, objects do not count either"
    assert truth["dog"]["b"].difficult.tolist() == [False, True]
    assert truth["cat"] == {}


@pytest.mark.slow
def test_a_training_step_at_the_papers_size() -> None:
    """ResNet-50, a photo of VOC's usual size at a shorter side of 600 pixels: 40 CPU seconds."""
    net = make_detector(backbone_of("resnet50"), 20, 600)
    parameters = [p for p in net.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(parameters, 0.001, 0.9)
    image = torch.rand(3, 375, 500)
    seen, _ = net.transform([image])
    assert tuple(seen.tensors.shape) == (1, 3, 600, 800)
    before = net.backbone.get_parameter("trunk.0.weight").clone()
    losses = net([image], [TARGET])
    total = torch.stack(list(losses.values())).sum()
    assert torch.isfinite(total)
    total.backward()
    optimiser.step()
    assert not torch.equal(net.backbone.get_parameter("trunk.0.weight"), before)
