#!/usr/bin/env bash
# Installs the Debian package into a root made with debootstrap, and goes through an administrator's life with it: enable,
# serve, edit, upgrade, disable, remove, purge. Ends with "N passed, M failed". Needs root and the machine's own apt sources; no
# service of this machine is touched, and apache2 in the root is started by hand on a free loopback port. The root is kept as
# .build/deb/root.tar for the next run.
set -u
cd "$(dirname "$0")/../.."
work=$PWD/.build/deb
root=$work/root
package=libapache2-mod-llama-auth
passed=0
failed=0

[ "$(id -u)" = 0 ] || { echo "test-deb needs root (chroot)" >&2; exit 1; }

check() { # a sentence, then a command that must succeed
    local what=$1
    shift
    if "$@" >"$work/last.log" 2>&1; then
        passed=$((passed + 1))
        echo "ok: $what"
    else
        failed=$((failed + 1))
        echo "FAILED: $what"
        tail -20 "$work/last.log"
    fi
}

inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }

cleanup() {
    stop_apache
    mountpoint -q "$root/proc" && umount "$root/proc"
    rm -rf "$root"
}

# ---- the root ----

copy_apt() { # the machine's own sources, certificates and proxies; no address stands here
    local path
    for path in /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/apt.conf.d /etc/apt/auth.conf.d /etc/apt/trusted.gpg.d \
        /usr/share/keyrings /usr/local/share/ca-certificates /etc/ssl/certs /etc/resolv.conf; do
        [ -e "$path" ] && mkdir -p "$root$(dirname "$path")" && cp -rL "$path" "$root$(dirname "$path")/" 2>/dev/null
    done
    return 0
}

make_root() {
    local mirror
    rm -rf "$root"
    if [ ! -f "$work/root.tar" ]; then
        # shellcheck disable=SC2016
        mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -1)
        debootstrap --variant=minbase "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root" "$mirror" >"$work/debootstrap.log" 2>&1 ||
            { tail -5 "$work/debootstrap.log"; return 1; }
        tar -C "$root" -cf "$work/root.tar" .
    else
        mkdir -p "$root"
        tar -C "$root" -xf "$work/root.tar"
    fi
    copy_apt
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    mount -t proc proc "$root/proc"
}

# ---- apache2 in it ----

pid=
start_apache() {
    (exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin bash -c \
        '. /etc/apache2/envvars; mkdir -p "$APACHE_RUN_DIR" "$APACHE_LOCK_DIR"; exec apache2 -DFOREGROUND') >>"$work/apache.log" 2>&1 &
    pid=$! # of apache2 itself: each step is an exec
    local tries=0
    until curl -s -o /dev/null "http://127.0.0.1:$port/"; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] && kill -0 "$pid" 2>/dev/null || return 1
        sleep 0.1
    done
}

stop_apache() {
    [ -z "$pid" ] || { kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; pid=; }
}

status_is() { # expected status, then curl's arguments
    local expected=$1
    shift
    [ "$(curl -s -o /dev/null -w '%{http_code}' "$@")" = "$expected" ]
}

free_port() {
    local candidate=20480
    while (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null; do candidate=$((candidate + 1)); done
    echo $candidate
}

key=
configure() {
    port=$(free_port)
    echo "Listen 127.0.0.1:$port" >"$root/etc/apache2/ports.conf"
    key=$(inside llama-auth-keys add /etc/apache2/keys.json ci --principal ci-bot --group www-data)
    cat >"$root/etc/apache2/sites-available/000-default.conf" <<SITE
ServerName 127.0.0.1
<VirtualHost 127.0.0.1:$port>
    DocumentRoot /var/www/html
    <LlamaAuthProvider keys static>
        File /etc/apache2/keys.json
    </LlamaAuthProvider>
    <Location "/">
        AuthType Bearer
        AuthName test
        LlamaAuthUse keys
        Require valid-user
    </Location>
</VirtualHost>
SITE
}

serves() {
    start_apache && status_is 401 "http://127.0.0.1:$port/" &&
        status_is 200 -H "Authorization: Bearer $key" "http://127.0.0.1:$port/"
    local result=$?
    stop_apache
    return $result
}

# ---- the packages ----

build() { # as which version
    make --no-print-directory -f Makefile.apxs deb DEB_VERSION="$1" >"$work/make.log" 2>&1 || { tail -20 "$work/make.log"; return 1; }
    cp "$work/${package}_$1_"*.deb "$work/kept/"
}

install_deb() {
    cp "$work/kept/${package}_$1_"*.deb "$root/tmp/"
    inside sh -c "apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold /tmp/${package}_$1_*.deb"
}

nothing_left() {
    ! find "$root/etc/apache2" "$root/usr/lib/apache2" "$root/usr/bin" "$root/usr/share/man" "$root/usr/share/doc/$package" "$root/var/lib/apache2" -name '*llama?auth*' 2>/dev/null |
        grep -v -e keys.json . | grep .
}

mkdir -p "$work/kept"
rm -f "$work"/kept/* "$work/apache.log"
trap cleanup EXIT
check "the package builds and lintian finds no error" build 1.0.0
check "a higher version builds" build 1.0.1
check "a clean root" make_root
check "apt knows its sources" inside apt-get update -qq
check "apache2 is there first" inside apt-get install -y -qq --no-install-recommends apache2
check "it installs" install_deb 1.0.0
configure
check "it is enabled, as Debian's modules are" test -L "$root/etc/apache2/mods-enabled/llama_auth.load"
check "its command has a manual page" test -f "$root/usr/share/man/man1/llama-auth-keys.1.gz"
check "the key file is one" inside llama-auth-keys check /etc/apache2/keys.json
check "the packaged configuration passes configtest" inside apache2ctl configtest
check "it serves" serves
check "a2dismod" inside a2dismod -q llama_auth
check "it is gone then" test ! -e "$root/etc/apache2/mods-enabled/llama_auth.load"
check "a2enmod" inside a2enmod -q llama_auth
echo "# an administrator's line" >>"$root/etc/apache2/mods-available/llama_auth.conf"
check "it upgrades" install_deb 1.0.1
check "the new version is installed" inside sh -c "dpkg-query -W -f '\${Version}' $package | grep -qx 1.0.1"
check "the administrator's line is still there" grep -q "an administrator's line" "$root/etc/apache2/mods-available/llama_auth.conf"
check "it serves after the upgrade" serves
inside a2dismod -q llama_auth >/dev/null
check "an upgrade installs beside a disabled module" install_deb 1.0.1
check "what was disabled stays disabled" test ! -e "$root/etc/apache2/mods-enabled/llama_auth.load"
inside a2enmod -q llama_auth >/dev/null
check "it is removed" inside apt-get remove -y -qq $package
check "apache2 does without it" inside sh -c 'a2dissite -q 000-default && apache2ctl configtest'
check "the edited configuration survives removal" test -f "$root/etc/apache2/mods-available/llama_auth.conf"
check "it is purged" inside apt-get purge -y -qq $package
check "nothing is left" nothing_left
check "apache2 still passes configtest" inside apache2ctl configtest
echo "$passed passed, $failed failed"
[ $failed = 0 ]
