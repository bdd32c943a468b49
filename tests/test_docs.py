"""Every file that the docs name is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMED = re.compile(r"(?<![\w/.:-])((?:[\w-]+/)+[\w-]+\.(?:py|md|sh|json|toml|jpg|png))(?![\w/])")
PLACES = (ROOT, ROOT / "src" / "umadapt", ROOT / "docs")
MADE = (
    "demo/ runs/ sim/ TASK/ L/ image/ depth/ normals/ seg/ trust/ view/ npy/ evaluations/ OUT/".split()
)  # by commands


def test_every_file_that_the_docs_name_exists() -> None:
    missing = []
    for page in [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        for name in NAMED.findall(page.read_text()):
            here = [*PLACES, page.parent]
            if not any((place / name).exists() for place in here) and not name.startswith(tuple(MADE)):
                missing.append(f"{page.relative_to(ROOT)}: {name}")
    assert not missing, "\n".join(missing)


def test_every_link_in_the_docs_leads_somewhere() -> None:
    broken = []
    for page in [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]:
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in link and not (page.parent / link).exists():
                broken.append(f"{page.relative_to(ROOT)}: {link}")
    assert not broken, "\n".join(broken)
