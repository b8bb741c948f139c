#!/usr/bin/env bash
# Installs the Debian package into a root made with debootstrap, and goes through an administrator's life with it: enable, serve, edit,
# upgrade, disable, remove, purge; for each of SUITE (bookworm trixie). Ends with "N passed, M failed". Needs root and the machine's own
# apt sources; no service of this machine is touched, and apache2 in the root is started by hand on a free loopback port.
set -u
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo "test-deb needs root (chroot)" >&2; exit 1; }
. tests/systems/roots.sh
lock_systems || exit 1
. tests/systems/steps.sh
work=$PWD/.build/deb
root=
package=libapache2-mod-llama-auth

in_root() { inside "$root" 600 "$@"; }

cleanup() {
    end_job
    stop_apache
    [ -z "$root" ] || rm -rf "$root"
}

# ---- apache2 in it ----

pid=
start_apache() {
    (exec setpriv --pdeathsig TERM chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin bash -c \
        '. /etc/apache2/envvars; mkdir -p "$APACHE_RUN_DIR" "$APACHE_LOCK_DIR"; exec apache2 -DFOREGROUND') >>"$work/apache.log" 2>&1 &
    pid=$! # of apache2 itself: each step is an exec
    local tries=0
    until curl -s -m 10 -o /dev/null "http://127.0.0.1:$port/"; do
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
    [ "$(curl -s -m 60 -o /dev/null -w '%{http_code}' "$@")" = "$expected" ]
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
    key=$(in_root llama-auth-keys add /etc/apache2/keys.json ci --principal ci-bot --group www-data)
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
    LA_LOCKED=1 bounded 3600 tests/deb/build.sh "$suite" "$1" && cp "$work/$suite/${package}_$1_"*.deb "$work/$suite/kept/"
}

install_deb() {
    cp "$work/$suite/kept/${package}_$1_"*.deb "$root/tmp/"
    in_root sh -c "apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold /tmp/${package}_$1_*.deb"
}

nothing_left() {
    ! find "$root/etc/apache2" "$root/usr/lib/apache2" "$root/usr/bin" "$root/usr/share/man" "$root/usr/share/doc/$package" "$root/var/lib/apache2" -name '*llama?auth*' 2>/dev/null |
        grep -v -e keys.json . | grep .
}

# One suite, from the package to its purge.
live() {
    suite=$1
    root=$work/$suite/root
    echo "$suite:"
    mkdir -p "$work/$suite/kept"
    rm -f "$work/$suite"/kept/*
    check "the package builds and lintian finds no error and no warning" build 1.0.0 || return
    check "a higher version builds" build 1.0.1 || return
    check "a clean root" make_root "$suite" "$root" || return
    check "apt knows its sources" in_root apt-get update -qq
    check "apache2 is there first" in_root apt-get install -y -qq --no-install-recommends apache2
    check "it installs" install_deb 1.0.0 || return
    configure
    check "it is enabled, as Debian's modules are" test -L "$root/etc/apache2/mods-enabled/llama_auth.load"
    check "its command has a manual page" test -f "$root/usr/share/man/man1/llama-auth-keys.1.gz"
    check "the key file is one" in_root llama-auth-keys check /etc/apache2/keys.json
    check "the packaged configuration passes configtest" in_root apache2ctl configtest
    check "it serves" serves
    check "a2dismod" in_root a2dismod -q llama_auth
    check "it is gone then" test ! -e "$root/etc/apache2/mods-enabled/llama_auth.load"
    check "a2enmod" in_root a2enmod -q llama_auth
    echo "# an administrator's line" >>"$root/etc/apache2/mods-available/llama_auth.conf"
    check "it upgrades" install_deb 1.0.1
    check "the new version is installed" in_root sh -c "dpkg-query -W -f '\${Version}' $package | grep -qx 1.0.1"
    check "the administrator's line is still there" grep -q "an administrator's line" "$root/etc/apache2/mods-available/llama_auth.conf"
    check "it serves after the upgrade" serves
    in_root a2dismod -q llama_auth >/dev/null
    check "an upgrade installs beside a disabled module" install_deb 1.0.1
    check "what was disabled stays disabled" test ! -e "$root/etc/apache2/mods-enabled/llama_auth.load"
    in_root a2enmod -q llama_auth >/dev/null
    check "it is removed" in_root apt-get remove -y -qq $package
    check "apache2 does without it" in_root sh -c 'a2dissite -q 000-default && apache2ctl configtest'
    check "the edited configuration survives removal" test -f "$root/etc/apache2/mods-available/llama_auth.conf"
    check "it is purged" in_root apt-get purge -y -qq $package
    check "nothing is left" nothing_left
    check "apache2 still passes configtest" in_root apache2ctl configtest
    rm -rf "$root"
}

rm -f "$work/apache.log"
trap cleanup EXIT
trap 'exit 130' INT TERM
for suite in ${SUITE:-bookworm trixie}; do live "$suite"; done
closing
