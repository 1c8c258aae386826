# `make devnet`: a network on this machine. `make test`: everything that is tested. Both set up what is missing.

SHELL := bash
GONKA_HOME ?= $(HOME)/.cache/gonka
# Outside the checkout, so that a fresh clone reuses what was built.
export CARGO_TARGET_DIR ?= $(GONKA_HOME)/target
export LIBTORCH ?= $(GONKA_HOME)/libtorch/torch
# The wasm builder looks for Cargo.lock here; without it, it resolves newer, broken dependencies.
export WASM_BUILD_WORKSPACE_HINT := $(CURDIR)
export CARGO_INCREMENTAL := 0
# Debian's Rust builds the wasm where rustup could not bring the target: see scripts/setup. Looked up anew for each
# recipe, since setup may have changed it.
WASM = $(shell test -d "$$(rustc --print sysroot)/lib/rustlib/wasm32v1-none" || echo WASM_BUILD_TOOLCHAIN=gonka-wasm)

# One selection of packages and features for everything, so that nothing is compiled twice.
WORKSPACE := --workspace --locked --features fast-runtime
BIN := $(CARGO_TARGET_DIR)/debug
DEVNET_ARGS ?=
CALIBRATE_ARGS ?=

.PHONY: help setup build devnet stop status check test soak bench calibrate

help: ## What can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: ## Bring what this machine lacks
	@scripts/setup

build: setup ## Compile everything
	$(WASM) cargo build $(WORKSPACE) --all-targets

devnet: build ## Start a network of three hosts and a gateway (DEVNET_ARGS=--detach, --fresh, …)
	$(BIN)/gonka devnet $(DEVNET_ARGS)

stop: ## Stop a detached network
	$(BIN)/gonka devnet stop

status: ## Show the network's state
	$(BIN)/gonka status

check: setup ## Formatting, lints, the lock file
	$(WASM) scripts/check

test: check build ## Test everything: units, pallets, real processes end to end
	$(WASM) scripts/test

soak: build ## Sampled validation with 500 requests: writes benches/results/judged.txt
	$(WASM) scripts/soak

bench: setup ## Measure: takes long, writes benches/results
	$(WASM) scripts/bench

calibrate: build ## Make the demo model's calibration profile: takes hours, goes on where it was (CALIBRATE_ARGS=--tokens=…, …)
	@scripts/calibrate $(CALIBRATE_ARGS)
