"""`--device`, `--precision`, `--compile`: where and how networks compute. None changes what a run folder holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeVar

import torch
from torch import nn

from umadapt.config import Training
from umadapt.distributed import process_group
from umadapt.errors import UserError

BACKEND = "inductor"  # of torch.compile; "eager" and "aot_eager" need no C++ compiler
GRAPHS = 64  # torch counts those of all networks together: with and without gradients, frozen and trained, …

In = TypeVar("In")
Out = TypeVar("Out")
Chosen = TypeVar("Chosen", bound=Training)


def settle(options: Chosen, device: torch.device) -> Chosen:
    """The options with `--precision auto` decided.

    Raises:
        UserError: they do not go together, or cannot be had here; nothing has been written.
    """
    if options.precision == "auto":
        options = dataclasses.replace(options, precision="bf16" if computes_bf16(device) else "fp32")
    if options.precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported(False):
        raise UserError(f"{torch.cuda.get_device_name(device)} does not compute in bf16; leave --precision fp32")
    if not options.compile:
        return options
    if process_group.size() > 1:  # BatchNorm asks the other ranks in the middle of a network, which no graph can hold
        raise UserError(f"--compile is for a process alone, and this is one of {process_group.size()}; leave it out")
    if options.micro_batch or options.checkpoint_activations:
        raise UserError(
            "--compile goes with neither --micro-batch nor --checkpoint-activations\n"
            "a compiled network decides itself what it keeps for the backward pass: leave out either"
        )
    try_compiler(device)
    return options


def computes_bf16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16; where it has none, bfloat16 is slower than float32."""
    if device.type == "cpu":
        return bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    return device.type == "cuda" and torch.cuda.is_bf16_supported(False)


def try_compiler(device: torch.device) -> None:
    """Compile a sum. OURS: what a compiler lacks (itself, headers, Triton) shows in seconds, not in the first step.

    Raises:
        UserError: it cannot be compiled here.
    """
    torch.compiler.reset()
    try:
        torch.compile(lambda x: x.cos() + x, backend=BACKEND)(torch.ones(64, device=device))
    except Exception as error:  # of many kinds, by backend and version
        inner = getattr(error, "inner_exception", error)
        reason = next((line for line in str(inner).splitlines() if line.strip()), type(inner).__name__)
        raise UserError(
            f"--compile finds nothing to compile with here ({reason.strip()})\n"
            "install a C++ compiler such as g++ (or name one in the variable CXX), or leave out --compile"
        ) from error


def pick_device(name: str) -> torch.device:
    """ "auto" is the GPU where there is one; of several processes on a machine each has its own.

    Raises:
        UserError: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and process_group.size() > 1:
        if process_group.local_size() > torch.cuda.device_count():
            found = f"{process_group.local_size()} processes on a machine with {torch.cuda.device_count()} GPUs"
            raise UserError(f"{found}; start one for each, torchrun --nproc-per-node gpu, or give --device cpu")
        torch.cuda.set_device(process_group.local_rank())
        name = f"cuda:{process_group.local_rank()}"
    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()  # "meta" makes tensors without numbers
    except Exception as error:  # every backend raises kinds of its own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"--device {name!r} is not to be had here ({reason}); try --device cpu") from error
    return device


def in_precision(run: Callable[[In], Out], precision: str, device: torch.device) -> Callable[[In], Out]:
    """`run`, whose convolutions and products are taken in bfloat16 under "bf16"; under "fp32" itself.

    Weights stay float32, and networks return float32 (`nets.blocks.wide`), so that losses are taken in it.
    """
    if precision == "fp32":
        return run

    def narrow(value: In) -> Out:
        # no cache of weights: what frozen passes leave in it would be found, without gradients, by those that train
        with torch.autocast(device.type, torch.bfloat16, cache_enabled=False):
            return run(value)

    return narrow


@contextmanager
def compiled(on: bool, *modules: nn.Module) -> Iterator[None]:
    """With `on`, inside, the networks in `modules` run compiled; critics and losses stay as they are.

    Compiled in place: names in the state dict stay, and copies are plain networks again. OURS: by shapes that stand
    (`dynamic=False`) and without CUDA graphs, whose outputs live in one buffer that the next pass through a network
    overwrites, and a step passes a network several times before its gradients are taken.
    """
    nets = [net for module in modules for net in module.modules() if on and hasattr(net, "economy")]
    for net in nets:
        net.compile(backend=BACKEND, dynamic=False)
    try:
        with settings() if nets else nullcontext():
            yield
    finally:
        for net in nets:
            net._compiled_call_impl = None  # measuring and drawing take other sizes


@contextmanager
def settings() -> Iterator[None]:
    """Of torch.compile: graphs enough for all networks, and backward passes that can be taken again, term by term."""
    from torch._dynamo import config as graphs
    from torch._functorch import config as passes

    with graphs.patch(recompile_limit=GRAPHS), passes.patch(donated_buffer=False):
        yield
