#!/usr/bin/env bash
# Builds and tests on other systems, each in a root of its own below .build/systems: make -f Makefile.apxs test-systems. SYSTEMS chooses of
# debian12, debian13, arm64, musl; SYSTEM_SECONDS is the time that the tests of one may take. Each has a log, .build/systems/NAME.log. Shows
# the versions that were tried as README.md's table has them, and ends with "N passed, M failed, K skipped". Needs root.
set -u
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo "test-systems needs root (chroot)" >&2; exit 1; }
. tests/systems/roots.sh
lock_systems || exit 1
. tests/systems/steps.sh
SYSTEMS=${SYSTEMS:-debian12 debian13 arm64 musl}
SYSTEM_SECONDS=${SYSTEM_SECONDS:-3600}
table=

for system in $SYSTEMS; do
    [[ $system =~ ^(debian12|debian13|arm64|musl)$ ]] || { echo "no system $system: there are debian12, debian13, arm64 and musl" >&2; exit 1; }
done
trap end_job EXIT
trap 'exit 130' INT TERM

# Adds what a system's script counted, and its line of the table: NAME ROOT RESULT
add_up() {
    local counts
    sed "s/^/$1: /" "$systems/$1.log"
    counts=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$systems/$1.log" | tail -1)
    # shellcheck disable=SC2086
    set -- "$1" "$2" "$3" ${counts:-0 passed, 1 failed, 0 skipped}
    passed=$((passed + $4))
    failed=$((failed + $6 + ($3 != 0 && $6 == 0)))
    skipped=$((skipped + $8))
    table+="| $1 | $(cat "$2/versions" 2>/dev/null) | $4 passed, $6 failed, $8 skipped |"$'\n'
}

in_root() { # NAME SUITE SCRIPT: runs a script of ours in a root of the suite
    local root=$systems/$1/root
    check "$1: a root of $2" build_root "$1" "$2" || return
    check "$1: the sources in it" copy_tree "$root" || return
    rm -f "$root/versions"
    inside "$root" "$SYSTEM_SECONDS" "/src/tests/systems/$3" >"$systems/$1.log" 2>&1
    add_up "$1" "$root" $?
}

beside() { # NAME SCRIPT: runs it on this machine, in a copy of the repository
    mkdir -p "$systems/$1"
    rm -f "$systems/$1/versions"
    check "$1: a copy of the sources" copy_tree "$systems/$1" || return
    LA_PLACE=$systems/$1 bounded "$SYSTEM_SECONDS" unshare --mount --pid --fork --kill-child --mount-proc \
        "$systems/$1/src/tests/systems/$2" >"$systems/$1.log" 2>&1
    add_up "$1" "$systems/$1" $?
}

for system in $SYSTEMS; do
    case $system in
    debian12) in_root debian12 bookworm debian.sh ;;
    debian13) in_root debian13 trixie debian.sh ;;
    arm64) beside arm64 arm64.sh ;;
    musl) in_root musl bookworm musl.sh ;;
    esac
done
printf '\n| system | versions | tests |\n|---|---|---|\n%s\n' "$table"
closing
