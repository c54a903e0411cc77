# Two commands for a fresh machine with Python 3.11 or later, git and make:
#   make demo    runs the main job on the shipped example
#   make test    passes the tests
# Both make their own environment in $(VENV) and use it again the next time.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
UV := $(BIN)/python -m uv
UV_VERSION := 0.13.8
# An empty cache directory elsewhere is not ours to rely on: hard links may not reach it.
export UV_LINK_MODE ?= copy
export UV_PYTHON_DOWNLOADS ?= never

.PHONY: demo test check lint types bench lock clean

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "holdfast needs Python 3.11 or later; none was found. Set PYTHON=/path/to/python3." >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) could not make a virtual environment in $(VENV); on Debian: apt-get install python3-venv" >&2; exit 2; }

$(VENV)/.uv-$(UV_VERSION): $(BIN)/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"
	@touch $@

$(VENV)/.run: $(VENV)/.uv-$(UV_VERSION) requirements/run.txt pyproject.toml
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/run.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

demo: $(VENV)/.run
	@$(BIN)/python examples/docs_agent/demo.py

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/pyright

check: lint types test

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks $(ARGS)

# Hashes, but no addresses: the lock serves any package index.
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate
lock: $(VENV)/.uv-$(UV_VERSION)
	$(LOCK) --extra cli pyproject.toml -o requirements/run.txt
	$(LOCK) --all-extras --group dev -c requirements/run.txt pyproject.toml -o requirements/dev.txt

clean:
	rm -rf $(VENV)
