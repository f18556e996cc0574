# Two commands do all the set-up on a fresh machine: `make demo` and `make test`. CI calls `make test`.
PYTHON := .venv/bin/python
PLAIT  := .venv/bin/plait
RUN    := PATH="$(CURDIR)/.venv/bin:$$PATH"

.PHONY: help setup demo test lint types arch kubectl unit e2e bench conformance fields format lock clean
help:
	@echo "make demo    set up, bring a mesh up, prove what it promises, clean up"
	@echo "make test    set up, then lint, types, arch, unit, kubectl's and end-to-end tests"
	@echo "make lint | types | arch | unit | kubectl | e2e | bench | conformance | fields | format | lock | clean"

setup:
	@tools/setup.sh

demo: setup
	@$(RUN) $(PLAIT) demo

# kubectl's tests wait for its starts beside what is checked without running anything; the others take the whole machine.
test: setup
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target kubectl lint types arch
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory e2e

lint: setup
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(PYTHON) tools/gates.py

types: setup
	@$(RUN) mypy

arch: setup
	@$(RUN) lint-imports --no-logo 2>/dev/null || $(RUN) lint-imports

# A worker more than there are cores: those of the wire tests mostly wait for each other.
unit: setup
	@$(RUN) pytest -q -m "not e2e and not kubectl" -n $$(($$(nproc) + 1))

kubectl: setup
	@$(RUN) pytest -q -m kubectl || { code=$$?; [ $$code = 5 ] || { echo "kubectl tests failed: once more, those alone"; \
		$(RUN) pytest -q -m kubectl --last-failed --last-failed-no-failures none; }; }

# Meshes mostly wait for each other's clocks and seldom for a core: three files at a time, whatever the machine has.
MESHES := -n 3 --dist loadfile --no-loadscope-reorder

# A failed end-to-end test (or one that drives a real kubectl) is run once more, and only a second failure counts: other work on the machine can stretch a
# deadline. Both results are printed; a test that needs its second chance often has a race to be found.
e2e: setup
	@$(RUN) pytest -q -m e2e $(MESHES) || { echo "end-to-end tests failed: once more, those alone"; \
		$(RUN) pytest -q -m e2e --last-failed --last-failed-no-failures none; }

bench: setup
	@$(RUN) $(PLAIT) bench l4

# The Gateway API's own suite; needs Go and root, and is no part of `make test`. A report is written to docs/conformance.
conformance: setup
	@tools/conformance/run.sh mesh; mesh=$$?; tools/conformance/run.sh gateway && exit $$mesh

# docs/fields.md anew, from the same trial that the tests make.
fields: setup
	@$(PYTHON) tools/fields.py

format: setup
	@$(RUN) ruff check --fix-only -q .
	@$(RUN) ruff format -q .

lock:
	@$(PYTHON) -m pip install --quiet uv
	@$(RUN) uv pip compile -q --generate-hashes --no-header --no-emit-index-url --no-annotate --group dev --extra demo pyproject.toml -o requirements.lock

clean:
	@-$(PLAIT) down --all 2>/dev/null
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
