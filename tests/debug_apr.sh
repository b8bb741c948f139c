#!/usr/bin/env bash
# Builds an APR whose pools are in debug mode, from Debian's source of the APR that is installed: each allocation is malloc's own, so ASan sees what
# is read after its pool was cleared, or beyond its end. The package lists are fetched into a directory of this script's, from the system's mirrors.
# Usage: debug_apr.sh DIRECTORY, which gets libapr-1.so.0; called by `make -f Makefile.apxs asan-pools`.
set -euo pipefail
mkdir -p "$1"
cd "$1"
version=$(dpkg-query -W -f '${source:Version}' libapr1)
rm -rf sources lists cache apr
mkdir -p sources lists/partial cache
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
    [ -f "$file" ] || continue
    case $file in
        *.sources) sed -E 's/^Types:.*/Types: deb-src/' "$file" >"sources/${file##*/}" ;;
        *.list) sed -nE 's/^deb /deb-src /p' "$file" >"sources/${file##*/}" ;;
    esac
done
apt() {
    apt-get -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$PWD/sources" -o Dir::State::lists="$PWD/lists" \
        -o Dir::Cache="$PWD/cache" -o APT::Sandbox::User="$(id -un)" "$@"
}
apt update >apt.log 2>&1 || true # a mirror without sources is not the one that matters
apt source --download-only "apr=$version" >>apt.log 2>&1 || { cat apt.log >&2; exit 1; }
dpkg-source -x "apr_${version#*:}.dsc" apr >>apt.log 2>&1
cd apr
# httpd says that a redirect's subrequest lives as long as its request, but only if it is itself built for such pools; who overlays their tables, or adds
# to them what is the subrequest's (httpd itself, for CGI), would die. What is read too late is found by ASan all the same.
sed -Ei 's/if \((!apr_pool_is_ancestor\()/if (0 \&\& \1/' tables/apr_tables.c
{ ./configure --enable-pool-debug=yes CFLAGS="-g -O1 -fno-omit-frame-pointer" && make -j"$(nproc)"; } >build.log 2>&1 || { tail -30 build.log >&2; exit 1; }
cp .libs/libapr-1.so.0 ..
