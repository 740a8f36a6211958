PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow lint lock clean

demo: $(VENV)/installed        ## learn Lorenz dynamics from snapshots and write a report
	$(BIN)/python run.py
	@echo "Open the newest outputs/lorenz/*/report.html in a browser."

test: $(VENV)/installed        ## the fast test suite
	$(BIN)/python -m pytest -n auto --dist worksteal

test-slow: $(VENV)/installed   ## the long tests
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/installed        ## style, import contract, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

$(VENV)/installed: requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

lock:                          ## pin what a fresh resolution of pyproject.toml installs
	$(PYTHON) -m venv .lock && .lock/bin/python -m pip install --quiet torch==2.13.0 -e '.[dev]'
	.lock/bin/python -m pip list --format=freeze --exclude-editable --exclude pip | sed 's/+cpu//' > requirements.lock
	rm -r .lock

clean:                         ## forget the environment and caches, keep outputs
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
