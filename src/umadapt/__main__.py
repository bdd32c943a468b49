"""`python -m umadapt`."""

from umadapt.cli import entry

entry()
