# What people and CI call. Set-up is done as needed: each script does nothing where nothing is
# missing, and says what to run where it cannot do it.

CARGO ?= cargo
BROKER ?= memory

# Scripts and tests look for what was built in target/.
unexport CARGO_TARGET_DIR

# Those that plugins can be written in from a template, each with a script that installs its compiler.
LANGUAGES = assemblyscript c go javascript python rust typescript wat zig

.PHONY: help build plugins examples demo test conformance zoo languages bench docs lint fuzz format setup setup-rabbitmq setup-redis setup-peers setup-fuzz setup-bench setup-languages $(LANGUAGES:%=setup-%)

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

build: ## Build the daemon
	$(CARGO) build --package endpointd

plugins: ## Build the plugins into target/plugins
	@scripts/languages/rust.sh
	@scripts/build-guests.sh

examples: ## Build the programs that call, with nothing but the client half
	$(CARGO) build --package caller --package fanout_publisher

demo: build plugins ## See it work: BROKER=memory (nothing to install) or BROKER=rabbitmq
	@scripts/demo.sh $(BROKER)

test: setup setup-languages build plugins examples ## Install what the tests need, and run them all
	@CARGO="$(CARGO)" scripts/test.sh

conformance: setup build plugins examples ## Prove every conformance point, and write docs/conformance.md
	@CARGO="$(CARGO)" scripts/conformance.py

zoo: setup build plugins ## Measure what hostile guests cost, and write docs/hostile-guests.md
	ENDPOINTD_MEASURE=1 $(CARGO) test --package endpointd --test it -- --nocapture zoo_figures::

languages: setup-languages build plugins ## Measure the examples of every language, and write docs/languages.md
	ENDPOINTD_MEASURE=1 $(CARGO) test --package endpointd --test it -- --nocapture languages::figures

bench: setup setup-bench plugins ## Measure beside oslo.messaging and others, and write docs/benchmarks.md (half an hour, first build included)
	$(CARGO) build --release --package endpointd --package endpointd-bench --bins
	target/release/endpointd-bench

docs: ## Write docs/configuration.md from the types
	ENDPOINTD_WRITE_DOCS=1 $(CARGO) test --quiet --package endpointd --test it -- docs::

lint: ## Check formatting and lints
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path examples/rust/Cargo.toml --check
	$(CARGO) clippy --workspace --all-targets -- --deny warnings
	$(CARGO) clippy --package endpointd --no-default-features -- --deny warnings

fuzz: setup-fuzz ## Fuzz the parsers for a minute each
	@scripts/fuzz.sh 60

format: ## Format the code
	$(CARGO) fmt --all

setup: setup-rabbitmq setup-redis setup-peers ## Install RabbitMQ, Redis and the Python peers

setup-rabbitmq:
	@scripts/setup-rabbitmq.sh

setup-redis:
	@scripts/setup-redis.sh

setup-peers:
	@scripts/setup-peers.sh

setup-fuzz:
	@scripts/setup-fuzz.sh

setup-bench:
	@scripts/setup-bench.sh

setup-languages: ## Install the compilers that plugins are tested with; what cannot be had is left out
	@scripts/setup-languages.sh $(LANGUAGES)

$(LANGUAGES:%=setup-%): setup-%:
	@scripts/languages/$*.sh
