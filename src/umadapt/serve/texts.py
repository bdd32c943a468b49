"""What the page says, as HTML. Names of files and sentences of errors are escaped here."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from umadapt.serve.adaptation import Progress

HERE = Path(__file__).parent
STYLE = (HERE / "page.css").read_text()
STRIP_STYLE = (HERE / "strip.css").read_text()
STRIP_SCRIPT = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) trigger("click", button.dataset.index ? { index: Number(button.dataset.index) } : {});
});
"""
WELCOME = """<div class="um-welcome"><h2>Drop a photo of a room</h2>
<p>You will see how far everything is, which way surfaces face, what things are, and where the model doubts itself;
then the scene as a surface that you can turn around.</p></div>"""
ADAPT = """<p class="um-note">Teaches a copy of the model what your camera and your rooms look like, without labels.
Fifty photos or more are best; three are the fewest.</p>"""
FOOTER = """<p class="um-note um-footer">Photos stay on the machine that runs this page, and are gone when you close it.
Distances and classes are a network's guess: docs/model-card.md says where it fails.</p>"""


def header(model: str) -> str:
    return f"""<header class="um-header"><h1>umadapt</h1>
<p>depth, surface normals and classes of a photo, by <b>{escape(model)}</b></p></header>"""


def errors(sentences: Sequence[str]) -> str:
    """What went wrong; nothing where nothing did."""
    if not sentences:
        return ""
    items = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences[:10])
    more = f"<p>and {len(sentences) - 10} more</p>" if len(sentences) > 10 else ""
    return f'<div class="um-error" role="alert">{items}{more}</div>'


def busy(text: str) -> str:
    return f'<p class="um-busy" role="status">{escape(text)} …</p>'


def progress(now: Progress) -> str:
    """How far an adaptation is."""
    if now.state == "failed":
        return errors([now.text])
    if now.state == "stopped":
        return '<p role="status">Stopped; the model is as it was.</p>'
    if now.state == "preparing":
        return busy(now.text)
    return (
        f'<div class="um-bar" role="progressbar" aria-valuenow="{now.share:.0%}"><i style="width:{now.share:.1%}"></i>'
        f'</div><p role="status">{escape(now.text)}</p>'
    )


def adapted(name: str, address: str, file: str) -> str:
    """What to do with an adapted model."""
    return (
        f'<p role="status">Done: choose “{escape(name)}” under Model, or take it along: '
        f'<a href="{escape(address)}" download="{escape(file)}">{escape(file)}</a>, '
        f"which <code>umadapt predict {escape(file)} PHOTO --out OUT</code> reads.</p>"
    )


def compared(viewers: str) -> str:
    return f'<h2>Your photos before and after</h2><div class="um-compared">{viewers}</div>'


def strip(photos: Sequence[tuple[str, str]], chosen: int) -> str:
    """Small pictures to choose from: (name, address) of each. Nothing where there is nothing to choose."""
    if not photos:
        return ""
    buttons = "".join(
        f'<button type="button" data-index="{i}" aria-pressed="{str(i == chosen).lower()}" title="{escape(name)}">'
        f'<img src="{escape(address)}" alt="{escape(name)}" loading="lazy"></button>'
        for i, (name, address) in enumerate(photos)
    )
    count = "1 photo" if len(photos) == 1 else f"{len(photos)} photos"
    return f'<div class="um-strip">{buttons}</div><p>{count} <button type="button">forget them</button></p>'
