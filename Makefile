# The front door. Every target sets up what it needs in .venv; Python 3.11 to 3.13 and make are enough to start.
PYTHON ?= python3
ARGS ?=
VENV := .venv/bin
UV ?= uv

.DEFAULT_GOAL := help
.PHONY: help demo cli test test-all lint format bench contracts node lock setup clean

help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## run the demo and leave it serving (ARGS="--once --out DIR" ends by itself)
	@$(PYTHON) tallystick.py demo $(ARGS)

cli: ## run any command of the program (ARGS="verify bundle.json --trust trust.json")
	@$(PYTHON) tallystick.py $(ARGS)

# The tests start a hundred processes: without bytecode in files each of them would compile the program anew.
test test-all: export PYTHONDONTWRITEBYTECODE =

test: setup ## the quick tests, about five minutes, Python alone (ARGS goes to pytest)
	@$(VENV)/python -m pytest -m "not full" -n auto --maxprocesses 4 --dist loadfile $(ARGS)

test-all: setup node ## the rest: needs node, npm and chromium, or time; with CI=true a skip is a failure
	@$(VENV)/python -m pytest -m full -n auto --maxprocesses 2 --dist worksteal --ignore tests/benchmarks $(ARGS)
	@$(VENV)/python -m pytest -m full tests/benchmarks

lint: setup ## ruff, mypy --strict and the import contracts
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .
	@$(VENV)/mypy
	@$(VENV)/lint-imports --no-logo

format: setup ## let ruff mend what it can
	@$(VENV)/ruff check --fix .
	@$(VENV)/ruff format .

bench: setup ## print every figure beside the limit measured bare in the same run
	@$(VENV)/python -m benchmarks $(ARGS)

contracts: setup node ## compile the contracts and write contracts/artifacts
	@$(VENV)/python -m contracts.compile $(ARGS)

# Stamped by npm itself, which writes this file last.
NODE_STAMP := contracts/node_modules/.package-lock.json

node: $(NODE_STAMP) ## fetch compiler, libraries and test node from npm

$(NODE_STAMP): contracts/package.json contracts/package-lock.json
	@command -v npm >/dev/null || { echo "npm is not on the PATH: install node, with npm" >&2; exit 1; }
	npm ci --prefix contracts --ignore-scripts --no-audit --no-fund
	@touch $@

LOCK := $(UV) pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --only-binary :all: \
	--no-header --no-emit-index-url --no-annotate

lock: ## resolve the dependencies anew (needs uv; UPGRADE=--upgrade takes newer ones)
	$(LOCK) $(UPGRADE) -o requirements.lock >/dev/null
	$(LOCK) $(UPGRADE) --extra dev -c requirements.lock -o requirements-dev.lock >/dev/null

setup: ## build .venv with the development tools
	@$(PYTHON) tallystick.py --setup --dev

clean: ## remove what the other targets made
	rm -rf .venv .venv.lock build contracts/node_modules .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
