# One command for each thing one does here. `make help` lists them.
#
# Everything runs from .venv, which is made from requirements/dev.txt (exact versions, with hashes)
# when it is missing or out of step, and left alone, silently, when it is not.

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

ARGS ?=
MINUTES ?= 10
# How many processes share the tests: a number, or `logical` for one on each core.
# One more than there are cores: tests of real nodes wait as much as they compute.
JOBS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
# The Python to make .venv with; empty means: the first suitable one.
PYTHON ?=
export PYTHON

# Tests and demos start hundreds of processes; where nothing may be kept, each would compile everything anew.
export PYTHONDONTWRITEBYTECODE :=

BIN := .venv/bin
# Who runs out of tests takes half of what another has before it, so that a long module holds nobody up.
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist worksteal
# Named after the folder, so that a clone that was moved is set up again.
STAMP := .venv/.setup-$(firstword $(shell pwd | cksum))
# No index, host or path of the machine that locks may end up in the lock.
PIP_COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --strip-extras \
	--allow-unsafe --generate-hashes --no-emit-index-url --no-emit-find-links \
	--no-emit-trusted-host --no-emit-options --resolver=backtracking

.PHONY: help setup demo bench test tiers test-quick lint format soak lock proto clean distclean

help: ## show this list
	@echo 'Konkordat: several copies, every one writable, no coordinator, and rules that hold anyway.'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  ARGS="…" is handed on:   make demo ARGS="--keep"    make test ARGS="tests/unit -k hlc"'
	@echo '  JOBS=…    processes:     make test JOBS=1    (one more than there are cores if absent)'
	@echo '  PYTHON=…  picks one:     make setup PYTHON=python3.12'

setup: $(STAMP) ## make .venv from the locked dependencies (the others do this by themselves)
	@:

$(STAMP): requirements/dev.txt pyproject.toml tools/setup.sh
	@tools/setup.sh $@

demo: setup ## five nodes keep one conference programme in agreement, before your eyes
	@$(BIN)/konkordat demo $(ARGS)

bench: setup ## measure: delay from commit to visible elsewhere, and sustained changes per second
	@$(BIN)/konkordat bench $(ARGS)

test: setup ## everything that must pass: ruff, mypy --strict, and every tier of tests
	@$(MAKE) --no-print-directory --jobs=2 lint tiers

tiers: setup ## every tier of tests, without ruff and mypy
	@$(PYTEST) $(ARGS)

test-quick: setup ## the tiers that take seconds: no processes, no simulation, nothing slow
	@$(PYTEST) -m 'not slow' --ignore=tests/simulation --ignore=tests/integration \
		--ignore=tests/acceptance $(ARGS)

lint: setup ## ruff (rules and format) and mypy --strict
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { echo 'make format would mend this:' >&2; \
		$(BIN)/ruff format --check . >&2; exit 1; }
	@$(BIN)/mypy --no-error-summary

format: setup ## let ruff arrange the code and sort the imports
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

soak: setup ## the long campaigns, and one page about them: make soak MINUTES=30
	@$(BIN)/python -m konkordat.testing.soak --minutes $(MINUTES) $(ARGS)

lock: setup ## lock the dependencies again after a change of pyproject.toml (ARGS=--upgrade for newer ones)
	@$(PIP_COMPILE) --output-file requirements/runtime.txt $(ARGS) pyproject.toml
	@$(PIP_COMPILE) --output-file requirements/dev.txt --extra dev \
		--constraint requirements/runtime.txt $(ARGS) pyproject.toml

proto: setup ## write src/konkordat/wire/konkordat_pb2.py again from spec/konkordat.proto
	@$(BIN)/python -m grpc_tools.protoc --proto_path=spec --python_out=src/konkordat/wire \
		--pyi_out=src/konkordat/wire spec/konkordat.proto

clean: ## remove what tools and builds leave behind (keeps .venv)
	@rm -rf build dist reports .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## the same, and .venv too
	@rm -rf .venv
