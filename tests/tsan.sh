#!/usr/bin/env bash
# Runs a command of the tests with the module under ThreadSanitizer in a real httpd, then looks for races over the module's variables or malloc'ed
# memory with an innermost frame of the module on either side. httpd and APR are not instrumented: pools that they hand from thread to thread (memory
# without a "Location") look like races to it.
# Usage: tsan.sh COMMAND...; called by `make -f Makefile.apxs tsan`.
set -u
cd "$(dirname "$0")/.."
logs=$PWD/.build/tsan/logs
rm -rf "$logs"
mkdir -p "$logs"
chmod 1777 "$logs"
LA_SANITIZER_LOGS=$logs LA_MODULE=.build/tsan/mod_llama_auth.so setarch -R "$@"
result=$?
ours=$(cat "$logs"/* 2>/dev/null | awk '/WARNING: ThreadSanitizer/ {report = ""; mine = 0; known = 0} {report = report $0 "\n"}
    /^ *#0 / && /src\/[a-z]+\// {mine = 1}
    /Location is (global|heap)/ {known = 1} /^SUMMARY/ {if (mine && known) printf "%s\n", report}')
if [ -n "$ours" ]; then
    printf '%s\n' "$ours" >&2
    echo "tsan: races in the module" >&2
    exit 1
fi
echo "tsan: $(cat "$logs"/* 2>/dev/null | grep -c '^SUMMARY') reports of httpd's and APR's own, none over the module's own memory"
exit $result
