# Everything happens in ./.venv, made from Python and make alone. Works with GNU make 3.81 and later.

# A Python of 3.11 to 3.14 to make .venv with; when none is named, the first of these that fits.
PYTHON ?=
CANDIDATES := $(if $(PYTHON),"$(PYTHON)",python3 python3.14 python3.13 python3.12 python3.11)
FITS := -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))'
TELL := -c 'import sys; print(sys.version.split()[0])'
IS_A_VENV_WITH_PIP := -c 'import pip, sys; sys.exit(sys.prefix == sys.base_prefix)'
POETRY ?= poetry

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --require-virtualenv --quiet --disable-pip-version-check --no-input
# Stamps: each is written last, when all before it went well.
MADE := $(VENV)/.made-in
RUN := $(VENV)/.installed-to-run
DEV := $(VENV)/.installed-to-develop

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help backtest test test-servers soak lint bench calendar lock clean again

help: ## show this list
	@echo 'make TARGET, or make PYTHON=/path/to/python3.12 TARGET to choose the Python of a new .venv'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

backtest: $(RUN) ## backtest a year of simulated bars into output/demo/trades.csv
	@$(BIN)/python -m trading_playbook.cli.backtest --feed simulated --symbol QQQ \
		--start 2025-01-02 --end 2025-12-31 --output output/demo/trades.csv

# Two workers: many tests start processes and wait for them, and two cores is what a small runner has.
# It also shows a test that leans on the order of the others.
test: lint ## run every check and the tests: what must pass before a commit
	$(BIN)/python -m pytest -n 2 -rs

test-servers: $(DEV) ## run the contract tests on servers that Go builds; skips aloud
	@tests/servers/run.sh $(BIN)/python

soak: $(DEV) ## run the long counts: hundreds of kills, races and examples
	$(BIN)/python -m pytest -n 2 -m soak

lint: $(DEV) ## run every check but the tests: ruff, mypy, import-linter
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy --strict
	$(BIN)/lint-imports --no-logo

bench: $(DEV) ## measure against other ways to do the same, and print the ratios
	@$(BIN)/python -m benchmarks

calendar: $(DEV) ## write the table of the exchange's sessions again
	@$(BIN)/python tools/generate_calendar.py

lock: ## with Poetry and its export plugin: lock again, write both requirement files
	$(POETRY) lock
	$(call write-export,requirements.txt,$(RUN_GROUPS))
	$(call write-export,requirements-dev.txt,$(DEV_GROUPS))

clean: ## remove .venv and what the tools left; journals and data stay
	rm -rf $(VENV) .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist tests/servers/.built
	find src tests benchmarks tools -name __pycache__ -prune -exec rm -rf {} +

RUN_GROUPS := --only main,build
DEV_GROUPS := --with build,dev,bench

# $(call write-export,FILE,GROUPS): through a new file, so that a failure leaves the old one
define write-export
@{ printf '# Written by "make lock", not by hand, from poetry.lock:\n#   poetry export %s\n' '$(2)'; \
	$(POETRY) export --format requirements.txt $(2); } > $(1).new && mv $(1).new $(1) || { rm -f $(1).new; exit 1; }
endef

# A .venv that was copied from elsewhere still runs the code of the folder it was made in, and one whose Python
# is gone runs nothing: both are made again.
ifneq ($(shell test -x $(BIN)/python && cat $(MADE) 2>/dev/null),$(CURDIR))
$(MADE): again
again: ;
endif

# One that somebody made otherwise, with Poetry for instance, is kept where it can be used.
$(MADE):
	@if ! test -e $(MADE) && $(BIN)/python $(FITS) && $(BIN)/python $(IS_A_VENV_WITH_PIP); then exit 0; fi 2>/dev/null; \
	for python in $(CANDIDATES); do \
		if "$$python" $(FITS) 2>/dev/null; then rm -f $(MADE); exec "$$python" -m venv --clear $(VENV); fi; \
	done; \
	for python in $(CANDIDATES); do echo "$$python is $$("$$python" $(TELL) 2>/dev/null || echo not there)"; done >&2; \
	echo 'None of these is a Python of 3.11 to 3.14. Name one: make PYTHON=/path/to/python3.12 TARGET' >&2; exit 1
	@rm -f $(RUN) $(DEV)
	@pwd -P > $(MADE)

$(RUN): $(MADE) requirements.txt pyproject.toml
	@echo 'Installing what the program needs into $(VENV) (a minute, once)'
	@rm -f $(RUN) $(DEV)
	@$(PIP) install --require-hashes -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $(RUN)

# The second file holds the first, so this makes both.
$(DEV): $(MADE) requirements-dev.txt pyproject.toml
	@echo 'Installing what the checks and tests need into $(VENV) (a minute or two, once)'
	@rm -f $(RUN) $(DEV)
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $(RUN) $(DEV)
