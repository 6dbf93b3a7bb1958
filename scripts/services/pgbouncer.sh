# pgbouncer: transaction pooling on 127.0.0.1 in front of our PostgreSQL, all its databases, user kombu, no password.

. "$checkout/scripts/services/postgresql.sh"

pgbouncer_port=${KOMBU_PGBOUNCER_PORT:-56432}

pgbouncer_start() {
    pg_find_programs && pg_answers || fail "PostgreSQL does not answer on 127.0.0.1:$pg_port: start postgresql first"
    command -v pgbouncer >/dev/null || install_server pgbouncer pgbouncer
    pgbouncer_find_data
    settings=$(pgbouncer_settings)
    if pgbouncer_runs; then
        [ "$(cat "$data/pgbouncer.ini")" != "$settings" ] || { pgbouncer_status; return; }
        end_process "$pid" INT # it was started with another port, its own or PostgreSQL's
    fi
    if pgbouncer_answers; then
        say "127.0.0.1:$pgbouncer_port (running already, not from this checkout)"
        return
    fi
    pgbouncer_make
    launch KOMBU_PGBOUNCER_PORT "$pgbouncer_port" pgbouncer "$data/pgbouncer.ini"
    pgbouncer_status
}

pgbouncer_stop() {
    pgbouncer_find_data
    if pgbouncer_runs; then
        end_process "$pid" INT
        say "stopped"
    else
        say "not running from this checkout"
    fi
    forget_data
}

pgbouncer_status() {
    command -v pgbouncer >/dev/null || fail "not installed"
    pg_find_programs && pgbouncer_answers || fail "does not answer on 127.0.0.1:$pgbouncer_port"
    say "127.0.0.1:$pgbouncer_port"
}

pgbouncer_find_data() {
    find_data pgbouncer pgbouncer.ini postgres
}

pgbouncer_make() {
    if [ ! -e "$data/pgbouncer.ini" ]; then
        make_data_folder
        printf '"kombu" ""\n' | as_owner tee "$data.new/users.txt" >/dev/null
        as_owner touch "$data.new/pgbouncer.ini"
        mv "$data.new" "$data"
    fi
    printf '%s\n' "$settings" | as_owner tee "$data/pgbouncer.ini" >/dev/null
}

pgbouncer_settings() {
    printf '%s\n' '[databases]' "* = host=127.0.0.1 port=$pg_port" '[pgbouncer]' 'pool_mode = transaction' \
        'listen_addr = 127.0.0.1' "listen_port = $pgbouncer_port" 'unix_socket_dir =' \
        'auth_type = trust' "auth_file = $data/users.txt" "pidfile = $data/pgbouncer.pid" 'max_client_conn = 400'
    # Older ones do not know the setting, and have no prepared statements at all.
    [ "$(pgbouncer_minor)" -lt 21 ] || echo 'max_prepared_statements = 0'
}

pgbouncer_minor() {
    pgbouncer --version | sed -n '1s/[^0-9]*1\.\([0-9]*\).*/\1/p'
}

pgbouncer_runs() {
    process_of "$data/pgbouncer.pid" "$data/pgbouncer.ini"
}

pgbouncer_answers() {
    pg_answers_on "$pgbouncer_port"
}
