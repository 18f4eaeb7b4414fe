# The official PostgreSQL with pg_cron, from the repository that it has its own packages from: tests/schedule.
ARG BASE
FROM ${BASE}
RUN ls /usr/lib/postgresql/*/lib/pg_cron.so \
    || (apt-get update && apt-get install -y --no-install-recommends "postgresql-${PG_MAJOR}-cron" \
    && rm -rf /var/lib/apt/lists/*)
