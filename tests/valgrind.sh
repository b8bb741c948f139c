#!/usr/bin/env bash
# Runs a command of the tests with httpd and llama-auth-keys under valgrind's memcheck, then looks for reports with a frame of the module.
# Usage: valgrind.sh COMMAND...; called by `make -f Makefile.apxs valgrind`.
set -u
cd "$(dirname "$0")/.."
logs=$PWD/.build/valgrind
rm -rf "$logs"
mkdir -p "$logs"
chmod 1777 "$logs"
apxs=$(command -v apxs || command -v apxs2)
httpd=$("$apxs" -q SBINDIR)/$("$apxs" -q PROGNAME)
cat >"$logs/httpd" <<WRAP
#!/bin/sh
exec valgrind -q --trace-children=yes --error-limit=no --fair-sched=yes --log-file="$logs/%p.log" "$httpd" "\$@"
WRAP
cat >"$logs/keys" <<WRAP
#!/bin/sh
exec valgrind -q --leak-check=full --log-file="$logs/%p.log" "$PWD/.build/release/llama-auth-keys" "\$@"
WRAP
chmod 755 "$logs/httpd" "$logs/keys"
LA_HTTPD=$logs/httpd LA_KEYS=$logs/keys "$@"
result=$?
reports=$(grep -lE 'mod_llama_auth|llama-auth-keys|src/[a-z]+/' "$logs"/*.log 2>/dev/null)
if [ -n "$reports" ]; then
    echo "valgrind: reports with frames of the module:" >&2
    # shellcheck disable=SC2086
    cat $reports >&2
    exit 1
fi
echo "valgrind: $(find "$logs" -name '*.log' | wc -l) processes, no report with a frame of the module"
exit $result
