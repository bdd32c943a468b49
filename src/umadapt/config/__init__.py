"""Every command's arguments as a frozen dataclass. Light to import: the command line's `--help` needs nothing else."""

from umadapt.config.model_spec import ModelSpec
from umadapt.config.training import Adapt, MethodName, NormalsKind, Semi, Train, Training
from umadapt.config.transfer import Looped, Transfer
from umadapt.config.use import Evaluate, Export, Predict, ProtocolName, Report, Reproduce, Score, Serve, Trust

__all__ = [
    "Adapt",
    "Evaluate",
    "Export",
    "Looped",
    "MethodName",
    "ModelSpec",
    "NormalsKind",
    "Predict",
    "ProtocolName",
    "Report",
    "Reproduce",
    "Score",
    "Semi",
    "Serve",
    "Train",
    "Training",
    "Transfer",
    "Trust",
]
