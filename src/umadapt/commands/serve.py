"""`umadapt serve`: a page to try a model on."""

from __future__ import annotations

import importlib.util
import os
import socket
import tempfile
import time
import warnings
from pathlib import Path

from PIL import Image

from umadapt.config import Serve
from umadapt.errors import UserError
from umadapt.inference.loading import load
from umadapt.serve.photos import Limits
from umadapt.serve.session import Sessions, Source
from umadapt.serve.shown import Looker


def run(config: Serve) -> int:
    """Answer until Ctrl-C."""
    if importlib.util.find_spec("gradio") is None:
        raise UserError('serve needs gradio, which is not installed; type: pip install "umadapt[serve]"')
    refuse_taken(config.host, config.port)
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # --megapixels decides
    predictor = load(config.run, config.device, config.witnesses)
    source = Source(
        str(config.run), config.run, Looker(predictor), lambda run: load(run, config.device, config.witnesses)
    )
    limits = Limits(config.upload_mb, config.megapixels, config.most_photos)
    with tempfile.TemporaryDirectory(prefix="umadapt-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(Path(folder) / "uploads")
        from umadapt.serve.page import Page

        sessions = Sessions(source, limits, Path(folder))
        page = Page(sessions)
        try:
            where = page.launch(config.host, config.port, config.upload_mb)
            print(f"{source.name} answers at {where} until Ctrl-C", flush=True)
            while True:
                time.sleep(3600)
        finally:
            sessions.close_all()
            page.blocks.close(verbose=False)


def refuse_taken(host: str, port: int) -> None:
    """Raise a UserError where nothing can listen at host:port."""
    try:
        socket.create_server((host, port)).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"--host {host} --port {port}: {error}; give another") from error
