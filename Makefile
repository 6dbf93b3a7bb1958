# Each command sets itself up: a virtual environment in the checkout, nothing outside it.
#   make demo   the main job, end to end, on SQLite
#   make test   all tests; what needs a server that is not there is skipped and listed
# PYTHON chooses the interpreter (3.11 or newer), VENV where the environment goes, JOBS how many tests run at once
# (0: none beside another, for a debugger).

PYTHON ?= python3
VENV ?= .venv
JOBS ?= auto
BIN := $(VENV)/bin

.PHONY: demo test lint format types docs bench services services-stop lock clean

demo: $(VENV)/.demo
	$(BIN)/python testproject/demo.py $(DEMO)

test: $(VENV)/.tools
	@sh scripts/mysqlclient.sh $(VENV)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadscope --no-loadscope-reorder $(TESTS)

lint: $(VENV)/.tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(VENV)/.tools
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

types: $(VENV)/.tools
	PYTHONPATH=. $(BIN)/mypy

docs: .venv-docs/.docs
	.venv-docs/bin/sphinx-build -q -W --keep-going -n -d docs/_build/doctrees docs docs/_build/html
	@echo docs/_build/html/index.html

bench: $(VENV)/.tools
	@sh scripts/mysqlclient.sh $(VENV)
	$(BIN)/python -m bench $(BENCH)

services:
	sh scripts/services.sh start

services-stop:
	sh scripts/services.sh stop

lock: $(VENV)/.tools
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-annotate \
	    --custom-compile-command 'make lock' requirements/tools.in --output-file requirements/tools.txt

$(VENV)/.python:
	sh scripts/venv.sh "$(PYTHON)" "$(VENV)"
	touch $@

$(VENV)/.demo: $(VENV)/.python pyproject.toml testproject/requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[django]' -r testproject/requirements.txt
	touch $@

$(VENV)/.tools: $(VENV)/.python pyproject.toml requirements/tools.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements/tools.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[amqp,pika,redis,sqs,mongodb,couchdb,beanstalk,django,sqlalchemy,msgpack,yaml,brotli,zstd]'
	touch $@

# The documentation's tools have an environment of their own: they and the tests need not agree on versions.
.venv-docs/.docs: pyproject.toml requirements/docs.txt
	sh scripts/venv.sh "$(PYTHON)" .venv-docs
	.venv-docs/bin/pip install --quiet --disable-pip-version-check -r requirements/docs.txt --editable '.[django,sqlalchemy]'
	touch $@

clean:
	rm -rf .venv* build dist *.egg-info docs/_build testproject/var
