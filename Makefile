# The only door: CI runs what people type. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON := .venv/bin/python
DATA := $(or $(CRYSTALMESH_DATA),../shared/data)
REFERENCE := services/relaxation/crystalmesh_relaxation/reference/mp20_chgnet_0_3_0.parquet
STAMP := .venv/.crystalmesh-installed
VLLM_STAMP := .venv/.crystalmesh-vllm-installed
SOURCES := clients/python/crystalmesh_client services tests benchmarks tools deploy
TYPED := clients/python/crystalmesh_client services benchmarks tools

##@ Use it
run: setup ## Set up, start a mesh, evaluate and relax example crystals, stop the mesh
	@tools/run_example.sh
up: setup ## Start a mesh in the foreground (Ctrl-C stops it); RUNTIME=ray for Ray Serve
	@.venv/bin/crystalmesh up $(if $(RUNTIME),--runtime $(RUNTIME))

##@ Work on it
setup: $(STAMP) $(if $(VLLM),$(VLLM_STAMP)) ## Create .venv with pinned versions, VLLM=1 with vLLM; nothing when it is up to date
$(STAMP): constraints.txt pyproject.toml $(wildcard services/*/pyproject.toml) tools/setup.sh
	@tools/setup.sh
$(VLLM_STAMP): $(STAMP) constraints-vllm.txt constraints-vllm-cuda.txt tools/setup_vllm.sh
	@tools/setup_vllm.sh
test: setup lint type .tools/grpcurl ## Everything that CI runs: lint, types, stub drift, tests (T=tests/… for a part)
	@$(PYTHON) -m pytest $(T)
lint: setup .tools/buf ## ruff, proto lint and format, breaking changes, stub and reference drift
	@$(PYTHON) -m ruff check $(SOURCES)
	@$(PYTHON) -m ruff format --check $(SOURCES)
	@$(PYTHON) tools/protos.py check
	@$(PYTHON) tools/api_reference.py --check
	@if [ -x node_modules/.bin/buf ]; then $(PYTHON) tools/protos.py lint && $(PYTHON) tools/protos.py breaking; \
	 else echo "skipped: proto lint and breaking changes need npm, which brings buf"; fi
type: setup ## mypy, strict, on all hand-written code
	@$(PYTHON) -m mypy $(TYPED)
format: setup .tools/buf ## Let ruff and buf put the code in order
	@$(PYTHON) -m ruff check --fix $(SOURCES); $(PYTHON) -m ruff format $(SOURCES)
	@if [ -x node_modules/.bin/buf ]; then $(PYTHON) tools/protos.py format; fi
proto: setup ## Generate the Python stubs from protos/
	@$(PYTHON) tools/protos.py generate
docs: setup proto ## Generate docs/api.md, settings.md and errors.md from protos and code
	@$(PYTHON) tools/api_reference.py
bench: setup ## Run a benchmark: B=rpc (QUICK=1 for under 50 s)
	@$(PYTHON) benchmarks/harness.py $(B)
reference: setup ## Relax the entries of the default hull that the shipped table lacks (an hour; goes on where it stopped)
	@mkdir -p build/reference
	@$(PYTHON) -m crystalmesh_relaxation.reference.relax_entries build/reference/entries.jsonl \
	 $(addprefix $(DATA)/mp20/,train.parquet val.parquet test.parquet)
	@$(PYTHON) -m crystalmesh_relaxation.reference.entries build/reference/entries.jsonl \
	 $(DATA)/mp20_hull.parquet $(REFERENCE)
starter: setup ## Build the starter catalog: make, relax and label its crystals (goes on where it stopped)
	@$(PYTHON) -m crystalmesh_retrieval.starter
clean: ## Remove the environment, caches and results
	@rm -rf .venv .tools node_modules benchmarks/results .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -prune -exec rm -rf {} +

.tools/buf: package.json
	@mkdir -p .tools; if command -v npm >/dev/null; then npm install --no-package-lock --silent --no-fund --no-audit \
	 && touch $@; fi

# The tests run the README's grpcurl commands where there is a grpcurl.
.tools/grpcurl: Makefile
	@mkdir -p .tools; if command -v go >/dev/null; then \
	 GOBIN=$(CURDIR)/.tools/bin go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4 && touch $@; \
	 else echo "no go here: the tests skip the README's grpcurl commands"; fi

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	 /^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run up setup test lint type format proto docs bench reference starter clean help
