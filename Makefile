# Everything a developer or a new user calls. `make` alone lists the targets.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
DATAPLANE := dataplane/target/release/geodns-dataplane
RUST_SOURCES := $(shell find dataplane -path dataplane/target -prune -o \( -name '*.rs' -o -name 'Cargo.*' \) -print) $(wildcard geodns/model/*.txt)
export GEODNS_DATAPLANE_BINARY := $(CURDIR)/$(DATAPLANE)
# Tests run this many at a time; those marked `timing` come after the others, alone on the machine.
TEST_WORKERS ?= auto

# What a goal needs from the system, named or installed at once before anything is built (command:package).
BUILD_PACKAGES := venv:python3-venv cc:build-essential
RUN_PACKAGES := dig:bind9-dnsutils
TEST_PACKAGES := dig:bind9-dnsutils nginx:nginx-light initdb:postgresql nsd:nsd knotd:knot named:bind9 valgrind:valgrind ip:iproute2
BENCH_PACKAGES := dnsperf:dnsperf gdnsd:gdnsd nsd:nsd knotd:knot geoip.so:knot-module-geoip named:bind9 \
	pdns_server:pdns-server libbindbackend.so:pdns-backend-bind libgeoipbackend.so:pdns-backend-geoip
PACKAGES := $(BUILD_PACKAGES)
ifneq ($(filter run,$(MAKECMDGOALS)),)
PACKAGES += $(RUN_PACKAGES)
endif
ifneq ($(filter test soak,$(MAKECMDGOALS)),)
PACKAGES += $(TEST_PACKAGES)
endif
ifneq ($(filter bench,$(MAKECMDGOALS)),)
PACKAGES += $(BENCH_PACKAGES)
endif

# Package installation and two builds side by side would only wait for each other's locks.
.NOTPARALLEL:
.PHONY: help packages run test check format bench fuzz fuzz-quick soak geo-db wheel clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

packages:
	@PYTHON=$(PYTHON) contrib/dev/system-packages $(PACKAGES)
	@contrib/dev/toolchain $(PYTHON)

$(VENV)/installed: pyproject.toml | packages
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(DATAPLANE): $(RUST_SOURCES) | packages
	cd dataplane && cargo build --release --locked --bin geodns-dataplane
	@touch $@

run: $(VENV)/installed $(DATAPLANE) ## set up everything and serve the sample zones on 127.0.0.1:5300, with three web servers to balance
	@$(BIN)/python contrib/sample/run.py

test: $(VENV)/installed $(DATAPLANE) ## set up everything and run every test
	cd dataplane && cargo test --workspace --locked --quiet
	$(BIN)/pytest -n $(TEST_WORKERS) -m 'not soak and not timing'
	$(BIN)/pytest -m 'timing and not soak'

check: $(VENV)/installed ## format, lint and types, as CI runs them before the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	cd dataplane && cargo fmt --check
	cd bench/echo && cargo fmt --check
	cd dataplane && cargo clippy --workspace --all-targets --locked --quiet -- -D warnings

format: $(VENV)/installed ## rewrite the sources in the house's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	cd dataplane && cargo fmt

bench: $(VENV)/installed $(DATAPLANE) ## what geodns costs, beside gdnsd, NSD, Knot, BIND and PowerDNS and by itself; BENCH="--help" tells of parts
	cd bench/echo && cargo build --release --locked --quiet
	$(BIN)/python -m bench $(BENCH)

soak: $(VENV)/installed $(DATAPLANE) ## the long forms of the tests
	$(BIN)/pytest -m soak -o addopts="--strict-markers --strict-config -ra" --timeout 3600

FUZZ_SECONDS ?= 600
fuzz: $(VENV)/installed ## coverage-guided fuzzing of every target for FUZZ_SECONDS each
	@contrib/dev/toolchain $(PYTHON)
	@contrib/dev/system-packages c++:g++
	contrib/dev/fuzz $(FUZZ_SECONDS)

fuzz-quick: $(VENV)/installed ## fuzzing of every target for a fixed number of runs, about 15 s each, as CI does
	@contrib/dev/toolchain $(PYTHON)
	@contrib/dev/system-packages c++:g++
	contrib/dev/fuzz runs

geo-db: ## bring a freely licensed (CC0) country database into var/
	@contrib/dev/geo-db

wheel: $(VENV)/installed ## build the wheel with the package, the dataplane and the migrations into dist/
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## remove what was built; var/ with your data stays
	rm -rf $(VENV) build dist geodns.egg-info dataplane/target
