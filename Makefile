# jlgc_mailer: every target makes its own virtual environment from the lock files.
PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo serve test check lint types contracts lock-check lock chaos fuzz bench bench-send bench-feedback picture clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else "jlgc_mailer needs Python 3.11 to 3.13; name one with: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV) (once) ..."
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps --editable .
	@touch $@

$(DEV): requirements-dev.lock $(RUNTIME)
	@echo "Installing the development tools into $(VENV) (once) ..."
	$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

demo: $(RUNTIME) ## send the sample issue to 1,000 generated subscribers (ARGS=--exit leaves at the end)
	$(BIN)/jlgc-mailer demo $(ARGS)

serve: $(RUNTIME) ## web pages, worker and beat in one process, on SQLite
	$(BIN)/jlgc-mailer serve $(ARGS)

test: $(DEV) ## the tests, on SQLite + memory and on PostgreSQL + Valkey
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

check: lint types contracts lock-check test ## everything that must be clean before a commit lands

lint: $(DEV) ## ruff: style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV) ## mypy --strict
	$(BIN)/mypy

contracts: $(DEV) ## the layers of the house
	$(BIN)/lint-imports

lock-check: $(DEV) ## the lock files answer pyproject.toml and name no host
	$(BIN)/python .ci/check_lock.py

lock: $(DEV) ## write the lock files anew
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --upgrade pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --upgrade --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

chaos: $(DEV) ## kill -9 of everything while newsletters go out, and everybody counted; up to 8 minutes (ARGS="--pair sqlite")
	$(BIN)/python -m tests.chaos $(ARGS)

fuzz: $(DEV) ## reports made up by a fuzzer, for ten minutes (Linux; ARGS=-max_total_time=3600)
	$(PIP) atheris==3.0.0
	$(BIN)/python -m tests.fuzz.reports -max_total_time=600 $(ARGS)

bench: $(DEV) ## benchmarks; each prints ratios measured in one run
	$(BIN)/python -m bench $(ARGS)

bench-send: $(DEV) ## sending against smtp-source, a naive sender and smtplib (needs Debian's postfix; ARGS=--quick)
	$(BIN)/python -m bench.sending $(ARGS)

bench-feedback: $(DEV) ## reading reports against the standard library's parser; 100,000 to their verdicts (ARGS=--quick)
	$(BIN)/python -m bench.feedback $(ARGS)

picture: $(DEV) ## draw docs/newsletter.png anew (needs Debian's chromium and fonts-noto-cjk)
	$(BIN)/python docs/picture.py

clean: ## remove the virtual environment and the demo's home
	rm -rf $(VENV) demo-home
