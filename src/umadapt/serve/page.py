"""The page itself: what gradio draws and which of `Session`'s deeds each event calls. Nothing else here knows gradio.

It asks for nothing beyond this machine: the fonts are the system's, analytics and history are off.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import gradio as gr

from umadapt.errors import UserError
from umadapt.serve import texts, viewer
from umadapt.serve.session import FEWEST, Session, Sessions
from umadapt.serve.shown import Shown

KINDS = ["image", ".heic", ".heif", ".avif"]  # of files that the dialog offers; what one is its content tells
# How often gradio's uploads and copies are looked through, and how old they get. They are named by their content, so
# that visitors with the same photo share one: nobody may remove it when they leave.
FORGET_S = (60, 900)
POLL_S = 0.05  # between looks at the queue: gradio 6.31 takes 0.001, a tenth of a core while nobody asks for anything
STEPS = 150
HEAD = '<meta name="color-scheme" content="light dark">'
Out = dict[Any, Any]  # component -> what it shows now


def address(path: Path) -> str:
    """Where the page has a file."""
    return f"gradio_api/file={quote(str(path))}"


class Page:
    """The page's parts, and what happens to them.

    Args:
        sessions: who is there; their folders lie in `sessions.root`, which the page may read.
    """

    def __init__(self, sessions: Sessions):
        self.sessions = sessions
        self.name = sessions.source.name
        font = ["ui-sans-serif", "system-ui", "sans-serif"]
        mono = ["ui-monospace", "monospace"]
        self.theme = gr.themes.Soft(primary_hue="teal", neutral_hue="slate", font=font, font_mono=mono)
        with gr.Blocks(title="umadapt", analytics_enabled=False, delete_cache=FORGET_S, fill_width=True) as self.blocks:
            gr.HTML(texts.header(self.name))
            with gr.Row(elem_classes="um-columns"):
                with gr.Column(scale=1, min_width=290):
                    self.build_left()
                with gr.Column(scale=3, min_width=300):
                    self.build_right()
            gr.HTML(texts.FOOTER)
            self.wire()

    def build_left(self) -> None:
        self.files = gr.File(
            label="Drop photos", file_count="multiple", file_types=KINDS, height=150, elem_id="um-drop"
        )
        with gr.Accordion("Take one with the camera", open=False):
            self.camera = gr.Image(
                sources=["webcam"],
                type="filepath",
                show_label=False,
                webcam_options=gr.WebcamOptions(mirror=False),
                elem_id="um-camera",
            )
        self.strip = gr.HTML(
            value="", js_on_load=texts.STRIP_SCRIPT, css_template=texts.STRIP_STYLE, elem_id="um-strip"
        )
        self.model = gr.Radio([self.name], value=self.name, label="Model", visible=False)
        with gr.Accordion("Field of view", open=False):
            self.fov = gr.Slider(
                0,
                140,
                value=0,
                step=1,
                label="Degrees along the longer side",
                info="0 = by the photo's EXIF, or as the model assumes",
            )
        with gr.Accordion("Adapt the model to these photos", open=False, elem_id="um-adapt"):
            gr.HTML(texts.ADAPT)
            self.way = gr.Radio(
                [("Thorough: minutes", "thorough"), ("Quick: statistics alone", "quick")],
                value="thorough",
                show_label=False,
                container=False,
            )
            self.steps = gr.Slider(20, 600, value=STEPS, step=10, label="Steps", info="more photos bear more steps")
            with gr.Row():
                self.start = gr.Button("Adapt", variant="primary", interactive=False, elem_id="um-start")
                self.cancel = gr.Button("Stop", visible=False, elem_id="um-stop")
            self.progress = gr.HTML("", elem_id="um-progress")

    def build_right(self) -> None:
        self.status = gr.HTML(texts.WELCOME, elem_id="um-status")
        self.viewer = gr.HTML("", js_on_load=viewer.SCRIPT, css_template=viewer.STYLE, elem_id="um-look", visible=False)
        self.links = gr.HTML("", elem_id="um-links", visible=False)
        self.shape = gr.Model3D(
            label="The scene: drag to turn it",
            height=480,
            visible="hidden",  # gradio 6.31 draws no shape in a part that is made with it
            interactive=False,
            elem_id="um-shape",
        )
        self.compared = gr.HTML("", js_on_load=viewer.SCRIPT, css_template=viewer.STYLE, elem_id="um-compared")

    def wire(self) -> None:
        shown = [self.status, self.strip, self.viewer, self.links, self.start]
        asked = [self.model, self.fov]
        look: dict[str, Any] = {"concurrency_id": "look", "concurrency_limit": 1, "show_progress": "minimal"}
        private: dict[str, Any] = {"api_visibility": "private"}
        looks = [
            self.files.upload(self.on_files, [self.files, *asked], [self.files, *shown], api_name="look", **look),
            self.camera.input(self.on_camera, [self.camera, *asked], [self.camera, *shown], **private, **look),
            self.strip.click(self.on_choice, asked, shown, **private, **look),
            self.model.input(self.on_change, asked, shown, **private, **look),
            self.fov.release(self.on_change, asked, shown, **private, **look),
        ]
        for event in looks:  # by itself: gradio 6.31 draws no shape that is told of anything else while it loads
            event.then(self.on_shape, None, self.shape, show_progress="hidden", **private)
        self.way.change(lambda way: gr.Slider(visible=way == "thorough"), self.way, self.steps, **private)
        self.start.click(
            self.on_adapt,
            [self.way, self.steps],
            [self.progress, self.start, self.cancel, self.model, self.compared],
            concurrency_limit=None,
            show_progress="hidden",
            **private,
        )
        self.cancel.click(self.on_cancel, None, None, concurrency_limit=None, **private)
        self.blocks.unload(self.on_leave)

    # --- Photos

    def session(self, request: gr.Request) -> Session:
        return self.sessions.of(request.session_hash)

    def on_files(self, files: list[str] | None, model: str, fov: float, request: gr.Request) -> Iterator[Out]:
        """Take photos, showing the first good one at once."""
        yield from self.take(self.files, [Path(file) for file in files or ()], model, fov, self.session(request))

    def on_camera(self, file: str | None, model: str, fov: float, request: gr.Request) -> Iterator[Out]:
        yield from self.take(self.camera, [Path(file)] if file else [], model, fov, self.session(request))

    def take(self, taker: Any, given: list[Path], model: str, fov: float, session: Session) -> Iterator[Out]:
        """`taker` is emptied: it is free for the next photos."""
        before, wrong, told, shown = len(session.photos), [], time.monotonic(), {}
        for number, bad in enumerate(session.add(given, self.sessions.limits), 1):
            wrong += [bad] if bad else []
            if bad is None and len(session.photos) == before + 1:
                shown = self.look(session, before, model, fov)
                if number < len(given):
                    yield {taker: None, **shown}
                    shown = {}
            elif time.monotonic() > told + 1:
                told = time.monotonic()
                yield {self.status: texts.busy(f"{number} of {len(given)} photos taken")}
        empty = texts.WELCOME if not session.photos and not wrong else ""
        yield {
            taker: None,
            **shown,
            self.status: texts.errors(wrong) or shown.get(self.status, empty),
            **self.strip_of(session),
        }

    def on_choice(self, model: str, fov: float, request: gr.Request, event: gr.EventData) -> Out:
        """A small picture was clicked, or the cross that forgets them all."""
        session = self.session(request)
        index = (event._data or {}).get("index")
        if index is None:
            session.forget_photos()
            return {
                self.status: texts.WELCOME,
                self.viewer: gr.HTML(visible=False),
                self.links: gr.HTML(visible=False),
                **self.strip_of(session),
            }
        return self.look(session, int(index), model, fov)

    def on_change(self, model: str, fov: float, request: gr.Request) -> Out:
        """Another model, or another field of view."""
        session = self.session(request)
        return self.look(session, session.chosen, model, fov) if session.photos else {self.status: gr.skip()}

    def on_shape(self, request: gr.Request) -> Any:
        shape = self.session(request).shape
        return gr.Model3D(visible="hidden") if shape is None else gr.Model3D(str(shape), visible=True)

    def look(self, session: Session, index: int, model: str, fov: float) -> Out:
        """Show a photo, or say in a sentence why not."""
        try:
            shown = session.show(index, model, fov)
        except UserError as error:
            return {self.status: texts.errors([str(error)])}
        session.chosen, session.shape = index, shown.shape
        return {
            self.status: "",
            self.viewer: gr.HTML(viewer.photo_beside_maps(shown, address), visible=True),
            self.links: gr.HTML(links(shown), visible=True),
            **self.strip_of(session),
        }

    def strip_of(self, session: Session) -> Out:
        enough = len(session.photos) >= FEWEST and session.source.run.suffix not in (".onnx", ".pt2")
        strip = texts.strip([(photo.name, address(photo.small)) for photo in session.photos], session.chosen)
        return {self.strip: strip, self.start: gr.Button(interactive=enough)}

    # --- Adaptation

    def on_adapt(self, way: str, steps: int, request: gr.Request) -> Iterator[Out]:
        """Adapt, tell how far it is, and show a few photos before and after."""
        session = self.session(request)
        working = {self.start: gr.Button(interactive=False), self.cancel: gr.Button(visible=True)}
        idle = {self.start: gr.Button(interactive=True), self.cancel: gr.Button(visible=False)}
        try:
            now = None
            for now in session.adapt(self.sessions.turn, way, int(steps)):
                yield {self.progress: texts.progress(now), **working}
            if now is None or now.state != "done":
                yield idle
                return
            yield {
                self.progress: texts.busy("looking at photos before and after"),
                self.cancel: gr.Button(visible=False),
            }
            assert session.adaptation is not None
            name, file = session.adopt(session.adaptation.out)
            pairs = [viewer.before_beside_after(*pair, address) for pair in session.compare(name)]
        except UserError as error:
            yield {self.progress: texts.errors([str(error)]), **idle}
            return
        yield {
            self.progress: texts.adapted(name, address(file), file.name),
            self.model: gr.Radio(list(session.models), value=session.source.name, visible=True),
            self.compared: texts.compared("".join(pairs)),
            **idle,
        }

    def on_cancel(self, request: gr.Request) -> None:
        self.session(request).stop()  # which `on_adapt` then tells

    def on_leave(self, request: gr.Request) -> None:
        self.sessions.close(request.session_hash)

    # --- The server

    def launch(self, host: str, port: int, upload_mb: int) -> str:
        """Answer at host:port until `blocks.close()`; the page's address."""
        self.blocks.queue(max_size=64, api_open=False)
        self.blocks._queue.sleep_when_free = POLL_S
        _, where, _ = self.blocks.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            max_file_size=f"{upload_mb}mb",
            allowed_paths=[str(self.sessions.root)],
            footer_links=[],
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            theme=self.theme,
            css=texts.STYLE,
            head=HEAD,
        )
        return where


def links(shown: Shown) -> str:
    """The downloads of a photo."""
    files = [("Pictures (PNG)", shown.pictures), ("Numbers (NPY)", shown.numbers)]
    files += [] if shown.shape is None else [("Shape (GLB)", shown.shape)]
    return (
        '<nav class="um-files">'
        + "".join(
            f'<a href="{escape(address(path))}" download="{escape(path.name)}">{title}</a>' for title, path in files
        )
        + "</nav>"
    )
