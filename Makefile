# Everything from a bare machine with Python 3.11+ and make. `make demo` needs no torch; `make test` does.
# The first Python that is there, runs, and is new enough.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
# The annotated news that the shipped model was fitted on, and the sentences it must never see.
NEWS ?= ../shared/news/annotations.jsonl
NEWS_DEV ?= ../shared/news/dev.jsonl
# The text that the labels in data/annotations are joined with.
POOL ?= ../shared/news/pool.jsonl.gz

CORPUS := --data $(NEWS) --data build/hydrated.jsonl --data data/corpus/train.jsonl --exclude $(NEWS_DEV) --exclude data/corpus/test.jsonl

.PHONY: demo test check bench train eval wheel clean

demo: $(VENV)/.base
	@mkdir -p build/demo
	@$(BIN)/sitrep label data/samples -o build/demo/labels.parquet --show 60
	@$(BIN)/sitrep report build/demo/labels.parquet -o build/demo/report.html --title "sitrep: the sample articles"
	@echo "labels: build/demo/labels.parquet   page: build/demo/report.html"

test: $(VENV)/.dev
	$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	@mkdir -p build/types/sitrep && for stage in data model eval train; do ln -sfn ../../../$$stage build/types/sitrep/$$stage; done
	$(BIN)/mypy -p sitrep.data -p sitrep.model -p sitrep.eval -p sitrep.train

bench: $(VENV)/.dev
	$(BIN)/python -m sitrep.eval.bench --output build/bench $(BENCH)

train: $(VENV)/.dev
	@mkdir -p build
	$(BIN)/sitrep data hydrate --pool $(POOL) -o build/hydrated.jsonl
	$(BIN)/sitrep train train/recipes/shipped.toml $(CORPUS) -o build/model

eval: $(VENV)/.dev
	@mkdir -p build
	$(BIN)/sitrep data hydrate --pool $(POOL) -o build/hydrated.jsonl
	$(BIN)/sitrep eval --data $(NEWS_DEV) --train-data $(NEWS) --train-data build/hydrated.jsonl --train-data data/corpus/train.jsonl \
	  -o build/eval

wheel: $(VENV)/.dev
	rm -rf build/lib build/bdist.* sitrep.egg-info
	$(BIN)/python -m pip -q install build
	$(BIN)/python -m build --outdir dist .

clean:
	rm -rf build dist .venv *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis

$(VENV)/.base: pyproject.toml
	@test -n "$(PYTHON)" || { echo "sitrep needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing sitrep (first time only)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	@echo "installing what training and tests need (first time only; torch is large)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@
