# `make` alone tells what there is. Everything happens in this folder's own .venv.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help demo test lint type checks deterministic real coverage lock clean environment \
	dev-environment programs npm

# Debian keeps nginx where only root looks.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin
# Tests start hundreds of Python processes: what they import is compiled once.
unexport PYTHONDONTWRITEBYTECODE
PY := .venv/bin/python
NPM := tests/real/npm
CODE := engine actors http ops tests
# Folders without such tests are not even collected: they import the official clients, which takes
# each process its time.
DETERMINISTIC := --quiet -m "not real and not loopback" --ignore tests/real --ignore tests/service \
	-n auto --maxprocesses 8 --dist worksteal
# Real ones wait half of the time: there may be more of them at once than cores.
REAL := --quiet -m "real or loopback" -n 3 --dist loadgroup

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

demo: environment ## the service on 127.0.0.1:8000, with a simulated provider behind it
	@exec $(PY) -m sluice.ops.demo

test: programs checks deterministic real coverage ## all checks and all tests, with what they need

checks: dev-environment # `lint` and `type` at the same time: mypy takes one core only
	@$(MAKE) --no-print-directory type & types=$$!
	$(MAKE) --no-print-directory lint || { kill $$types 2>/dev/null || true; exit 1; }
	wait $$types

lint: dev-environment ## style, and mistakes of asynchronous code
	$(PY) -m ruff check --output-format=concise $(CODE)
	$(PY) -m ruff format --check $(CODE)
	grep --recursive --files-with-matches --word-regexp --extended-regexp --include='*.py' \
		'async|await|trio' $(CODE) | xargs $(PY) -m flake8

type: dev-environment ## types
	$(PY) -m mypy src tests

deterministic: dev-environment ## the tests that are pure or on virtual time: about a minute
	$(PY) -m pytest $(DETERMINISTIC)

real: dev-environment programs npm ## the tests with sockets, nginx, Prometheus, Chromium, Node
	$(PY) -m coverage erase
	$(PY) -m coverage run -m pytest $(REAL)

# The deterministic tests once more, with fewer examples of each property: the tracer makes them
# three times as slow.
coverage: real
	$(PY) -m coverage run -m pytest $(DETERMINISTIC) --hypothesis-profile brief
	$(PY) -m coverage combine --quiet
	$(PY) -m coverage report --skip-covered --skip-empty

lock: dev-environment ## solve the dependencies anew: requirements*.lock, package-lock.json
	@.ci/lock

clean: ## forget the environment and everything made
	@rm -rf .venv build dist src/*.egg-info .coverage* .mypy_cache .ruff_cache .pytest_cache \
		.hypothesis $(NPM)/node_modules
	find $(CODE) -name __pycache__ -prune -exec rm -rf {} +

environment:
	@.ci/environment requirements.lock

dev-environment:
	@.ci/environment requirements-dev.lock

programs:
	@.ci/programs

npm: programs
	@.ci/npm $(NPM)
