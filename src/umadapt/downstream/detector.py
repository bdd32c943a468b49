"""Faster R-CNN (Ren et al., NeurIPS 2015) in the C4 layout: torchvision's, around the trunk and the Res-5 of a run."""

from __future__ import annotations

from typing import Any

from timm.utils.model import freeze_batch_norm_2d
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign

from umadapt.downstream.starts import Backbone

ANCHORS = (32, 64, 128, 256, 512)  # sides in pixels of the image that the network sees
RATIOS = (0.5, 1.0, 2.0)
LONGEST = 5 / 3  # of the longer side to the shorter one, at most: 600 to 1000
POOLED = 14  # cells along a side of a region, of which Res-5 makes seven
SETTINGS: dict[str, Any] = {  # of py-faster-rcnn for VOC 2007, by its authors
    "rpn_pre_nms_top_n_train": 12_000,
    "rpn_pre_nms_top_n_test": 6_000,
    "rpn_post_nms_top_n_train": 2_000,
    "rpn_post_nms_top_n_test": 300,
    "rpn_batch_size_per_image": 256,
    "box_batch_size_per_image": 128,
    "box_nms_thresh": 0.3,
    "box_score_thresh": 0.05,
    "box_detections_per_img": 100,
}


class Trunk(nn.Module):
    """What the region proposals read: normalised images (B, 3, H, W) to (B, C, H / 16, W / 16)."""

    def __init__(self, backbone: Backbone):
        super().__init__()
        self.trunk, self.layout = backbone.trunk, backbone.layout
        self.out_channels = backbone.channels["res4"]

    def forward(self, images: Tensor) -> Tensor:
        return self.trunk(images.contiguous(memory_format=self.layout))["res4"]


class BoxHead(nn.Module):
    """Res-5 on regions: (N, C, 14, 14) to (N, C')."""

    def __init__(self, backbone: Backbone):
        super().__init__()
        self.branch = backbone.branch

    def forward(self, regions: Tensor) -> Tensor:
        return self.branch({"res4": regions})["res5"].mean((2, 3))


def make_detector(backbone: Backbone, classes: int, side: int) -> FasterRCNN:
    """A detector of `classes` kinds of things, all weights of which train; BatchNorm stands still.

    Args:
        side: pixels of the shorter side at which images are seen.
    """
    net = freeze_batch_norm_2d(backbone)
    assert isinstance(net, Backbone)
    return FasterRCNN(
        Trunk(net),
        min_size=side,
        max_size=round(side * LONGEST),
        image_mean=net.mean.flatten().tolist(),
        image_std=net.std.flatten().tolist(),
        rpn_anchor_generator=AnchorGenerator((ANCHORS,), (RATIOS,)),
        box_roi_pool=MultiScaleRoIAlign(["0"], POOLED, sampling_ratio=2),
        box_head=BoxHead(net),
        box_predictor=FastRCNNPredictor(net.channels["res5"], 1 + classes),
        size_divisible=1,
        **SETTINGS,
    )
