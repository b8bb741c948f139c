#!/usr/bin/env bash
# Runs a command of the tests with httpd under valgrind's memcheck, then looks for reports with a frame of the module.
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
chmod 755 "$logs/httpd"
LA_HTTPD=$logs/httpd "$@"
result=$?
reports=$(grep -lE 'mod_llama_auth|src/(core|provider|httpd)/' "$logs"/*.log 2>/dev/null)
if [ -n "$reports" ]; then
    echo "valgrind: reports with frames of the module:" >&2
    # shellcheck disable=SC2086
    cat $reports >&2
    exit 1
fi
echo "valgrind: $(find "$logs" -name '*.log' | wc -l) processes, no report with a frame of the module"
exit $result
