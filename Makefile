# The commands of a developer and of CI. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup setup-rust build fmt demo bench-small test test-offline crash-matrix monkey live pairs check-more
MAKEFLAGS += --no-print-directory

# rustup's cargo first: a distribution's is often too old.
export PATH := $(HOME)/.cargo/bin:$(PATH)
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
ARGS ?=
# Declared by a macro, where cargo fmt does not look.
KINDS := --edition 2024 engine/steps/src/kinds/*.rs

help: ## lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## installs what is missing: PostgreSQL, a C compiler, Rust
	@.ci/setup postgresql rust

setup-rust:
	@.ci/setup rust

build: setup-rust ## builds target/release/pgkedge
	@$(CARGO) build --release --locked
	@! grep -q PGKEDGE_FAILPOINT $(TARGET)/release/pgkedge || \
		{ echo "the release has failpoints in it" >&2; false; }

demo: setup build ## moves a DVD-rental database between two throw-away servers (ARGS="--size 5")
	@$(TARGET)/release/pgkedge demo $(ARGS)

bench-small: setup ## times 2,000 small tables next to pg_dump and pg_restore (ROUNDS=3)
	@$(CARGO) bench --locked --bench small

fmt: setup-rust ## formats the code
	@$(CARGO) fmt --all && rustfmt $(KINDS)

test: setup ## formatting, lints and every test
	@$(CARGO) fmt --all --check && rustfmt --check $(KINDS)
	@$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	@$(CARGO) test --workspace --locked --no-fail-fast

test-offline: setup-rust ## the tests that need no PostgreSQL
	@$(CARGO) test --workspace --locked --lib --no-fail-fast
	@$(CARGO) test --locked --test offline

crash-matrix: setup ## kills a run around the effect of each step kind, each time a new one
	@$(CARGO) test --locked --test postgres crash_matrix -- --ignored --nocapture

monkey: setup ## kills a run at random moments (KILLS=20 SEED=7)
	@$(if $(KILLS),PGKEDGE_KILLS=$(KILLS)) $(if $(SEED),PGKEDGE_SEED=$(SEED)) \
		$(CARGO) test --locked --test postgres kills:: -- --nocapture

live: setup ## moves a database that is written to, each pipeline ROUNDS=10 times, each time killed once
	@$(if $(ROUNDS),PGKEDGE_ROUNDS=$(ROUNDS)) $(if $(SEED),PGKEDGE_SEED=$(SEED)) \
		$(CARGO) test --locked --test postgres live::rounds -- --ignored --nocapture
	@cat $(TARGET)/tmp/live.json

pairs: setup ## the same from 13 to 17 and from 15 to 18, on servers from npm
	@.ci/setup registries && .ci/servers $(TARGET)/servers
	@PATH="$(abspath $(TARGET)/servers/client/bin):$$PATH" PGKEDGE_SERVERS="$(abspath $(TARGET)/servers)" \
		$(CARGO) test --locked --test postgres live::pairs -- --ignored --nocapture
	@cat $(TARGET)/tmp/pairs.json

# Tools that a machine may lack: each is named, and left out where it is missing.
check-more: setup ## nextest, documentation, advisories, unused dependencies
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --quiet
	@$(call if-installed,nextest,nextest run --workspace --locked)
	@$(call if-installed,deny,deny --locked check advisories bans sources)
	@$(call if-installed,shear,shear)

if-installed = if $(CARGO) $(1) --version >/dev/null 2>&1; then $(CARGO) $(2); \
	else echo "left out: cargo-$(1) is not installed (cargo install --locked cargo-$(1))" >&2; fi
