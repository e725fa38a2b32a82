#!/bin/sh
# Builds the servers, starts them, runs the contract suites on them, and stops them.
# Usage: tests/servers/run.sh [PYTHON]
#
# Where they cannot be had (no Go, one that is too old, no network, more than TEST_SERVERS_SECONDS to build them, 480 by
# default) it says SKIPPED and why, and ends with 0. A test that fails, and a server that does not start, end otherwise.
set -eu
cd "$(dirname "$0")/../.."
python=${1:-python3}
limit=${TEST_SERVERS_SECONDS:-480}
built=$PWD/tests/servers/.built
work=$(mktemp -d)
running=''

# No other Go than the one that is here is fetched.
GOTOOLCHAIN=local
export GOTOOLCHAIN

stop() {
    for each in $running; do
        kill "$each" 2>/dev/null || true
        wait "$each" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

skip() {
    echo "SKIPPED: the tests on real servers: $1" >&2
    exit 0
}

# within SERVER COMMAND...: runs it in the server's folder; its exit code, or 124 where the time of all is over.
# What it says of errors is in $work/said.
within() {
    (cd "tests/servers/$1" && shift && exec "$@") >/dev/null 2>"$work/said" &
    pid=$!
    running="$running $pid"
    while kill -0 "$pid" 2>/dev/null; do
        if [ "$limit" -le 0 ]; then
            return 124
        fi
        limit=$((limit - 1))
        sleep 1
    done
    running=${running% "$pid"}
    wait "$pid"
}

command -v go >/dev/null 2>&1 || skip 'Go is not here (https://go.dev/dl)'
mkdir -p "$built"
for name in ferretdb gcs; do
    echo "Building $name (about a minute, the first time)"
    # This fetches the modules that are needed, and no others.
    code=0
    within "$name" go list -tags ferretdb_no_postgresql -deps . || code=$?
    if grep -q 'checksum mismatch\|SECURITY ERROR' "$work/said"; then
        cat "$work/said" >&2
        exit 1
    fi
    [ "$code" -ne 124 ] || skip "its modules did not come in time"
    [ "$code" -eq 0 ] || skip "Go cannot have the modules of $name: $(tail -n 1 "$work/said")"
    code=0
    within "$name" go build -tags ferretdb_no_postgresql -o "$built/$name" . || code=$?
    [ "$code" -ne 124 ] || skip "$name was not built in time; what was built is kept, and the next try goes on from there"
    if [ "$code" -ne 0 ]; then
        cat "$work/said" >&2
        exit 1
    fi
done

# start NAME ARGUMENT: the server's address, once it has said it, is in $work/NAME.address
start() {
    "$built/$1" "$2" >"$work/$1.address" 2>"$work/$1.log" &
    pid=$!
    running="$running $pid"
    tries=0
    until [ -s "$work/$1.address" ]; do
        tries=$((tries + 1))
        if [ "$tries" -gt 100 ] || ! kill -0 "$pid" 2>/dev/null; then
            echo "$1 does not start:" >&2
            cat "$work/$1.log" >&2
            exit 1
        fi
        sleep 0.1
    done
}

mkdir "$work/data"
start ferretdb "$work/data"
start gcs playbook
TEST_MONGODB_CONNECTION=$(cat "$work/ferretdb.address")
TEST_GCS_ENDPOINT=$(cat "$work/gcs.address")
export TEST_MONGODB_CONNECTION TEST_GCS_ENDPOINT
"$python" -m pytest -rs -k 'TEST_MONGODB_CONNECTION or TestGCSServer' \
    tests/contracts/test_mongo.py tests/contracts/test_gcs_server.py
