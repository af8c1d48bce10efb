# Two commands do everything on a fresh machine: `make demo` and `make test`.
VENV ?= .venv
LIGHT ?= .venv-light
ifeq ($(OS),Windows_NT)
PYTHON ?= python
BIN := $(VENV)/Scripts
PY := $(BIN)/python.exe
LIGHT_PY := $(LIGHT)/Scripts/python.exe
else
PYTHON ?= python3
BIN := $(VENV)/bin
PY := $(BIN)/python
LIGHT_PY := $(LIGHT)/bin/python
endif
SONG ?=
ARGS ?=
# tests run in two processes, those that ARGS chooses in this one
PROCESSES := $(if $(ARGS),0,2)

.PHONY: help demo page test lint benchmark benchmark-peers docs clean

help:
	@echo "make demo       small environment, then a real recording through the shipped weights -> demo_out/"
	@echo "                (your own: make demo SONG=song.mp3)"
	@echo "make page       the same on a web page of this computer"
	@echo "make test       environment with everything, then all tests in two processes"
	@echo "                (some: make test ARGS=tests/losses, ARGS='-k viterbi', ARGS='-n 4')"
	@echo "make lint       ruff and mypy"
	@echo "make benchmark  speed ratios, one thread, same run"
	@echo "make benchmark-peers  time and memory against other tools, hours -> peers_out/"
	@echo "make dist       wheel and sdist, built and checked -> dist/"
	@echo "make docs       the pages as HTML -> docs/_build/html/index.html"
	@echo "PYTHON=python3.12 chooses the interpreter, VENV=dir and LIGHT=dir the environments' folders"

$(PY) $(LIGHT_PY):
	$(PYTHON) -m venv $(dir $(@D)) || $(PYTHON) -m virtualenv $(dir $(@D)) || \
	  { echo "No virtual environment can be made: install python3-venv or virtualenv."; exit 1; }

# stamps: installed again when the dependencies change, and only then
# without torch; stempeg carries the song, and what else it asks for is not needed
$(LIGHT)/.demo: light/pyproject.toml | $(LIGHT_PY)
	$(LIGHT_PY) -m pip install -q --disable-pip-version-check -e "./light[demo]"
	$(LIGHT_PY) -m pip install -q --disable-pip-version-check --no-deps stempeg
	@touch $@

$(VENV)/.all: pyproject.toml | $(PY)
	$(PY) -m pip install -q --disable-pip-version-check -e ".[all]"
	@touch $@

demo: $(LIGHT)/.demo
	$(LIGHT_PY) -W ignore docs/demo.py $(if $(SONG),"$(SONG)")

page: $(LIGHT)/.demo
	$(LIGHT_PY) -W ignore -m asteroid_joint.cli demo

test: export OMP_NUM_THREADS = 1
test: $(VENV)/.all
	$(PY) -m pytest -n $(PROCESSES) --dist worksteal $(ARGS)

lint: $(VENV)/.all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmark: $(VENV)/.all
	OMP_NUM_THREADS=1 $(PY) -W ignore benchmarks/forward.py
	$(PY) -W ignore benchmarks/separate_speed.py

benchmark-peers: $(VENV)/.all
	$(PY) -W ignore benchmarks/peers.py --out peers_out $(ARGS)

docs: $(VENV)/.all
	$(PY) -W ignore -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

# the sdist from here, the wheel from the sdist, as whoever downloads it would
.PHONY: dist
dist: $(VENV)/.dist
	rm -rf dist
	$(PY) -m build
	$(PY) -m twine check --strict dist/*

$(VENV)/.dist: | $(PY)
	$(PY) -m pip install -q --disable-pip-version-check build twine
	@touch $@

clean:
	rm -rf $(VENV) $(LIGHT) build dist *.egg-info light/build light/*.egg-info demo_out peers_out docs/_build docs/reference
