# Two commands do everything: `make demo` and `make test`. Each makes the environment it needs in .venv-*.
PYTHON ?= python3
DEMO_ENV := .venv-demo
TEST_ENV := .venv
PERFORMANCE_ENV := .venv-performance
OUT ?= out
# What `make performance` measures: real weights where they are on this machine, or synthetic ones of the same shapes.
WEIGHTS ?= synthetic
RUNS ?= 10

.DEFAULT_GOAL := help
.PHONY: help demo test test-full lint types contracts unit examples performance clean

help: ## Show what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# An environment is complete when its stamp exists; it is made anew when the dependencies change.
$(DEMO_ENV)/.complete: pyproject.toml
	@$(call need_python)
	$(PYTHON) -m venv $(DEMO_ENV)
	$(DEMO_ENV)/bin/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(TEST_ENV)/.complete: pyproject.toml
	@$(call need_python)
	$(PYTHON) -m venv $(TEST_ENV)
	$(TEST_ENV)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

$(PERFORMANCE_ENV)/.complete: pyproject.toml
	@$(call need_python)
	$(PYTHON) -m venv $(PERFORMANCE_ENV)
	$(PERFORMANCE_ENV)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[all]'
	@touch $@

define need_python
$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "imgtool needs Python 3.11 or newer with venv; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
endef

demo: $(DEMO_ENV)/.complete ## Analyze the example images: captions, text, labels, and a gallery in out/
	@mkdir -p $(OUT)
	$(DEMO_ENV)/bin/imgtool analyze examples/images --languages en --labels-model examples/models/image-kind.onnx
	$(DEMO_ENV)/bin/imgtool analyze examples/images --languages en --labels-model examples/models/image-kind.onnx -o $(OUT)/gallery.html

test: $(TEST_ENV)/.complete ## Lint, types, import contracts and tests with coverage
	@scripts/need-chromium.sh
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
	$(TEST_ENV)/bin/python -m pytest -n 2 --cov --cov-report= -m "not slow"
	$(TEST_ENV)/bin/python -m coverage report --skip-covered --sort=cover

test-full: test ## Everything, the long tests too
	$(TEST_ENV)/bin/python -m pytest -m slow

examples: $(TEST_ENV)/.complete ## Draw the example images anew
	$(TEST_ENV)/bin/python scripts/draw_examples.py

performance: $(PERFORMANCE_ENV)/.complete ## Measure on this machine; write docs/performance.* and the README's table; half an hour
	@mkdir -p $(OUT)
	$(PERFORMANCE_ENV)/bin/imgtool warm-cache --weights $(WEIGHTS)
	$(PERFORMANCE_ENV)/bin/imgtool warm-cache --weights $(WEIGHTS) --precision fast
	$(PERFORMANCE_ENV)/bin/imgtool bench --weights $(WEIGHTS) --arms eager,lazy,parallel,compiled,compiled-fast,cached --runs $(RUNS) --steady 1 --save $(OUT)/performance.json
	$(PERFORMANCE_ENV)/bin/python scripts/publish_performance.py $(OUT)/performance.json

clean: ## Remove environments and caches
	rm -rf $(DEMO_ENV) $(TEST_ENV) $(PERFORMANCE_ENV) $(OUT) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
