# RabbitMQ: a private node on 127.0.0.1 with its management API, user guest with password guest.
# Erlang's port mapper and the port for other nodes, which rabbitmqctl uses, are this node's own too.
# KOMBU_RABBITMQ_CONF: lines for rabbitmq.conf beyond these, such as a listener with TLS.
# KOMBU_RABBITMQ_MANAGEMENT=0: without the management API, which takes its time to stop.

rabbitmq_port=${KOMBU_RABBITMQ_PORT:-55672}
rabbitmq_management_port=${KOMBU_RABBITMQ_MANAGEMENT_PORT:-55673}
rabbitmq_distribution_port=${KOMBU_RABBITMQ_DISTRIBUTION_PORT:-$((rabbitmq_management_port + 1))}
rabbitmq_epmd_port=${KOMBU_RABBITMQ_EPMD_PORT:-$((rabbitmq_management_port + 2))}

rabbitmq_start() {
    rabbitmq_find_programs || rabbitmq_install
    rabbitmq_find_data
    options=$(rabbitmq_options)
    if rabbitmq_runs; then
        [ "$(cat "$data.options" 2>/dev/null)" != "$options" ] || { rabbitmq_status; return; }
        rabbitmq_halt # it was started with other ports or settings
    fi
    if rabbitmq_answers; then
        say "127.0.0.1:$rabbitmq_port (running already, not from this checkout)"
        return
    fi
    [ -e "$data/kombu.version" ] || rabbitmq_make
    rabbitmq_plugins | as_owner tee "$data/enabled_plugins" >/dev/null
    printf '%s\n' "$options" | as_owner tee "$data/rabbitmq.conf" >"$data.options"
    rabbitmq_start_epmd
    rabbitmq_environment >"$data.environment"
    set --
    while IFS= read -r setting; do set -- "$@" "$setting"; done <"$data.environment"
    launch KOMBU_RABBITMQ_PORT "$rabbitmq_port" env "$@" "$bin/rabbitmq-server"
    rabbitmq_status
}

rabbitmq_stop() {
    if rabbitmq_find_programs && rabbitmq_find_data; then
        if rabbitmq_runs; then
            rabbitmq_halt
            say "stopped"
        else
            say "not running from this checkout"
        fi
        rabbitmq_end_epmd
    else
        say "not running from this checkout"
    fi
    forget_data
}

rabbitmq_status() {
    rabbitmq_find_programs || fail "not installed"
    rabbitmq_answers || fail "does not answer on 127.0.0.1:$rabbitmq_port"
    say "127.0.0.1:$rabbitmq_port, management 127.0.0.1:$rabbitmq_management_port"
}

rabbitmq_install() {
    install_server rabbitmq-server rabbitmq-server
    rabbitmq_find_programs || fail "the system's packages have no RabbitMQ 3.10 or newer"
}

rabbitmq_find_programs() {
    # Debian's /usr/sbin/rabbitmq-server is a wrapper that knows the system's node only.
    bin=/usr/lib/rabbitmq/bin
    [ -x "$bin/rabbitmq-server" ] || bin=$(dirname "$(command -v rabbitmq-server || echo /nowhere/rabbitmq-server)")
    [ -x "$bin/rabbitmq-server" ] && command -v epmd python3 >/dev/null || return 1
    [ "$(id -u)" -ne 0 ] || id rabbitmq >/dev/null 2>&1 || return 1
    plugins=$(rabbitmq_plugins_folder) && [ -n "$plugins" ] || return 1
    rabbitmq_version=$(ls -d "$plugins"/rabbit-[0-9]* | sed -n '1s/.*rabbit-\([0-9]*\.[0-9]*\).*/\1/p')
    [ "${rabbitmq_version%.*}" -gt 3 ] || [ "${rabbitmq_version#3.}" -ge 10 ]
}

rabbitmq_plugins_folder() {
    ls -d "$(dirname "$(readlink -f "$bin/rabbitmq-server")")"/../plugins \
        /usr/lib/rabbitmq/lib/rabbitmq_server-*/plugins 2>/dev/null | sed -n 1p
}

rabbitmq_find_data() {
    find_data rabbitmq kombu.version rabbitmq
    [ -e "$data/kombu.version" ] || return 0
    made_by=$(cat "$data/kombu.version")
    [ "$made_by" = "$rabbitmq_version" ] ||
        fail "$data was made by RabbitMQ $made_by, and this is $rabbitmq_version: remove that folder"
}

rabbitmq_make() {
    make_data_folder
    as_owner mkdir "$data.new/mnesia" "$data.new/log"
    printf '%s\n' "$rabbitmq_version" | as_owner tee "$data.new/kombu.version" >/dev/null
    mv "$data.new" "$data"
}

rabbitmq_plugins() {
    if rabbitmq_is_managed; then
        echo '[rabbitmq_management, rabbitmq_auth_mechanism_ssl].'
    else
        echo '[rabbitmq_auth_mechanism_ssl].'
    fi
}

rabbitmq_is_managed() {
    [ "${KOMBU_RABBITMQ_MANAGEMENT:-1}" != 0 ]
}

rabbitmq_options() {
    # rabbitmq.conf, one setting a line.
    printf '%s\n' "listeners.tcp.1 = 127.0.0.1:$rabbitmq_port"
    if rabbitmq_is_managed; then
        printf '%s\n' 'management.tcp.ip = 127.0.0.1' "management.tcp.port = $rabbitmq_management_port"
    fi
    printf '%s\n' 'distribution.listener.interface = 127.0.0.1' \
        "distribution.listener.port_range.min = $rabbitmq_distribution_port" \
        "distribution.listener.port_range.max = $rabbitmq_distribution_port" \
        'collect_statistics_interval = 1000' 'log.file.level = warning' 'log.console = false'
    printf '%s\n' "${KOMBU_RABBITMQ_CONF:-}"
}

rabbitmq_environment() {
    # One a line. HOME has the cookie with which rabbitmqctl gets in. -kombu means nothing to
    # Erlang, and tells this node from others.
    printf '%s\n' "HOME=$data" "ERL_EPMD_ADDRESS=127.0.0.1" "ERL_EPMD_PORT=$rabbitmq_epmd_port" \
        "RABBITMQ_NODENAME=$(rabbitmq_node)" RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 "RABBITMQ_NODE_PORT=$rabbitmq_port" \
        "RABBITMQ_DIST_PORT=$rabbitmq_distribution_port" "RABBITMQ_CONF_ENV_FILE=$data/no-env.conf" \
        "RABBITMQ_CONFIG_FILE=$data/rabbitmq.conf" "RABBITMQ_ADVANCED_CONFIG_FILE=$data/advanced.config" \
        "RABBITMQ_ENABLED_PLUGINS_FILE=$data/enabled_plugins" "RABBITMQ_MNESIA_BASE=$data/mnesia" \
        "RABBITMQ_LOG_BASE=$data/log" "RABBITMQ_PID_FILE=$data/rabbitmq.pid" RUNNING_UNDER_SYSTEMD=1 \
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kombu $(rabbitmq_node)"
}

rabbitmq_node() {
    # A name that no other node on this machine has.
    echo "kombu-$(printf %s "$data" | cksum | cut -d ' ' -f 1)@localhost"
}

rabbitmq_start_epmd() {
    # The first node would start one for itself, and leave it behind.
    ! rabbitmq_epmd_runs || return 0
    exec_as_owner setsid epmd -address 127.0.0.1 -port "$rabbitmq_epmd_port" >"$data.epmd.log" 2>&1 </dev/null &
    printf '%s\n' $! >"$data.epmd.pid"
}

rabbitmq_epmd_runs() {
    process_of "$data.epmd.pid" epmd && process_of "$data.epmd.pid" "$rabbitmq_epmd_port"
}

rabbitmq_end_epmd() {
    if rabbitmq_epmd_runs; then end_process "$pid" TERM; fi
    rm -f "$data.epmd.pid"
}

rabbitmq_halt() {
    # It closes its connections with a word, and writes what it has.
    end_process "$pid" TERM
}

rabbitmq_runs() {
    process_of "$data/rabbitmq.pid" "$(rabbitmq_node)"
}

rabbitmq_answers() {
    # It says connection.start to the protocol's header, and its management API is there.
    managed=$rabbitmq_management_port
    rabbitmq_is_managed || managed=
    (cd / && env -i PATH="$PATH" python3 - "$rabbitmq_port" "$managed" <<'PYTHON'
import socket
import sys

try:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2) as broker:
        broker.settimeout(2)
        broker.sendall(b"AMQP\0\0\x09\x01")
        started = broker.recv(1) == b"\x01"
    if sys.argv[2]:
        socket.create_connection(("127.0.0.1", int(sys.argv[2])), 2).close()
except OSError:
    started = False
sys.exit(not started)
PYTHON
    )
}
