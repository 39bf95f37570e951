#!/bin/sh
# make-secrets.sh [ADDRESS]: makes the secrets of docker-compose.yml, random ones; those that are there stay. ADDRESS: where hosts with storage
# and compute workers reach Postgres, 127.0.0.1 if not given; the file node-database-url is for them. Needs root: each belongs to its reader.
set -eu
umask 077
if [ "$(id -u)" != 0 ]; then
	echo 'Secrets must belong to the users that read them in the containers. Run it as root: sudo sh compose/make-secrets.sh' >&2
	exit 1
fi
folder=${FERRY_SECRETS:-$(dirname "$0")/secrets}
mkdir -p "$folder"
cd "$folder"

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
# put NAME USER: what is on its input, complete or not at all.
put() {
	cat >"$1.new"
	chown "$2" "$1.new"
	chmod 400 "$1.new"
	mv "$1.new" "$1"
}
# Users of the images: postgres, Ferry's Dockerfile, temporal, grafana.
[ -e postgres-password ] || random | put postgres-password 999
[ -e ferry-database-url ] || echo "postgres://ferry:$(random)@postgres:5432/ferry" | put ferry-database-url 10001
[ -e temporal-pgpass ] || echo "*:*:*:temporal:$(random)" | put temporal-pgpass 1000
[ -e grafana-password ] || random | put grafana-password 472
sed "s,@postgres:5432/,@${1:-127.0.0.1}:${POSTGRES_PORT:-5432}/," ferry-database-url | put node-database-url 0
