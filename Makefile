# Two commands do everything from a fresh clone: `make run` and `make test`.
#
#   make run        build the environment, start the practice company and Segue, run the renewal job
#   make test       checks and the full test suite (what CI runs)
#   make test-fast  unit, property and architecture tests only
#   make check      formatter, linter, strict types, the architecture test
#   make bench      speed, as ratios against this disk, and the goals (BENCH_PEERS=1, BENCH=--quick, BENCH=--write-docs)
#   make simulate SEEDS=100000   the simulated world, as long as you like
#   make kill-campaign KILLS=1000   kill -9 at random moments; the practice company counts what came of it
#   make undo-campaign KILLS=200    the same, while runs are taken back
#   make fuzz EXAMPLES=200   requests that the API's own description generates, as everybody
#   make fail-at-write   every shipped workflow, with its disk failing at each write in turn
#   make lock       resolve the dependencies again
#   make clean      remove what was built

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEEDS ?= 10000
KILLS ?= 1000
EXAMPLES ?= 200
WORKERS ?= 2

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tests start Segue as a process hundreds of times. Without bytecode each compiles all sources, which triples its start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test test-fast check check-types check-architecture bench simulate kill-campaign undo-campaign fuzz fail-at-write lock clean env env-run

help:
	@sed -n 's/^#   //p' Makefile

# --- environments -----------------------------------------------------------------------------

$(BIN)/python:
	@scripts/make-venv "$(PYTHON)" "$(VENV)"

$(VENV)/.run: requirements/run.lock pyproject.toml | $(BIN)/python
	@echo "installing what Segue needs (locked, with hashes)"
	@$(BIN)/python -m pip install -q --require-hashes -r requirements/run.lock
	@$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.lock pyproject.toml | $(VENV)/.run
	@echo "installing what the tests need (locked, with hashes)"
	@$(BIN)/python -m pip install -q --require-hashes -r requirements/dev.lock
	@$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $@

env-run: $(VENV)/.run
env: $(VENV)/.dev $(VENV)/oidc-node/.done

# The OpenID provider that the tests sign in at.
$(VENV)/oidc-node/.done: requirements/oidc-node/package-lock.json | $(BIN)/python
	@mkdir -p $(@D) && cp requirements/oidc-node/*.json $(@D)/
	@if command -v npm >/dev/null && (cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund --silent); then touch $@; \
	  else echo "npm is missing, or could not install: SINGLE SIGN-ON WILL NOT BE TESTED"; fi

# --- run --------------------------------------------------------------------------------------

run: env-run
	@$(BIN)/python -m scripts.demo $(DEMO)

# --- test -------------------------------------------------------------------------------------

# The checks have played the architecture tests.
test: env check
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --ignore tests/architecture

test-fast: env
	@$(BIN)/python -m pytest -n $(WORKERS) tests/unit tests/property tests/architecture -m "not full"

check: env
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(MAKE) --no-print-directory -j 2 -O check-types check-architecture

check-types:
	@$(BIN)/mypy

check-architecture:
	@$(BIN)/python -m pytest tests/architecture

# --- measure ----------------------------------------------------------------------------------

BENCH ?=
PEERS := .venv-bench

$(PEERS)/.done: requirements/bench.lock requirements/bench-node/package-lock.json
	@scripts/make-venv "$(PYTHON)" "$(PEERS)"
	@echo "installing the engines to measure beside (locked, with hashes)"
	@$(PEERS)/bin/python -m pip install -q --require-hashes -r requirements/bench.lock
	@mkdir -p $(PEERS)/node && cp requirements/bench-node/*.json $(PEERS)/node/
	@if command -v npm >/dev/null; then cd $(PEERS)/node && npm ci --ignore-scripts --no-audit --no-fund --silent; \
	  else echo "npm is missing: Restate will not be measured"; fi
	@touch $@

bench: env $(if $(filter-out 0,$(BENCH_PEERS)),$(PEERS)/.done)
	@BENCH_PEERS=$(BENCH_PEERS) $(BIN)/python -m bench $(BENCH)

simulate: env
	@$(BIN)/python -m segue.hosts.simulated --seeds $(SEEDS) --workers $(WORKERS)

kill-campaign: env
	@$(BIN)/python -m scripts.campaigns.kill --kills $(KILLS) $(CAMPAIGN)

undo-campaign: env
	@$(BIN)/python -m scripts.campaigns.undo --kills $(KILLS) $(CAMPAIGN)

fuzz: env
	@SEGUE_FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -n $(WORKERS) tests/integration/test_api_fuzzed.py

fail-at-write: env
	@$(BIN)/python -m scripts.campaigns.writes

# --- housekeeping -----------------------------------------------------------------------------

lock: $(BIN)/python
	@scripts/lock "$(BIN)"

clean:
	rm -rf $(VENV) $(PEERS) .mypy_cache .ruff_cache .pytest_cache .hypothesis var
