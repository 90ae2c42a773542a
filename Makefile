# Needs make and Python 3.11 to 3.13. Everything else is installed into a virtual environment.
#
#   PYTHON=/path/to/python3.12 make test    a certain Python
#   TUNER_VENV=/some/folder make test       the environment elsewhere than in .venv

SHELL := /bin/sh
.DEFAULT_GOAL := help
.SUFFIXES:
# Two targets share one environment, and trials already use every CPU: one after the other, also with -j.
.NOTPARALLEL:

VENV := $(abspath $(or $(TUNER_VENV),.venv))
BIN := $(VENV)/bin
UV := "$(BIN)/uv" --quiet pip install --python "$(BIN)/python" --editable .
# uv trusts the certificates that this machine trusts, as pip does.
export UV_SYSTEM_CERTS := 1
# As pip does: where PYTHONDONTWRITEBYTECODE is set, every process would compile TensorFlow and Ray anew, and this package.
export UV_COMPILE_BYTECODE := 1
# pytest rewrites the asserts of 200 files, 7 s of each of its processes, unless it may keep what it wrote.
unexport PYTHONDONTWRITEBYTECODE
STATE := $(CURDIR) $(shell cksum <pyproject.toml)
QUICK := not ray and not cluster and not keras and not slow
# A file's tests share what takes long to make; the files with the longest tests come first (tests/conftest.py).
IN_TWO := -n 2 --dist loadfile --no-loadscope-reorder

BENCHMARKS := first_step between_trials throughput time_to_accuracy search_quality driver_growth leaderboard_growth \
  report_growth bucketing_accuracy imdb_ablation memory_growth scale

.PHONY: help search winner check test coverage benchmark wheel clean environment test-environment benchmark-environment

help: ## list these targets
	@echo "make TARGET, where TARGET is one of:"
	@sed -n 's/^\([a-z]*\):.*## /  \1	/p' Makefile | expand -t 12

search: environment ## install, then search the tutorial's four models on real reviews (3 minutes)
	@"$(BIN)/tuner" search quickstart --sample 10000 --trials 8

# Three whole trials, and at the end their average, which is trained already.
winner: environment ## install, then search, average, test, export and predict on all IMDB reviews (10 minutes)
	@"$(BIN)/tuner" search imdb --name winner --trials 3 --time-budget 15m
	@"$(BIN)/tuner" test runs/winner --members trials
	@"$(BIN)/tuner" export runs/winner --members trials
	@"$(BIN)/tuner" predict runs/winner/model "a gripping, beautifully acted film" "dull, far too long, and badly written"

check: test-environment ## install, then check format, lint, types and layers, and run the quick tests (1 to 2 minutes)
	@$(call beside_check_code,"$(BIN)/python" -m pytest -q -m "$(QUICK)" --hypothesis-profile quick $(IN_TWO))
	@echo "Format, lint, types, layers and quick tests: all green."

test: test-environment ## install, then check the same, and run every test (15 minutes)
	@$(call beside_check_code,$(if $(PYTEST_ARGS),"$(BIN)/python" -m pytest $(PYTEST_ARGS),$(run_all_tests)))
	@echo "Format, lint, types, layers and tests: all green."

coverage: test-environment ## run every test but those on clusters, and print the lines that none reaches
	@"$(BIN)/coverage" erase
	@"$(BIN)/coverage" run -m pytest $(or $(PYTEST_ARGS),--ignore=tests/cluster $(IN_TWO)); tests=$$?; \
	"$(BIN)/coverage" combine --quiet && "$(BIN)/coverage" report; exit $$tests

benchmark: benchmark-environment ## install, then measure against other tuners (30 minutes; leave the machine alone)
	@for name in $(BENCHMARKS); do "$(BIN)/python" "tests/benchmarks/$$name.py" $(BENCHMARK_ARGS) || exit 1; done
	@"$(BIN)/python" tests/benchmarks/search_replay.py $(if $(filter --full,$(BENCHMARK_ARGS)),,--short)

wheel: test-environment ## build the wheel into dist/, with the versions of all packages for a cluster's nodes
	@rm -f dist/*.whl
	@"$(BIN)/python" -m hatchling build -t wheel -d dist
	@"$(BIN)/python" -m tuner.execution.constraints dist/constraints.txt

clean: ## remove the environment, built files and caches; runs/ stays
	@rm -rf .venv dist build .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find tuner tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Scripts in an environment hold its path, so one that was moved is made again.
environment:
	@if [ "$$(cat "$(VENV)/place" 2>/dev/null)" != "$(VENV)" ] || ! "$(BIN)/python" -c "" 2>/dev/null; then \
	    $(make_environment); \
	fi
	@$(call install,tuner,)

test-environment: environment
	@$(call install,dev,--group dev)
	@$(install_jax)

benchmark-environment: environment
	@$(call install,benchmark,--group benchmark)

# Installs $(2) with this checkout, unless that was done already from this checkout and this pyproject.toml.
define install
	if [ "$$(cat "$(VENV)/installed-$(1)" 2>/dev/null)" != "$(STATE)" ]; then \
	    $(UV) $(2) && "$(BIN)/python" -m compileall -q tuner && echo "$(STATE)" >"$(VENV)/installed-$(1)"; \
	fi
endef

# In a folder of its own, which tests of JAX put on their path: TensorFlow imports JAX where it finds it, 2 s per process.
define install_jax
	if [ "$$(cat "$(VENV)/installed-jax" 2>/dev/null)" != "$(STATE)" ]; then \
	    rm -rf "$(VENV)/jax" && \
	    "$(BIN)/uv" --quiet pip install --python "$(BIN)/python" --target "$(VENV)/jax" --no-deps --group jax && \
	    echo "$(STATE)" >"$(VENV)/installed-jax"; \
	fi
endef

define check_code
	echo "ruff check";   "$(BIN)/ruff" check --quiet . && \
	echo "ruff format" && "$(BIN)/ruff" format --quiet --diff . && \
	echo "mypy" && "$(BIN)/mypy" --no-error-summary && \
	echo "lint-imports" && { out=$$("$(BIN)/lint-imports" --no-cache 2>&1) || { echo "$$out"; exit 1; }; }
endef

# Runs $(1) while the code is checked, and shows what the check says after it.
define beside_check_code
	out=$$(mktemp); { $(check_code); } >"$$out" 2>&1 & code=$$!; \
	{ $(1); }; tests=$$?; \
	wait $$code; code=$$?; cat "$$out"; rm "$$out"; \
	[ $$tests = 0 ] && [ $$code = 0 ]
endef

# The tests on clusters mostly wait, so they run beside the others. No `nice`: Ray's workers have 15 of it already.
# A shell's background job hears no Ctrl-C, so it is ended by SIGTERM, which takes its hosts down.
define run_all_tests
	shown=$$(mktemp); "$(BIN)/python" -m pytest tests/cluster >"$$shown" 2>&1 & clusters=$$!; \
	trap "kill $$clusters" INT TERM; \
	"$(BIN)/python" -m pytest --ignore=tests/cluster $(IN_TWO); others=$$?; \
	wait $$clusters; clusters=$$?; cat "$$shown"; rm "$$shown"; \
	[ $$others = 0 ] && [ $$clusters = 0 ]
endef

# An environment with uv in it, from $(PYTHON) or else the first Python here that TensorFlow has wheels for (3.11 to 3.13).
define make_environment
	if [ -e "$(VENV)" ] && [ ! -e "$(VENV)/pyvenv.cfg" ] && [ -n "$$(ls -A "$(VENV)")" ]; then \
	    echo "$(VENV) is not empty and not a virtual environment; set TUNER_VENV to another folder" >&2; exit 1; \
	fi; \
	newest=$(if $(PYTHON),99,13); \
	for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11) none; do \
	    "$$python" -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, $$newest))" >/dev/null 2>&1 && break; \
	done; \
	if [ "$$python" = none ]; then \
	    echo "tuner needs Python 3.11 to 3.13; $(or $(PYTHON),python3) is: $$($(or $(PYTHON),python3) --version 2>&1 | head -n 1)" >&2; \
	    echo "Install one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; \
	fi; \
	if ! "$$python" -c "import venv, ensurepip" 2>/dev/null; then \
	    echo "$$python cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; \
	fi; \
	echo "Installing into $(VENV) (the first time: a minute or two)"; \
	"$$python" -m venv --clear "$(VENV)" && \
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check uv && \
	echo "$(VENV)" >"$(VENV)/place"
endef
