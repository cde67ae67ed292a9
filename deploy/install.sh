#!/bin/sh
# `make install`, `make rollback` and `make uninstall`: install.sh VERB, with PREFIX, SYSCONFDIR, DESTDIR and PYTHON set.
#
# Each version lies in a directory of its own under PREFIX/lib/claude-gateway-versions. PREFIX/lib/claude-gateway is a link
# to the one in use, `previous` beside the versions a link to the one before. A version is built, and tried, before the link
# is put on it; what fails until then leaves everything as it was. A gateway that runs goes on with the files of its own
# version until it is started anew.
set -eu
umask 022

versions=$PREFIX/lib/claude-gateway-versions
lib=$PREFIX/lib/claude-gateway
doc=$PREFIX/share/doc/claude-gateway
units=$SYSCONFDIR/systemd/system
settings=$SYSCONFDIR/claude-gateway/.env
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

say() { echo "claude-gateway: $*" >&2; }
die() { say "$@"; exit 1; }

require_root() {
    test -n "$DESTDIR" || test "$(id -u)" = 0 || die "run this as root, or give a DESTDIR to try it."
}

require_python() {
    command -v "$PYTHON" >/dev/null || die "there is no $PYTHON; apt-get install python3-venv, or make PYTHON=python3.12 ..."
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "it needs Python 3.11 or newer, and $PYTHON is $("$PYTHON" -V 2>&1); try make PYTHON=python3.12 ..."
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || die "$PYTHON makes no environments: apt-get install python3-venv."
    test -n "$DESTDIR" && return
    case $("$PYTHON" -c 'import os, sys; print(os.path.realpath(sys.base_prefix))') in
        /root | /root/* | /home/*) die "$PYTHON lies in a home, which the service cannot see; try make PYTHON=/usr/bin/python3 ..." ;;
    esac
}

# The version that a link names, "" for none.
named() { if test -L "$DESTDIR$1"; then basename "$(readlink "$DESTDIR$1")"; fi; }

# Puts a link on a version at once: at no moment is there none.
point() {
    ln -sfn "$2" "$DESTDIR$1.new"
    mv -T "$DESTDIR$1.new" "$DESTDIR$1"
}

build() {
    version=$1
    built=$DESTDIR$versions/$version
    work=$(mktemp -d)
    trap 'rm -rf "$work" "$built"' EXIT
    trap 'exit 1' HUP INT TERM
    mkdir -p "$DESTDIR$versions"
    "$PYTHON" -m venv "$built"
    pip="$built/bin/python -I -m pip --disable-pip-version-check --quiet install"
    $pip --require-hashes --no-deps -r "$here/deploy/requirements.lock"
    # A copy is built: what a build leaves behind would be root's, in somebody else's checkout.
    (cd "$here" && tar -cf - --exclude=__pycache__ --exclude='*.egg-info' pyproject.toml README.md LICENSE claude_gateway workers) |
        tar -xf - --no-same-owner -C "$work"
    $pip --no-deps --no-build-isolation --no-index "$work"
    # By its own path, not by the link: so a running gateway keeps its files when the link moves on.
    printf '#!/bin/sh\nexec %s/bin/python -I -m claude_gateway.cli "$@"\n' "$versions/$version" > "$built/bin/claude-gateway"
    printf '#!/bin/sh\nexec %s/bin/claude-gateway --unit %s/claude-gateway.service "$@"\n' "$lib" "$units" > "$built/command"
    chmod 755 "$built/bin/claude-gateway" "$built/command"
    mkdir "$built/share"
    cp "$here/docs/deploy.md" "$here/README.md" "$here/systemd/environment.example" "$built/share"
    for file in claude-gateway.service claude-gateway.socket sysusers.conf tmpfiles.conf; do
        sed -e "s|@PREFIX@|$PREFIX|g" -e "s|@SYSCONFDIR@|$SYSCONFDIR|g" "$here/systemd/$file" > "$built/share/$file"
    done
    "$built/bin/python" -I -m claude_gateway.cli environment > /dev/null
    rm -rf "$work"
    trap - EXIT HUP INT TERM
}

# Everything outside of the versions is a copy from the one in use.
activate() {
    share=$DESTDIR$versions/$1/share
    install -d "$DESTDIR$PREFIX/bin" "$DESTDIR$doc" "$DESTDIR$units" "$DESTDIR$SYSCONFDIR/sysusers.d" \
        "$DESTDIR$SYSCONFDIR/tmpfiles.d" "$DESTDIR$(dirname "$settings")"
    install -m 644 "$share/deploy.md" "$share/README.md" "$DESTDIR$doc"
    install -m 644 "$share/claude-gateway.service" "$share/claude-gateway.socket" "$DESTDIR$units"
    install -m 644 "$share/sysusers.conf" "$DESTDIR$SYSCONFDIR/sysusers.d/claude-gateway.conf"
    install -m 644 "$share/tmpfiles.conf" "$DESTDIR$SYSCONFDIR/tmpfiles.d/claude-gateway.conf"
    test -e "$DESTDIR$settings" || install -m 600 "$share/environment.example" "$DESTDIR$settings"
    if test -z "$DESTDIR"; then
        systemd-sysusers "$SYSCONFDIR/sysusers.d/claude-gateway.conf"
        systemd-tmpfiles --create "$SYSCONFDIR/tmpfiles.d/claude-gateway.conf"
    fi
    # Made before versions had directories of their own.
    if test -d "$DESTDIR$lib" && ! test -L "$DESTDIR$lib"; then
        mv "$DESTDIR$lib" "$DESTDIR$versions/before"
    fi
    point "$lib" "claude-gateway-versions/$1"
    install -m 755 "$DESTDIR$versions/$1/command" "$DESTDIR$PREFIX/bin/claude-gateway"
    if test -z "$DESTDIR" && test -d /run/systemd/system; then systemctl daemon-reload; fi
}

# Those that are neither in use, nor the one before, nor run by anybody.
remove_old() {
    for directory in "$DESTDIR$versions"/*/; do
        version=$(basename "$directory")
        case $version in "$(named "$lib")" | "$(named "$versions/previous")" | previous) continue ;; esac
        if grep -qsF "$versions/$version/" /proc/[0-9]*/cmdline; then continue; fi
        rm -rf "$directory"
    done
}

case $1 in
    install)
        require_root
        require_python
        before=$(named "$lib")
        version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/pyproject.toml")-$(date -u +%Y%m%d%H%M%S)
        build "$version"
        activate "$version"
        if test -n "$before"; then point "$versions/previous" "$before"; fi
        remove_old
        if test -z "$before"; then
            say "installed. Now: edit $settings, log Claude Code in ($doc/deploy.md), and"
            say "  systemctl enable --now claude-gateway.socket claude-gateway.service"
        else
            say "installed $version beside $before, which runs on until: systemctl restart claude-gateway"
            say "  back again: make rollback"
        fi
        ;;
    rollback)
        require_root
        before=$(named "$versions/previous")
        test -n "$before" && test -x "$DESTDIR$versions/$before/bin/python" || die "there is no version to go back to."
        now=$(named "$lib")
        activate "$before"
        point "$versions/previous" "$now"
        say "$before is in use instead of $now, from the next start on: systemctl restart claude-gateway"
        ;;
    uninstall)
        require_root
        if test -z "$DESTDIR" && test -d /run/systemd/system; then
            systemctl disable --now claude-gateway.service claude-gateway.socket
        fi
        rm -rf "$DESTDIR$lib" "$DESTDIR$versions" "$DESTDIR$doc"
        rm -f "$DESTDIR$PREFIX/bin/claude-gateway" "$DESTDIR$units/claude-gateway.service" \
            "$DESTDIR$units/claude-gateway.socket" "$DESTDIR$SYSCONFDIR/sysusers.d/claude-gateway.conf" \
            "$DESTDIR$SYSCONFDIR/tmpfiles.d/claude-gateway.conf"
        if test -z "$DESTDIR" && test -d /run/systemd/system; then systemctl daemon-reload; fi
        test -n "$DESTDIR" ||
            say "gone. Left: $(dirname "$settings"), /var/lib/claude-gateway, the user claude-gateway."
        ;;
esac
