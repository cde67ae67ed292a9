#!/bin/sh
# `make install`, `make rollback` and `make uninstall`: install.sh VERB, with PREFIX, SYSCONFDIR, DESTDIR and PYTHON set.
#
# Each version has a directory of its own under PREFIX/lib/claude-gateway-versions. PREFIX/lib/claude-gateway is a link to
# the version in use, and the link `previous` beside the versions leads to the one before it. The script builds and tries a
# version before it moves the link; if a step before that fails, nothing changes. A running gateway uses the files of its
# own version until it restarts.
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
    test -n "$DESTDIR" || test "$(id -u)" = 0 || die "run this as root, or set DESTDIR to try it."
}

require_python() {
    command -v "$PYTHON" >/dev/null || die "there is no $PYTHON; apt-get install python3-venv, or make PYTHON=python3.12 ..."
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "the gateway needs Python 3.11 or newer, and $PYTHON is $("$PYTHON" -V 2>&1); try make PYTHON=python3.12 ..."
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || die "$PYTHON cannot create environments: apt-get install python3-venv."
    test -n "$DESTDIR" && return
    case $("$PYTHON" -c 'import os, sys; print(os.path.realpath(sys.base_prefix))') in
        /root | /root/* | /home/*) die "$PYTHON is in a home directory, which the service cannot read; try make PYTHON=/usr/bin/python3 ..." ;;
    esac
}

# Print the version to which a link leads, or "" if there is no link.
named() { if test -L "$DESTDIR$1"; then basename "$(readlink "$DESTDIR$1")"; fi; }

# Make a link lead to a version, atomically.
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
    # Build from a copy, so that a build as root leaves no files in the checkout of another user.
    (cd "$here" && tar -cf - --exclude=__pycache__ --exclude='*.egg-info' pyproject.toml README.md LICENSE claude_gateway workers) |
        tar -xf - --no-same-owner -C "$work"
    $pip --no-deps --no-build-isolation --no-index "$work"
    # The program uses its own path and not the link, so a running gateway keeps its files when the link moves.
    printf '#!/bin/sh\nexec %s/bin/python -I -m claude_gateway.cli.main "$@"\n' "$versions/$version" > "$built/bin/claude-gateway"
    printf '#!/bin/sh\nexec %s/bin/claude-gateway --unit %s/claude-gateway.service "$@"\n' "$lib" "$units" > "$built/command"
    chmod 755 "$built/bin/claude-gateway" "$built/command"
    mkdir "$built/share"
    cp "$here/docs/operations/deploy.md" "$here/README.md" "$here/systemd/environment.example" "$built/share"
    for file in claude-gateway.service claude-gateway.socket sysusers.conf tmpfiles.conf; do
        sed -e "s|@PREFIX@|$PREFIX|g" -e "s|@SYSCONFDIR@|$SYSCONFDIR|g" "$here/systemd/$file" > "$built/share/$file"
    done
    "$built/bin/python" -I -m claude_gateway.cli.main environment > /dev/null
    rm -rf "$work"
    trap - EXIT HUP INT TERM
}

# Copy the files outside of the version directories from the version in use.
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
    # An installation from before each version had a directory of its own.
    if test -d "$DESTDIR$lib" && ! test -L "$DESTDIR$lib"; then
        mv "$DESTDIR$lib" "$DESTDIR$versions/before"
    fi
    point "$lib" "claude-gateway-versions/$1"
    install -m 755 "$DESTDIR$versions/$1/command" "$DESTDIR$PREFIX/bin/claude-gateway"
    if test -z "$DESTDIR" && test -d /run/systemd/system; then systemctl daemon-reload; fi
}

# Remove the versions that are not in use, not the previous one, and not run by any process.
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
            say "installed. Next: edit $settings, log Claude Code in ($doc/deploy.md), and run"
            say "  systemctl enable --now claude-gateway.socket claude-gateway.service"
        else
            say "installed $version beside $before, which runs until: systemctl restart claude-gateway"
            say "to return to it: make rollback"
        fi
        ;;
    rollback)
        require_root
        before=$(named "$versions/previous")
        test -n "$before" && test -x "$DESTDIR$versions/$before/bin/python" || die "there is no version to go back to."
        now=$(named "$lib")
        activate "$before"
        point "$versions/previous" "$now"
        say "$before will be used instead of $now from the next start on: systemctl restart claude-gateway"
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
            say "removed. Kept: $(dirname "$settings"), /var/lib/claude-gateway, the user claude-gateway."
        ;;
esac
