# Each target makes its environment itself, with what it needs and no more; only Python 3.11+ and make must be there.
# Another Python: make test PYTHON=python3.13 VENV=build/venvs/3.13
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test test-one test-others test-real check bench bench-one proof compat clean

OFFICIAL := 6.3.8 6.3.9 6.4.1 6.4.2 newest
COMPAT := build/compat
SUPPORTED := $(shell sed -n 's/.*Python :: \(3\.[0-9]*\)".*/\1/p' pyproject.toml)

# In a shell's loop over versions: sets $python to the one on the PATH or pyenv's, or goes on with the next version.
define FIND_PYTHON
python=; \
for found in python$$version "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$$version.*/bin/python$$version; do \
  if "$$found" -c pass 2>/dev/null; then python=$$found; break; fi; \
done; \
if [ -z "$$python" ]; then echo "Python $$version is not on this machine: nothing was done with it"; continue; fi
endef

# The network between the proofs' clients and servers breaks at any moment; what a collector finds of it is no leak of ours.
PROOF_SAMPLE = $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/proof \
  -W ignore::pytest.PytestUnraisableExceptionWarning

demo: $(VENV)/core  ## the main job, end to end, against the embedded emulator, or your instance: make demo ENV=prod.env
	$(BIN)/python examples/quickstart.py $(if $(ENV),--env-file $(ENV))

test: $(VENV)/test  ## every test, with the coverage gate
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --cov --cov-report= --ignore=tests/proof
	$(BIN)/coverage report --skip-covered
	$(PROOF_SAMPLE)  # not measured: it raises in any line, a tracer's too

test-one: $(VENV)/test  ## every test, without the coverage gate
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --ignore=tests/proof
	$(PROOF_SAMPLE)

test-others:  ## every test on each other supported Python that is on the PATH or pyenv's, each in its environment
	@set -e; default=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	for version in $(SUPPORTED); do \
	  if [ $$version = $$default ]; then continue; fi; \
	  $(FIND_PYTHON); \
	  echo "Python $$version: $$python"; \
	  $(MAKE) --no-print-directory test-one PYTHON="$$python" VENV=build/venvs/$$version; \
	done

test-real: $(VENV)/test  ## the slow tests beside real things: a Secret Service, a browser
	$(BIN)/python -m pytest -m real

check: $(VENV)/dev  ## linters, types, layers, then what `make test` runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(PIP) --upgrade "tablestore<6.5"
	MYPYPATH=ots_config/stubs $(BIN)/stubtest tablestore --ignore-missing-stub
	$(BIN)/pyright
	$(MAKE) test

bench: $(VENV)/test  ## the budgets, this library and its peers in one run; writes tests/benchmarks/results.md and docs/benchmarks.md
	BENCH_RESULTS=tests/benchmarks $(BIN)/python -m pytest tests/benchmarks --benchmark-only
	@set -e; mkdir -p build/bench; for version in $(SUPPORTED); do \
	  $(FIND_PYTHON); \
	  $(MAKE) --no-print-directory bench-one PYTHON="$$python" VENV=build/venvs/$$version BENCH_JSON=build/bench/$$version.json; \
	done
	$(BIN)/python tests/benchmarks/side_by_side.py build/bench docs/benchmarks.md

bench-one: $(VENV)/test  ## what one Python costs, into the file $(BENCH_JSON)
	BENCH_JSON=$(BENCH_JSON) $(BIN)/python -m pytest --benchmark-only -k "not many_clients" \
	  tests/benchmarks/test_client_speed.py tests/benchmarks/test_bulk_speed.py tests/benchmarks/test_whole_programs.py

# The report is written although a proof fails, and the target fails then. MUTANTS= leaves the mutants out.
MUTANTS := build/proof/mutants
proof: $(VENV)/test $(if $(MUTANTS),build/venvs/mutmut/.ready)  ## every promise under attack, about ten minutes; writes docs/proof.md
	@status=0; \
	$(if $(MUTANTS),build/venvs/mutmut/bin/python -m tests.proof.mutation $(MUTANTS) || status=1;) \
	PROOF_RESULTS=docs/proof.md PROOF_MUTANTS=$(MUTANTS:%=%/mutants.json) \
	  $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/proof || status=1; \
	exit $$status

build/venvs/mutmut/.ready: pyproject.toml
	$(PYTHON) -m venv build/venvs/mutmut
	build/venvs/mutmut/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[test]" "mutmut>=3.8"
	touch $@

compat: $(OFFICIAL:%=compat-%) compat-lowest  ## the client with other versions of the official SDK, and with the oldest of everything

compat-%: $(COMPAT)/%/.ready
	$(COMPAT)/$*/bin/python -c "from importlib.metadata import version; print('tablestore', version('tablestore'))"
	$(COMPAT)/$*/bin/python -m pytest -q -n $(WORKERS) -p no:cacheprovider tests/client tests/request tests/plainbuffer

compat-lowest: $(COMPAT)/lowest/.ready  ## every dependency at its lower bound
	$(COMPAT)/lowest/bin/python -m pip freeze | grep -iFf $(COMPAT)/lowest.txt
	$(COMPAT)/lowest/bin/python -m pytest -q -n $(WORKERS) -p no:cacheprovider tests/client tests/request tests/settings \
	  tests/credentials tests/plainbuffer tests/test_factory.py

clean:
	rm -rf .venv build dist

$(VENV)/core: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and \"Python 3.11 or newer is needed: make PYTHON=python3.11\")"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	touch $@

$(VENV)/test $(VENV)/dev: $(VENV)/core
	$(PIP) --editable ".[$(@F)]"
	touch $@

.PRECIOUS: $(COMPAT)/%/.ready
$(COMPAT)/lowest/.ready: pyproject.toml
	mkdir -p $(COMPAT)
	sed -n '/^dependencies = \[/,/^\]/s/^  "\([a-z0-9-]*\)>=\([0-9.]*\).*/\1==\2/p' pyproject.toml >$(COMPAT)/lowest.txt
	$(PYTHON) -m venv $(COMPAT)/lowest
	$(COMPAT)/lowest/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[test]" \
	  --constraint $(COMPAT)/lowest.txt
	touch $@

$(COMPAT)/%/.ready: pyproject.toml
	$(PYTHON) -m venv $(COMPAT)/$*
	$(COMPAT)/$*/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[test]" \
	  "tablestore$(if $(filter newest,$*),<6.5,==$*)"
	touch $@
