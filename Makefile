# Each target sets up what it needs in .venv, the first time and whenever the requirements change.
PYTHON ?= python3
BIN := .venv/bin
# The pinned versions are those tested on Python 3.11; other Pythons use the ranges of setup.py.
CONSTRAINTS = $(shell $(BIN)/python -c 'import sys; print("-c constraints.txt" if sys.version_info[:2] == (3, 11) else "")')

# By a path file: setuptools' other way loses to a folder named seqjax, the clone itself, in the directory of a script.
EDITABLE = --config-settings editable_mode=compat --editable

.PHONY: install sweep gradients test lint faults oldest audit bench clean

install: .venv/.installed
sweep: .venv/.installed
	$(BIN)/python -m experiments.launch --config=configs/char_lm.py --sweep=cells --sweep=seeds --workers=2 --runs=runs/char_lm

gradients: .venv/.installed
	$(BIN)/python -m experiments.vanishing_gradients

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

faults: .venv/.installed-dev
	$(BIN)/python -m tests.faults --log=runs/faults.jsonl --out=docs/faults.md

# The oldest versions that setup.py allows, in .venv-oldest; the pinned ones of `make test` are the newest.
oldest: .venv-oldest/.installed
	.venv-oldest/bin/python -m pytest -n 2 --dist worksteal --disable-warnings

# Known vulnerabilities of the pinned versions; needs the advisories of pypi.org, and fails where it cannot read them.
audit: .venv-audit/.installed
	.venv-audit/bin/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

bench: .venv/.installed-bench
	$(BIN)/python -m benchmarks.overhead
	$(BIN)/python -m benchmarks.recurrence
	$(BIN)/python -m benchmarks.memory --out=benchmarks/results

clean:
	rm -rf .venv .venv-oldest .venv-audit build *.egg-info

.venv/.made:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "seqjax needs Python 3.11 or newer; name one with: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	touch $@

.venv/.installed: .venv/.made setup.py constraints.txt
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) $(EDITABLE) .
	touch $@

.venv/.installed-dev: .venv/.made setup.py constraints.txt
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) $(EDITABLE) '.[dev,ray,search,tensorboard]'
	touch $@ .venv/.installed

.venv/.installed-bench: .venv/.installed-dev
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) $(EDITABLE) '.[bench]'
	touch $@

.venv-oldest/.installed: setup.py
	$(PYTHON) -m venv --clear .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet uv
	.venv-oldest/bin/python -m uv pip compile --quiet setup.py --resolution lowest-direct --extra dev --extra ray --extra search \
		--extra tensorboard --output-file .venv-oldest/constraints.txt
	.venv-oldest/bin/python -m pip install --quiet -c .venv-oldest/constraints.txt $(EDITABLE) '.[dev,ray,search,tensorboard]'
	touch $@

.venv-audit/.installed: constraints.txt
	$(PYTHON) -m venv --clear .venv-audit
	.venv-audit/bin/python -m pip install --quiet pip-audit
	touch $@
