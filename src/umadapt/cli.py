"""The command line: one table, one level. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout

import tyro

from umadapt import config
from umadapt.config import data, grouped, options, presets
from umadapt.distributed import process_group
from umadapt.errors import LostRank, Terminated, UserError, heed_sigterm

COMMANDS = {  # name -> (its arguments, the module whose `run` takes them)
    "render": (data.Render, "umadapt.commands.render"),
    "convert": (data.Convert, "umadapt.commands.convert"),
    "check": (data.Check, "umadapt.commands.check"),
    "pack": (data.Pack, "umadapt.commands.pack"),
    "train": (config.Train, "umadapt.commands.train"),
    "adapt": (config.Adapt, "umadapt.commands.adapt"),
    "semi": (config.Semi, "umadapt.commands.semi"),
    "evaluate": (config.Evaluate, "umadapt.commands.evaluate"),
    "score": (config.Score, "umadapt.commands.score"),
    "trust": (config.Trust, "umadapt.commands.trust"),
    "predict": (config.Predict, "umadapt.commands.predict"),
    "serve": (config.Serve, "umadapt.commands.serve"),
    "export": (config.Export, "umadapt.commands.export"),
    "transfer": (config.Transfer, "umadapt.commands.transfer"),
    "report": (config.Report, "umadapt.commands.report"),
    "reproduce": (config.Reproduce, "umadapt.commands.reproduce"),
}
SPINS = "10000"  # rounds that an OpenMP thread waits awake, tens of microseconds; GNU's default is 300,000
SHARED = (  # what several processes share
    *("render", "train", "adapt", "semi", "evaluate", "score", "trust", "predict", "transfer"),
)


def usage() -> str:
    """The help of the command line as a whole."""
    width = max(len(name) for name in COMMANDS)
    lines = [f"  {name:<{width}}  {(arguments.__doc__ or '').strip()}" for name, (arguments, _) in COMMANDS.items()]
    return (
        "usage: umadapt COMMAND [ARGUMENTS]\n\n"
        "Labelled synthetic images and a folder of unlabelled photos in, one network for depth, segmentation and\n"
        "surface normals on those photos out.\n\ncommands:\n" + "\n".join(lines) + "\n\n"
        "umadapt COMMAND --help shows the arguments of a command; umadapt --version the version."
    )


def start() -> str:
    """What somebody sees who types the name alone."""
    return (
        "Depth, surface normals and classes of photos. To begin:\n\n"
        "  umadapt predict indoor photo.jpg --out out         maps and pictures of a photo, or of a folder\n"
        "  umadapt serve                                      the same on a page: drop photos, turn shapes around\n"
        "  umadapt adapt indoor --target photos/ --out mine   a model of your own rooms, without labels\n\n"
        "umadapt --help lists all commands."
    )


def be_a_good_neighbour() -> None:
    """Have threads that wait for each other give up their core soon, before torch is imported.

    Beside other work a thread that waits awake keeps its core from the one that it waits for, and a step takes many
    times as long (benchmarks/neighbours.py). Where the user has said how threads are to wait, that holds.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch's large tensors in huge pages: docs/speed.md


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code: 0 done, 1 bad data found, or another process lost, 2 a mistake of the
    user, 130 stopped by Ctrl-C, 143 by SIGTERM."""
    if not arguments:
        print(start())
        return 0
    command, *rest = arguments
    if command in ("-h", "--help", "help"):
        print(usage())
        return 0
    if command == "--version":
        from importlib.metadata import version

        print(f"umadapt {version('umadapt')}")
        return 0
    if command not in COMMANDS:
        print(f"umadapt: no command {command!r}; there are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    be_a_good_neighbour()
    kind, module = COMMANDS[command]
    prog = f"umadapt {command}"
    try:
        if process_group.size() > 1 and command not in SHARED:
            raise UserError(f"{command} runs in one process; start it without torchrun")
        if kind in grouped.GROUPS and {"-h", "--help"} & set(rest):
            grouped.print_help(kind, prog)
        preset = presets.chosen(rest) if command == "train" else None
        if preset is None:
            parsed = tyro.cli(kind, args=rest, prog=prog)
        else:
            parsed = tyro.cli(config.Train, args=rest, prog=prog, default=preset)
        options.check_numbers(parsed)
        with redirect_stdout(io.StringIO()) if process_group.rank() else nullcontext():  # rank 0 speaks for all
            return importlib.import_module(module).run(parsed)
    except UserError as error:
        if process_group.met():
            print(f"{prog}, rank {process_group.rank()} of {process_group.size()}: {error}", file=sys.stderr)
        elif not process_group.local_rank():  # what goes wrong that early does so in all processes of a machine
            print(f"{prog}: {error}", file=sys.stderr)
        return 2
    except LostRank as error:
        print(f"{prog}: {error}", file=sys.stderr)
        print("the same command, with any number of processes, goes on from the last save", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        heed_sigterm(False)
        if not process_group.rank():
            print(f"{prog}: stopped", file=sys.stderr)
        return 143 if isinstance(stop, Terminated) else 130
    except BrokenPipeError:  # `umadapt … | head` closed the pipe: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a name that no file can have, a folder that may not be read, …
        if error.errno is None:
            raise
        where = f"{error.filename}: " if error.filename is not None else ""
        print(f"{prog}: {where}{os.strerror(error.errno)}; look at what was given, and at the disk", file=sys.stderr)
        return 2
    except SystemExit as stop:  # from the parser: 0 after --help, 2 after a mistake
        return int(stop.code or 0)


def entry() -> None:
    heed_sigterm()
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files that are no text
        sys.stdout.reconfigure(errors="backslashreplace")
    code = main(sys.argv[1:])
    if not code:
        process_group.close()
    sys.exit(code)
