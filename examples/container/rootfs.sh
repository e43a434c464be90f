#!/bin/sh
# Assembles the root file system of the image: rootfs.sh BINARY... TARGET
#
# It holds the programs and what they need to run, and nothing else: no shell, no tools. They are not linked statically,
# for the CUDA driver is a shared library that is loaded at run time. To be run as root, for two folders are to belong to the
# daemon's user.
#
# Paths of libraries have no blanks in them, and lists of them are split where they are used.
# shellcheck disable=SC2086
set -eu

# Of the user and the group payload-manager; a number, so that it is the same one on every host.
id=65532

die() {
    echo "rootfs.sh: $*" >&2
    exit 1
}

[ $# -ge 2 ] || die "usage: rootfs.sh BINARY... TARGET"
[ "$(id -u)" = 0 ] || die "only root can give folders to another user"
for target; do :; done
[ -z "$(ls -A "$target" 2>/dev/null)" ] || die "$target is not empty"
here=$(cd "$(dirname "$0")" && pwd)
umask 022

# As on Debian: everything is in /usr, and the old places are links.
mkdir -p "$target/usr/local/bin" "$target/usr/lib" "$target/usr/lib64" "$target/usr/share/doc/payload-manager"
ln -s usr/lib "$target/lib"
ln -s usr/lib64 "$target/lib64"

# Where containers have file systems of their own. A root that is read-only must have these folders already.
mkdir -p "$target/dev/shm" "$target/proc" "$target/sys"
mkdir -m 1777 "$target/tmp"

# The libraries that a program names: the loader, which stands alone, and those behind an arrow.
libraries() {
    ldd "$1" | sed -n 's/^.* => \(\/[^ ]*\) .*$/\1/p; s/^[[:space:]]*\(\/[^ ]*\) .*$/\1/p'
}

found=
programs=
while [ $# -gt 1 ]; do
    install -m 755 "$1" "$target/usr/local/bin/"
    needed=$(libraries "$1")
    [ -n "$needed" ] || die "$1 needs no libraries: is it for this machine?"
    found="$found $needed"
    programs="$programs $(basename "$1")"
    shift
done
# The CUDA driver is built against a C library of many files, and names those that are empty by now, too.
libc=$(printf '%s\n' $found | grep '/libc\.so' | head -n 1)
for name in libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1; do
    [ ! -e "$(dirname "$libc")/$name" ] || found="$found $(dirname "$libc")/$name"
done
found=$(printf '%s\n' $found | sort -u)
for library in $found; do
    mkdir -p "$target$(dirname "$library")"
    cp -L "$library" "$target$library"
done

# For object stores, whose servers are known by these.
certificates=/etc/ssl/certs/ca-certificates.crt
[ -s "$certificates" ] || die "there is no $certificates: install ca-certificates"
install -D -m 644 "$certificates" "$target$certificates"

cat >"$target/etc/passwd" <<END
root:x:0:0:root:/:/nonexistent
payload-manager:x:$id:$id:Payload Manager:/var/lib/payload-manager:/nonexistent
END
cat >"$target/etc/group" <<END
root:x:0:
payload-manager:x:$id:
END
# Without it names are asked of DNS before /etc/hosts.
cat >"$target/etc/nsswitch.conf" <<END
passwd: files
group: files
hosts: files dns
END

install -m 644 "$here/../../LICENSE" "$target/usr/share/doc/payload-manager/LICENSE"
"$here/sbom.py" --programs $programs --files $found "$certificates" >"$target/usr/share/doc/payload-manager/sbom.json"

chown -hR 0:0 "$target"
install -d -m 755 "$target/run" "$target/var" "$target/var/lib"
install -d -m 750 -o "$id" -g "$id" "$target/run/payload-manager"
install -d -m 700 -o "$id" -g "$id" "$target/var/lib/payload-manager"
