"""What every page is built of: one file, no scripts, nothing fetched; light and dark; readable on a phone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

STYLE = """
:root{color-scheme:light dark;--ink:#1d2430;--soft:#5d6775;--line:#dfe3e8;--paper:#fff;--panel:#f5f7f9;--best:#0f6b45}
@media(prefers-color-scheme:dark){
:root{--ink:#e6e9ee;--soft:#9aa4b2;--line:#323a46;--paper:#14181f;--panel:#1c222b;--best:#5fd6a0}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:64rem;margin:0 auto;padding:2rem 1.1rem 4rem}
h1{font-size:1.9rem;line-height:1.2;margin:0}
h2{font-size:1.3rem;line-height:1.3;margin:2.8rem 0 .6rem;padding-bottom:.35rem;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:1.6rem 0 .4rem}
small{font-weight:400;font-size:.85rem;color:var(--soft);margin-left:.3rem}
p{margin:.5rem 0;max-width:46rem}
.facts{color:var(--soft);font-size:.9rem}
.wide{overflow-x:auto;margin:.5rem 0}
table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}
th,td{padding:.38rem .7rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
thead th{color:var(--soft);font-weight:500;font-size:.82rem}
th[scope=row]{text-align:left;font-weight:500;position:sticky;left:0;background:var(--paper)}
.words th,.words td{text-align:left}
tbody tr:last-child>*{border-bottom:0}
td b{color:var(--best)}
.way{opacity:.75}
.swatch{display:inline-block;width:.72em;height:.72em;border-radius:3px;margin-right:.5em}
details{margin:.4rem 0;background:var(--panel);border-radius:8px;padding:.45rem .8rem}
details th[scope=row]{background:var(--panel)}
details p{font-size:.88rem;color:var(--soft)}
summary{cursor:pointer;font-size:.88rem;color:var(--soft)}
.key{display:flex;flex-wrap:wrap;gap:.15rem 1.1rem;font-size:.88rem;max-width:none}
.curves{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:.8rem}
figure{margin:0;min-width:0}
figcaption{font-size:.78rem;color:var(--soft);overflow-wrap:anywhere}
img{display:block;width:100%;height:auto;border-radius:5px}
.compare{display:grid;grid-template-columns:repeat(calc(var(--tasks) + 1),minmax(0,1fr));gap:.5rem .6rem;
margin:1.2rem 0;padding-bottom:1.2rem;border-bottom:1px solid var(--line)}
.compare .rest{grid-column:span var(--tasks)}
.compare .who{margin:0;align-self:center;font-weight:500;font-size:.92rem;overflow-wrap:anywhere}
.compare .none{display:grid;place-items:center;background:var(--panel);border-radius:5px;color:var(--soft);
font-size:.75rem;text-align:center;min-height:3rem}
pre{background:var(--panel);border-radius:8px;padding:.7rem .9rem;font-size:.82rem;line-height:1.5;white-space:pre-wrap;
overflow-wrap:anywhere;margin:.4rem 0}
@media(max-width:40rem){
main{padding:1.2rem .8rem 3rem}
h1{font-size:1.5rem}
th,td{padding:.34rem .5rem}
.compare{grid-template-columns:repeat(var(--tasks),minmax(0,1fr));gap:.4rem}
.compare .photo,.compare .who{grid-column:1/-1}
.compare .photo img{max-width:20rem}}
"""


def shell(title: str, parts: Iterable[str], style: str = "") -> str:
    """A whole page as text; `style` is added to the sheet. Empty parts are left out."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}{style}</style></head>\n"
        f"<body><main>\n{chr(10).join(filter(None, parts))}\n</main></body></html>\n"
    )


def table(headings: Sequence[str], rows: Iterable[str], left: bool = False) -> str:
    """A table of rows (`row`), which scrolls sideways where it is wide; `left` for words."""
    head = "".join(f'<th scope="col">{heading}</th>' for heading in headings)
    kind = ' class="words"' if left else ""
    return f'<div class="wide"><table{kind}><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def row(heading: str, cells: Iterable[str]) -> str:
    """A row of a table."""
    return f'<tr><th scope="row">{heading}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def swatch(colour: str) -> str:
    """A small square."""
    return f'<i class="swatch" style="background:{colour}"></i>'
