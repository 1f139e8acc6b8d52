# `make demo` and `make test` need Python 3.11 or later, git and make; they bring the rest.
UV ?= $(shell command -v uv || echo .uv/bin/uv)
PYTHON := .venv/bin/python
# Byte code is kept, whatever the shell says: without it every process pays seconds for imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 10

.PHONY: demo
demo: ## generate a project, train, gate, register and release a model; PROVIDER=aws: on a cloud's emulator
	@PATH="$(abspath $(dir $(UV))):$$PATH" PROVIDER=$(PROVIDER) python3 demo.py

.PHONY: test
test: .venv .venv/lib/clouds ## lint, types, and every test, the long ones included
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy
	@PATH="$(abspath $(dir $(UV))):$$PATH" $(PYTHON) -m pytest --numprocesses 2 --dist loadfile $(ARGS)

.PHONY: bench
bench: .venv ## measure, and write bench/results.json and docs/benchmarks.md
	$(UV) pip install --quiet --python $(PYTHON) --requirement bench/requirements.txt
	@PATH="$(abspath $(dir $(UV))):$$PATH" $(PYTHON) bench/run.py $(ARGS)

.PHONY: cookiecutter
cookiecutter: .venv ## write cookiecutter.json from copier.yml
	$(PYTHON) hooks/write_cookiecutter_json.py

.PHONY: lock
lock: ## resolve the dependencies anew
	$(UV) export --quiet --no-emit-project --group dev --no-annotate --no-header --output-file requirements.txt
	$(UV) export --quiet --no-emit-project --only-group clouds --no-annotate --no-header --output-file tests/clouds/requirements.txt
	$(UV) export --quiet --no-emit-project --only-group bench --no-annotate --no-header --output-file bench/requirements.txt
	$(UV) export --quiet --no-emit-project --only-group peers --no-annotate --no-header --output-file bench/peers/requirements.txt

.uv/bin/uv:
	python3 -m pip install --quiet --target .uv uv

.venv: requirements.txt | $(UV)
	$(UV) venv --quiet --allow-existing --python "$$(command -v python3)" .venv
	$(UV) pip sync --quiet --python $(PYTHON) --require-hashes requirements.txt
	@rm -f .venv/lib/clouds; touch .venv

# SDKs and emulators, of which most of this repository knows nothing.
.venv/lib/clouds: tests/clouds/requirements.txt | .venv
	$(UV) pip install --quiet --python $(PYTHON) --require-hashes --requirement $<
	@touch $@
