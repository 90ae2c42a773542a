# Needs: make and Python 3.11 or newer. Everything else is installed into a virtual environment.
#
#   PYTHON=/path/to/python3.12 make test    a certain Python
#   TUNER_VENV=/some/folder make test       the environment elsewhere than in .venv

SHELL := /bin/sh
.DEFAULT_GOAL := help
.SUFFIXES:
# Two targets share one environment, and trials already use every CPU: one after the other, also with -j.
.NOTPARALLEL:

CHECKOUT := $(CURDIR)
VENV := $(abspath $(or $(TUNER_VENV),.venv))
BIN := $(VENV)/bin
UV := "$(BIN)/python" -m uv pip install --quiet --compile-bytecode --python "$(BIN)/python"

# What the environment was made from. It is right as long as these say what is so now.
MADE_FROM := $(VENV)/made-from
HAS_TESTS := $(MADE_FROM)/has-tests
HAS_PEERS := $(MADE_FROM)/has-peers

# In the order of the README's table.
BENCHMARKS := between_trials throughput time_to_accuracy search_quality driver_growth leaderboard_growth \
  report_growth bucketing_accuracy imdb_ablation memory_growth scale

.PHONY: help search winner test benchmark wheel clean environment test-environment benchmark-environment

help: ## say what there is
	@echo "make TARGET, where TARGET is one of:"
	@sed -n 's/^\([a-z]*\):.*## /  \1	/p' Makefile | expand -t 12

search: environment ## install, then search the tutorial's four models on real reviews (2 minutes)
	@"$(BIN)/tuner" search quickstart --sample 10000 --trials 16

winner: environment ## install, then search, confirm, test, export and predict on all IMDB reviews
	@"$(BIN)/tuner" search imdb --name winner --time-budget 6m
	@"$(BIN)/tuner" confirm runs/winner --top 2 --seeds 2
	@"$(BIN)/tuner" test runs/winner
	@"$(BIN)/tuner" export runs/winner
	@"$(BIN)/tuner" predict runs/winner/model "a gripping, beautifully acted film" "dull, far too long, and badly written"

test: test-environment ## install, then check format, lint, types and layers, and run every test
	@echo "ruff check";   "$(BIN)/ruff" check --quiet .
	@echo "ruff format";  "$(BIN)/ruff" format --quiet --diff .
	@echo "mypy";         "$(BIN)/mypy" --no-error-summary
	@echo "lint-imports"; out=$$("$(BIN)/lint-imports" --no-cache 2>&1) || { echo "$$out"; exit 1; }
	@echo "pytest";       $(if $(PYTEST_ARGS),"$(BIN)/python" -m pytest $(PYTEST_ARGS),$(run_all_tests))
	@echo "Format, lint, types, layers and tests: all green."

benchmark: benchmark-environment ## install, then measure against what one would pick instead (30 minutes; leave the machine alone)
	@for name in $(BENCHMARKS); do "$(BIN)/python" "tests/benchmarks/$$name.py" $(BENCHMARK_ARGS) || exit 1; done

wheel: test-environment ## build the wheel into dist/
	@"$(BIN)/python" -m hatchling build -t wheel -d dist

clean: ## remove the environment, what was built, and caches; runs/ stays
	@rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find tuner tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Made anew when pyproject.toml changes or the environment was moved; only pointed to this checkout
# when the checkout was moved.
environment:
	@if ! cmp -s pyproject.toml "$(MADE_FROM)/pyproject.toml" \
	  || [ "$$(cat "$(MADE_FROM)/place" 2>/dev/null)" != "$(VENV)" ] \
	  || ! "$(BIN)/python" -c "" 2>/dev/null; then \
	    $(call make_environment) && \
	    echo "Installing into $(VENV) (the first time: a minute or two)" && \
	    "$(BIN)/python" -m pip install --quiet --disable-pip-version-check uv && \
	    $(UV) --editable . && \
	    mkdir -p "$(MADE_FROM)" && \
	    echo "$(VENV)" >"$(MADE_FROM)/place" && \
	    echo "$(CHECKOUT)" >"$(MADE_FROM)/checkout" && \
	    cp pyproject.toml "$(MADE_FROM)/pyproject.toml"; \
	elif [ "$$(cat "$(MADE_FROM)/checkout" 2>/dev/null)" != "$(CHECKOUT)" ]; then \
	    echo "Pointing $(VENV) to this checkout" && \
	    $(UV) --no-deps --reinstall --editable . && \
	    echo "$(CHECKOUT)" >"$(MADE_FROM)/checkout"; \
	fi

test-environment: environment
	@if [ ! -e "$(HAS_TESTS)" ]; then \
	    echo "Installing what the tests need" && \
	    $(UV) --requirement pyproject.toml --extra test && \
	    touch "$(HAS_TESTS)"; \
	fi

benchmark-environment: environment
	@if [ ! -e "$(HAS_PEERS)" ]; then \
	    echo "Installing the tuners to measure against" && \
	    $(UV) --requirement pyproject.toml --extra benchmark && \
	    touch "$(HAS_PEERS)"; \
	fi

# The tests on clusters wait more than they compute, and their hosts are apart from this one: they run beside the others.
define run_all_tests
	said=$$(mktemp); "$(BIN)/python" -m pytest tests/cluster >"$$said" 2>&1 & clusters=$$!; \
	trap 'kill -TERM $$clusters' INT TERM HUP; \
	"$(BIN)/python" -m pytest --ignore=tests/cluster; others=$$?; \
	wait $$clusters; code=$$?; cat "$$said"; rm "$$said"; \
	[ $$others = 0 ] && [ $$code = 0 ]
endef

# An empty environment at $(VENV), from $(PYTHON) or else the first Python here that will do.
# TensorFlow's released wheels end at 3.13, so a newer Python is the last choice.
define make_environment
	if [ -e "$(VENV)" ] && [ ! -e "$(VENV)/pyvenv.cfg" ] && [ -n "$$(ls -A "$(VENV)")" ]; then \
	    echo "$(VENV) is no virtual environment and is not empty; set TUNER_VENV to another folder" >&2; exit 1; \
	fi; \
	if [ -n "$(PYTHON)" ]; then candidates="$(PYTHON)"; newest=99; else candidates="python3 python3.13 python3.12 python3.11 python3"; newest=13; fi; \
	for python in $$candidates; do \
	    "$$python" -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, $$newest))" >/dev/null 2>&1 && break; \
	    [ "$$python" = python3.11 ] && newest=99; python=; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "tuner needs Python 3.11 or newer; $(or $(PYTHON),python3) is: $$($(or $(PYTHON),python3) --version 2>&1 | head -n 1)" >&2; \
	    echo "Install one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; \
	fi; \
	if ! "$$python" -c "import venv, ensurepip" 2>/dev/null; then \
	    echo "$$python cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; \
	fi; \
	"$$python" -m venv --clear "$(VENV)"
endef
