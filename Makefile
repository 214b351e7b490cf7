# The checks of this project, each by the name that CI gives it. `make help` lists them.
.PHONY: help fmt lint doc msrv deny shellcheck test test-lib test-kernel test-engines test-clients test-repo faults fuzz fuzz-long image bench fresh field-engines field-kernels

LAB = cargo run --quiet --locked -p lab --bin lab --
SCRIPTS = $(shell git grep -lE '^\#!(/bin/|/usr/bin/env )(ba)?sh' -- ':!*.md')

help: ## lists the recipes
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

fmt: ## the code is formatted as rustfmt.toml says
	cargo fmt --all --check
	cargo fmt --check --manifest-path tests/fuzz/fuzzer/Cargo.toml

lint: ## clippy has nothing to say
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo check --locked --manifest-path tests/fuzz/fuzzer/Cargo.toml

doc: ## the documentation builds without a warning, that of private items too
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --workspace --document-private-items

msrv: ## the oldest Rust that Cargo.toml names builds the program
	tests/msrv

deny: ## licences, duplicates and sources of what is linked are those of deny.toml
	$(LAB) needs --install --for deny
	tests/run --small --test repo package::licences_duplicates_and_sources

shellcheck: ## the shell scripts have no known mistake
	$(LAB) needs --install --for shellcheck
	test -n "$(SCRIPTS)" && shellcheck $(SCRIPTS)

test: ## every test
	tests/run

test-lib: ## ring 1: tables and properties without a kernel
	tests/run --lib

test-kernel: ## ring 2: real network namespaces
	tests/run --test kernel

test-engines: ## ring 3: Docker, Podman, containerd, LXC; without the image
	tests/run --test engines -- --skip image::

test-clients: ## ring 3: Prometheus, a browser, a terminal, curl
	tests/run --test clients

test-repo: ## documentation, deploy files, packages, dashboards, rules, the rules of the source
	tests/run --test repo

faults: ## ring 4: the fault campaign in its short sizes
	tests/run --test faults

fuzz: ## each fuzz target takes its corpus, once, without libFuzzer
	tests/run --test fuzz

fuzz-long: ## libFuzzer looks at each target for two minutes, or VETH_LAB_FUZZ seconds
	tests/run --fuzz

image: ## the static binary and the image, built and run by a real engine
	tests/run --test engines image::

bench: ## what the exporter costs at 500 and 5,000 pairs
	benches/run

field-kernels: ## the scenes of docs/compatibility.md on kernels 5.10 to 7, in virtual machines
	$(LAB) needs --install --for field
	cargo build --release --locked
	tests/field/kernels/all target/release/veth-exporter

fresh: ## both commands of the README in a Debian root that has nothing but Rust
	tests/fresh

field-engines: ## today's engines, in a root file system of Debian sid; writes docs/compatibility.md
	tests/field/engines/run
