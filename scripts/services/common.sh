# What the services have in common: words for people, where data lives and as whom it is used, packages.

say() {
    printf '%-11s %s\n' "$service" "$*"
}

fail() {
    printf '%-11s %s\n' "$service" "$*" >&2
    exit 1
}

find_data() {
    # find_data NAME MARKER USER: where the data is or is to be made, in home, data and owner; MARKER is a file that
    # complete data has, USER whose it becomes if root makes it. In the checkout, or in a temporary folder where that
    # user cannot get there, where another user's data is in the way, or where a socket's path would be too long.
    for home in "$checkout/.services" "$(temporary_folder)"; do
        data=$home/$1
        [ "$home" = "$checkout/.services" ] || [ -O "$home" ] || continue
        [ ! -e "$data/$2" ] || { owner=$(stat -c %u "$data"); return; }
    done
    owner=$3
    home=$checkout/.services
    mkdir -p "$home" 2>/dev/null || true
    if [ ! -w "$home" ] || [ -e "$home/$1" ] || [ ${#home} -gt 80 ] || ! as_owner test -x "$home"; then
        home=$(temporary_folder)
        make_own_folder "$(dirname "$home")"
        make_own_folder "$home"
    fi
    data=$home/$1
}

make_data_folder() {
    # Under another name until it is complete.
    rm -rf "$data.new"
    mkdir -m 700 "$data.new"
    [ "$(id -u)" -ne 0 ] || chown "$owner": "$data.new"
}

forget_data() {
    # In a temporary folder nobody would find it again.
    case ${home:-} in
        "${TMPDIR:-/tmp}"/kombu-services-*/*)
            rm -rf "$data" "$data".*
            rmdir "$home" 2>/dev/null || true # not while another service has its data there
            ;;
    esac
}

temporary_folder() {
    echo "${TMPDIR:-/tmp}/kombu-services-$(id -u)/$(printf %s "$checkout" | cksum | cut -d ' ' -f 1)"
}

make_own_folder() {
    mkdir -p -m 711 "$1"
    [ -O "$1" ] && [ ! -L "$1" ] || fail "$1 belongs to somebody else"
}

as_owner() {
    (exec_as_owner "$@")
}

slow_disk() {
    # What is run as the owner from now on has a disk that takes KOMBU_DISK_DELAY microseconds longer.
    [ -n "${KOMBU_DISK_DELAY:-}" ] || return 0
    cc -shared -fPIC -O2 -o "$home/slow_disk.so" "$checkout/scripts/services/slow_disk.c" -ldl ||
        fail "KOMBU_DISK_DELAY needs a C compiler"
    preload=$home/slow_disk.so
}

exec_as_owner() {
    # Servers do not run as root: then it is the user whose data it is. The caller's settings stay out.
    cd /
    if [ "$(id -u)" -ne 0 ]; then
        exec env -i PATH="$PATH" LC_ALL=C ${preload:+LD_PRELOAD="$preload" KOMBU_DISK_DELAY="$KOMBU_DISK_DELAY"} "$@"
    else
        exec setpriv --reuid "$owner" --regid "$(id -g "$owner")" --clear-groups env -i PATH="$PATH" LC_ALL=C \
            ${preload:+LD_PRELOAD="$preload" KOMBU_DISK_DELAY="$KOMBU_DISK_DELAY"} "$@"
    fi
}

launch() {
    # launch PORT_VARIABLE PORT COMMAND...: a server that stays in the foreground, until it answers.
    port_variable=$1
    port=$2
    shift 2
    rm -f "$data/$service.pid" # of one that was killed; pgbouncer would not start
    exec_as_owner setsid "$@" >"$data.log" 2>&1 </dev/null &
    launched=$!
    tries=300
    until "${service}_runs" && "${service}_answers"; do
        tries=$((tries - 1))
        if [ $tries -eq 0 ] || ! kill -0 "$launched" 2>/dev/null; then
            kill "$launched" 2>/dev/null || true
            tail -n 5 "$data.log" >&2
            fail "did not start; its log is $data.log. $port_variable chooses another port than $port"
        fi
        sleep 0.2
    done
}

process_of() {
    # process_of PIDFILE ARGUMENT: the process that the file names, if it has that argument; a number is used again.
    pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] &&
        tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -q -x -F -e "$2"
}

end_process() {
    # end_process PID SIGNAL: and wait until it is gone.
    kill "-$2" "$1"
    tries=300
    while kill -0 "$1" 2>/dev/null; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || fail "process $1 did not end within 60 seconds of SIG$2"
        sleep 0.2
    done
}

may_install() {
    can_install ||
        fail "not installed. On Debian, as root: make services, or apt-get install --no-install-recommends $*"
}

can_install() {
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null
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

install_server() {
    # install_server SYSTEM_SERVICE PACKAGE...: Debian's start their server, now and at boot, unless told not to.
    system_service=$1
    shift
    may_install "$@"
    policy=/usr/sbin/policy-rc.d
    [ ! -e "/etc/init.d/$system_service" ] || system_service= # it was there before, and somebody may want it
    exec 9>/run/lock/kombu-services # two at once, and one would put back what the other still needs
    flock 9
    trap installed EXIT
    trap 'exit 1' INT TERM
    policy_deny
    install_packages "$@" 9>&-
    installed
    trap - EXIT INT TERM
    exec 9>&-
}

installed() {
    policy_back
    [ ! -e "/etc/init.d/${system_service:-none}" ] || update-rc.d "$system_service" disable
}

policy_deny() {
    # An earlier run that was killed may have left ours.
    [ ! -e "$policy" ] || grep -q "^# kombu's" "$policy" || cp -p "$policy" "$policy.kombu"
    printf '%s\n' '#!/bin/sh' "# kombu's, while it installs a server's package: no service is started" 'exit 101' \
        >"$policy.new"
    chmod 755 "$policy.new"
    mv -f "$policy.new" "$policy"
}

policy_back() {
    if [ -e "$policy.kombu" ]; then mv -f "$policy.kombu" "$policy"; else rm -f "$policy"; fi
}
