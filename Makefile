PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test test-slow lint lock clean

help:                          ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/installed        ## learn the dynamics of Lorenz-63 from snapshots and write a report
	$(BIN)/python run.py
	@echo "Open the newest outputs/lorenz/*/report.html in a browser."

test: $(VENV)/installed        ## run the fast tests (creates .venv at the first call)
	$(BIN)/python -m pytest -n auto --dist worksteal

test-slow: $(VENV)/installed   ## run the tests that take minutes
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/installed        ## check style, formatting, import contracts and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

$(VENV)/installed: requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

lock:                          ## pin the versions that a fresh resolution of pyproject.toml installs
	$(PYTHON) -m venv .lock && .lock/bin/python -m pip install --quiet torch==2.13.0 -e '.[dev]'
	.lock/bin/python -m pip list --format=freeze --exclude-editable --exclude pip | sed 's/+cpu//' > requirements.lock
	rm -r .lock

clean:                         ## remove the environment and the caches, keep outputs
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
