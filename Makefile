# The two commands: `make demo` shows everything working, `make test` proves it. Both install what they need into .venv.
PYTHON      ?= python3
VENV        ?= .venv
CONSTRAINTS ?= constraints.txt
BIN         := $(VENV)/bin
READY       := $(VENV)/.installed
E2E         := $(VENV)/.e2e-installed
PARALLEL    ?= -n auto --maxprocesses 4 --dist loadfile

.PHONY: demo test check up test-system test-kills test-celery test-e2e test-bench test-live conformance bench fuzz docs proto floor pythons wheels clean help

help:            ## what can be made here
	@grep -hE '^[a-z0-9-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 14

$(READY): pyproject.toml $(CONSTRAINTS) build_native.py $(wildcard airflow_tablestore/native/*.[ch])
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=/path/to/python3.12")'
	@echo "Installing into $(VENV) (once, about a minute) ..."
	@[ -x $(BIN)/pip ] || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e ".[dev]"
	@touch $@

$(E2E): $(READY)
	@$(BIN)/pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e ".[e2e]"
	@touch $@

demo: $(READY)   ## emulator + real Airflow + every pipeline of dags/, then compare every row (two or three minutes)
	@$(BIN)/python -m tests.system.demo

test: $(READY)   ## every test that needs no cloud account, in under ten minutes
	@$(BIN)/python -m pytest -q $(PARALLEL)

check: $(READY)  ## ruff, mypy, import directions
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/unit/test_import_direction.py

up: $(READY)     ## emulator and Airflow with its web UI, to try things by hand
	@$(BIN)/python -m tests.system.up

test-system: $(READY) ## kills, clears and frozen attempts in a real Airflow (some minutes)
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -o testpaths= tests/system

test-kills: $(READY) ## a hundred workers of a tunnel killed under load, for each sink (KILLS=, SEED=; minutes)
	@KILLS=$(KILLS) $(BIN)/python -m pytest -q -s -o testpaths= tests/kills

test-celery: $(E2E) ## runs over two Celery workers, one of them killed (PostgreSQL and Redis from Debian)
	@$(BIN)/python -m tests.system.debian postgresql redis
	@$(BIN)/python -m pytest -q -o testpaths= tests/scale_out

test-e2e: $(E2E) ## clicks in Airflow's web UI: triggers, backfills (PostgreSQL and Chromium from Debian)
	@$(BIN)/python -m tests.system.debian postgresql chromium
	@$(BIN)/python -m pytest -q -o testpaths= tests/e2e

test-live: $(READY) ## the same pipelines against your own account; says which variables it needs
	@$(BIN)/python -m pytest -q -o testpaths= tests/live

conformance: $(READY) ## official clients in Python, Node, Go and Java against the emulator, each a process
	@$(BIN)/python -m pytest -q -o testpaths= tests/judges

bench: $(READY)  ## speed and memory against others, into docs/benchmarks; ONLY=emulator|reading|specs|windows|tunnels|warehouse|snapshots|flame|runs: a part
	@$(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY))

test-bench: $(READY) ## every part of the bench with tiny tables: it runs, and measures what was written (two minutes)
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -o testpaths= tests/bench

fuzz: $(READY)   ## damaged blocks for the C library, under sanitizers (three minutes)
	@$(BIN)/python -m tests.fuzz

proto: $(READY)  ## generate the message classes anew (needs grpcio-tools)
	@$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. airflow_tablestore/wire/proto/*.proto

docs: $(READY)   ## write the generated reference pages anew
	@$(BIN)/python -m tests.docs.generate

floor:           ## the lowest Airflow that is supported: its own environment, the tests that touch Airflow, the demo
	@$(MAKE) --no-print-directory VENV=.venv-floor CONSTRAINTS=constraints-floor.txt .venv-floor/.installed
	@.venv-floor/bin/airflow version
	@.venv-floor/bin/python -m pytest -q $(PARALLEL) tests/unit tests/dags
	@$(MAKE) --no-print-directory VENV=.venv-floor CONSTRAINTS=constraints-floor.txt demo

pythons:         ## every other supported Python that is on this machine: unit, integration and DAG tests
	@for v in 3.12 3.13; do \
	  p=$$(python$$v -c 'import sys; print(sys.executable)' 2>/dev/null || ls -d $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$v.*/bin/python 2>/dev/null | tail -1); \
	  if [ -z "$$p" ]; then echo "Python $$v is not on this machine: not tested"; continue; fi; \
	  $(MAKE) --no-print-directory PYTHON=$$p VENV=.venv-$$v .venv-$$v/.installed && \
	  .venv-$$v/bin/python -m pytest -q $(PARALLEL) || exit 1; \
	done

WHEELS = x86_64-linux-gnu.2.17=manylinux_2_17_x86_64 aarch64-linux-gnu.2.17=manylinux_2_17_aarch64 \
	x86_64-linux-musl=musllinux_1_2_x86_64 aarch64-linux-musl=musllinux_1_2_aarch64 \
	x86_64-macos.11.0-none=macosx_11_0_x86_64 aarch64-macos.11.0-none=macosx_11_0_arm64 x86_64-windows-gnu=win_amd64

wheels:          ## a wheel for each platform, cross-compiled here (the first time some minutes), and one without C
	@[ -x .venv-wheels/bin/pip ] || $(PYTHON) -m venv --clear .venv-wheels
	@.venv-wheels/bin/pip install --quiet --disable-pip-version-check build hatchling ziglang
	@for w in $(WHEELS); do \
	  CC="$(CURDIR)/.venv-wheels/bin/python -m ziglang cc -target $${w%%=*}" TABLESTORE_WHEEL_PLATFORM=$${w##*=} \
	    .venv-wheels/bin/python -m build --no-isolation --wheel --outdir dist . >.venv-wheels/log 2>&1 \
	    || { cat .venv-wheels/log; exit 1; }; echo "dist: $${w##*=}"; \
	done
	@CC=/without-a-compiler .venv-wheels/bin/python -m build --no-isolation --outdir dist . >.venv-wheels/log 2>&1 \
	  || { cat .venv-wheels/log; exit 1; }; echo "dist: any, and the source"

clean:           ## remove environments, caches and what demo and up have left
	@rm -rf .venv .venv-* .demo .up .bench .judges .pytest_cache .mypy_cache .ruff_cache .hypothesis
