# Everything that a person runs here. `make` alone lists it.
# Each target makes .venv when it is missing and is quick when it is there; nothing runs in parallel.
.DEFAULT_GOAL := help
.NOTPARALLEL:
SHELL := /bin/bash

# The first interpreter that runs and fits. Another one: make lab PYTHON=/path/to/python3.12
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3 python; do \
	$$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 && echo $$name && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -c constraints.txt
LESSONS := notebooks/[0-9][0-9]_*.ipynb
NBVAL := $(BIN)/python -m pytest --nbval-lax --nbval-current-env

.PHONY: help lab test test-full check notebooks experiments scoreboard assignments instructor site

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1#\2/p' Makefile | column -t -s '#' 2>/dev/null || grep '##' Makefile

lab: .venv/.stamp-core  ## set up and open JupyterLab at the first lesson (ARGS="--no-browser --port 8899")
	$(BIN)/python -m sslkit lab $(ARGS)

test: .venv/.stamp-test  ## set up and test: units, every lesson shortened, its solutions, one lesson in a browser
	$(BIN)/python -m pytest -m "not notebook and not browser and not full" tests
	$(BIN)/python -m pytest -m "notebook and not full" tests
	SSLKIT_FAST=1 $(NBVAL) --nbval-cell-timeout=120 $(LESSONS)
	$(BIN)/python -m pytest -m "browser and not full" tests

test-full: .venv/.stamp-test site  ## the same with every lesson at full length, every lesson and every page in a browser
	$(BIN)/python -m pytest -m "not browser" tests
	$(NBVAL) --nbval-cell-timeout=600 $(LESSONS)
	$(BIN)/python -m pytest -m "browser" tests

check: .venv/.stamp-test  ## lint, types, quick unit tests, and whether the notebooks agree with their sources
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python notebooks/build.py --check
	$(BIN)/python -m pytest -q -m "not slow and not notebook and not browser and not full" tests

notebooks: .venv/.stamp-test  ## build and run the lessons from notebooks/src (ARGS="01 05")
	$(BIN)/python notebooks/build.py $(ARGS)

experiments: .venv/.stamp-core  ## measure what is too long for a lesson (LESSON=01; default all), resumable
	@ls notebooks/experiments/$(or $(LESSON),[0-9][0-9]).py >/dev/null
	set -e; for script in notebooks/experiments/$(or $(LESSON),[0-9][0-9]).py; do $(BIN)/python $$script $(ARGS); done

scoreboard: .venv/.stamp-core  ## measure what the scoreboard lacks, and print it (ARGS="--methods simclr --budget long")
	$(BIN)/python notebooks/experiments/scoreboard.py $(ARGS)

assignments: .venv/.stamp-test  ## build the assignments' student releases (ARGS="A1 A3")
	$(BIN)/python notebooks/assignments/build.py $(ARGS)

instructor: .venv/.stamp-core .venv-instructor/.stamp  ## set up nbgrader, apart from the students' environment

site: .venv-site/.stamp  ## build the course as pages to read without a network: build/site/index.html
	.venv-site/bin/python notebooks/site/vendor.py
	rm -rf build/site build/doctrees
	.venv-site/bin/python -m sphinx -W --keep-going -q -c notebooks/site -d build/doctrees . build/site
	@echo "The pages are in build/site; open build/site/index.html."

# ---------------------------------------------------------------------------------------------------------------------

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 found. Install one, or say where it is: make PYTHON=/path/to/python3.12 …"; exit 1; }
	@"$(PYTHON)" -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else "$(PYTHON) is Python %d.%d; sslkit needs 3.11, 3.12 or 3.13. Try: make PYTHON=python3.12 …" % v)'
	@echo "Making .venv with $(PYTHON). The first time downloads PyTorch: about 3 minutes and 6 GB of disk on Linux."
	"$(PYTHON)" -m venv .venv || { rm -rf .venv; echo "Could not make .venv; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

.venv/.stamp-core: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e .
	@touch $@

.venv/.stamp-test: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e ".[test]"
	@touch .venv/.stamp-core $@

# nbgrader puts four extensions into JupyterLab, so it gets an environment of its own. It holds no PyTorch: the kernel
# that runs students' code is the one of .venv.
.venv-instructor/.stamp: constraints.txt | $(BIN)/python
	$(BIN)/python -m venv .venv-instructor
	.venv-instructor/bin/python -m pip --disable-pip-version-check install -c constraints.txt nbgrader
	$(BIN)/python -m ipykernel install --prefix .venv-instructor --name sslkit --display-name sslkit
	@touch $@

# Reading needs no PyTorch, so neither does the environment that makes the pages.
.venv-site/.stamp: constraints.txt | $(BIN)/python
	$(BIN)/python -m venv .venv-site
	.venv-site/bin/python -m pip --disable-pip-version-check install -c constraints.txt sphinx myst-nb furo
	@touch $@
