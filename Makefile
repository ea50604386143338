# Two commands on a fresh machine with Python 3.11, pip, make and git: `make run`, `make test`.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# The interpreter that the environment is made from. Given explicitly, another one remakes it.
PYTHON ?= $(firstword $(shell command -v python3.11 python3 python))
# People in the sample census, 100 to 1,000,000.
EMPLOYEES ?= 20000
# The study that `make run` runs.
STUDY ?= configs/compensation-2026.yaml

# Processes that share the tests.
TESTERS ?= 3
# Where `make ui` listens, on 127.0.0.1 alone, and where Dagster keeps its runs.
UI_PORT ?= 3000
UI_HOME ?= $(CURDIR)/results/.dagster/home

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
MADE_FROM := $(VENV)/.made-from
CENSUS := dbt/data/census.parquet
CENSUS_SIZE := $(VENV)/.census-$(EMPLOYEES)

# Tests and benchmarks share the machine: one thread for each numeric library.
export OMP_NUM_THREADS ?= 1
export RAY_USAGE_STATS_ENABLED := 0

# Given on the command line and not what .venv was made from: make it anew.
ifneq ($(origin PYTHON),file)
ifneq ($(shell cat $(MADE_FROM) 2>/dev/null),$(PYTHON))
OTHER_PYTHON := yes
$(MADE_FROM): FORCE
endif
endif

FORCE:
.PHONY: FORCE help install census run ui test test-long test-versions test-faults docs lint format bench clean

help: ## List the commands.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20
	@echo
	@echo "Variables: PYTHON=$(PYTHON) EMPLOYEES=$(EMPLOYEES) STUDY=$(STUDY)"

install: $(INSTALLED) ## Make the environment in .venv from the lock (done by the others when needed).

$(MADE_FROM):
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || \
	  { echo "make: Python 3.11 is needed, but PYTHON is '$(PYTHON)'; name one: make run PYTHON=/path/to/python3.11" >&2; exit 2; }
	@if [ -n "$(OTHER_PYTHON)" ] || [ ! -x $(BIN)/python ]; then "$(PYTHON)" -m venv --clear $(VENV); fi
	@echo "$(PYTHON)" > $@

$(INSTALLED): $(MADE_FROM) constraints.txt pyproject.toml
	@echo "make: installing $$(grep -c == constraints.txt) packages from the lock into $(VENV) (once, 1 to 3 minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps -r constraints.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-build-isolation -e .
	@$(BIN)/python -m pip --disable-pip-version-check check >/dev/null || $(BIN)/python -m pip check
	@touch $@

census: $(CENSUS) ## Write the sample census (EMPLOYEES=20000) to dbt/data/census.parquet.

# Made again only for another size or by another generator: the same census is the same baseline.
$(CENSUS_SIZE): | $(INSTALLED)
	@if [ -e $(CENSUS) ] && ! ls $(VENV)/.census-* >/dev/null 2>&1; then \
	  echo "make: $(CENSUS) was not made here; move it away, or use it with --var census_path=..." >&2; exit 2; fi
	@rm -f $(VENV)/.census-* && touch $@

$(CENSUS): $(CENSUS_SIZE) dbt/macros/sample_census.sql dbt/macros/draw.sql
	@echo "make: writing a sample census of $(EMPLOYEES) employees to $@"
	@mkdir -p $(@D)
	@cd dbt && WORKFORCE_DB=:memory: ../$(BIN)/dbt --quiet run-operation write_sample_census \
	  --args '{employees: $(EMPLOYEES), path: data/census.parquet}' || { rm -f ../$@ ../$(CENSUS_SIZE); exit 1; }
	@touch $@

run: $(CENSUS) ## Find the parameters that meet the targets of STUDY; needs nothing but Python 3.11.
	@$(BIN)/scenario-search run $(STUDY) || { code=$$?; \
	  [ $$code -eq 3 ] && $(BIN)/scenario-search status $(STUDY) --json | \
	    grep -q '^  "reason_code": "targets_missed"' || exit $$code; }

ui: $(CENSUS) ## Open Dagster's UI on 127.0.0.1 (UI_PORT=3000): studies, scenarios, simulation.
	@DAGSTER_HOME="$(UI_HOME)" $(BIN)/python -m dagster_defs
	@echo "make: the UI opens at http://127.0.0.1:$(UI_PORT); Ctrl-C ends it"
	@DAGSTER_HOME="$(UI_HOME)" $(BIN)/python -m dagster_defs.ui -m dagster_defs.definitions -h 127.0.0.1 -p $(UI_PORT)

# One room's tests start no dbt, Ray, Dagster or browser: seconds, while that room is worked on.
ROOM ?=
QUICK := not (dbt or ray or dagster or browser or fault)
ROOM_TESTS = tests/$(ROOM) $(wildcard search/$(ROOM)) tests/docs/test_architecture.py

test: $(INSTALLED) ## Run all tests, doctests and the commands in README and docs (ROOM=study: one room's quick ones).
	@$(BIN)/python -m compileall -q search dagster_defs # also where Python is told to keep no bytecode
	@$(BIN)/python -m pytest -q --durations=15 --durations-min=1 \
	  $(if $(ROOM),-n0 -m "$(QUICK)" $(ROOM_TESTS),-n $(TESTERS) --dist loadfile --no-loadscope-reorder)

test-long: $(INSTALLED) ## Run what takes minutes and has a short form in make test (before a release).
	@$(BIN)/python -m pytest -q -m long --durations=15 -n $(TESTERS) --dist loadfile --no-loadscope-reorder

test-versions: $(INSTALLED) ## Try the wheel on each Python and with the lowest and newest packages (docs/versions.md).
	@$(BIN)/python tests/versions.py --write

test-faults: $(INSTALLED) ## Kill, starve and disturb real processes, all cases (docs/reliability.md).
	@FAULTS=all $(BIN)/python -m pytest -q -m fault

docs: $(INSTALLED) ## Build the documentation as a site in site/ (opens without a server).
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

lint: $(INSTALLED) ## Check style, types (strict) and SQL.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@cd dbt && WORKFORCE_DB=:memory: ../$(BIN)/sqlfluff lint --disable-progress-bar --processes 0 .

format: $(INSTALLED) ## Put Python files into form.
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(INSTALLED) ## Measure seconds a candidate, small (BENCH="--employees 100000" for more).
	@$(BIN)/python benchmarks/evaluation.py $(BENCH)

clean: ## Remove what make made: environment, results, sample census, caches.
	@rm -rf $(VENV) results dbt/data/census.parquet dbt/target dbt/logs dbt/.user.yml logs
	@rmdir dbt/data 2>/dev/null || true
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info build dist site
	@find search tests benchmarks dagster_defs -type d -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
