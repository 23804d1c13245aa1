# `make demo` and `make test` each make their own .venv from pyproject.toml.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
FIELD  ?=

.PHONY: help demo test slow lint peers clean
.DEFAULT_GOAL := help

help:
	@echo "make demo [FIELD=file.npy|.nc|.zarr]   compress a field into Zarr through xarray and compare"
	@echo "make test                              run the fast tests"
	@echo "make slow | lint | peers | clean"

$(VENV)/.core: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fzdask needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e ".[netcdf,peers]"
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(BIN)/python -m pip install --quiet -e ".[dev,peers]"
	@touch $@

demo: $(VENV)/.core
	$(BIN)/fzdask demo $(FIELD)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist loadfile

slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m "slow and not gpu" --timeout=3600

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

peers: $(VENV)/.dev
	$(BIN)/python benchmarks/peers.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
