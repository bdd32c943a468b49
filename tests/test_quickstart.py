"""The notebook runs from top to bottom, and what it shows is so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "quickstart.ipynb"
RUN = """
import sys
import nbclient, nbformat
book = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(book, timeout=900, kernel_name="python3").execute()
nbformat.write(book, sys.argv[2])
"""


def test_no_output_is_committed() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.slow
def test_it_runs_from_top_to_bottom(tmp_path: Path) -> None:
    for package in ("nbclient", "ipykernel", "mitsuba", "embreex", "trimesh"):
        pytest.importorskip(package)
    out = tmp_path / "run.ipynb"
    # a process of its own: kernels leave sockets and event loops behind
    command = [sys.executable, "-c", RUN, str(NOTEBOOK), str(out)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    figures = [json.loads((tmp_path / "quickstart" / f"{name}.json").read_text()) for name in ("before", "after")]
    before, after = (found["seg"]["miou"] for found in figures)
    assert after > before  # what the notebook is for: adapting helps
    outputs = [o for cell in json.loads(out.read_text())["cells"] for o in cell.get("outputs", ())]
    assert sum("image/png" in o.get("data", {}) for o in outputs) == 3
    assert any("points:" in "".join(o.get("text", ())) for o in outputs)
