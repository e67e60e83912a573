# `make` sets everything up; each target makes what it needs first. Nothing outside this directory is touched, but
# for Debian packages that are missing (installed when root, else named). See `make help`.

PYTHON  ?= /usr/bin/python3
VENV    := .venv
BIN     := $(VENV)/bin
READY   := $(VENV)/.ready
ENVOY   := .envoy/envoy/_bin/envoy
# What the project runs besides Python, as command=debian-package.
COMMANDS := git=git openssl=openssl curl=curl flock=util-linux
# Only the tests put load on the proxy, read the manual pages, want a forward proxy that others made, and a D-Bus.
TEST_COMMANDS := wrk=wrk man=man-db tinyproxy=tinyproxy-bin dbus-daemon=dbus-daemon
# Captured connections are tested in a network namespace, which only root can make.
# The lab's machines are made by debootstrap, booted by systemd-nspawn, and root's as well.
ifeq ($(shell id -u),0)
TEST_COMMANDS += nft=nftables ip=iproute2
SLOW_COMMANDS := debootstrap=debootstrap systemd-nspawn=systemd-container nsenter=util-linux ssh=openssh-client \
                 lintian=lintian rpmbuild=rpm dh=debhelper dpkg-buildpackage=dpkg-dev ansible-playbook=ansible-core
endif

# Two `make`s at once in one checkout wait for each other while they set up.
LOCKED  := flock Makefile
# Many tests wait, for processes and for the network: two more than cores keep these busy.
WORKERS := $(shell echo $$(( $$(nproc) + 2 )))
PYTEST  := $(BIN)/$(if $(COVERAGE),coverage run,python) -m pytest --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder

CORE := meshd/names.py meshd/problems.py meshd/memo.py meshd/documents* meshd/fields.py meshd/decode* \
        meshd/resources/** meshd/registry/** meshd/convert/** meshd/plan/** meshd/mesh/** meshd/compiler/** \
        meshd/envoy/** meshd/explain/**
empty :=
comma := ,
CORE_LIST := $(subst $(empty) $(empty),$(comma),$(strip $(CORE)))

.DEFAULT_GOAL := setup
.PHONY: setup demo test test-slow test-all coverage lint format schema bench deb rpm wheel lock clean help

setup: $(READY) $(ENVOY)  ## set up: .venv, all dependencies, the embedded Envoy

demo: setup  ## the whole thing at work, in half a minute; KEEP=1 leaves it running
	@$(BIN)/meshd demo --envoy $(abspath $(ENVOY)) $(if $(KEEP),--keep)

test: setup  ## the tests, but for the slow ones; COVERAGE=1 measures them
	@packaging/debian-packages $(TEST_COMMANDS)
	$(if $(COVERAGE),$(BIN)/coverage erase)
	$(PYTEST) -m "not slow" $(ARGS)

test-slow: setup  ## the slow tests; as root, those on machines with systemd too
	@packaging/debian-packages $(TEST_COMMANDS) $(SLOW_COMMANDS)
	$(PYTEST) -m slow $(ARGS)

test-all: setup  ## every test
	@packaging/debian-packages $(TEST_COMMANDS) $(SLOW_COMMANDS)
	$(PYTEST) $(ARGS)

coverage: setup  ## what `make test COVERAGE=1` measured; fails below the floors of pyproject.toml and 90 % of the core
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered
	$(BIN)/coverage report --format=total --fail-under=90 --include='$(CORE_LIST)' >/dev/null \
	  || { echo 'the core is covered by less than 90 %'; $(BIN)/coverage report --include='$(CORE_LIST)'; exit 1; }

lint: $(READY)  ## ruff, mypy --strict, the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(READY)  ## let ruff write the files as `make lint` wants them
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schema: $(READY)  ## write meshd/schemas/mesh.json anew, from the types
	$(BIN)/meshd schema -o meshd/schemas/mesh.json

bench: setup  ## measure, and print beside the budgets of ARCHITECTURE.md; ARGS="--help" for more
	$(BIN)/python -m bench --envoy $(abspath $(ENVOY)) $(ARGS)

deb:  ## dist/*.deb, for this Debian or Ubuntu; or for RELEASE=trixie, RELEASE=noble, with ARCH=arm64 (as root)
	@$(if $(RELEASE)$(ARCH),packaging/in-release "$(RELEASE)" "$(ARCH)" build-deb,packaging/build-deb) dist

rpm:  ## dist/*.rpm
	@packaging/build-rpm dist

wheel: $(READY)  ## dist/*.whl, for pipx
	@$(BIN)/python -m pip --quiet wheel --no-deps --wheel-dir dist .

lock:  ## the newest versions of what packages are made of, with their digests, into packaging/lock
	@packaging/lock-requirements

clean:  ## remove all that `make` made
	rm -rf $(VENV) .envoy .cache build dist *.egg-info .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache \
	  .import_linter_cache .hypothesis
	find meshd tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml packaging/debian-packages
	@packaging/debian-packages --python $(PYTHON) $(COMMANDS)
	@$(LOCKED) packaging/make-venv $(PYTHON) $(VENV)
	@touch $@

# Order only: what is installed stays until `make clean`, so that everything works offline once it is set up.
$(ENVOY): | $(READY)
	@$(LOCKED) $(BIN)/meshd envoy install --target .envoy
