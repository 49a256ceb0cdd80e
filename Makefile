# One word, one command; CI runs the same ones.
PYTHON ?= $(shell deploy/setup/python.sh)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run demo check test bench clean

run: $(VENV)/run.stamp
	@$(BIN)/python -m signaling

demo: $(VENV)/dev.stamp $(VENV)/system.stamp
	@$(BIN)/python -m tests.e2e.demo

check: $(VENV)/dev.stamp node_modules/.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports --no-logo
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/node node_modules/typescript/bin/tsc -p clients/web

test: $(VENV)/dev.stamp $(VENV)/system.stamp node_modules/.stamp
	$(BIN)/pytest

bench: $(VENV)/dev.stamp
	$(BIN)/python -m load_tests one_to_one --calls 20 --seconds 10
	$(BIN)/python -m load_tests room --senders 1 --receivers 50 --seconds 10

clean:
	rm -rf $(VENV) node_modules build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/bin/pip:
	@echo "Setting up Python's environment…" >&2
	@deploy/setup/venv.sh $(PYTHON) $(VENV)

$(VENV)/run.stamp: pyproject.toml $(VENV)/bin/pip
	@echo "Installing what the server needs…" >&2
	@PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/dev.stamp: pyproject.toml $(VENV)/bin/pip
	@echo "Installing what checks and tests need…" >&2
	@PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --editable ".[dev]"
	@touch $@ $(VENV)/run.stamp

$(VENV)/system.stamp: deploy/setup/test-packages.txt deploy/setup/system.sh | $(VENV)/bin/pip
	@echo "Installing Debian packages for tests…" >&2
	@deploy/setup/system.sh deploy/setup/test-packages.txt
	@touch $@

node_modules/.stamp: package.json package-lock.json $(VENV)/dev.stamp
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --silent --no-audit --no-fund
	@touch $@
