# Commands for people who work on authsql. `make` alone lists them.
#
#   PYTHON=python3.12   the interpreter of the virtual environment (3.11 or later)
#   ARGS='-k sessions'  passed on to pytest, or to the demo

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SCRIPTS := .ci/run tests/engine/browser-up tests/engine/build-images tests/engine/docker-up tests/engine/with-servers \
	tests/engine/entrypoint/mysql tests/engine/entrypoint/postgres
# Rollbacks drop things, which is what squawk is there to stop.
POSTGRES_MIGRATIONS = $(filter-out %.rollback.sql,$(sort $(wildcard sql/postgres/[0-9]*.sql)))

.DEFAULT_GOAL := help
.PHONY: help venv demo example screenshots test test-all lint format schema-doc catalog checksums modules release-sql check clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(VENV)/dev.stamp ## make .venv with everything that development needs

demo: $(VENV)/demo.stamp ## run the demo, on a PostgreSQL of its own
	$(BIN)/authsql demo $(ARGS)

example: $(VENV)/dev.stamp ## run the example application, on a PostgreSQL of its own (ARGS='--database URL')
	$(BIN)/python -m examples.webapp $(ARGS)

screenshots: $(VENV)/dev.stamp ## write docs/screenshots anew, from the example application in Chromium
	tests/engine/browser-up
	AUTHSQL_WRITE_SCREENSHOTS=1 AUTHSQL_TEST_MYSQL_URL= tests/engine/with-servers $(BIN)/pytest -q -m postgres tests/examples/test_browser.py

test: $(VENV)/dev.stamp ## run the tests on PostgreSQL 18 and MySQL 9.7, getting the servers first
	tests/engine/browser-up
	tests/engine/with-servers $(BIN)/pytest -n 2 $(ARGS)

test-all: $(VENV)/dev.stamp ## run the tests on PostgreSQL 17 and 15 too
	tests/engine/browser-up
	AUTHSQL_TEST_MATRIX=all tests/engine/with-servers $(BIN)/pytest -n 2 $(ARGS)

lint: $(VENV)/dev.stamp ## check style and types of Python, SQL and shell scripts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/sqlfluff lint --dialect postgres sql/postgres
	$(BIN)/sqlfluff lint --dialect mysql sql/mysql
	$(BIN)/squawk $(POSTGRES_MIGRATIONS)
	$(BIN)/shellcheck $(SCRIPTS)

format: $(VENV)/dev.stamp ## put Python into the one style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

schema-doc: $(VENV)/dev.stamp ## write docs/schema.md anew, from PostgreSQL 18
	AUTHSQL_TEST_POSTGRES_URL= AUTHSQL_WRITE_SCHEMA_DOC=1 tests/engine/with-servers $(BIN)/pytest -q tests/sql/test_schema_doc.py

catalog: $(VENV)/dev.stamp ## write sql/*/catalog.json anew, from PostgreSQL 18 and MySQL 9.7
	AUTHSQL_TEST_POSTGRES_URL= AUTHSQL_TEST_MYSQL_URL= AUTHSQL_WRITE_CATALOG=1 \
		tests/engine/with-servers $(BIN)/pytest -q tests/sql/test_catalog.py

checksums: $(VENV)/dev.stamp ## at a release: write sql/checksums.txt, which freezes the migrations there are
	$(BIN)/python -m tools.checksums

modules: $(VENV)/dev.stamp ## add to sql/modules.toml the migrations that it lacks: look at what is added
	$(BIN)/python -m tools.modules >> sql/modules.toml

release-sql: $(VENV)/dev.stamp ## write dist/authsql-X.Y-postgres.sql and -mysql.sql, for psql and mysql
	$(BIN)/python -m tools.release_sql dist

check: lint test ## all that CI asks for

clean: ## remove .venv, caches and built files
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is younger than what its environment was made from, or it is made again.
$(VENV)/dev.stamp: EXTRA := dev
$(VENV)/demo.stamp: EXTRA := demo
$(VENV)/%.stamp: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'authsql needs Python 3.11 or later: make PYTHON=python3.12 ...' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
		{ echo 'This Python makes no virtual environments. On Debian: apt-get install python3-venv' >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --editable '.[$(EXTRA)]'
	@touch $@
