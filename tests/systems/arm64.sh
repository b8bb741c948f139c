#!/usr/bin/env bash
# The module for arm64: built on this machine by Debian's cross compiler against packages of this machine's suite, which are unpacked into
# .build/systems/arm64/root, and run with qemu-user: the unit programs, the corpora, a choice of the http tests, and the demo. qemu is called by
# name, so no binfmt_misc is needed and nothing of the machine is changed. Ends with "N passed, M failed, K skipped". Called by
# run.sh in a copy of the repository; LA_PLACE is where the packages go.
set -u
cd "$(dirname "$0")/../.."
. tests/systems/roots.sh
. tests/systems/steps.sh
place=${LA_PLACE:-$systems/arm64}
root=$place/root
cc=aarch64-linux-gnu-gcc
emulator="qemu-aarch64-static -L $root"
make=(make --no-print-directory -f Makefile.apxs)
python=/usr/bin/python3
built=.build/arm64
http=$(printf 'tests/http/test_%s.py ' answers chain static)

apt() { # for arm64, with package lists of its own
    apt-get -qq -y -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o APT::Install-Recommends=false -o APT::Sandbox::User=root \
        -o Dir::State::status="$place/status" -o Dir::State::lists="$place/lists" -o Dir::Cache="$place/cache" \
        -o Dir::Etc::sourcelist="$place/sources.list" -o Dir::Etc::sourceparts=/dev/null "$@"
}

fetch() {
    mkdir -p "$place/lists/partial" "$place/cache/archives/partial"
    : >"$place/status"
    sources_for deb "$(machine_suite)" >"$place/sources.list"
    rm -f "$place"/cache/archives/*.deb
    apt update && apt install --download-only apache2-bin libapr1-dev libaprutil1-dev libc6-dev libcmocka-dev libcurl4-openssl-dev libhiredis-dev \
        libjson-c-dev libssl-dev && (cd "$place/cache/archives" && apt download apache2-dev)
}

unpack() { # no script of a package runs
    local deb folder
    rm -rf "$root"
    mkdir -p "$root/usr"
    for folder in bin lib sbin; do mkdir "$root/usr/$folder" && ln -s usr/$folder "$root/$folder"; done
    for deb in "$place"/cache/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar --keep-directory-symlink -C "$root" -xf - || return 1
    done
}

# What Makefile.apxs and the tests call: apxs, and httpd and llama-auth-keys as programs.
tools() {
    local tools=$place/tools
    rm -rf "$tools"
    mkdir -p "$tools"
    cat >"$tools/apxs" <<END
#!/bin/sh
case \$2 in
CC) echo "$cc --sysroot=$root" ;;
APR_INCLUDEDIR | APU_INCLUDEDIR) echo $root/usr/include/apr-1.0 ;;
INCLUDEDIR) echo $root/usr/include/apache2 ;;
LIBEXECDIR) echo $root/usr/lib/apache2/modules ;;
SBINDIR) echo $tools ;;
PROGNAME) echo apache2 ;;
CFLAGS) echo -g -O2 ;;
EXTRA_CPPFLAGS) echo -DLINUX -D_REENTRANT -D_GNU_SOURCE ;;
esac
END
    printf '#!/bin/sh\nexec %s %s "$@"\n' "$emulator" "$root/usr/sbin/apache2" >"$tools/apache2"
    printf '#!/bin/sh\nexec %s %s "$@"\n' "$emulator" "$PWD/$built/llama-auth-keys" >"$tools/llama-auth-keys"
    chmod 755 "$tools"/*
}

version() { # of a package in the root, without Debian's part
    dpkg-deb -f "$place"/cache/archives/"$1"_*.deb Version | sed 's/^[0-9]*://; s/-[^-]*$//; s/[+~].*//'
}

versions() {
    echo "$cc $($cc -dumpfullversion), $(qemu-aarch64-static --version | sed -n '1s/ (.*//p'), httpd $(version apache2-bin), APR $(version libapr1-dev)," \
        "OpenSSL $(version libssl-dev), curl $(version libcurl4-openssl-dev), json-c $(version libjson-c-dev), hiredis $(version libhiredis-dev)," \
        "glibc $(version libc6-dev)"
}

cross() { "${make[@]}" -j2 "$@" BUILD=arm64 APXS="$place/tools/apxs"; }
demo() { cp $built/mod_llama_auth.so "$place/tools/" && PATH=$place/tools:$PATH conf/demo.sh "$place/tools/mod_llama_auth.so" </dev/null; }

mkdir -p "$place"
check "arm64 packages of $(machine_suite)" fetch || { closing; exit 1; }
check "unpacked" unpack || { closing; exit 1; }
tools
versions | tee "$place/versions"
check "gcc for arm64, warnings as errors" cross all WERROR=-Werror
check "the unit programs and corpora" cross unit-programs fuzz-replays
count "unit tests and corpora" env LA_BUILD=arm64 LA_EMULATOR="$emulator" $python tests/run.py unit fuzz
count "http tests" env PATH="$place/tools:$PATH" LA_MODULE=$PWD/$built/mod_llama_auth.so $python tests/run.py $http
check "the demo" demo
closing
