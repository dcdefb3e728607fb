# `make help` lists the targets. Everything is installed in .venv, except the binaries of the control
# plane, which are cached for all checkouts.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help

$(STAMP): requirements/test.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is required, this is " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/test.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# Set in containers; then every worker, and every program that a test starts, compiles all it imports.
unexport PYTHONDONTWRITEBYTECODE

# Each has a control plane of its own, and mostly waits.
WORKERS ?= 4

# Both parts run, whatever the first one finds.
run-tests = $(BIN)/pytest -n $(WORKERS) -m "not alone$(1)"; first=$$?; \
  $(BIN)/pytest -m "alone$(1)" && exit $$first

.PHONY: test
test: $(STAMP) ## Run the tests, on the real API server, with WORKERS=4 in parallel
	$(call run-tests, and not long)

.PHONY: test-all
test-all: $(STAMP) ## Run these and the tests of the image and the benchmarks; CI runs all
	$(call run-tests)

.PHONY: test-unit
test-unit: $(STAMP) ## Run the tests that start nothing and are quick
	$(BIN)/pytest -n auto -m "not slow" tests/unit

.PHONY: demo
demo: $(STAMP) ## Show a Secret being synced; KUBECONFIG=... uses your cluster
	$(BIN)/secret-sync local demo

.PHONY: bench
bench: $(STAMP) ## Measure the figures of the README
	$(BIN)/python -m benchmarks.run

.PHONY: scale
scale: $(STAMP) ## Measure up to 50,000 objects, and draw a chart of it; over an hour
	$(BIN)/python -m benchmarks.scale

FUZZ_SECONDS ?= 300

.PHONY: fuzz
fuzz: $(STAMP) ## Fuzz the parsers, and templates, for FUZZ_SECONDS each
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/fuzz.txt
	$(BIN)/python -m tests.fuzz.run --seconds $(FUZZ_SECONDS)
	$(BIN)/python -m tests.fuzz.templates --seconds $(FUZZ_SECONDS)

.PHONY: golden
golden: $(STAMP) ## Write what Go and Sprig make of the templates in tests/golden (needs Go)
	$(BIN)/python -m tests.golden.generate

CHAOS_SECONDS ?= 900
# SEED=... repeats the same faults.
SEED ?=

.PHONY: chaos
chaos: $(STAMP) ## Inject random faults and check every Secret, for CHAOS_SECONDS
	$(BIN)/python -m tests.chaos.run --seconds $(CHAOS_SECONDS) $(if $(SEED),--seed $(SEED))
	$(BIN)/python -m tests.chaos.children --seconds $(CHAOS_SECONDS) $(if $(SEED),--seed $(SEED))

.PHONY: mutants
mutants: $(STAMP) ## Check that the unit tests notice each fault of tests/mutants
	$(BIN)/python -m tests.mutants.run

.PHONY: coverage
coverage: $(STAMP) ## Measure which lines and branches the unit tests run
	$(BIN)/coverage erase
	$(BIN)/coverage run --parallel-mode -m pytest -q -p no:cacheprovider tests/unit
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --sort=cover

.PHONY: picture
picture: $(STAMP) ## Draw docs/dashboard.svg from a run of the test with Prometheus
	PICTURE=docs/dashboard.svg $(BIN)/pytest tests/e2e/test_prometheus.py

.PHONY: lint
lint: $(STAMP) ## Check style, types, import contracts, dead code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture

.PHONY: crds
crds: ## Copy the spec of ExternalSecret into the CRD of ClusterExternalSecret
	awk 'NR == FNR { if (/^            status:/) inside = 0; if (inside) copy = copy "    " $$0 "\n"; \
	    if (/^            spec:/) found = 1; if (found == 1 && /^              properties:/) \
	      { inside = 1; found = 2; copy = "    " $$0 "\n" } next } \
	  /# End of the copy/ { skip = 0 } !skip { print } \
	  /copied by `make crds`/ { printf "%s", copy; skip = 1 }' \
	  crds/externalsecrets.yaml crds/clusterexternalsecrets.yaml > crds/.copy
	mv crds/.copy crds/clusterexternalsecrets.yaml

.PHONY: legacy
legacy: crds ## Write crds/legacy: the CRDs without CEL rules
	for file in externalsecrets secretstores clustersecretstores clusterexternalsecrets; do \
	  { echo "# Written by \`make legacy\`: ../$$file.yaml without x-kubernetes-validations."; \
	    awk '{ match($$0, /^ */) } skip && RLENGTH > depth { next } \
	      { skip = /x-kubernetes-validations:/; depth = RLENGTH } !skip' crds/$$file.yaml; \
	  } > crds/legacy/$$file.yaml; \
	done

.PHONY: pin
pin: $(STAMP) ## Pin the dependencies with hashes
	for set in run local test image go fuzz; do \
	  UV_CUSTOM_COMPILE_COMMAND="make pin" $(BIN)/uv pip compile --quiet --universal \
	    --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	    requirements/$$set.in -o requirements/$$set.txt || exit 1; \
	done

# Builds use the date of the last commit, or 2026-01-01 without a repository, so they are reproducible.
SOURCE_DATE_EPOCH ?= $(shell { test -e .git && git log -1 --format=%ct; } 2>/dev/null || echo 1767225600)
DIST ?= dist

.PHONY: sbom
sbom: $(STAMP) ## List the contents of the image as CycloneDX: dist/sbom.cdx.json
	mkdir -p $(DIST)
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) $(BIN)/python requirements/sbom.py > $(DIST)/sbom.cdx.json

VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' secret_sync/__init__.py)
IMAGE ?= localhost/secret-sync:$(VERSION)
# Further flags for the builder, for example BASE: make image IMAGE_FLAGS="--build-arg ..."
IMAGE_FLAGS ?=
# Such as linux/amd64,linux/arm64; by default this machine's.
PLATFORMS ?=

.PHONY: image
image: sbom ## Build the image with docker, podman or buildah
	@PYTHON="$(PYTHON)" VERSION="$(VERSION)" IMAGE="$(IMAGE)" IMAGE_FLAGS="$(IMAGE_FLAGS)" \
	  PLATFORMS="$(PLATFORMS)" DIST="$(DIST)" SOURCE_DATE_EPOCH="$(SOURCE_DATE_EPOCH)" release/image.sh

KUBECTL ?= kubectl
# Without IMAGE=... the manifests have the placeholder of deploy/base.
RELEASE_IMAGE = $(if $(filter file,$(origin IMAGE)),secret-sync:$(VERSION),$(IMAGE))

.PHONY: release
release: sbom ## Write packages, manifests, SBOM and checksums to dist/
	@BIN="$(BIN)" VERSION="$(VERSION)" IMAGE="$(RELEASE_IMAGE)" KUBECTL="$(KUBECTL)" \
	  DIST="$(DIST)" SOURCE_DATE_EPOCH="$(SOURCE_DATE_EPOCH)" release/files.sh

.PHONY: tools
tools: ## Install buildah and prometheus, which some tests need (as root on Debian)
	@if command -v buildah >/dev/null && command -v prometheus >/dev/null && \
	    command -v promtool >/dev/null; then \
	  echo "make tools: already installed"; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -qq -y --no-install-recommends buildah prometheus >/dev/null; \
	else \
	  echo "make tools: needs root on Debian; tests that need buildah or prometheus are skipped" >&2; \
	fi

.PHONY: clean
clean: ## Remove everything that the other targets created in this folder
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
	  benchmarks/results dist build .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
