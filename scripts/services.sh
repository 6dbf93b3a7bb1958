#!/bin/sh
# Installs and starts what the tests use.  usage: services.sh start|stop|status [SERVICE...]
#   chromium     a program; nothing to start
#   postgresql   a private instance on 127.0.0.1, database and user kombu, no password
# Servers have a port and a data folder of this checkout's own; nothing is handed to the system's service manager.
#   KOMBU_PG_PORT   PostgreSQL's port (54329)
#   KOMBU_DURABLE   1: servers write through to the disk, as for benchmarks
set -eu

all='chromium postgresql'
pg_port=${KOMBU_PG_PORT:-54329}
checkout=$(cd "$(dirname "$0")/.." && pwd -P)

main() {
    [ $# -gt 0 ] || usage
    action=$1
    shift
    case $action in start | stop | status) ;; *) usage ;; esac
    if [ $# -eq 1 ]; then
        case " $all " in *" $1 "*) ;; *) usage ;; esac
        service=$1
        "${service}_$action"
        return
    fi
    failed=0
    for each in ${*:-$all}; do
        sh "$0" "$action" "$each" || failed=1 # each in a shell of its own, so that one failure leaves the others
    done
    return $failed
}

usage() {
    echo "usage: services.sh start|stop|status [SERVICE...]  (services: $all)" >&2
    exit 2
}

say() {
    printf '%-11s %s\n' "$service" "$*"
}

fail() {
    printf '%-11s %s\n' "$service" "$*" >&2
    exit 1
}

chromium_start() {
    command -v chromium >/dev/null || install_packages chromium
    chromium_status
}

chromium_stop() {
    say "nothing to stop"
}

chromium_status() {
    command -v chromium >/dev/null || fail "not installed"
    say "$(command -v chromium)"
}

postgresql_start() {
    pg_find_programs || pg_install
    pg_find_data
    options="-c listen_addresses=127.0.0.1 -c port=$pg_port -c unix_socket_directories= -c max_connections=200"
    if [ "${KOMBU_DURABLE:-0}" != 1 ]; then
        options="$options -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
    fi
    if pg_runs; then
        [ "$(cat "$home/postgresql.options" 2>/dev/null)" != "$options" ] || { postgresql_status; return; }
        pg_halt # it was started with another port or durability
    fi
    if pg_answers; then
        say "127.0.0.1:$pg_port (running already, not from this checkout)"
        return
    fi
    [ -e "$data/PG_VERSION" ] || pg_make
    printf '%s\n' "$options" >"$home/postgresql.options"
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
    case ${home:-} in
        "${TMPDIR:-/tmp}"/kombu-services-*/*) rm -rf "$home" ;; # nobody would find it there again
    esac
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
    # In the checkout, or in a temporary folder where the user that PostgreSQL runs as cannot get there, or where
    # another user's data is in the way.
    for home in "$checkout/.services" "$(temporary_folder)"; do
        data=$home/postgresql
        if [ -e "$data/PG_VERSION" ]; then
            made_by=$(cat "$data/PG_VERSION")
            [ "$made_by" = "$pg_version" ] ||
                fail "$data was made by PostgreSQL $made_by, and this is $pg_version: remove that folder"
            return 0
        fi
    done
    home=$checkout/.services
    mkdir -p "$home" 2>/dev/null || true
    if [ ! -w "$home" ] || [ -e "$home/postgresql" ] || ! as_owner test -x "$home"; then
        home=$(temporary_folder)
        make_own_folder "$(dirname "$home")"
        make_own_folder "$home"
    fi
    data=$home/postgresql
}

pg_make() {
    # Under another name until it is complete. Nobody can log in as its superuser; kombu may make databases.
    rm -rf "$data.new"
    mkdir -m 700 "$data.new"
    [ "$(id -u)" -ne 0 ] || chown postgres: "$data.new"
    as_owner "$bin/initdb" -D "$data.new" --username=postgres --auth=reject --encoding=UTF8 --no-locale --no-sync \
        >"$home/initdb.log" 2>&1 || fail "initdb failed: $(tail -n 1 "$home/initdb.log")"
    printf '%s\n' 'CREATE ROLE kombu LOGIN CREATEDB' 'CREATE DATABASE kombu OWNER kombu' |
        as_owner "$bin/postgres" --single -D "$data.new" postgres >"$home/initdb.log" 2>&1
    ! grep -E 'ERROR|FATAL' "$home/initdb.log" >&2 || fail "database kombu could not be made"
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
    cd / && env -i PATH="$PATH" PGCONNECT_TIMEOUT=2 "$bin/psql" -X -q -h 127.0.0.1 -p "$pg_port" -U kombu -d kombu \
        -c 'SELECT 1' >/dev/null 2>&1
}

as_owner() {
    # PostgreSQL does not run as root: then it is the user whose data it is. The caller's PG… settings stay out.
    if [ "$(id -u)" -ne 0 ]; then
        (cd / && exec env -i PATH="$PATH" LC_ALL=C "$@")
    else
        owner=postgres
        [ ! -e "$data/PG_VERSION" ] || owner=$(stat -c %u "$data")
        (cd / && exec setpriv --reuid "$owner" --regid "$(id -g "$owner")" --clear-groups \
            env -i PATH="$PATH" LC_ALL=C "$@")
    fi
}

temporary_folder() {
    echo "${TMPDIR:-/tmp}/kombu-services-$(id -u)/$(printf %s "$checkout" | cksum | cut -d ' ' -f 1)"
}

make_own_folder() {
    mkdir -p -m 711 "$1"
    [ -O "$1" ] && [ ! -L "$1" ] || fail "$1 belongs to somebody else"
}

may_install() {
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        fail "not installed. On Debian, as root: make services, or apt-get install --no-install-recommends $*"
    fi
}

install_packages() {
    may_install "$@"
    say "installing $*"
    apt_install "$@" || { apt-get update -q && apt_install "$@"; } || fail "apt-get could not install $*"
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$@" \
        </dev/null
}

main "$@"
