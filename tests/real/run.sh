#!/usr/bin/env bash
# Installs the real servers below .build, each in a time that is bounded, then runs their tests: make -f Makefile.apxs test-real. One that
# cannot be installed has failed, and the others are tried all the same; one whose tools this machine lacks is skipped.
# INSTALL_SECONDS is for each. Ends with "N passed, M failed, K skipped".
set -u
cd "$(dirname "$0")/../.."
. tests/systems/bounded.sh
INSTALL_SECONDS=${INSTALL_SECONDS:-3600}
missing=

mkdir -p .build
trap end_job EXIT
trap 'exit 130' INT TERM HUP

exec 9>.build/real.lock
flock -n 9 || { echo "another run is installing them" >&2; exit 1; }
for program in idp clients mcp litellm ogx keycloak hydra kubernetes; do
    bounded "$INSTALL_SECONDS" make --no-print-directory -s -f Makefile.apxs $program 9>&- || { echo "FAILED: $program could not be installed"; missing+="$program "; }
done
exec 9>&-
trap - EXIT INT TERM HUP
LA_NOT_INSTALLED=$missing exec "${PYTHON:-/usr/bin/python3}" tests/run.py real
