# Two commands for a newcomer: `make demo` and `make test`. Both set everything up by themselves.
# PYTHON picks the interpreter; without it, the newest of 3.11 and up that is installed.
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2

.PHONY: setup servers demo test check bench docs security fuzz clean

setup: $(VENV)/.installed
	@:

$(VENV)/.installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "tarpit needs Python 3.11 or newer; install it, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "setting up $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { echo "python's venv module is missing: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test,bench]'
	@touch $@

servers: setup
	@sh tests/servers.sh

demo: setup
	@$(BIN)/tarpit demo $(ARGS)

test: setup servers
	@$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

check: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

# The generated pages: a test fails when they are stale.
docs: setup
	@$(BIN)/tarpit settings --markdown > docs/settings.md
	@$(BIN)/python -m tarpit.observe > docs/events.md
	@$(BIN)/python -c 'from scoring.weights import renew; renew("docs/scoring.md")'

# What the guarantees of docs/security.md were tested with, and its table; REAL= leaves out the real servers.
security: setup servers
	@$(BIN)/python -m tests.security $(ARGS)

# Each target for a minute, guided by coverage: make fuzz ARGS='--seconds 3600 dialogue'
fuzz: setup
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[fuzz]' \
		|| echo "atheris cannot be had here: hypothesis does it alone" >&2
	@$(BIN)/python -m tests.fuzz $(ARGS)

bench: setup
	@$(BIN)/python -m bench.hold $(ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
