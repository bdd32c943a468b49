"""A run as the Hugging Face Hub has models: `save_pretrained`, `from_pretrained`, `push_to_hub`.

A saved folder is a run folder, too, with weights in half precision: every command reads it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from huggingface_hub import ModelHubMixin, snapshot_download

from umadapt.data.atomic import write_json
from umadapt.errors import UserError
from umadapt.inference.predictor import Predictor
from umadapt.training import run_file
from umadapt.training.load import base_of, load_model
from umadapt.training.weights import weights

FILES = ("config.json", "model.safetensors")
CARD = """---
{{ card_data }}
---

# {{ name | default("A run of umadapt", true) }}

One network for {{ tasks | default("depth, normals and classes", true) }} of a photo.

```python
import umadapt

model = umadapt.Model.from_pretrained("THIS REPOSITORY")
result = model.predict("photo.jpg")
```

What it was trained on, and how, stands in config.json. Say here where it fails, and who must not use it.
"""


class Model(
    Predictor,
    ModelHubMixin,
    library_name="umadapt",
    model_card_template=CARD,
    tags=["depth-estimation", "image-segmentation", "surface-normals"],
):
    """A run, ready for photos; what `umadapt.load` gives of one."""

    run: Path  # where it lies

    @classmethod
    def of(cls, predictor: Predictor, run: Path) -> Model:
        model = cls(predictor.maps, predictor.trust, predictor.infer, predictor.fov)
        model.run = run.absolute() if run.exists() else run  # a model that ships has a name alone
        return model

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> str | None:
        """Write config.json, model.safetensors and README.md, a model card to fill in; options as the mixin's.

        Raises:
            UserError: the folder holds a run already, which the mixin would begin by taking apart; the run is gone.
        """
        if (Path(save_directory) / "state.pt").exists() or Path(save_directory).resolve() == self.run.resolve():
            raise UserError(f"{save_directory} is a run; save the model into another folder")
        return super().save_pretrained(save_directory, **options)

    def _save_pretrained(self, save_directory: Path) -> None:
        weights_file = save_directory / FILES[1]
        write_run(self.run, weights_file)
        write_json(save_directory / FILES[0], run_file.read_record(weights_file).to_json())

    def generate_model_card(self, *args: Any, **kwargs: Any) -> Any:
        return super().generate_model_card(*args, **{"tasks": ", ".join(self.maps), **kwargs})

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        device: str = "auto",
        witnesses: tuple[str, ...] = (),
        **model_kwargs: Any,
    ) -> Model:
        """A folder that `save_pretrained` wrote, or a repository of the Hub; device and witnesses as in `load`."""
        from umadapt.inference.loading import load_run

        if not os.path.isdir(model_id):
            model_id = snapshot_download(
                model_id,
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                token=token,
                allow_patterns=list(FILES),
            )
        return load_run(Path(model_id), device, witnesses)


def write_run(run: Path, out: Path) -> None:
    """Write a run as one file, weights in half precision; every command reads it in the run's place.

    Raises:
        UserError: no run, not trained yet, or damaged; of an adapted one, the run that it began with is gone.
    """
    model, stored = load_model(run, "cpu")
    run_file.write(out, stored, base_of(stored), weights(model))
