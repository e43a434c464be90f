#!/bin/sh
# Installs the programs and the service, and takes them away again.
#
#   install.sh install [--root DIR] [--from DIR]   programs from DIR, else from target/release
#   install.sh remove  [--root DIR]                payloads, settings and the user stay
#   install.sh purge   [--root DIR] [-- FLAG...]   these go, too; FLAGs are for payload-manager wipe
#
# With --root everything goes under DIR, and nothing is asked of the running system. What was installed is listed in
# /usr/local/share/payload-manager/installed, by which it is removed: files, and folders that were not there before.
#
# Settings are those of the unit: systemctl edit payload-manager, with Environment=PAYLOAD_MANAGER_RAM=8GiB. Who has moved a
# folder there, or the prefix of shared memory, says so to purge: -- --disk-root /srv/payloads.
set -eu

die() {
    echo "install.sh: $*" >&2
    exit 1
}

usage() {
    sed -n 's/^#   //p' "$0" >&2
    exit 2
}

here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || usage
word=$1
shift
# FLAGs are what is left of them.
root=
from=$here/../../target/release
while [ $# -gt 0 ]; do
    case $1 in
        --root) root=${2:?--root needs a folder} ;;
        --from) from=${2:?--from needs a folder} ;;
        --) shift; break ;;
        *) usage ;;
    esac
    shift 2
done

root=${root%/}
[ $# = 0 ] || [ "$word" = purge ] || usage

bin=/usr/local/bin
share=/usr/local/share
lib=/usr/local/lib
unit=payload-manager.service
socket=payload-manager.socket
list=$share/payload-manager/installed
state=/var/lib/payload-manager
runtime=/run/payload-manager
umask 022

# Whether there is a service manager to be told.
booted() {
    [ -z "$root" ] && [ -d /run/systemd/system ]
}

# Makes a folder and those above it, and notes those that were not there.
folder() {
    [ ! -d "$root$1" ] || return 0
    [ "$(dirname "$1")" = / ] || folder "$(dirname "$1")"
    mkdir "$root$1"
    echo "$1/" >>"$draft/list"
}

# Puts a file in its place, in one step: a program may be running.
put() {
    folder "$(dirname "$3")"
    install -m "$1" "$2" "$root$3.new"
    mv -f "$root$3.new" "$root$3"
    echo "$3" >>"$draft/list"
}

# Removes what a list names, but not what another one names, too.
take_away() {
    sort -r "$1" | while read -r path; do
        ! grep -qxF -e "$path" "$2" || continue
        case $path in
            */) rmdir "$root$path" 2>/dev/null || true ;;
            *) rm -f "$root$path" ;;
        esac
    done
}

install_all() {
    for program in payload-manager payloadctl; do
        [ -x "$from/$program" ] || die "there is no $from/$program: build it with cargo build --release"
    done
    draft=$(mktemp -d)
    trap 'rm -rf "$draft"' EXIT
    : >"$draft/list"
    : >"$draft/before"
    # Folders that an earlier installation has made are still its.
    [ ! -f "$root$list" ] || cp "$root$list" "$draft/before"
    grep '/$' "$draft/before" >>"$draft/list" || true

    put 755 "$from/payload-manager" "$bin/payload-manager"
    put 755 "$from/payloadctl" "$bin/payloadctl"
    put 644 "$here/$unit" "$lib/systemd/system/$unit"
    put 644 "$here/$socket" "$lib/systemd/system/$socket"
    put 644 "$here/payload-manager.sysusers" "$lib/sysusers.d/payload-manager.conf"
    put 644 "$here/../../LICENSE" "$share/doc/payload-manager/LICENSE"

    "$from/payloadctl" man --dir "$draft/man"
    for page in "$draft"/man/*.1; do
        put 644 "$page" "$share/man/man1/$(basename "$page")"
    done
    for shell in bash zsh fish; do
        "$from/payloadctl" completions "$shell" >"$draft/$shell"
    done
    put 644 "$draft/bash" "$share/bash-completion/completions/payloadctl"
    put 644 "$draft/zsh" "$share/zsh/site-functions/_payloadctl"
    put 644 "$draft/fish" "$share/fish/vendor_completions.d/payloadctl.fish"

    folder "$(dirname "$list")"
    echo "$list" >>"$draft/list"
    sort -u "$draft/list" >"$root$list"
    take_away "$draft/before" "$root$list"

    [ -z "$root" ] || return 0
    if command -v systemd-sysusers >/dev/null; then
        systemd-sysusers "$lib/sysusers.d/payload-manager.conf"
    fi
    if booted; then
        systemctl daemon-reload
        # One that runs goes on with the new program: payloads in RAM and leases are kept.
        systemctl try-restart "$unit"
        echo "installed; to start it: systemctl enable --now payload-manager.socket payload-manager.service"
    fi
}

stop() {
    ! booted || [ ! -e "$lib/systemd/system/$unit" ] || systemctl --quiet disable --now "$socket" "$unit"
}

remove_all() {
    [ -f "$root$list" ] || die "nothing is installed: there is no $root$list"
    draft=$(mktemp -d)
    trap 'rm -rf "$draft"' EXIT
    cp "$root$list" "$draft/list"
    take_away "$draft/list" /dev/null
    ! booted || systemctl daemon-reload
}

# As the user whose payloads they are: shared memory is known by its owner.
as_owner() {
    owner=$(stat -c %u "$root$state")
    if [ "$owner" = "$(id -u)" ]; then
        "$@"
    else
        setpriv --reuid "$owner" --regid "$(stat -c %g "$root$state")" --clear-groups "$@"
    fi
}

# Payloads, and what an administrator has set for the unit.
purge_data() {
    program=$root$bin/payload-manager
    [ -x "$program" ] || die "there is no $program, and nothing else knows what is its"
    if [ -d "$root$state" ]; then
        as_owner "$program" wipe --yes --data-dir "$root$state" --runtime-dir "$root$runtime" "$@"
    fi
    rm -rf "$root/etc/systemd/system/$unit.d"
    for left in "$state" "$runtime"; do
        [ ! -d "$root$left" ] || rmdir "$root$left" || echo "install.sh: something in $root$left is not the daemon's" >&2
    done
}

forget_user() {
    [ -z "$root" ] || return 0
    ! getent passwd payload-manager >/dev/null || userdel payload-manager
    ! getent group payload-manager >/dev/null || groupdel payload-manager
}

case $word in
    install) install_all ;;
    remove)
        stop
        remove_all
        ;;
    purge)
        stop
        purge_data "$@"
        remove_all
        forget_user
        ;;
    *) usage ;;
esac
