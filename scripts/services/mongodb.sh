# MongoDB's protocol as secantusdb speaks it: a private instance on 127.0.0.1, no password. A program of its own, in a
# virtual environment beside its data; nothing of it is imported (it is under the GPL).

mongodb_port=${KOMBU_MONGODB_PORT:-57017}
mongodb_package='secantusdb==0.7.0b3'

mongodb_start() {
    mongodb_find_data
    options=$(mongodb_options)
    if mongodb_runs; then
        [ "$(cat "$data.options" 2>/dev/null)" != "$options" ] || { mongodb_status; return; }
        end_process "$pid" TERM # it was started with another port or durability
    fi
    if mongodb_answers; then
        say "127.0.0.1:$mongodb_port (running already, not from this checkout)"
        return
    fi
    mongodb_find_program || mongodb_install
    printf '%s\n' "$options" >"$data.options"
    set --
    while IFS= read -r option; do set -- "$@" "$option"; done <"$data.options"
    mongodb_launch "$@"
    mongodb_status
}

mongodb_stop() {
    mongodb_find_data
    if mongodb_runs; then
        end_process "$pid" TERM
        say "stopped"
    else
        say "not running from this checkout"
    fi
    forget_data
}

mongodb_status() {
    mongodb_find_data
    mongodb_answers || fail "does not answer on 127.0.0.1:$mongodb_port"
    say "127.0.0.1:$mongodb_port"
}

mongodb_find_data() {
    find_data mongodb kombu.version "$(id -un)"
}

mongodb_find_program() {
    [ "$(cat "$data/kombu.version" 2>/dev/null)" = "$mongodb_package" ]
}

mongodb_install() {
    # Where it is made it stays: a virtual environment does not like to be moved. KOMBU_MONGODB_VENV is one that has it.
    python=${PYTHON:-python3}
    rm -rf "$data"
    mkdir -m 700 "$data"
    if [ -n "${KOMBU_MONGODB_VENV:-}" ]; then
        ln -s "$KOMBU_MONGODB_VENV" "$data/venv"
    else
        say "installing $mongodb_package from the package index"
        "$python" -m venv "$data/venv" >"$data.log" 2>&1 ||
            fail "$python could not make a virtual environment (on Debian: apt-get install python3-venv); see $data.log"
        "$data/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$mongodb_package" >"$data.log" 2>&1 ||
            fail "pip could not install $mongodb_package; see $data.log"
    fi
    printf '%s\n' "$mongodb_package" >"$data/kombu.version"
}

mongodb_options() {
    # One a line. Its logs of changes are short: nobody looks further back than a consumer's wait.
    printf '%s\n' --host 127.0.0.1 --port "$mongodb_port" --storage-path "$data/storage" --log-level ERROR \
        --cache-size 256M --oplog-retention-seconds 600
    if [ "${KOMBU_DURABLE:-0}" = 1 ]; then
        printf '%s\n' --sync-on-commit
    fi
    # KOMBU_MONGODB_OPTIONS are more of its options, for tests: --auth, --standalone, --tls-cert-file and its path.
    [ -z "${KOMBU_MONGODB_OPTIONS:-}" ] || printf '%s\n' $KOMBU_MONGODB_OPTIONS
}

mongodb_launch() {
    # It writes no pid file; the launcher's shell becomes the program, and knows its number.
    mkdir -p "$data/home"
    launch KOMBU_MONGODB_PORT "$mongodb_port" env HOME="$data/home" \
        sh -c 'echo $$ >"$1"; shift; exec "$@"' sh "$data/mongodb.pid" "$data/venv/bin/secantusd-py" "$@"
}

mongodb_runs() {
    process_of "$data/mongodb.pid" "$data/storage"
}

mongodb_answers() {
    # Its greeting; where that takes a certificate, or there is no driver, the port has to be enough.
    case ${KOMBU_MONGODB_OPTIONS:-} in *--tls*) mongodb_listens; return ;; esac
    [ -x "${data:-.}/venv/bin/python" ] || { mongodb_listens; return; }
    "$data/venv/bin/python" - "$mongodb_port" 2>/dev/null <<'GREET'
import sys
from pymongo import MongoClient

MongoClient("127.0.0.1", int(sys.argv[1]), serverSelectionTimeoutMS=2000).admin.command("hello")
GREET
}

mongodb_listens() {
    "${PYTHON:-python3}" - "$mongodb_port" 2>/dev/null <<'CONNECT'
import socket
import sys

socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2).close()
CONNECT
}
