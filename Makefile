# `make help` lists what there is. Set-up is a prerequisite of everything: it runs once, and again when the pinned
# versions, the place of the checkout or the Python change.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
RAY_READY := $(VENV)/.ray-ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# DVC asks for it, also where a user has no name, as by docker run -u
export LOGNAME ?= nobody
# Against a user's settings for other projects: stages import what lies beside them, DVC's libraries warn, and pip
# installs into .venv
unexport PYTHONSAFEPATH PYTHONWARNINGS PIP_TARGET PIP_PREFIX PIP_ROOT
export PIP_USER := 0
# Where the environment is, and its Python: after a move or an upgrade this differs from what set-up noted
WHERE := $(shell $(VENV)/bin/python -c 'import sys; print(sys.prefix, sys.version.split()[0])' 2>/dev/null)
ifneq ($(WHERE),$(shell cat $(READY) 2>/dev/null))
.PHONY: $(READY)
CLEAR := --clear
endif

.PHONY: help setup repro quick readme provenance frontier test test-slow smoke torture bench lint clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(None if sys.version_info >= (3, 11, 4) else f"error: Python 3.11.4 or newer is needed, $(PYTHON) is {v}; name another one, as in make PYTHON=python3.12")'
	@test ! -L $(VENV) || rm $(VENV)  # a link to the environment of another checkout, which is not to be cleared
	$(PYTHON) -m venv $(CLEAR) $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(VENV)/bin/python -c 'import sys; print(sys.prefix, sys.version.split()[0])' > $@

$(RAY_READY): $(READY) requirements-ray.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-ray.txt
	@touch $@

setup: $(READY)  ## make the virtual environment .venv with the pinned versions

repro: $(READY)  ## reproduce the whole report: run what is out of date; with JOBS=2 two stages at a time
	$(if $(JOBS),python tools/repro.py --jobs '$(JOBS)',@python stages/sources.py && dvc repro)

quick: $(READY)  ## reproduce the report with one run of each model, as an experiment
	dvc exp run -S sequence.replicates.VanillaRNN=1 -S sequence.replicates.LSTM=1 -S longer.replicates=1 \
	  -S ablation.replicates=1 -S gan.replicates=1

readme: $(READY)  ## put the findings of the report into README.md
	python tools/readme.py

provenance: $(READY)  ## write into provenance.csv on what each stage ran: machine, versions, commit, time
	python tools/provenance.py

frontier: $(READY)  ## run a study apart from the report: how long a palindrome can each model remember?
	dvc repro studies/frontier/dvc.yaml

test: $(READY)  ## run the tests, except the slow ones
	pytest

test-slow: $(RAY_READY)  ## run the slow tests: random kills, experiments, remotes, a browser, a cluster (installs Ray)
	pytest -m slow

smoke: $(READY)  ## run the whole pipeline at tiny size in .smoke, touching nothing else
	python tests/scratch.py .smoke

torture: $(READY)  ## kill a small pipeline at random 20 times (or N=50, JOBS=3); it must end in the same bytes
	python tests/torture.py .torture $(if $(N),--kills '$(N)') $(if $(JOBS),--jobs '$(JOBS)')

bench: $(READY)  ## measure the speed of training beside other ways to do it (15 minutes, on an idle machine)
	python benchmarks/run.py
	python benchmarks/growth.py

lint: $(READY)  ## check style, format, types, and which part of the library imports which
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-cache

clean:  ## remove the environment, scratch files, checkpoints and the study's finished runs; keep what DVC made
	rm -rf $(VENV) .smoke .torture .gpu_pipeline .checkpoints dvc_plots .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -o -name '*.egg-info' | grep -v '^./.git/' | xargs rm -rf
