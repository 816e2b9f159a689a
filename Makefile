# One environment in .venv, made with nothing but Python 3.11+ and make; every target brings it up to date first.
#
#   make PYTHON=python3.12 …       another interpreter
#   make TORCH_INDEX=URL …         where pip finds a CPU build of torch, if your index serves CUDA builds:
#                                  https://download.pytorch.org/whl/cpu

PYTHON ?= python3
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
MERGEKIT := .venv-mergekit
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt
WORKERS ?= 2
SIZE ?=
RUNS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint bench bench-curves bench-store bench-objects bench-growth bench-gpu bench-page docs clean reliability

help:
	@echo "make demo    real model, real skills: register, merge, materialize, audit (about ten minutes)"
	@echo "make test    lint, types, floors, and the test suite (make test-slow: the tests that take long)"
	@echo "make reliability  every fault at every step of every verb, counted in .faults.md (hours; EACH=40: so many a verb)"
	@echo "make lint    ruff, mypy and import-linter alone"
	@echo "make bench   against mergekit, PEFT and a copy (SIZE=0.5B RUNS=3); bench-curves, -store, -objects, -growth, -gpu, -page"
	@echo "make docs    write docs/cli.md from the code"
	@echo "make clean   remove everything made here but $(VENV) and $(MERGEKIT)"

demo: $(VENV)/.for-demo
	$(BIN)/python -m examples.demo

test: lint $(MERGEKIT)/constraints
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow"

REPORT := $(BIN)/python -m tests.integration.faults.report .faults.jsonl

test-slow: $(VENV)/.for-test
	rm -f .faults.jsonl
	MERGESTORE_FAULTS_COUNTS=.faults.jsonl $(BIN)/python -m pytest -n $(WORKERS) -m slow
	$(REPORT) > .faults.md

EACH ?= 0

reliability: $(VENV)/.for-test
	rm -f .faults.jsonl
	MERGESTORE_FAULTS_COUNTS=.faults.jsonl MERGESTORE_FAULTS_EACH=$(EACH) $(BIN)/python -m pytest tests/integration/faults -n $(WORKERS)
	$(REPORT) | tee .faults.md

lint: $(VENV)/.for-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

BENCH := $(BIN)/python -m benchmarks
SETTINGS = $(if $(SIZE),--size $(SIZE)) $(if $(RUNS),--runs $(RUNS))

bench: $(VENV)/.for-bench
	$(BENCH) compare $(SETTINGS) $(if $(TORCH_INDEX),--torch-index $(TORCH_INDEX))

bench-curves: $(VENV)/.for-bench
	$(BENCH) curves $(SETTINGS)

bench-gpu: $(VENV)/.for-bench
	$(BENCH) device $(SETTINGS)

bench-store: $(VENV)/.for-bench
	$(BIN)/python -m benchmarks.store_scale

bench-objects: $(VENV)/.for-bench
	$(BIN)/python -m benchmarks.object_storage $(SETTINGS)

bench-growth: $(VENV)/.for-bench
	$(BIN)/python -m benchmarks.growth

bench-page: $(VENV)/.for-bench
	$(BENCH) page

docs: $(VENV)/.for-test
	$(BIN)/python docs/generate_cli.py

clean:
	rm -rf .demo .bench .faults.* build dist *.egg-info .coverage htmlcov
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)*/*' -prune -exec rm -rf {} +

# The stamps remember what was installed; a change of the project's requirements installs again.

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "mergestore needs Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# torch comes first and alone, so that what needs it finds the CPU build in place and asks for no other.
$(VENV)/.torch: constraints.txt | $(BIN)/python
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	@touch $@

$(VENV)/.for-demo: pyproject.toml constraints.txt $(VENV)/.torch
	$(PIP) --editable '.[demo]'
	@touch $@

# mergekit, for comparing with it, in an environment of its own: its requirements are not ours.
$(MERGEKIT)/constraints: benchmarks/mergekit-constraints.txt | $(VENV)/.for-test
	$(BIN)/python -m benchmarks.mergekit $(TORCH_INDEX)
	@touch $@

$(VENV)/.for-bench: pyproject.toml constraints.txt $(VENV)/.torch
	$(PIP) --editable '.[bench]'
	@touch $@

$(VENV)/.for-test: pyproject.toml constraints.txt $(VENV)/.torch
	$(PIP) --editable '.[test,demo]' hatchling
	@touch $@ $(VENV)/.for-demo
