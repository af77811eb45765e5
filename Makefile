# Every target sets up its own .venv; it needs Python 3.11+ and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH := .venv-bench
BENCH_STAMP := $(BENCH)/.installed
# Where the benchmarks write; give the disk that your trainings use: make bench BENCH_DIR=/data
BENCH_DIR ?= $(or $(TMPDIR),/tmp)
# With which Ray `make test-ray` tests, in an environment of its own.
RAY ?= 2.60.0
OTHER := .venv-ray-$(RAY)
OTHER_STAMP := $(OTHER)/.installed
# How long `make soak` trains under faults, before the long suites.
SOAK_MINUTES ?= 30
# One more worker than processors: many tests wait for the processes that they start.
JOBS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
WORKERS := -n $(JOBS) --dist loadfile --no-loadscope-reorder
export OMP_NUM_THREADS ?= 1

.PHONY: help install quickstart test cover test-user test-ray check format bench extras soak clean

help:
	@echo "make quickstart   train a small recipe, kill it three times, prove the resume exact"
	@echo "make test         run the tests; some: make test TESTS=tests/core"
	@echo "make cover        the same, with branch coverage"
	@echo "make test-user    the same as an unprivileged user, from root"
	@echo "make test-ray     the tests of RLlib with another Ray: make test-ray RAY=2.60.0"
	@echo "make check        format, lint, types, layers, spelling"
	@echo "make extras       install every extra alone, and try it (20 minutes)"
	@echo "make soak         train under every fault for half an hour, then the long suites"
	@echo "make bench        compare with others (three quarters of an hour; own .venv-bench)"
	@echo "make format       format the code"

install: $(STAMP)

# torch first: a bare `torch` that another package asks for would take several GB of CUDA.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "evertrain needs Python 3.11 or newer: make PYTHON=/path/to/python3"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt torch==2.13.0
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

quickstart: $(STAMP)
	@$(BIN)/python examples/quickstart.py

test: $(STAMP)
	$(BIN)/python -m pytest -m "not soak and not bench" $(WORKERS) $(TESTS)

cover: $(STAMP)
	$(BIN)/python -m pytest -m "not soak and not bench" $(WORKERS) --cov --cov-report=term $(TESTS)

# Root may read and write everything, so what permissions do only shows as somebody else.
NOBODY := setpriv --reuid=65534 --regid=65534 --clear-groups
test-user: $(STAMP)
	@test "$$(id -u)" = 0 || { echo "you are no root: make test is that test"; exit 1; }
	@$(NOBODY) sh -c 'test -x $(BIN)/python' \
	  || { echo "nobody may run $(BIN)/python: its Python lies where only root may look"; exit 1; }
	@home=$$(mktemp -d) && chown 65534:65534 $$home && trap 'rm -rf '$$home EXIT && \
	  HOME=$$home TMPDIR=$$home HYPOTHESIS_STORAGE_DIRECTORY=$$home PYTHONDONTWRITEBYTECODE=1 \
	  $(NOBODY) $(BIN)/python -m pytest -m "not soak and not bench" -p no:cacheprovider \
	  $(WORKERS) $(TESTS)

# Gymnasium and ormsgpack are pinned by Ray, each time otherwise; the rest stays as it is.
$(OTHER_STAMP): pyproject.toml constraints.txt
	@test -x $(OTHER)/bin/python || $(PYTHON) -m venv $(OTHER)
	@grep -v -E '^(ray|gymnasium|ormsgpack)==' constraints.txt > $(OTHER)/constraints.txt
	@$(OTHER)/bin/python -m pip install -q --disable-pip-version-check \
	  -c $(OTHER)/constraints.txt torch==2.13.0
	@$(OTHER)/bin/python -m pip install -q --disable-pip-version-check \
	  -c $(OTHER)/constraints.txt 'ray[rllib]==$(RAY)' -e '.[sb3,plot,testing]' \
	  mpe2 pettingzoo pytest-timeout pytest-xdist
	@$(OTHER)/bin/python -m pip check
	@touch $@

RAY_TESTS := $(wildcard tests/integrations/test_rllib_*.py) tests/recipes/hideseek
test-ray: TESTS ?= $(RAY_TESTS)
test-ray: $(OTHER_STAMP)
	$(OTHER)/bin/python -m pytest -m "not bench" $(WORKERS) $(TESTS)

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell README.md ARCHITECTURE.md GUARANTEES.md CONTRIBUTING.md CHANGELOG.md docs src tests

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(BENCH_STAMP): pyproject.toml benchmarks/constraints.txt
	@test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install -q --disable-pip-version-check \
	  -c benchmarks/constraints.txt torch==2.13.0
	@$(BENCH)/bin/python -m pip install -q --disable-pip-version-check \
	  -c benchmarks/constraints.txt -e '.[bench]'
	@touch $@

# A missed target is said plainly, and is no failure: the numbers are the point.
bench: $(BENCH_STAMP) $(STAMP)
	-@$(BENCH)/bin/python benchmarks/startup.py
	-@for each in loop listing blocked bandwidth replay restore slowdown growth envs \
	    restart goodput; do \
	  echo; echo "== $$each"; \
	  $(BENCH)/bin/python benchmarks/$$each.py --dir $(BENCH_DIR) || echo "$$each did not finish"; \
	done
	-@$(BIN)/python benchmarks/recipes.py --dir $(BENCH_DIR) || echo "recipes did not finish"
	@$(BENCH)/bin/python benchmarks/summary.py

# Each extra alone in a new environment, as a user would install it (20 minutes, network).
extras: $(STAMP)
	$(BIN)/python tests/install $(EXTRAS)

soak: $(STAMP)
	PYTHONPATH=tests $(BIN)/python -m soak --minutes $(SOAK_MINUTES)
	$(BIN)/python -m pytest -m soak

clean:
	rm -rf $(VENV) $(BENCH) .venv-ray-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage build dist
