"""Imports point down only: the syntax trees are walked, nothing is run."""

from __future__ import annotations

import ast
from pathlib import Path

import umadapt

ROOT = Path(umadapt.__file__).parent
ORDER = (  # of the package's first level: each imports from itself and from what stands before it
    "errors",
    "config",
    "distributed",
    "data",
    "scenes",
    "tasks",
    "nets",
    "training",
    "methods",
    "inference",
    "evaluation",
    "downstream",
    "reports",
    "serve",
    "commands",
    "cli",
    "api",
    "__init__",
    "__main__",
)
HEAVY = {"torch", "timm", "torchvision", "mitsuba", "matplotlib"}


def imports(path: Path) -> list[str]:
    """Modules of ours that a file imports, without the leading package."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [name for name in inner if is_module(name)] or [node.module]
    return [name.removeprefix("umadapt.") for name in found if name.startswith("umadapt.")]


def is_module(name: str) -> bool:
    path = ROOT.parent / name.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def test_every_module_imports_downwards() -> None:
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        own = path.relative_to(ROOT).with_suffix("").parts[0]
        assert own in ORDER, f"{path.name}: say in this test where it stands"
        for name in imports(path):
            other = name.split(".")[0]
            if other != own and ORDER.index(other) > ORDER.index(own):
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_networks_know_tensors_only() -> None:
    for path in (ROOT / "nets").glob("*.py"):
        if path.stem not in ("model", "ensemble", "__init__"):
            others = [name for name in imports(path) if not name.startswith("nets.")]
            assert set(others) <= {"distributed.global_batch"}, path.name  # which knows tensors only, too


def test_a_method_is_one_file() -> None:
    """Of another it takes nothing; what several share is said in files of their own."""
    names = ("cross_task", "strong_views", "pseudo_labels", "method", "rehearsal", "depth_level")
    shared = {f"methods.{name}" for name in names}
    for path in set((ROOT / "methods").glob("*.py")) - {ROOT / "methods" / "__init__.py"}:
        assert {name for name in imports(path) if name.startswith("methods.")} <= shared, path.name


def test_the_command_line_is_light() -> None:
    """Nothing heavy at module level of what `--help` imports."""
    files = [ROOT / name for name in ("cli.py", "errors.py", "__init__.py", "distributed/process_group.py")]
    for path in [*files, *(ROOT / "config").glob("*.py")]:
        for node in ast.parse(path.read_text()).body:
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {m.split(".")[0] for m in modules} & HEAVY, path.name
