# PostgreSQL: a private instance on 127.0.0.1, database and user kombu, no password.

pg_port=${KOMBU_PG_PORT:-54329}

postgresql_start() {
    pg_find_programs || pg_install
    pg_find_data
    options="-c listen_addresses=127.0.0.1 -c port=$pg_port -c unix_socket_directories= -c max_connections=200"
    if [ "${KOMBU_DURABLE:-0}" != 1 ]; then
        options="$options -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
    fi
    if pg_runs; then
        [ "$(cat "$data.options" 2>/dev/null)" != "$options" ] || { postgresql_status; return; }
        pg_halt # it was started with another port or durability
    fi
    if pg_answers; then
        say "127.0.0.1:$pg_port (running already, not from this checkout)"
        return
    fi
    [ -e "$data/PG_VERSION" ] || pg_make
    printf '%s\n' "$options" >"$data.options"
    slow_disk
    if ! as_owner "$bin/pg_ctl" start -s -w -t 60 -D "$data" -l "$data/kombu.log" -o "$options" </dev/null; then
        tail -n 5 "$data/kombu.log" >&2 || true
        fail "did not start; its log is $data/kombu.log. KOMBU_PG_PORT chooses another port than $pg_port"
    fi
    postgresql_status
}

postgresql_stop() {
    if pg_find_programs && pg_find_data && pg_runs; then
        pg_halt
        say "stopped"
    else
        say "not running from this checkout"
    fi
    forget_data
}

postgresql_status() {
    pg_find_programs || fail "not installed"
    pg_answers || fail "does not answer on 127.0.0.1:$pg_port"
    say "127.0.0.1:$pg_port"
}

pg_install() {
    may_install postgresql
    # Debian's package makes a cluster for the system and starts it, unless this says not to.
    clusters=/etc/postgresql-common/createcluster.conf
    command -v pg_conftool >/dev/null || install_packages postgresql-common
    cp -p "$clusters" "$clusters.kombu"
    trap 'mv -f "$clusters.kombu" "$clusters"' EXIT
    trap 'exit 1' INT TERM
    pg_conftool "$clusters" set create_main_cluster false
    install_packages postgresql
    mv -f "$clusters.kombu" "$clusters"
    trap - EXIT INT TERM
    pg_find_programs || fail "the system's packages have no PostgreSQL 15 or newer"
}

pg_find_programs() {
    # The newest of Debian's, else what is on the PATH.
    for bin in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t / -k 5 -n -r) \
        "$(dirname "$(command -v pg_ctl || echo /nowhere/pg_ctl)")"; do
        [ -x "$bin/initdb" ] && [ -x "$bin/pg_ctl" ] || continue
        pg_version=$("$bin/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
        [ "$pg_version" -lt 15 ] || return 0
    done
    return 1
}

pg_find_data() {
    find_data postgresql PG_VERSION postgres
    [ -e "$data/PG_VERSION" ] || return 0
    made_by=$(cat "$data/PG_VERSION")
    [ "$made_by" = "$pg_version" ] ||
        fail "$data was made by PostgreSQL $made_by, and this is $pg_version: remove that folder"
}

pg_make() {
    # Nobody can log in as its superuser; kombu may make databases.
    make_data_folder
    as_owner "$bin/initdb" -D "$data.new" --username=postgres --auth=reject --encoding=UTF8 --no-locale --no-sync \
        >"$data.log" 2>&1 || fail "initdb failed: $(tail -n 1 "$data.log")"
    printf '%s\n' 'CREATE ROLE kombu LOGIN CREATEDB' 'CREATE DATABASE kombu OWNER kombu' |
        as_owner "$bin/postgres" --single -D "$data.new" postgres >"$data.log" 2>&1
    ! grep -E 'ERROR|FATAL' "$data.log" >&2 || fail "database kombu could not be made"
    printf 'host all kombu 127.0.0.1/32 trust\n' >"$data.new/pg_hba.conf"
    mv "$data.new" "$data"
}

pg_runs() {
    as_owner "$bin/pg_ctl" status -D "$data" >/dev/null 2>&1
}

pg_halt() {
    as_owner "$bin/pg_ctl" stop -s -w -m fast -D "$data"
}

pg_answers() {
    pg_answers_on "$pg_port"
}

pg_answers_on() {
    (cd / && env -i PATH="$PATH" PGCONNECT_TIMEOUT=2 "$bin/psql" -X -q -h 127.0.0.1 -p "$1" -U kombu -d kombu \
        -c 'SELECT 1' >/dev/null 2>&1)
}
