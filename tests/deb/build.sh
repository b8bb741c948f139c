#!/usr/bin/env bash
# Builds the package in a root of Debian, as the commands `deb` and `test-deb` do: build.sh SUITE [VERSION]. The result is in
# .build/deb/SUITE. lintian of that suite may find no error and no warning. Needs root.
set -u
cd "$(dirname "$0")/../.."
. tests/systems/roots.sh
[ "$(id -u)" = 0 ] || { echo "a root of another suite needs root (chroot)" >&2; exit 1; }
suite=$1
case $suite in
bookworm) system=debian12 ;;
trixie) system=debian13 ;;
*) echo "no suite $suite: there are bookworm and trixie" >&2; exit 1 ;;
esac
root=$systems/$system/root
result=.build/deb/$suite
[ -n "${LA_LOCKED:-}" ] || lock_systems || exit 1
trap end_job EXIT
trap 'exit 130' INT TERM
mkdir -p "$result"
rm -f "$result"/*.deb
build_root "$system" "$suite" >"$result/root.log" 2>&1 || { tail -20 "$result/root.log"; exit 1; }
copy_tree "$root" || exit 1
inside "$root" 1800 make --no-print-directory -C /src -f Makefile.apxs deb DEB_VERSION="${2:-}" || exit 1
cp "$root"/src/.build/deb/*.deb "$result/"
ls "$result"/*.deb
