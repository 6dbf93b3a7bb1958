#!/bin/sh
# Builds Django's driver for MariaDB into a virtual environment, where its library is.  usage: mysqlclient.sh VENV
# Called each time, for the library may come later than the environment. Without it the tests that need it are skipped.
set -eu
venv=$1
wanted=$(dirname "$0")/../requirements/mysqlclient.txt
built=$venv/.mysqlclient
pkg-config --exists libmariadb 2>/dev/null || exit 0
if cmp -s "$wanted" "$built"; then exit 0; fi
echo "building mysqlclient"
log=$venv/mysqlclient.log
if "$venv/bin/pip" install --disable-pip-version-check -r "$wanted" >"$log" 2>&1 &&
    "$venv/bin/python" -c 'import MySQLdb' >>"$log" 2>&1; then
    cp "$wanted" "$built"
else
    tail -n 3 "$log" >&2
    echo "mysqlclient could not be built, see $log: it needs a C compiler and Python's headers" >&2
fi
