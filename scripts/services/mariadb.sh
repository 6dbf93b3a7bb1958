# MariaDB: a private instance on 127.0.0.1, database and user kombu, no password.

mariadb_port=${KOMBU_MARIADB_PORT:-53306}

mariadb_start() {
    mariadb_run
    mariadb_library
}

mariadb_run() {
    mariadb_find_programs || mariadb_install
    mariadb_find_data
    options=$(mariadb_options)
    if mariadb_runs; then
        [ "$(cat "$data.options" 2>/dev/null)" != "$options" ] || { mariadb_status; return; }
        end_process "$pid" TERM # it was started with another port or durability
    fi
    if mariadb_answers; then
        say "127.0.0.1:$mariadb_port (running already, not from this checkout)"
        return
    fi
    [ -e "$data/kombu.version" ] || mariadb_make
    printf '%s\n' "$options" >"$data.options"
    set --
    while IFS= read -r option; do set -- "$@" "$option"; done <"$data.options"
    slow_disk
    launch KOMBU_MARIADB_PORT "$mariadb_port" mariadbd "$@"
    mariadb_status
}

mariadb_stop() {
    if mariadb_find_programs && mariadb_find_data && mariadb_runs; then
        end_process "$pid" TERM
        say "stopped"
    else
        say "not running from this checkout"
    fi
    forget_data
}

mariadb_status() {
    mariadb_find_programs || fail "not installed"
    mariadb_answers || fail "does not answer on 127.0.0.1:$mariadb_port"
    say "127.0.0.1:$mariadb_port"
}

mariadb_install() {
    install_server mariadb mariadb-server
    mariadb_find_programs || fail "the system's packages have no MariaDB 10.6 or newer"
}

mariadb_library() {
    # What mysqlclient, Django's driver, is built with.
    ! pkg-config --exists libmariadb 2>/dev/null || return 0
    if can_install; then
        install_packages libmariadb-dev pkg-config
    else
        say "without libmariadb-dev and pkg-config there is no driver for Django: its tests here are skipped"
    fi
}

mariadb_find_programs() {
    for program in mariadbd mariadb-install-db mariadb; do
        command -v $program >/dev/null || return 1
    done
    [ "$(id -u)" -ne 0 ] || id mysql >/dev/null 2>&1 || return 1
    mariadb_version=$(mariadbd --no-defaults --version | sed 's/.*Ver \([0-9]*\.[0-9]*\).*/\1/')
    [ "${mariadb_version%.*}" -gt 10 ] || [ "${mariadb_version#10.}" -ge 6 ]
}

mariadb_find_data() {
    find_data mariadb kombu.version mysql
    [ -e "$data/kombu.version" ] || return 0
    made_by=$(cat "$data/kombu.version")
    [ "$made_by" = "$mariadb_version" ] ||
        fail "$data was made by MariaDB $made_by, and this is $mariadb_version: remove that folder"
}

mariadb_options() {
    # One a line. The character set is that of Debian's configuration, which is left out.
    printf '%s\n' --no-defaults "--datadir=$data" --bind-address=127.0.0.1 "--port=$mariadb_port" \
        "--socket=$data/mariadb.sock" "--pid-file=$data/mariadb.pid" "--tmpdir=$data" --skip-name-resolve --max-connections=200 \
        --character-set-server=utf8mb4 --collation-server=utf8mb4_general_ci
    if [ "${KOMBU_DURABLE:-0}" != 1 ]; then
        printf '%s\n' --innodb-flush-log-at-trx-commit=0 --sync-binlog=0 --skip-log-bin --skip-innodb-doublewrite
    fi
}

mariadb_make() {
    # root gets in by the socket only, as the system's root; kombu may make databases whose names begin with kombu.
    make_data_folder
    log=$data.log
    as_owner mariadb-install-db --no-defaults --datadir="$data.new" --skip-test-db --skip-name-resolve \
        --auth-root-authentication-method=socket >"$log" 2>&1 ||
        fail "mariadb-install-db failed: $(tail -n 1 "$log"); its log is $log"
    printf '%s\n' 'FLUSH PRIVILEGES;' "CREATE USER kombu@'127.0.0.1';" \
        "GRANT ALL ON \`kombu%\`.* TO kombu@'127.0.0.1';" "GRANT PROCESS ON *.* TO kombu@'127.0.0.1';" \
        'CREATE DATABASE kombu CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;' |
        as_owner mariadbd --no-defaults --bootstrap --datadir="$data.new" >"$log" 2>&1 ||
        fail "database kombu could not be made: $(grep ERROR "$log"); its log is $log"
    printf '%s\n' "$mariadb_version" | as_owner tee "$data.new/kombu.version" >/dev/null
    mv "$data.new" "$data"
}

mariadb_runs() {
    process_of "$data/mariadb.pid" "--datadir=$data"
}

mariadb_answers() {
    env -i PATH="$PATH" mariadb --no-defaults --protocol=tcp --host=127.0.0.1 --port="$mariadb_port" --user=kombu \
        --connect-timeout=2 --execute='SELECT 1' kombu >/dev/null 2>&1
}
