#!/usr/bin/env bash
# The measurements of tests/bench in the root of Debian 13 that test-systems has, with the module and the peers of that system:
# make -f Makefile.apxs bench-trixie. Its arguments are those of tests/bench/run.py; BENCH_SECONDS is the time that all of it may take. The
# report is .build/bench-trixie.md. Needs root.
set -u
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo "bench-trixie needs root (chroot)" >&2; exit 1; }
. tests/systems/roots.sh
lock_systems || exit 1
root=$systems/debian13/root
report=.build/bench-trixie.md
trap end_job EXIT
trap 'exit 130' INT TERM
rm -f "$report"
make=(make --no-print-directory -C /src -f Makefile.apxs -j2)
{ build_root debian13 trixie && copy_tree "$root" && inside "$root" 900 "${make[@]}" deps-bench; } >"$systems/bench.log" 2>&1 ||
    { tail -20 "$systems/bench.log" >&2; exit 1; }
inside "$root" "${BENCH_SECONDS:-3600}" "${make[@]}" bench BENCH="$*"
result=$?
[ ! -f "$root/src/.build/bench.md" ] || cp "$root/src/.build/bench.md" "$report"
exit $result
