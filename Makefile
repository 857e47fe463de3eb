# Managed by retain: in a project `retain upgrade` rewrites this file unless it was changed
# What a person does with a project, and what CI does: the same commands. `make` lists them.
# Needs git, GNU make 4 and Python 3.11 or newer; everything else comes into .venv.

PYTHON ?= python3
PORT ?= 5000
# What tests and linters need is locked in a checkout of retain alone.
LOCKS := requirements.lock $(wildcard requirements-dev.lock)
WHEELS := $(if $(wildcard wheels),--find-links wheels)

VENV := .venv
STAMP := $(VENV)/.set-up
TEAM := $(VENV)/.set-up-for-a-team
UNFINISHED := $(VENV)/.unfinished
PATH_OUTSIDE := $(PATH)

# DVC and the stages it starts must find this environment, and nothing of the user's own.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV PIP_USER PIP_TARGET PIP_PREFIX
# By default all users of a machine share one folder for DVC's file states.
export DVC_SITE_CACHE_DIR ?= $(CURDIR)/.dvc/tmp/site-cache
export DVC_NO_ANALYTICS := true
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true

.SHELLFLAGS := -ec
.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help setup run language recall retrain experiments changes ui clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What a lock names is all that is installed, and nothing that has another hash.
PIP = $(VENV)/bin/python -m pip install --disable-pip-version-check --progress-bar off --no-deps $(WHEELS)
# torch's build for the CPU where pip finds one that is locked, or else that of the package index,
# which on Linux needs CUDA's libraries. requirements.lock has the first, and all the rest.
TORCH = awk '/^[A-Za-z]/ { torch = /^torch==/ } torch' requirements.lock > $(VENV)/torch.lock; \
  awk '/^[A-Za-z]/ { torch = /^torch==/ } !torch' requirements.lock > $(VENV)/rest.lock; \
  $(PIP) --quiet -r $(VENV)/torch.lock 2>/dev/null || $(PIP) --quiet -r requirements-cuda.lock

setup: $(STAMP) ## Make .venv with the versions of requirements.lock; PYTHON=python3.12 takes another Python

# Of pip's lines, how many packages it has found so far, every ten; its errors go past this.
PROGRESS = awk -v all="$$(cat $(LOCKS) | grep -c '^[a-z]')" \
  '/^Collecting/ { if (++found % 10 == 0) { print "  " found " of about " all " packages found: " $$2; fflush() } } \
   /^Installing collected/ { print "  writing them into $(VENV)"; fflush() }'

# A stamp tells where it was set up: a folder that was moved, or whose Python is gone, starts anew.
ifneq ($(shell cat $(STAMP) 2>/dev/null) $(if $(realpath $(VENV)/bin/python),works),$(CURDIR) works)
.PHONY: $(STAMP)
endif

$(STAMP): $(LOCKS) $(wildcard pyproject.toml)
	@PATH='$(PATH_OUTSIDE)'; \
	if ! command -v '$(PYTHON)' >/dev/null; then \
	  echo "error: there is no '$(PYTHON)'; install Python 3.11 or newer, or name one: make setup PYTHON=python3.12" >&2; exit 1; \
	fi; \
	if ! '$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	  echo "error: '$(PYTHON)' is $$('$(PYTHON)' --version 2>&1), and retain needs 3.11 or newer; name one: make setup PYTHON=python3.12" >&2; exit 1; \
	fi; \
	base=$$('$(PYTHON)' -c 'import sys; print(sys._base_executable)'); \
	here=$$(pwd -P); place=$$(cat $(STAMP) 2>/dev/null || echo "$$here"); \
	if [ -e $(UNFINISHED) ] || [ "$$place" != "$$here" ] || ! $(VENV)/bin/python -m pip --version >/dev/null 2>&1; then \
	  echo "making $(VENV) with $$("$$base" --version)"; \
	  rm -rf $(VENV); mkdir $(VENV); touch $(UNFINISHED); \
	  "$$base" -m venv $(VENV); \
	fi
	@rm -f $(STAMP); touch $(UNFINISHED)
	@echo "installing requirements.lock into $(VENV); the first time this takes some minutes"
	@$(TORCH)
	@{ $(PIP) $(addprefix -r ,$(patsubst requirements.lock,$(VENV)/rest.lock,$(LOCKS))) || \
	  touch $(UNFINISHED).failed; } | $(PROGRESS); \
	if [ -e $(UNFINISHED).failed ]; then rm $(UNFINISHED).failed; exit 1; fi
	@$(INSTALL_RETAIN)
	@rm $(UNFINISHED); pwd -P > $@

run: setup ## Train, score and register every forecaster, as far as something changed; then print the results
	@$(call problems,--kind forecast,retain run $$names)

language: setup ## The same for the problems of texts, conversations and translations (docs/memory.md)
	@$(call problems,--kind text --kind chat --kind translate,$(ABREAST))

recall: setup ## The same for the problems that show how long LSTM, GRU and RNN remember (docs/memory.md)
	@$(call problems,--kind recall,$(ABREAST))

# Three at a time: on two cores none is idle until the end.
ABREAST = printf 'register@%s\n' $$names | xargs -P 3 -n 1 dvc --wait-for-lock repro; retain results $$names

# A command for every problem of these kinds.
define problems
	git rev-parse --git-dir >/dev/null 2>&1 || { \
	  echo "error: DVC needs a git repository here; clone the project, or run: git init" >&2; exit 1; }; \
	names=$$(retain problems $(1)); \
	if [ -n "$$names" ]; then $(2); fi
endef

# PROBLEMS, PUBLISH and BASE reach the commands as environment: make would run what is in them.
# A remote in S3 needs what a team needs.
retrain: setup $(if $(findstring s3://,$(shell cat .dvc/config)),$(TEAM)) ## Retrain what needs it of what was trained here, or of PROBLEMS="a b"; PUBLISH=1 opens a pull request
	@python pipelines/retrain.py

# Without the workspace, which repeats the last experiment, and the md5 of what stages read.
experiments: setup ## List the experiments of the last commit: their figures, and the params in which they differ
	@dvc exp show --only-changed --hide-workspace --drop '.*/.*'

changes: setup ## Say what the pipeline would run, and how params and metrics differ from BASE=origin/main
	@retain changes

$(TEAM): $(STAMP) requirements-team.lock
	@$(PIP) --quiet -r requirements-team.lock
	@touch $@

# Without the background jobs, which nothing here uses, it takes a third of the memory.
ui: setup ## Show runs and models in MLflow's pages on http://127.0.0.1:5000; PORT=5001 takes another port
	@case "$${MLFLOW_TRACKING_URI:-}" in \
	  http*) retain runs --address "$$MLFLOW_TRACKING_URI"; exit ;; \
	  '') [ -f mlruns/mlflow.db ] || { echo "error: no run is recorded yet; make one: make run" >&2; exit 1; }; \
	    retain sync >/dev/null ;; \
	esac; \
	echo "open one of these in a browser; Ctrl-C ends it"; \
	retain runs --address http://127.0.0.1:$(PORT); \
	exec env MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow server --workers 1 \
	  --host 127.0.0.1 --port $(PORT) \
	  --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///mlruns/mlflow.db}"

clean: ## Remove .venv, caches of tools and scratch files; leave data, models, reports and MLflow's runs
	@rm -rf $(VENV) $(ALSO_CLEAN) .mypy_cache .ruff_cache .pytest_cache scratch build dist src/*.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "left in place: data/ models/ reports/ mlruns/ .dvc/cache/"

# The commands of a checkout of retain; a project has no such file.
-include checkout.mk
