# Everything runs in a virtual environment of the checkout's own.
PYTHON ?= python3
VENV ?= .venv
PIP = $(VENV)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check clean

# From nothing to a pruned task and a report, on text that this machine has already.
demo: $(VENV)/installed
	$(VENV)/bin/prune demo

# Everything that a change must pass.
test: check
	$(VENV)/bin/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile

check: $(VENV)/installed-dev
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/pip pyproject.toml constraints.txt
	$(PIP) --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/bin/pip pyproject.toml constraints.txt
	$(PIP) --editable '.[dev]'
	touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) build *.egg-info
