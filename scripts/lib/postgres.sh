# Sourced behind ensure.sh by the scripts that need a PostgreSQL server of their own.
#
# postgres_start [-c NAME=VALUE]…   makes one in a temporary folder, starts it on a free port of the loopback, and exports
#                                   FEDPLANE_TEST_POSTGRES, the URL of its superuser, and FEDPLANE_TEST_POSTGRES_CA, the file
#                                   that vouches for it as localhost; a role named fedplane_asked is asked for a password
# postgres_stop                     stops it and removes the folder; runs at the end of the script in every case
# postgres_ctl ARGUMENT…            pg_ctl on it: restart, kill, promote …
#
# An environment that names a server already is left as it is: nothing is started then.

postgres_folder=

# The newest of the server's programs: Debian keeps them apart from the commands of users.
postgres_programs() {
  local found
  for found in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V -r); do
    [ -x "$found/initdb" ] && printf '%s\n' "$found" && return
  done
  found=$(command -v initdb 2>/dev/null) && dirname "$found"
}

# The server refuses to run as root.
postgres_as() {
  if [ "$(id -u)" = 0 ]; then
    setpriv --reuid="$postgres_user" --regid="$(id -g "$postgres_user")" --clear-groups -- "$@"
  else
    "$@"
  fi
}

postgres_ctl() {
  postgres_as env -C "$postgres_folder" "$postgres_bin/pg_ctl" -D "$postgres_folder/data" -s "$@"
}

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 20000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  printf '%s\n' "$port"
}

# A CA, and a certificate of it for localhost.
postgres_certificate() {
  ensure_command openssl openssl
  (
    cd "$postgres_folder"
    printf '%s\n' 'subjectAltName = DNS:localhost, IP:127.0.0.1' 'basicConstraints = CA:FALSE' >server.ext
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=localhost
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext -out server.pem
    chmod 600 server.key
    [ "$(id -u)" != 0 ] || chown "$postgres_user" server.key server.pem
  ) 2>"$postgres_folder/openssl.log" || fail "openssl: $(tail -n 3 "$postgres_folder/openssl.log")"
}

postgres_start() {
  if [ -n "${FEDPLANE_TEST_POSTGRES:-}" ]; then
    say "PostgreSQL: the one that FEDPLANE_TEST_POSTGRES names"
    return
  fi
  [ -n "$(postgres_programs)" ] || install_packages postgresql
  postgres_bin=$(postgres_programs)
  postgres_user=nobody
  ! id -u postgres >/dev/null 2>&1 || postgres_user=postgres
  postgres_folder=$(mktemp -d "${TMPDIR:-/tmp}/fedplane-postgres.XXXXXX")
  [ "$(id -u)" != 0 ] || chown "$postgres_user" "$postgres_folder"
  postgres_as "$postgres_bin/initdb" -D "$postgres_folder/data" -U postgres -E UTF8 --locale=C --auth=trust -N >"$postgres_folder/initdb.log" 2>&1 ||
    fail "initdb: $(tail -n 3 "$postgres_folder/initdb.log")"
  postgres_certificate
  chmod 755 "$postgres_folder"
  local port
  port=$(free_port)
  printf '%s\n' "listen_addresses = '127.0.0.1'" "port = $port" "unix_socket_directories = '$postgres_folder'" \
    "max_connections = 200" "ssl = on" "ssl_cert_file = '$postgres_folder/server.pem'" \
    "ssl_key_file = '$postgres_folder/server.key'" >>"$postgres_folder/data/postgresql.conf"
  sed -i '1i hostssl all fedplane_asked 127.0.0.1/32 scram-sha-256' "$postgres_folder/data/pg_hba.conf"
  postgres_ctl -w -l "$postgres_folder/log" -o "$*" start || fail "PostgreSQL does not start: $(tail -n 5 "$postgres_folder/log")"
  export FEDPLANE_TEST_POSTGRES="postgres://postgres@127.0.0.1:$port/postgres"
  export FEDPLANE_TEST_POSTGRES_CA="$postgres_folder/ca.pem"
  say "PostgreSQL: $("$postgres_bin/postgres" --version), at 127.0.0.1:$port"
}

postgres_stop() {
  [ -n "$postgres_folder" ] || return 0
  postgres_ctl -m immediate -w stop || true
  rm -rf "$postgres_folder"
  postgres_folder=
}

trap '[ -z "$running_group" ] || stop_group "$running_group"; postgres_stop' EXIT
