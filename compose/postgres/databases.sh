#!/bin/sh
# Makes the roles and databases of Ferry and Temporal, and gives the roles the passwords that the secrets have. May be repeated.
set -eu
umask 077
echo "*:*:*:postgres:$(cat /run/secrets/postgres-password)" >/tmp/pgpass
export PGPASSFILE=/tmp/pgpass
exec psql --no-psqlrc --quiet --tuples-only --set=ON_ERROR_STOP=1 --host=postgres --username=postgres --dbname=postgres <<'SQL'
\set ferry `sed -n 's,^postgres://ferry:\([^@]*\)@.*,\1,p' /run/secrets/ferry-database-url`
\set temporal `sed -n 's,^.*:temporal:,,p' /run/secrets/temporal-pgpass`
SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY['ferry', 'temporal']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE ferry LOGIN PASSWORD :'ferry';
ALTER ROLE temporal LOGIN PASSWORD :'temporal';
SELECT format('CREATE DATABASE %I OWNER %I', name, owner)
FROM (VALUES ('ferry', 'ferry'), ('temporal', 'temporal'), ('temporal_visibility', 'temporal')) AS wanted (name, owner)
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec
REVOKE CONNECT ON DATABASE ferry, temporal, temporal_visibility FROM PUBLIC;
SQL
