#!/bin/sh
# Installs and starts what the tests use.  usage: services.sh start|stop|status [SERVICE...]
#   chromium     a program; nothing to start
#   postgresql   a private instance on 127.0.0.1, database and user kombu, no password
#   pgbouncer    in front of that, with transaction pooling
#   mariadb      a private instance on 127.0.0.1, database and user kombu, no password
#   rabbitmq     a private node on 127.0.0.1 with its management API, user guest
#   redis        a private instance on 127.0.0.1, no password
#   sqs          Amazon SQS and SNS as ministack plays them, on 127.0.0.1
#   mongodb      MongoDB's protocol as secantusdb speaks it, on 127.0.0.1
#   couchdb      CouchDB's protocol as pouchdb-server speaks it, on 127.0.0.1
#   beanstalkd   a private instance on 127.0.0.1
# Servers have a port and a data folder of this checkout's own; nothing is handed to the system's service manager.
#   KOMBU_PG_PORT, KOMBU_PGBOUNCER_PORT, KOMBU_MARIADB_PORT   their ports (54329, 56432, 53306)
#   KOMBU_RABBITMQ_PORT, KOMBU_RABBITMQ_MANAGEMENT_PORT, KOMBU_REDIS_PORT, KOMBU_SQS_PORT, KOMBU_MONGODB_PORT,
#   KOMBU_COUCHDB_PORT, KOMBU_BEANSTALKD_PORT                 and 55672, 55673, 56379, 54566, 57017, 55984, 51300
#   KOMBU_RABBITMQ_DISTRIBUTION_PORT, KOMBU_RABBITMQ_EPMD_PORT   Erlang's own: one and two above the management's
#   KOMBU_DURABLE                                             1: they write through to the disk, as for benchmarks
#   KOMBU_DISK_DELAY           microseconds that this takes longer in PostgreSQL and MariaDB, as with another disk: needs
#                              a C compiler, and that they are stopped before and afterwards
# Each service is a file in scripts/services/.
set -eu

all='couchdb mongodb sqs chromium postgresql pgbouncer mariadb rabbitmq redis beanstalkd'
checkout=$(cd "$(dirname "$0")/.." && pwd -P)
PATH=$PATH:/usr/sbin:/sbin # where Debian has servers, and not every user looks

main() {
    [ $# -gt 0 ] || usage
    action=$1
    shift
    case $action in start | stop | status) ;; *) usage ;; esac
    if [ $# -eq 1 ]; then
        case " $all " in *" $1 "*) ;; *) usage ;; esac
        service=$1
        . "$checkout/scripts/services/common.sh"
        . "$checkout/scripts/services/$service.sh"
        "${service}_$action"
        return
    fi
    failed=0
    beside=
    for each in ${*:-$all}; do # each in a shell of its own, so that one failure leaves the others
        case $each in
            sqs | mongodb | couchdb) # not from the system's packages, of which one is installed at a time
                sh "$0" "$action" "$each" &
                beside="$beside $!"
                ;;
            *) sh "$0" "$action" "$each" || failed=1 ;;
        esac
    done
    for each in $beside; do
        wait "$each" || failed=1
    done
    return $failed
}

usage() {
    echo "usage: services.sh start|stop|status [SERVICE...]  (services: $all)" >&2
    exit 2
}

main "$@"
