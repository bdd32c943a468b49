"""Imports point down only: the syntax trees are walked, nothing is run."""

from __future__ import annotations

import ast
from pathlib import Path

import umadapt

ROOT = Path(umadapt.__file__).parent
LEAVES = {"errors", "options", "config", "config_data", "ranks", "together"}  # may be imported from anywhere
DATA = {
    f"data.{m}"
    for m in (
        "folder",
        "files",
        "window",
        "camera",
        "augment",
        "colours",
        "contours",
        "normals",
        "cached",
        "fitted",
        "batches",
        "pool",
    )
}
NETS = {"nets.model", "nets.encoder", "nets.gradient", "nets.recompute"}
MEASURE = {"maps", "predictor", "tasks", "viz", "track", "checkpoint", "photos", "evaluate", *DATA, *NETS}
COMMANDS = {"train", "adapt", "semi", "evaluate", "score", "trust", "predict", "export", "report", "reproduce"}
ALLOWED = {  # module or package -> what of ours it may import beside LEAVES and its own package
    "viz": set(),
    "track": {"data.files"},
    "data": {"viz"},
    "data.batches": {"tasks"},  # which labels a task is learnt from, and how its truth is made of them
    "scenes": {"data.folder", "data.files"},
    "maps": {"viz", "data.files"},
    "predictor": {"maps", "data.files", "data.window", "data.camera"},
    "exported": {"maps", "predictor"},
    "tasks": {"maps", "data.augment", "data.window"},
    "nets": {"tasks"},
    "run_file": {"data.files"},
    "replay": {"scenes", "data.files"},
    "checkpoint": {"run_file", "tasks", "data.folder", "data.files", *NETS},
    "photos": {"consensus", "predictor", "tasks", "checkpoint", "ruler", *DATA, *NETS},
    "pretrained": {"nets.encoder"},
    "schedule": set(),
    "pretrained_hed": {"nets.hed"},
    "hed_contours": {"pretrained_hed", "nets.hed", *DATA},
    "export_shapes": {"nets.blocks"},
    "protocols": {"tasks"},
    "ruler": {"tasks", "protocols", *DATA},
    "samples": {"viz", "tasks", "checkpoint", *DATA, *NETS},
    "speed": set(),
    "loop": {"checkpoint", "track", "tasks", "data.folder", "data.pool", "speed", "schedule", *NETS},
    "cross_task": {"loop", *NETS},
    "consensus": {"tasks", *NETS},
    "sources": {"tasks", "data.folder", "data.fitted", "nets.model"},
    "average": set(),
    "strong_views": {"tasks", *NETS},
    "kept_views": {"loop", "speed", "data.union", "data.views", *DATA},
    "memory": {"loop", *NETS},
    "stages": {
        "average",
        "strong_views",
        "consensus",
        "cross_task",
        "nets.blocks",
        "nets.critic",
        "nets.features",
        "nets.output_critic",
        "loop",
        "evaluate",
        "score",
        "checkpoint",
        "tasks",
        *DATA,
        *NETS,
    },
    "prior": {"photos", "protocols", "ruler", "tasks", *DATA},
    "evaluate": {"consensus", "prior", "ruler", "protocols", *(MEASURE - {"evaluate"})},
    "score": {"candidates", "consensus", "cross_task", "selection", *MEASURE},
    "trust": {"ruler", "protocols", *MEASURE},
    "predict": {"exported", "exported_programs", *MEASURE},
    "export": {"run_file", "export_graph", "export_int8", "export_programs", "exported", "exported_programs", *MEASURE},
    "portable": {"exported", "nets.model"},
    "export_graph": {"export_shapes", "portable", "exported", "data.files", "nets.model"},
    "export_programs": {"portable", "exported_programs", "data.files", "nets.model"},
    "exported_programs": {"exported", "maps", "predictor", "checkpoint", "data.augment"},
    "export_int8": {"exported", *MEASURE},
    "report": {"report_page", "report_figures", "report_runs", *MEASURE},
    "report_page": {"report_figures", "report_runs", "report_tables", "report_style", *MEASURE},
    "report_figures": {"ruler", "report_runs", *MEASURE},
    "report_tables": {"report_figures", "report_runs", *MEASURE},
    "report_runs": MEASURE,
    "report_style": set(),
    "paper": {"report_tables", *MEASURE},
    "reproduce": {
        "paper",
        "prior",
        "reproduce_data",
        "reproduce_grid",
        "reproduce_ladder",
        "reproduce_run",
        "reproduce_tables",
        "report_figures",
        "ruler",
        "protocols",
        *MEASURE,
    },
    "reproduce_data": {"protocols", "reproduce_ladder", *DATA},
    "reproduce_grid": {"ruler", "protocols", *MEASURE},
    "reproduce_ladder": {"reproduce_run", *MEASURE},
    "reproduce_run": {"loop", "data.folder"},
    "reproduce_tables": {"paper", "report_style", "report_tables", "reproduce_ladder", *MEASURE},
    "train": {
        "hed_contours",
        "pretrained",
        "memory",
        "speed",
        "consensus",
        "samples",
        "sources",
        "loop",
        "stages",
        *MEASURE,
    },
    "semi": {
        "hed_contours",
        "memory",
        "speed",
        "consensus",
        "kept_views",
        "samples",
        "sources",
        "loop",
        "stages",
        "data.union",
        *MEASURE,
    },
    "selection": set(),
    "candidates": {"data.folder", *NETS},
    "adapt": {
        "nets.output_critic",
        "hed_contours",
        "memory",
        "speed",
        "consensus",
        "replay",
        "samples",
        "sources",
        "score",
        "candidates",
        "loop",
        "stages",
        "data.union",
        "kept_views",
        *MEASURE,
    },
    "presets": set(),
    "cli": COMMANDS | {"presets", "data.check", "scenes.render"},
    "__main__": {"cli"},
    "__init__": {"predict", "checkpoint"},
}


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
        parts = path.relative_to(ROOT).with_suffix("").parts
        own = parts[0]
        assert own in ALLOWED or own in LEAVES, f"{path.name}: say in this test what it may import"
        allowed = ALLOWED.get(".".join(parts), ALLOWED.get(own, set())) | LEAVES
        for name in imports(path):
            package = name.split(".")[0]
            if package != own and name not in allowed and package not in allowed:
                wrong.append(f"{'/'.join(parts)} imports {name}")
            if own == "stages" and package == "stages":
                wrong.append(f"{'/'.join(parts)} imports another stage, {name}")
    assert not wrong, "\n".join(wrong)


def test_networks_know_tensors_only() -> None:
    for path in (ROOT / "nets").glob("*.py"):
        if path.stem not in ("model", "__init__"):
            others = [name for name in imports(path) if not name.startswith("nets.")]
            assert set(others) <= {"together"}, path.name  # which knows tensors only, too


def test_the_command_line_is_light() -> None:
    """Nothing heavy at module level of what `--help` imports."""
    for name in ("cli.py", "config.py", "config_data.py", "presets.py", "errors.py", "ranks.py", "__init__.py"):
        for node in ast.parse((ROOT / name).read_text()).body:
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {m.split(".")[0] for m in modules} & {"torch", "timm", "torchvision", "mitsuba", "matplotlib"}
