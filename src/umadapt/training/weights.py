"""What is stored of a model's weights, and how a model is filled with it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from umadapt.errors import UserError
from umadapt.nets.model import UMAdapt

LEFT_OUT = "contour."  # weights that a file may lack, which only some methods of adaptation read
CALM = "give a lower --lr, and another --out"  # what helps a training that diverges


def weights(model: nn.Module) -> dict[str, Tensor]:
    """What is stored of a model, on the CPU."""
    return {name: tensor.cpu().contiguous() for name, tensor in own_tensors(model).items()}


def own_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The state dict without what the domains share: of a shared trunk the target keeps its BatchNorm statistics."""
    if not isinstance(model, UMAdapt):
        return {k: v.detach() for k, v in model.state_dict().items()}
    source, prefix = dict(model.encoder.trunks["source"].named_parameters()), "encoder.trunks.target."
    target = model.encoder.trunks["target"].named_parameters() if "target" in model.encoder.trunks else ()
    shared = {prefix + name for name, parameter in target if parameter is source[name]}
    return {k: v.detach() for k, v in model.state_dict().items() if k not in shared}


def refuse_diverged(tensors: Mapping[str, Tensor], where: str, cure: str = CALM) -> None:
    """Raise a UserError where numbers of a network are not finite, statistics of its normalisation too."""
    bad = [name for name, x in tensors.items() if x.is_floating_point() and not bool(torch.isfinite(x).all())]
    if bad:
        raise UserError(
            f"{where}: {len(bad)} of {len(tensors)} tensors hold NaN or infinity, such as {bad[0]}: the training "
            f"diverged; {cure}"
        )


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], fill: bool = True) -> None:
    """Fill a model, or only look whether the weights are its own; adds its target domain when they have one.

    Raises:
        UserError: names or shapes differ.
    """
    adapted = any(k.startswith("encoder.branches.target.") for k in tensors)
    if isinstance(model, UMAdapt) and adapted and "target" not in model.encoder.branches:
        name = next(iter(dict(model.encoder.trunks["source"].named_parameters())))
        model.encoder.add_target(share=f"encoder.trunks.target.{name}" not in tensors)
    have = own_tensors(model)
    odd = sorted(name for name in set(have) ^ set(tensors) if name in tensors or not name.startswith(LEFT_OUT))
    if odd:
        raise UserError(f"the weights do not fit the model: {len(odd)} names differ, such as {odd[0]}")
    for name, tensor in have.items():
        if name in tensors and tensor.shape != tensors[name].shape:
            shapes = f"{name} is {tuple(tensors[name].shape)}, the model's {tuple(tensor.shape)}"
            raise UserError(f"the weights do not fit the model: {shapes}")
    if fill:
        model.load_state_dict(dict(tensors), strict=False)


def source_key(model: UMAdapt) -> str:
    """SHA-256 of the source model and its transfer nets: runs with the same key have comparable scores."""
    key = hashlib.sha256()
    encoder = model.encoder
    for part in (encoder.trunks["source"], encoder.branches["source"], model.decoders, model.transfers):
        for name, tensor in sorted(part.state_dict().items()):
            key.update(name.encode())
            key.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return key.hexdigest()
