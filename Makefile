# The two commands: `make demo` shows everything working, `make test` proves it. Both install what they need into .venv.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed

.PHONY: demo test check up bench docs floor pythons test-live proto clean help

help:            ## what can be made here
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	@echo "Installing into $(VENV) (once, about a minute) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

demo: $(READY)   ## emulator + real Airflow + every example pipeline, then compare every row
	@$(BIN)/python -m tests.system.demo

test: $(READY)   ## every test that needs no cloud account, in under ten minutes
	@$(BIN)/python -m pytest -q

check: $(READY)  ## ruff, mypy, import directions
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/unit/test_import_direction.py

up: $(READY)     ## emulator and Airflow with its web UI, to try things by hand
	@$(BIN)/python -m tests.system.up
