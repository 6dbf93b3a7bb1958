# Redis: a private instance on 127.0.0.1, no password.

redis_port=${KOMBU_REDIS_PORT:-56379}

redis_start() {
    command -v redis-server >/dev/null || install_server redis-server redis-server
    redis_find_data
    options=$(redis_options)
    if redis_runs; then
        [ "$(cat "$data.options" 2>/dev/null)" != "$options" ] || { redis_status; return; }
        end_process "$pid" TERM # it was started with another port or durability
    fi
    if redis_answers; then
        say "127.0.0.1:$redis_port (running already, not from this checkout)"
        return
    fi
    [ -e "$data/kombu.redis" ] || redis_make
    printf '%s\n' "$options" >"$data.options"
    printf '%s\n' "$options" | as_owner tee "$data/redis.conf" >/dev/null
    launch KOMBU_REDIS_PORT "$redis_port" redis-server "$data/redis.conf"
    redis_status
}

redis_stop() {
    redis_find_data
    if redis_runs; then
        end_process "$pid" TERM
        say "stopped"
    else
        say "not running from this checkout"
    fi
    forget_data
}

redis_status() {
    command -v redis-server >/dev/null || fail "not installed"
    redis_answers || fail "does not answer on 127.0.0.1:$redis_port"
    say "127.0.0.1:$redis_port"
}

redis_find_data() {
    find_data redis kombu.redis redis
}

redis_make() {
    make_data_folder
    as_owner touch "$data.new/kombu.redis"
    mv "$data.new" "$data"
}

redis_options() {
    # More databases than the default, so that each benchmark and test may have one.
    printf '%s\n' "port $redis_port" 'bind 127.0.0.1' "dir $data" "pidfile $data/redis.pid" 'daemonize no' \
        'set-proc-title no' 'databases 64' 'save ""' 'maxclients 2000'
    if [ "${KOMBU_DURABLE:-0}" = 1 ]; then
        printf '%s\n' 'appendonly yes' 'appendfsync everysec'
    else
        printf '%s\n' 'appendonly no'
    fi
}

redis_runs() {
    process_of "$data/redis.pid" "$data/redis.conf"
}

redis_answers() {
    [ "$(redis-cli -h 127.0.0.1 -p "$redis_port" ping 2>/dev/null)" = PONG ]
}
