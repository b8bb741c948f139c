#!/usr/bin/env bash
# Runs in a root of Debian, in a copy of the repository: builds with gcc and with clang, warnings as errors, runs the unit programs and the
# corpora of both, then a choice of the http tests and the demo. Writes the versions to /versions. Ends with "N passed, M failed, K skipped".
set -u
cd "$(dirname "$0")/../.."
. tests/systems/steps.sh
make=(make --no-print-directory -f Makefile.apxs)
python=/usr/bin/python3
http=$(printf 'tests/http/test_%s.py ' answers chain confs custom errors forward http2 introspection jwt_keys \
    keys mcp model quota require second second_tls static tls)

versions() {
    echo "gcc $(gcc -dumpfullversion), clang $(clang -dumpversion), httpd $(apache2 -v | sed -n 's,.*Apache/\([0-9.]*\).*,\1,p'), APR $(apr-1-config --version)," \
        "OpenSSL $(openssl version | cut -d' ' -f2), curl $(curl-config --version | cut -d' ' -f2), json-c $(pkg-config --modversion json-c)," \
        "hiredis $(pkg-config --modversion hiredis), $(getconf GNU_LIBC_VERSION)"
}

demo() { conf/demo.sh "$1" </dev/null; }

check "packages" "${make[@]}" deps-system || { closing; exit 1; }
versions | tee /versions
check "gcc, warnings as errors" "${make[@]}" -j2 all BUILD=gcc WERROR=-Werror
check "clang, warnings as errors" "${make[@]}" -j2 all unit-programs CC=clang BUILD=clang WERROR=-Werror
check "gcc with ASan and UBSan" "${make[@]}" -j2 all unit-programs fuzz-replays BUILD=asan
count "unit tests and corpora by gcc, under ASan and UBSan" $python tests/run.py unit fuzz
count "unit tests by clang" env LA_BUILD=clang $python tests/run.py unit
count "http tests of the module by gcc" env LA_MODULE=.build/gcc/mod_llama_auth.so $python tests/run.py $http
check "the demo, by gcc" demo .build/gcc/mod_llama_auth.so
check "the demo, by clang" demo .build/clang/mod_llama_auth.so
closing
