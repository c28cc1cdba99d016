# Each target makes .venv itself, with what it needs and no more; only Python 3.11+ and make must be there.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test check bench clean

demo: .venv/core  ## the main job, end to end, against the embedded emulator
	$(BIN)/python examples/quickstart.py

test: .venv/test  ## every test, with the coverage gate
	$(BIN)/python -m pytest --cov --cov-report=
	$(BIN)/coverage report --skip-covered

check: .venv/dev  ## linters, types, layers, then what `make test` runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/pyright
	$(MAKE) test

bench: .venv/test  ## the budgets, this library and its peers in one run
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only

clean:
	rm -rf .venv build dist

.venv/core: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and \"Python 3.11 or newer is needed: make PYTHON=python3.11\")"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --editable .
	touch $@

.venv/test .venv/dev: .venv/core
	$(PIP) --editable ".[$(@F)]"
	touch $@
