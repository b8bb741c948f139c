# Roots of Debian below .build/systems, made with debootstrap from the mirror that this machine is configured with. Sourced by the scripts
# here and by tests/deb/run.sh, from the repository's folder and as root.
#
# What runs in a root runs in namespaces of its own: when it ends, or we do, the kernel ends its processes and takes its mounts away.
. tests/systems/bounded.sh
systems=$PWD/.build/systems

machine_suite() { (. /etc/os-release && echo "${VERSION_CODENAME:-}"); }

# One run at a time in .build/systems: they share the roots and the steps' logs. Held until we end.
lock_systems() {
    mkdir -p "$systems"
    exec 8>"$systems/lock"
    flock -n 8 || { echo "another run uses $systems" >&2; return 1; }
}

# ---- apt ----

# The sources of Debian's that this machine has, for a suite: the type (deb, deb-src), then the suite's codename.
sources_for() {
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(ORIGIN) $(SITE) $(RELEASE)' 'Created-By: Packages' 2>/dev/null |
        sed -n "s/^Debian \([^ ]*\) $(machine_suite)/$1 \1 $2/p" | sed 's/$/ main/' | sort -u
}

copy_apt() { # to a root: the machine's certificates, proxies and keys
    local path
    apt-config dump | grep -E '^Acquire::(http|https|Retries|ForceIP)' >"$1/etc/apt/apt.conf.d/00machine"
    for path in /etc/apt/auth.conf.d /etc/apt/trusted.gpg.d /usr/share/keyrings /usr/local/share/ca-certificates \
        /etc/ssl/certs /etc/resolv.conf; do
        [ -e "$path" ] && mkdir -p "$1$(dirname "$path")" && cp -rL "$path" "$1$(dirname "$path")/" 2>/dev/null
    done
    return 0
}

# ---- roots ----

# A root of a suite, as debootstrap makes it. The result is kept beside it for the next one: SUITE ROOT
make_root() {
    local suite=$1 root=$2 base=$systems/$1.tar mirror
    mkdir -p "$systems"
    if [ ! -f "$base" ]; then
        mirror=$(sources_for deb "$suite" | sed -n "s/^deb \([^ ]*\) $suite main/\1/p" | head -1)
        [ -n "$mirror" ] || { echo "apt knows no Debian mirror here (apt-get update?)"; return 1; }
        rm -rf "$systems/$suite.new"
        bounded 900 unshare --mount --pid --fork --kill-child debootstrap --variant=minbase "$suite" "$systems/$suite.new" "$mirror" || return 1
        tar -C "$systems/$suite.new" -cf "$base.new" . && mv "$base.new" "$base" || return 1
        rm -rf "$systems/$suite.new"
    fi
    rm -rf "$root"
    mkdir -p "$root"
    tar -C "$root" -xf "$base" || return 1
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/fast" # a root can be made again
    copy_apt "$root"
    rm -f "$root"/etc/apt/sources.list.d/*
    sources_for deb "$suite" >"$root/etc/apt/sources.list"
}

inside() { # ROOT SECONDS COMMAND...
    bounded "$2" unshare --mount --pid --fork --kill-child --mount-proc="$1/proc" chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive LA_SHARE="${LA_SHARE:-0/1}" "${@:3}"
}

# The root that a system's programs are built in. It is kept between runs, and brought up to date: SYSTEM SUITE
build_root() {
    local place=$systems/$1
    mkdir -p "$place"
    [ -f "$place/complete" ] || make_root "$2" "$place/root" || return 1
    rm -f "$place/complete"
    inside "$place/root" 900 sh -c 'dpkg --configure -a && apt-get update -qq && apt-get dist-upgrade -y -qq && apt-get install -y -qq --no-install-recommends make' || return 1
    touch "$place/complete"
}

copy_tree() ( # what git knows or could know, to a root's /src; the clone may be another user's
    set -o pipefail
    rm -rf "$1/src"
    mkdir -p "$1/src" || exit 1
    git -c safe.directory="$PWD" ls-files -co --exclude-standard -z | while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
        tar --null -T - -cf - | tar --no-same-owner -C "$1/src" -xf -
)
