# Two commands do everything on a fresh clone: `make bench` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2
export OMP_NUM_THREADS ?= 1

.PHONY: setup bench test lint types board perf check-small tune publish readme papers figures clean

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else f"Python 3.11 to 3.13 is needed, this is {v[0]}.{v[1]}; make PYTHON=python3.12 setup")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

bench: setup            ## run the core suite (cells that are there are skipped) and show the board's tables
	$(BIN)/bench run suite=core workers=$(WORKERS); code=$$?; $(BIN)/bench table suite=core; exit $$code

test: setup lint types  ## lint, types and tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

board: setup            ## write the static board, of every suite with records: results/board/index.html
	$(BIN)/bench browse --no-open

perf: $(VENV)/.rivals    ## ratios and harness costs, side by side in one run
	PYTHONPATH=$(VENV)/rivals $(BIN)/python -m benchmarks

$(VENV)/.rivals: benchmarks/requirements.txt $(STAMP)
	rm -rf $(VENV)/rivals
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --target $(VENV)/rivals -r benchmarks/requirements.txt
	@touch $@

check-small: setup      ## at `small`, every reference beats its floor by the task's margin; the contract suite's other pairs
	$(BIN)/python -m pytest -n 2 -m small tests

tune: setup             ## choose every core entry's rate again, on validation, with equal trials
	$(BIN)/bench tune suite=core workers=$(WORKERS)

publish: setup          ## fold the core suite's records into the ledger
	$(BIN)/bench publish suite=core

readme: setup           ## write the README's table from the ledger
	$(BIN)/python -m bench.board.readme

papers: setup           ## write docs/papers.md from the ledger
	$(BIN)/python -m bench.board.papers

figures: setup          ## draw every figure that has its records, for the READMEs
	$(BIN)/bench figures --out docs/figures

clean:                  ## remove the environment; results stay
	rm -rf $(VENV)
