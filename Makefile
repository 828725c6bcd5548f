# Everything runs in .venv, which the first target that needs it creates.
PYTHON ?= python3
# Extra arguments for pip, for instance: make setup PIP_ARGS="--index-url https://download.pytorch.org/whl/cpu --extra-index-url https://pypi.org/simple"
PIP_ARGS ?=
BIN := .venv/bin
# Python compiles each module at its first import. For pip to compile all of them takes as long as the rest of the install.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile $(PIP_ARGS)
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo search book test test-long test-book test-gpu gpu-report faults check clean

setup: .venv/run  ## what training and sampling need

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv

.venv/run: requirements.txt | .venv/bin/python
	@echo "Installing into .venv, which takes a minute or more."
	$(INSTALL) -r requirements.txt
	@touch $@

.venv/apps: requirements-apps.txt .venv/run
	$(INSTALL) -r requirements-apps.txt
	@touch $@

.venv/dev: requirements-dev.txt requirements-apps.txt .venv/run
	$(INSTALL) -r requirements-dev.txt
	@touch $@

.venv/lm-eval: requirements-lm-eval.txt .venv/run
	$(INSTALL) -r requirements-lm-eval.txt
	@touch $@

.venv/book: requirements-book.txt .venv/run
	$(INSTALL) -r requirements-book.txt
	@touch $@

demo: .venv/run  ## prepare the built-in corpus, train on it, draw the loss curve, print samples, count the facts it knows
	$(BIN)/python prepare_data.py --source=builtin --tokenizer=bpe:8192 --validation_fraction=0.05 --out_dir=data/demo
	$(BIN)/python train.py configs/demo.py
	$(BIN)/python sample.py --checkpoint=out/demo --prompt_file=configs/demo_prompts.txt --max_new_tokens=12 --temperature=0
	$(BIN)/python sample.py --checkpoint=out/demo --prompt="The history of" --n_samples=3 --max_new_tokens=100 --temperature=0.8 --top_k=200 --seed=1
	$(BIN)/python -m tools.exact_match --checkpoint=out/demo --pairs=configs/demo_facts.jsonl --prefix
	$(BIN)/python -m tools.exact_match --checkpoint=out/demo --pairs=configs/demo_facts_reworded.jsonl --prefix
	@echo "The loss curve is out/demo/loss.png."

search: .venv/apps  ## a search page over the built-in encyclopedia, at http://127.0.0.1:8000
	$(BIN)/python -m apps.search index --source=builtin --out_dir=index/builtin
	$(BIN)/python -m apps.search serve --index=index/builtin --open=True

book: .venv/book  ## the book, executed: pages in out/book/html, and all on one page in out/book/page
	$(BIN)/python -m sphinx -q -W --keep-going -j auto -b html book out/book/html
	$(BIN)/python -m sphinx -q -W --keep-going -j auto -b singlehtml book out/book/page
	@echo "Open out/book/html/index.html, or the whole book on one page, out/book/page/index.html."

check: .venv/dev  ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .

test: check  ## every check and every test that needs no GPU: in parallel, then those that need the machine to themselves
	$(BIN)/python -m pytest -q -n auto --dist worksteal -m "not serial and not gpu and not thorough and not pages"
	$(BIN)/python -m pytest -q -m "serial and not gpu and not thorough"

test-long: .venv/dev .venv/lm-eval  ## the tests that take too long for make test
	$(BIN)/python -m pytest -q -n auto -m "thorough and not serial"
	$(BIN)/python -m pytest -q -m "thorough and serial"

test-book: .venv/book .venv/dev  ## the tests of the pages that make book built
	$(BIN)/python -m pytest -q -n auto -m pages

test-gpu: .venv/dev  ## the tests that need a CUDA device
	$(BIN)/python -m pytest -q -m gpu

gpu-report: .venv/dev  ## what this GPU reaches, in at most 9 minutes: writes docs/gpu.md; ARGS="--nanogpt=FOLDER" compares
	$(BIN)/python -m tools.gpu_report $(ARGS)

faults: .venv/run  ## what a long run must survive: kills, signals, full disks, damage, lost nodes; 10 to 20 minutes
	$(BIN)/python -m tools.faults

clean:  ## caches and the environment; data and runs stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
