# Every command a newcomer needs; `make help` lists them.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do command -v $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 3# of `make test`, more than cores: tests wait for servers; each has servers of its own
RUNS ?= 50
SEED ?= 1
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# What a machine may set: each of the hundred programs the tests start would be compiled anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install install-dev demo test test-db test-full check chaos bench bench-ingest bench-steps bench-long bench-storage bench-audit bench-access evaluate-environment evaluate-leakage evaluate-parking lock clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

install: $(VENV)/.runtime ## make .venv with what `make demo` needs
install-dev: $(VENV)/.dev ## make .venv with the tools for tests and checks

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: no python3 found; install Python 3.11 or newer"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is older than 3.11; set PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "make: cannot make a virtual environment; on Debian and Ubuntu install python3-venv"; exit 2; }

$(VENV)/.runtime: requirements.lock pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) --require-hashes -r requirements.lock
	$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(PIP_INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

demo: $(VENV)/.runtime ## run the whole platform on embedded parts and print its address
	@$(BIN)/lab demo

test: $(VENV)/.dev ## tests on embedded PostgreSQL and NATS (Mosquitto and Chromium where installed)
	$(BIN)/pytest -q -rs -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not long"

test-db: $(VENV)/.dev ## the database tests alone; LAB_TEST_DATABASE_URL names another server
	$(BIN)/pytest -q -rs -m "database and not long and not browser"

test-full: $(VENV)/.dev ## everything, long tests whole
	LAB_TEST_FULL=1 $(BIN)/pytest -q

check: $(VENV)/.dev ## ruff, mypy strict, import rules, size budgets, secrets, known vulnerabilities
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/test_project.py
	$(BIN)/python -m tests.checks.secrets
	$(BIN)/python -m tests.checks.advisories

chaos: $(VENV)/.dev ## kill, stop, pause, cut, hold and fill up under load; RUNS=50 SEED=1; ends with one JSON line
	@$(BIN)/python -m tests.chaos --runs $(RUNS) --seed $(SEED)

bench: $(VENV)/.dev ## speeds, as ratios to something measured beside them
	$(BIN)/python -m tests.bench

bench-ingest: $(VENV)/.dev ## ingest beside a bare loop and COPY; LAB_BENCH_TELEGRAF=file adds Telegraf
	$(BIN)/python -m tests.bench.ingest

bench-steps: $(VENV)/.dev ## where the time of ingest goes
	$(BIN)/python -m tests.bench.ingest_steps

bench-long: $(VENV)/.dev ## ingest into a table of LAB_BENCH_ROWS readings (200 million)
	$(BIN)/python -m tests.bench.ingest_long

bench-storage: $(VENV)/.dev ## bytes of a reading; LAB_TEST_TIMESCALE_URL names TimescaleDB community
	$(BIN)/python -m tests.bench.storage

bench-audit: $(VENV)/.dev ## what auditing costs a write; a million rows sealed and verified
	$(BIN)/python -m tests.bench.audit

bench-access: $(VENV)/.dev ## what access control costs a request
	$(BIN)/python -m tests.bench.access

evaluate-leakage: $(VENV)/.dev ## leaks of third-party data in DATA=folder, beside published baselines
	$(BIN)/python -m tests.bench.leakage "$(DATA)"

evaluate-environment: $(VENV)/.dev ## air and river data of others in DATA=folder, beside official figures
	$(BIN)/python -m tests.bench.environment "$(DATA)"

evaluate-parking: $(VENV)/.dev ## stays and occupancy of third-party data in DATA=folder, beside anchors
	$(BIN)/python -m tests.bench.parking "$(DATA)"

lock: ## resolve the lock files anew (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra embedded --extra parquet --group build pyproject.toml -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra embedded --extra parquet --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -c requirements.lock pyproject.toml -o deploy/requirements.lock

clean: ## remove what the commands above made
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
