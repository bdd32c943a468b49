# make demo: render two small worlds, train on one, adapt to the other, measure: demo/report.html
# make test: lint, types, tests
# make bench: speed and memory beside the paper's algorithms as printed, in about 20 minutes on two cores
# All set themselves up in .venv; they need Linux, Python 3.11 to 3.13 with venv, and the package index.

PYTHON ?= python3
BIN := .venv/bin
# A user's own index settings and caches are honoured.
SETUP := .venv/.ready

.PHONY: demo test bench lint setup clean
.DEFAULT_GOAL := test

setup: $(SETUP)

$(SETUP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "umadapt needs Python 3.11 to 3.13, found %d.%d; try make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	touch $(SETUP)

demo: $(SETUP)
	$(BIN)/python recipes/demo.py

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

bench: $(SETUP)
	PYTHONPATH=src $(BIN)/python -m benchmarks

lint: $(SETUP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

clean:
	rm -rf .venv demo
