#!/usr/bin/env bash
# Runs in a root of Debian, in a copy of the repository: the module on musl. Debian has the libc and musl-gcc (musl-tools) but no library
# built for it, so what the module needs, httpd too, is built from Debian's sources into /musl, which is kept with the root. Then the unit
# programs, the corpora, a choice of the http tests and the demo. Writes the versions to /versions. Ends with "N passed, M failed, K skipped".
set -u
cd "$(dirname "$0")/../.."
. tests/systems/steps.sh
export MUSL=/musl
export PATH=$MUSL/tools:$MUSL/bin:$PATH PKG_CONFIG_LIBDIR=$MUSL/lib/pkgconfig
make=(make --no-print-directory -f Makefile.apxs)
python=/usr/bin/python3
http=$(printf 'tests/http/test_%s.py ' answers chain custom errors forward introspection jwt_keys keys require \
    second static)

# The source packages, in the order in which they are built. Their versions are those of the suite itself, whose sources every mirror has.
# Debian took crypt() out of its musl.
sources=(zlib expat pcre2 libxcrypt apr apr-util json-c openssl hiredis curl cmocka apache2)

fetch() {
    local suite
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    sed -n "s/^deb \([^ ]* $suite main\)$/deb-src \1/p" /etc/apt/sources.list >/etc/apt/sources.list.d/sources.list
    apt-get update -qq && (cd $MUSL/source && apt-get source -qq --download-only "${sources[@]/%//$suite}")
    local result=$?
    rm /etc/apt/sources.list.d/sources.list
    return $result
}

# The kernel's headers, which musl-gcc does not look for, beside musl's own.
headers() {
    mkdir -p $MUSL/include
    ln -sfn /usr/include/linux $MUSL/include/linux
    ln -sfn /usr/include/asm-generic $MUSL/include/asm-generic
    ln -sfn "/usr/include/$(gcc -print-multiarch)/asm" $MUSL/include/asm
}

compiler() { # musl-gcc with our prefix
    mkdir -p $MUSL/tools
    cat >$MUSL/tools/cc-musl <<'END'
#!/bin/sh
exec musl-gcc -idirafter /musl/include "$@" -L/musl/lib -Wl,-rpath,/musl/lib
END
    chmod 755 $MUSL/tools/cc-musl
}

configure() { ./configure --prefix=$MUSL CC=cc-musl CFLAGS="-O2 -fPIC" CPPFLAGS=-I$MUSL/include "$@"; }
finish() { make -j2 && make install; }
cmake_install() { cmake -B build -DCMAKE_INSTALL_PREFIX=$MUSL -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_C_COMPILER=cc-musl -DCMAKE_PREFIX_PATH=$MUSL \
    -DCMAKE_BUILD_TYPE=Release "$@" && make -C build -j2 install; }

build_zlib() { CC=cc-musl CFLAGS="-O2 -fPIC" ./configure --prefix=$MUSL && finish; }
build_expat() { cd expat && sed -i 's/#cmakedefine XML_DTD/#cmakedefine01 XML_DTD/' expat_config.h.cmake && cmake_install -DEXPAT_BUILD_TESTS=OFF -DEXPAT_BUILD_EXAMPLES=OFF -DEXPAT_BUILD_TOOLS=OFF -DEXPAT_BUILD_DOCS=OFF; }
build_pcre2() { configure --disable-static && finish; }
build_libxcrypt() { ./autogen.sh && configure --disable-static --disable-werror --disable-failure-tokens --enable-obsolete-api=no && finish; }
build_apr() { configure --disable-static && finish; }
build_apr_util() { configure --disable-static --with-apr=$MUSL --with-expat=$MUSL --without-sqlite3 --without-pgsql && finish; }
build_json_c() { cmake_install -DBUILD_STATIC_LIBS=OFF -DDISABLE_WERROR=ON -DBUILD_TESTING=OFF; }
# cc-musl knows the folder. If pkg-config names it, curl's configure has the system's own programs look there for their libraries.
build_openssl() {
    CC=cc-musl ./Configure linux-x86_64 --prefix=$MUSL --libdir=lib --openssldir=/etc/ssl no-tests no-shared && make -j2 build_libs && make install_dev &&
        sed -i 's,-L[^ ]* ,,' $MUSL/lib/pkgconfig/libssl.pc $MUSL/lib/pkgconfig/libcrypto.pc
}
build_hiredis() { make -j2 CC=cc-musl PREFIX=$MUSL install; }
build_curl() { configure --disable-static --with-openssl --without-zlib --without-brotli --without-zstd --without-libpsl --without-libidn2 --without-nghttp2 \
    --without-librtmp --disable-ldap --disable-manual && finish; }
build_cmocka() { cmake_install -DWITH_EXAMPLES=OFF -DUNIT_TESTING=OFF; }
build_apache2() { sed -i 's/BUILD_DATETIME/__DATE__/' server/buildmark.c && configure --with-apr=$MUSL --with-apr-util=$MUSL --with-pcre=$MUSL/bin/pcre2-config --disable-ssl --enable-unixd=static --enable-log-config=static \
    --enable-logio=static --enable-version=static --enable-watchdog=static --enable-mpms-shared=all --enable-mods-shared=most \
    --disable-lua --disable-luajit --disable-http2 --disable-brotli --with-z=$MUSL --disable-proxy-html --disable-xml2enc --disable-md --disable-systemd && finish; }

build() { # PACKAGE, unless it is built
    local name=${1//-/_}
    [ ! -f "$MUSL/built/$1" ] || return 0
    (cd $MUSL/source && rm -rf "$1" && dpkg-source --no-check -x "$1"_*.dsc "$1" && cd "$1" && "build_$name") && touch "$MUSL/built/$1"
}

version() { # of a source package, without Debian's part
    basename "$MUSL"/source/"$1"_*.dsc .dsc | sed 's/^[^_]*_//; s/-[^-]*$//'
}

versions() {
    echo "musl $(dpkg-query -W -f '${source:Upstream-Version}' musl), musl-gcc $(gcc -dumpfullversion), httpd $(version apache2), APR $(version apr)," \
        "OpenSSL $(version openssl), curl $(version curl), json-c $(version json-c), hiredis $(version hiredis)"
}

demo() { conf/demo.sh "$1" </dev/null; }

check "packages" "${make[@]}" deps-system-musl || { closing; exit 1; }
mkdir -p $MUSL/source $MUSL/built
headers
compiler
fetch >"$logs/sources.log" 2>&1
result=$?
if [ $result != 0 ] && grep -qE 'Unable to find a source package|Failed to fetch .* 40[34] ' "$logs/sources.log"; then
    skip musl "blocked: this mirror lacks Debian's sources of what the module needs"
    closing
    exit
fi
check "Debian's sources of what the module needs" test $result = 0 || { tail -20 "$logs/sources.log"; closing; exit 1; }
for package in "${sources[@]}"; do
    check "$package, built on musl" build "$package" || { closing; exit 1; }
done
versions | tee /versions
check "the module and llama-auth-keys, warnings as errors" "${make[@]}" -j2 all BUILD=musl CC=cc-musl APXS=$MUSL/bin/apxs WERROR=-Werror
check "the unit programs and corpora" "${make[@]}" -j2 unit-programs fuzz-replays BUILD=musl CC=cc-musl APXS=$MUSL/bin/apxs
count "unit tests and corpora" env LA_BUILD=musl $python tests/run.py unit fuzz
count "http tests" env LA_MODULE=.build/musl/mod_llama_auth.so $python tests/run.py $http
check "the demo" demo .build/musl/mod_llama_auth.so
closing
