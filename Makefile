# Each target makes .venv itself, with what it needs and no more; only Python 3.11+ and make must be there.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test check bench compat clean

OFFICIAL := 6.3.8 6.3.9 6.4.1 6.4.2 newest
COMPAT := build/compat

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

bench: .venv/test  ## the budgets, this library and its peers in one run; writes tests/benchmarks/results.md and its plot
	BENCH_RESULTS=tests/benchmarks $(BIN)/python -m pytest tests/benchmarks --benchmark-only

compat: $(OFFICIAL:%=compat-%)  ## the client with other versions of the official SDK, each in an environment of its own

compat-%: $(COMPAT)/%/.ready
	$(COMPAT)/$*/bin/python -c "from importlib.metadata import version; print('tablestore', version('tablestore'))"
	$(COMPAT)/$*/bin/python -m pytest -q -p no:cacheprovider tests/test_rows.py tests/test_plainbuffer.py \
	  tests/test_client.py $(wildcard tests/test_async_client.py)

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

.PRECIOUS: $(COMPAT)/%/.ready
$(COMPAT)/%/.ready: pyproject.toml
	$(PYTHON) -m venv $(COMPAT)/$*
	$(COMPAT)/$*/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[test]" \
	  "tablestore$(if $(filter newest,$*),<6.5,==$*)"
	touch $@
