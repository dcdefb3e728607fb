# `make help` lists the targets. Everything lives in .venv; nothing is installed elsewhere but
# the control plane's binaries, which are cached for all checkouts.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help

$(STAMP): requirements/test.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python >= 3.11 is needed, this is " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/test.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: test
test: $(STAMP) ## Run all tests, on the real API server
	$(BIN)/pytest

.PHONY: demo
demo: $(STAMP) ## See a Secret being kept; KUBECONFIG=... uses a cluster of yours
	$(BIN)/secret-sync local demo

.PHONY: bench
bench: $(STAMP) ## Measure what the README promises
	$(BIN)/python -m benchmarks.run

FUZZ_SECONDS ?= 300

.PHONY: fuzz
fuzz: $(STAMP) ## Look for documents and paths that break the parsers, for FUZZ_SECONDS
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/fuzz.txt
	$(BIN)/python -m tests.fuzz.run --seconds $(FUZZ_SECONDS)

.PHONY: lint
lint: $(STAMP) ## Style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: pin
pin: $(STAMP) ## Pin the dependencies anew, with hashes
	for set in run local test go fuzz; do \
	  UV_CUSTOM_COMPILE_COMMAND="make pin" $(BIN)/uv pip compile --quiet --universal \
	    --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	    requirements/$$set.in -o requirements/$$set.txt || exit 1; \
	done

.PHONY: clean
clean: ## Remove what the other targets made in this folder
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
	  benchmarks/results dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
