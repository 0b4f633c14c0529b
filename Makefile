# Two commands do everything: `make demo` and `make test`. Each makes the environment that it needs in .venv*.
PYTHON ?= python3
DEMO_ENV := .venv-demo
TEST_ENV := .venv
SERVE_ENV := .venv-serve
PERFORMANCE_ENV := .venv-performance
LOCK_ENV := .venv-lock
AUDIT_ENV := .venv-audit
FUZZ_ENV := .venv-fuzz
FUZZ_SECONDS ?= 60
OUT ?= out
# What `make performance` measures: real weights where they are on this machine, or synthetic ones of the same shapes.
WEIGHTS ?= synthetic
RUNS ?= 10
CONSTRAINTS := requirements/constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo serve-demo test test-full test-pythons lint types contracts unit fuzz sbom audit lock examples performance clean

help: ## Show what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# An environment is complete when its stamp exists; it is made anew when the dependencies change.
$(DEMO_ENV)/.complete: WHAT := .
$(TEST_ENV)/.complete: WHAT := .[dev]
$(SERVE_ENV)/.complete: WHAT := .[serve]
$(PERFORMANCE_ENV)/.complete: WHAT := .[all]
.venv-3.%/.complete: WHAT := .[test]
$(FUZZ_ENV)/.complete: WHAT := .[test]' 'atheris>=3.0
%/.complete: pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "imgtool needs Python 3.11 or newer with venv; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $*
	$*/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) --editable '$(WHAT)'
	@touch $@

demo: $(DEMO_ENV)/.complete ## Analyze the example images: captions, text, labels, and a gallery in out/
	@mkdir -p $(OUT)
	$(DEMO_ENV)/bin/imgtool analyze examples/images --languages en --labels-model examples/models/image-kind.onnx
	$(DEMO_ENV)/bin/imgtool analyze examples/images --languages en --labels-model examples/models/image-kind.onnx -o $(OUT)/gallery.html
	@echo "here imgtool is $(DEMO_ENV)/bin/imgtool"

serve-demo: $(SERVE_ENV)/.complete ## Start the service on the example images, and ask it about one
	scripts/serve_demo.sh $(SERVE_ENV)/bin/imgtool

test: $(TEST_ENV)/.complete ## Lint, types, import contracts and tests with coverage
	@scripts/need-programs.sh
	$(MAKE) --no-print-directory lint types contracts unit

lint: $(TEST_ENV)/.complete
	$(TEST_ENV)/bin/ruff check .
	$(TEST_ENV)/bin/ruff format --check .

types: $(TEST_ENV)/.complete
	$(TEST_ENV)/bin/mypy

contracts: $(TEST_ENV)/.complete
	$(TEST_ENV)/bin/lint-imports

unit: $(TEST_ENV)/.complete
	rm -f .coverage .coverage.*
	# Tests wait for processes often, so one more than cores of the smallest machine. Restricted workers write what they covered here.
	IMGTOOL_SANDBOX_WRITABLE=$(CURDIR) $(TEST_ENV)/bin/python -m pytest -n 3 --cov --cov-report= -m "not slow"
	$(TEST_ENV)/bin/python -m coverage report --skip-covered --sort=cover

test-full: test ## Everything, the long tests too
	# Tests that follow each other in a file stay in one process as long as the other one has work: they share what they make.
	$(TEST_ENV)/bin/python -m pytest -n 2 --dist worksteal -m slow

test-pythons: ## The tests that need no torch, with each of Python 3.11 to 3.14 that is here
	scripts/test-pythons.sh

fuzz: $(FUZZ_ENV)/.complete ## Fuzz every parser for FUZZ_SECONDS each (60)
	@for target in $$($(FUZZ_ENV)/bin/python -c 'from tests.fuzzing.targets import TARGETS; print(*TARGETS)'); do \
		$(FUZZ_ENV)/bin/python -m tests.fuzzing.fuzz $$target -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

$(AUDIT_ENV)/.complete:
	$(PYTHON) -m venv $(AUDIT_ENV)
	$(AUDIT_ENV)/bin/python -m pip install --quiet --disable-pip-version-check cyclonedx-bom pip-licenses pip-audit
	@touch $@

sbom: $(TEST_ENV)/.complete $(AUDIT_ENV)/.complete ## What is installed, as CycloneDX and as a list of licences: out/
	@mkdir -p $(OUT)
	$(AUDIT_ENV)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-format JSON \
		--output-file $(OUT)/sbom.cdx.json $(TEST_ENV)/bin/python
	$(AUDIT_ENV)/bin/pip-licenses --python=$(TEST_ENV)/bin/python --with-urls --format=csv --output-file=$(OUT)/licences.csv

audit: $(AUDIT_ENV)/.complete ## Known vulnerabilities of the pinned dependencies; needs the package index
	$(AUDIT_ENV)/bin/pip-audit --strict --disable-pip --no-deps --requirement $(CONSTRAINTS)

# Torch and what it brings stay free: which build of it is right depends on the machine.
lock: ## Pin the newest dependencies: requirements/
	$(PYTHON) -m venv $(LOCK_ENV)
	$(LOCK_ENV)/bin/python -m pip install --quiet --disable-pip-version-check uv
	scripts/lock.sh $(LOCK_ENV)/bin/uv

examples: $(TEST_ENV)/.complete ## Draw the example images anew
	$(TEST_ENV)/bin/python scripts/draw_examples.py

performance: $(PERFORMANCE_ENV)/.complete ## Measure on this machine; write docs/performance.* and the README's table; half an hour
	@mkdir -p $(OUT)
	$(PERFORMANCE_ENV)/bin/imgtool warm-cache --weights $(WEIGHTS)
	$(PERFORMANCE_ENV)/bin/imgtool warm-cache --weights $(WEIGHTS) --precision fast
	$(PERFORMANCE_ENV)/bin/imgtool bench --weights $(WEIGHTS) --arms eager,lazy,parallel,compiled,compiled-fast,cached --runs $(RUNS) --steady 1 --save $(OUT)/performance.json
	$(PERFORMANCE_ENV)/bin/python scripts/publish_performance.py $(OUT)/performance.json

clean: ## Remove environments, caches and what was built
	rm -rf .venv .venv-* $(OUT) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
