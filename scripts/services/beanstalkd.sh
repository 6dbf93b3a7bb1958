# beanstalkd: a private instance on 127.0.0.1, which keeps its jobs in a binlog.
# KOMBU_BEANSTALKD_MAX_JOB: the largest that it takes, 4 MiB unless said otherwise.

beanstalkd_port=${KOMBU_BEANSTALKD_PORT:-51300}

beanstalkd_start() {
    command -v beanstalkd >/dev/null || install_server beanstalkd beanstalkd
    beanstalkd_find_data
    options=$(beanstalkd_options)
    if beanstalkd_runs; then
        [ "$(cat "$data.options" 2>/dev/null)" != "$options" ] || { beanstalkd_status; return; }
        end_process "$pid" TERM # it was started with another port or durability
    fi
    if beanstalkd_answers; then
        say "127.0.0.1:$beanstalkd_port (running already, not from this checkout)"
        return
    fi
    [ -e "$data/jobs" ] || beanstalkd_make
    printf '%s\n' "$options" >"$data.options"
    # shellcheck disable=SC2016,SC2086 # the inner shell writes its number, which beanstalkd keeps; options are words
    launch KOMBU_BEANSTALKD_PORT "$beanstalkd_port" sh -c 'echo $$ >"$1"; shift; exec beanstalkd "$@"' \
        sh "$data/beanstalkd.pid" -b "$data/jobs" $options
    beanstalkd_status
}

beanstalkd_stop() {
    beanstalkd_find_data
    if beanstalkd_runs; then
        end_process "$pid" TERM
        say "stopped"
    else
        say "not running from this checkout"
    fi
    forget_data
}

beanstalkd_status() {
    command -v beanstalkd >/dev/null || fail "not installed"
    beanstalkd_answers || fail "does not answer on 127.0.0.1:$beanstalkd_port"
    say "127.0.0.1:$beanstalkd_port"
}

beanstalkd_find_data() {
    find_data beanstalkd jobs nobody
}

beanstalkd_make() {
    make_data_folder
    as_owner mkdir "$data.new/jobs"
    mv "$data.new" "$data"
}

beanstalkd_options() {
    # -f: milliseconds between two writes through to the disk; -F: never, though it is written. -z: bytes in a job.
    sync=-F
    [ "${KOMBU_DURABLE:-0}" != 1 ] || sync=-f0
    printf '%s\n' "-l 127.0.0.1 -p $beanstalkd_port -z ${KOMBU_BEANSTALKD_MAX_JOB:-4194304} $sync"
}

beanstalkd_runs() {
    process_of "$data/beanstalkd.pid" "$data/jobs"
}

beanstalkd_answers() {
    python3 - "$beanstalkd_port" <<'EOF' 2>/dev/null
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2) as connection:
    connection.sendall(b"list-tube-used\r\n")
    sys.exit(not connection.recv(64).startswith(b"USING "))
EOF
}
