# `make devnet` starts a network on this machine; `make test` runs all tests. Both set up what is missing.

SHELL := bash
GONKA_HOME ?= $(HOME)/.cache/gonka
# Outside the checkout, so that a fresh clone reuses earlier builds.
export CARGO_TARGET_DIR ?= $(GONKA_HOME)/target
export LIBTORCH ?= $(GONKA_HOME)/libtorch/torch
# The wasm builder looks for Cargo.lock here; without it, it resolves newer, broken dependencies.
export WASM_BUILD_WORKSPACE_HINT := $(CURDIR)
export CARGO_INCREMENTAL := 0
# Compiled runtimes, which all networks on this machine share.
export GONKA_WASM_CACHE ?= $(GONKA_HOME)/wasm-cache
# cargo-nextest, cargo-deny and typos, which scripts/setup brings.
export PATH := $(GONKA_HOME)/bin:$(PATH)
# Debian's Rust builds the wasm where rustup could not download the target: see scripts/setup. Evaluated for each recipe,
# since setup may have changed it.
WASM = $(shell test -d "$$(rustc --print sysroot)/lib/rustlib/wasm32v1-none/lib" || echo WASM_BUILD_TOOLCHAIN=gonka-wasm)

# One selection of packages and features for everything, so that nothing is compiled twice. Scripts read it, too.
WORKSPACE := $(shell cat scripts/workspace)
BIN := $(CARGO_TARGET_DIR)/debug
DEVNET_ARGS ?=
CALIBRATE_ARGS ?=

.PHONY: help setup build devnet stop status check test soak bench latency matrix vllm clients para try-runtime weights calibrate release images release-check \
	man

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: ## Install what this machine lacks
	@scripts/setup

build: setup ## Compile everything
	$(WASM) cargo build $(WORKSPACE) --all-targets

# The programs alone: none of the tests, and none of their tools.
devnet: ## Start a network of three hosts and a gateway (DEVNET_ARGS=--detach, --fresh, …)
	@scripts/setup --devnet
	$(WASM) cargo build $(WORKSPACE) --bin gonka-node --bin gonka-worker --bin gonka-gateway --bin gonka
	$(BIN)/gonka devnet $(DEVNET_ARGS)

stop: ## Stop a detached network
	$(BIN)/gonka devnet stop

status: ## Show the network's state
	$(BIN)/gonka status

check: setup ## Check formatting, spelling, dependencies, documents, lints and the crates' documentation
	$(WASM) scripts/check

test: check build ## Run all tests: units, pallets, networks of processes
	$(WASM) scripts/test

soak: build ## Test sampled validation with 500 requests, finality at length, malformed models: writes benches/results/soak.txt
	$(WASM) scripts/soak

bench: setup ## Measure speed: takes long, writes benches/results
	$(WASM) scripts/bench

latency: setup ## Measure the gateway beside other proxies: installs 0.9 GB, writes benches/results/gateway.txt
	scripts/bench-gateway

matrix: setup ## Compare real models with llama.cpp's server: fetches 240 MB, writes benches/results/matrix.txt
	scripts/matrix

vllm: setup ## Compare vLLM with the plug-in with the torch engine: installs 6 GB, writes benches/results/vllm.txt
	scripts/vllm

clients: build ## Test real client libraries against a network: fetches 200 MB, writes benches/results/clients.txt
	scripts/clients

para: build ## Test the parachain on polkadot-omni-node, which is built the first time: takes more than an hour then
	scripts/omni-node >/dev/null
	scripts/test --run-ignored only -E 'package(gonka-e2e) and test(parachain)'
	scripts/rehearse-genesis $(BIN) $(BIN)/wbuild/gonka-para-runtime/gonka_para_runtime.wasm

try-runtime: build ## Try the migrations on the state of a running network, by default the local one (URL=http://…)
	$(WASM) scripts/try-runtime $(URL)

weights: setup ## Measure dispatch weights on this machine: takes hours, writes runtime/common/src/weights
	$(WASM) scripts/weights

calibrate: build ## Make the demo model's calibration profile: takes hours, continues where it stopped (CALIBRATE_ARGS=--tokens=…, …)
	@scripts/calibrate $(CALIBRATE_ARGS)

release: ## Build packages, runtimes, specifications and notes of a release: takes hours, writes target/dist
	@scripts/setup --build
	scripts/release

images: ## Make the image of a release from its packages, without Docker: needs root, debootstrap, buildah
	scripts/images

release-check: ## Test packages and image of a release in a clean Debian: needs root, debootstrap, buildah, podman
	scripts/release-check

man: build ## Write man pages of gonka, gonka-gateway and gonka-worker to target/man
	@$(BIN)/gonka-reference target/man
