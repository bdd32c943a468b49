"""In which memory layout a backbone is trained: channels last, the faster, where its gradients are right.

torch 2.15 crashes, hangs or gives wrong gradients on CPUs with AVX2 where a 1x1 convolution of stride 2 has few input
channels and its tensors are channels last (timm's repvgg_a0, mobileone_s0, fastvit_t8). A backbone that has one is
tried once, in a process of its own, which may die.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from umadapt.data.atomic import cache_folder, write_json
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.nets.encoder import create_backbone
from umadapt.nets.model import UMAdapt

FEW = 32  # input channels of a group below which a convolution is under suspicion
CPU_SECONDS, SECONDS = 120, 600  # that a trial may take: of a busy processor, and by the clock
IMAGES = 2  # of a trial
APART = 0.05  # share of a parameter's gradient by which the layouts may differ: rounding, through a deep network
SAME = "the same"  # what a trial says where they do not


def lay_out(model: UMAdapt, device: torch.device) -> None:
    """Move a model there, in the layout in which it is to be trained; a line of warning where it is the slower one."""
    net = model.encoder
    if device.type == "cpu" and any(suspects(net)):
        with process_group.first():
            fault = known_fault(model.spec.backbone, model.spec.backbone_kwargs, model.spec.size)
        if fault:
            model.layout = torch.contiguous_format
            if not process_group.rank():
                print(
                    f"backbone {model.spec.backbone}: in the channels-last layout torch {torch.__version__} {fault} on "
                    "this CPU; it is trained in the contiguous layout, which is slower",
                    file=sys.stderr,
                )
    model.to(device).to(memory_format=model.layout)


def suspects(net: nn.Module) -> list[nn.Conv2d]:
    """The convolutions that torch is known to differentiate wrongly somewhere."""
    return [
        layer
        for layer in net.modules()
        if isinstance(layer, nn.Conv2d)
        and set(layer.kernel_size) == {1}
        and max(layer.stride) > 1
        and layer.in_channels // layer.groups < FEW
    ]


def known_fault(backbone: str, kwargs: dict[str, Any], size: Sequence[int]) -> str:
    """What is wrong with channels-last gradients of a backbone here, "" for nothing; tried once, then remembered."""
    asked = {"backbone": backbone, "kwargs": kwargs, "size": list(size)}
    here = [torch.__version__, torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()]
    here += [os.environ.get(name, "") for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")]
    key = hashlib.sha256(json.dumps([asked, here], sort_keys=True).encode()).hexdigest()[:32]
    path = cache_folder() / "layout" / f"{key}.json"
    try:
        return str(json.loads(path.read_text("utf-8"))["fault"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    fault = fault_of([sys.executable, "-m", "umadapt.training.layout", json.dumps(asked)])
    with contextlib.suppress(UserError):  # it is tried again
        write_json(path, {"fault": fault, **asked, "torch": torch.__version__})
    return fault


def fault_of(command: Sequence[str], seconds: float = SECONDS) -> str:
    """What is wrong by a trial, which says SAME or how far gradients are apart; "" for nothing."""
    alone = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    alone["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=alone, check=False)
    except subprocess.TimeoutExpired:
        return "hangs"
    if done.returncode == -signal.SIGXCPU:
        return "hangs"
    if done.returncode < 0:
        return f"crashes ({signal.Signals(-done.returncode).name})"
    said = done.stdout.strip().splitlines()[-1:] if done.returncode == 0 else []
    if said == [SAME]:
        return ""
    return said[0] if said else "cannot be tried"


def differ(net: nn.Module, images: Tensor) -> float:
    """The largest share by which gradients of a network's parameters differ between the two layouts."""
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        net.to(memory_format=layout)
        features = net(images.contiguous(memory_format=layout))
        weights = torch.randn(features.shape, generator=torch.Generator().manual_seed(1))
        parameters = [p for p in net.parameters() if p.requires_grad]
        found.append(torch.autograd.grad((features * weights).sum(), parameters, allow_unused=True))
    pairs = [(right, other) for right, other in zip(*found, strict=True) if right is not None and other is not None]
    least = 1e-4 * max((float(right.norm()) for right, _ in pairs), default=0.0)  # what is nothing but rounding
    return max(
        (float((other - right).norm()) / max(float(right.norm()), least, 1e-30) for right, other in pairs), default=0
    )


def main(asked: dict[str, Any]) -> None:
    """Try a backbone with random weights on random images, and say what comes of it."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    torch.manual_seed(0)
    net = create_backbone(asked["backbone"], asked["kwargs"]).eval()
    body = getattr(net, "forward_features", None)
    apart = differ(_Features(net) if body else net, torch.randn(IMAGES, 3, *asked["size"]))
    print(SAME if apart < APART else f"gives gradients that are {apart:.0%} off")


class _Features(nn.Module):
    """A backbone up to its last features."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net: Any = net

    def forward(self, images: Tensor) -> Tensor:
        return self.net.forward_features(images)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
