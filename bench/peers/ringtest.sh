#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The kernel's own ring benchmark (tools/virtio/ringtest), from the distribution's kernel
# source package: fetched once, only the few files needed are kept, built into a folder.
#
# usage: ringtest.sh FOLDER    status 0: FOLDER has ring, virtio_ring_0_9, virtio_ring_inorder
set -u
out=${1:?usage: ringtest.sh FOLDER}
programs="ring virtio_ring_0_9 virtio_ring_inorder"

complete() {
	for p in $programs; do
		[ -x "$out/$p" ] || return 1
	done
}
give_up() {
	echo "ringtest: $*" >&2
	exit 1
}

complete && exit 0
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
# apt drops its privileges for the download
chmod 755 "$tmp"
if [ "$(id -u)" = 0 ]; then
	chown _apt "$tmp" 2>/dev/null
fi

echo "ringtest: fetching the kernel source package (140 MB, once)" >&2
package=$(apt-cache depends linux-source 2>/dev/null | sed -n 's/^ *Depends: *\(linux-source-.*\)/\1/p' |
	head -n 1)
package=${package:-linux-source-6.1}
(cd "$tmp" && apt-get download -qq "$package" >/dev/null 2>apt.log) ||
	give_up "cannot download $package: $(tail -n 1 "$tmp/apt.log")"
deb=$(echo "$tmp"/linux-source-*.deb)
[ -f "$deb" ] || give_up "$package came without a package file"

dpkg-deb --fsys-tarfile "$deb" | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
	tar -xJ -C "$tmp" --strip-components=1 --wildcards '*/tools/virtio/ringtest/*' ||
	give_up "the package has no tools/virtio/ringtest"
rm -f "$deb"
# shellcheck disable=SC2086
make -s -C "$tmp/tools/virtio/ringtest" $programs >"$tmp/make.log" 2>&1 ||
	give_up "does not build: $(tail -n 1 "$tmp/make.log")"
for p in $programs; do
	cp "$tmp/tools/virtio/ringtest/$p" "$out/" || exit 1
done
complete
