# CouchDB's protocol as pouchdb-server speaks it: a private instance on 127.0.0.1, no password. A program of its own, which
# npm puts beside its data.

couchdb_port=${KOMBU_COUCHDB_PORT:-55984}
couchdb_package='pouchdb-server@4.2.0'

couchdb_start() {
    couchdb_find_data
    options=$(couchdb_options)
    if couchdb_runs; then
        [ "$(cat "$data.options" 2>/dev/null)" != "$options" ] || { couchdb_status; return; }
        end_process "$pid" TERM # it was started with another port or durability
    fi
    if couchdb_answers; then
        say "127.0.0.1:$couchdb_port (running already, not from this checkout)"
        return
    fi
    [ "$(cat "$data/kombu.version" 2>/dev/null)" = "$couchdb_package" ] || couchdb_install
    printf '%s\n' "$options" >"$data.options"
    mkdir -p "$data/databases"
    (couchdb_launch) || couchdb_launch # on a busy machine the first attempt may fail to bind
    couchdb_status
}

couchdb_stop() {
    couchdb_find_data
    if couchdb_runs; then
        end_process "$pid" TERM
        say "stopped"
    else
        say "not running from this checkout"
    fi
    forget_data
}

couchdb_status() {
    couchdb_answers || fail "does not answer on 127.0.0.1:$couchdb_port"
    say "127.0.0.1:$couchdb_port"
}

couchdb_find_data() {
    find_data couchdb kombu.version "$(id -un)"
}

couchdb_install() {
    # Without the scripts of its packages: what is native is in them. A registry that falls silent is asked again soon.
    # Node trusts the authorities that it brings along only, unless told to trust those of the machine.
    # Once, for all instances of this user: another place may have it, whose folder is KOMBU_COUCHDB_PROGRAM.
    command -v npm >/dev/null || fail "no npm, which installs $couchdb_package: install Node.js"
    rm -rf "$data"
    mkdir -m 700 "$data"
    if [ -n "${KOMBU_COUCHDB_PROGRAM:-}" ]; then
        ln -s "$KOMBU_COUCHDB_PROGRAM" "$data/program"
    else
        say "installing $couchdb_package from the package registry"
        mkdir "$data/program"
        NODE_OPTIONS="--use-openssl-ca ${NODE_OPTIONS:-}" \
            npm install --loglevel=error --no-audit --no-fund --ignore-scripts --fetch-timeout=15000 --fetch-retries=8 \
            --prefix "$data/program" "$couchdb_package" >"$data.log" 2>&1 ||
            fail "npm could not install $couchdb_package; see $data.log"
    fi
    printf '%s\n' "$couchdb_package" >"$data/kombu.version"
}

couchdb_launch() {
    # It writes no pid file, and its settings and log into the folder that it runs in.
    # shellcheck disable=SC2016,SC2086 # for the inner shell; options are words
    launch KOMBU_COUCHDB_PORT "$couchdb_port" sh -c 'echo $$ >"$1/couchdb.pid"; cd "$1"; shift; exec "$@"' \
        sh "$data" node "$data/program/node_modules/.bin/pouchdb-server" $options
}

couchdb_options() {
    # In memory, or in files. -n: no log on the standard output.
    where=-m
    [ "${KOMBU_DURABLE:-0}" != 1 ] || where="-d $data/databases"
    printf '%s\n' "-p $couchdb_port -o 127.0.0.1 -n $where"
}

couchdb_runs() {
    process_of "$data/couchdb.pid" "$data/program/node_modules/.bin/pouchdb-server"
}

couchdb_answers() {
    python3 - "$couchdb_port" <<'EOF' 2>/dev/null
import json, sys, urllib.request
with urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/", timeout=2) as answer:
    sys.exit("version" not in json.load(answer))
EOF
}
