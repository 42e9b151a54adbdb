# `make demo` and `make test` need Python 3.11 or newer, git and make; they set up everything else in .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TESTED := $(VENV)/.tested
PIP := $(BIN)/pip --disable-pip-version-check install -q --no-compile -c constraints.txt
export OMP_NUM_THREADS ?= 1
# pip compiles every module that it installs, one after another, which takes longer than all else that it does; of torch most are never
# imported. So each module is compiled when it is first imported, and that is kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install demo test test-all speed lint docs clean

install: $(READY)

# glibc gives arrays of some MiB back to the kernel and has the next ones filled with zeros; making phantoms takes a quarter less
# processor time where it keeps them.
demo: export MALLOC_MMAP_THRESHOLD_ ?= 33554432
demo: export MALLOC_TRIM_THRESHOLD_ ?= 1073741824
demo: $(READY)
	$(BIN)/radbench demo

test: lint
	$(BIN)/pytest -n 2 --dist loadscope -m "not slow and not engine"
	$(BIN)/pytest -m "not slow and engine"

test-all: lint
	$(BIN)/pytest -n 2 --dist loadscope -m "not engine"
	$(BIN)/pytest -m engine

speed: $(TESTED)
	$(BIN)/pytest -o addopts= -q tests/speed -s

lint: $(TESTED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/python -m benchmark.metrics.document
	$(BIN)/python -m benchmark.errors_document
	$(BIN)/python -m benchmark.submission_document
	$(BIN)/python -m benchmark.nightly.document

# torch first and by its exact pin, so that the build without CUDA libraries is taken where the index offers one.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "radbench needs Python 3.11 or newer"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch==2.13.0
	$(PIP) -e ".[baselines,features]"
	@touch $(READY)

# What only tests and linters need comes when they are first called.
$(TESTED): $(READY)
	$(PIP) -e ".[test]"
	@touch $(TESTED)

clean:
	rm -rf $(VENV) work build dist *.egg-info
