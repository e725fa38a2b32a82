#!/bin/sh
# Builds the servers, starts them, runs the contract suites on them, and stops them.
# Usage: tests/servers/run.sh [PYTHON]
set -eu
cd "$(dirname "$0")/../.."
python=${1:-python3}
built=tests/servers/.built
work=$(mktemp -d)
running=''

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
    echo "SKIPPED: $1" >&2
    exit 0
}

command -v go >/dev/null 2>&1 || skip 'the tests on real servers: Go is not here (https://go.dev/dl)'
mkdir -p "$built"
for name in ferretdb gcs; do
    echo "Building $name (some minutes, the first time)"
    (cd "tests/servers/$name" && go mod download) || skip "the tests on real servers: Go cannot fetch the modules of $name"
    (cd "tests/servers/$name" && go build -tags ferretdb_no_postgresql -o "../.built/$name" .)
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
