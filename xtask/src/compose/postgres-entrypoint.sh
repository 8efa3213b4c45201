#!/bin/bash
# The stand-in's entry point: makes a cluster in a fresh volume from POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB, and runs it.
set -euo pipefail
bin=$(ls -d /usr/lib/postgresql/*/bin)
data=/var/lib/postgresql/data
export PATH=$bin:$PATH
if [[ $(id -u) == 0 ]]; then
  install -d -o postgres -g postgres -m 0700 "$data" /run/postgresql
  exec setpriv --reuid=postgres --regid=postgres --clear-groups "$0" "$@"
fi
if [[ ! -s $data/PG_VERSION ]]; then
  rm -rf "$data/new" && mkdir "$data/new"
  initdb --pgdata="$data/new" --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") \
    --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C
  echo "host all all all scram-sha-256" >>"$data/new/pg_hba.conf"
  mv "$data"/new/* "$data/" && rmdir "$data/new"
  # The database is made before anyone can connect over the network, so that a healthy answer means that it is there.
  postgres --single -D "$data" template1 <<<"CREATE DATABASE \"$POSTGRES_DB\";" >/dev/null
fi
exec postgres -D "$data" -c listen_addresses='*'
