#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What the nested harness boots, made without root from Debian packages and kept in
# build/kvm-cache under names that carry their version. Prints nothing when all is there.
#
#   kernel-cloud, kernel-standard   link: vmlinux (ELF), version, lib/modules with what is needed
#   l1.cpio.gz                      level 1: busybox, KVM, virtio
#   l2-cloud.cpio.gz, l2-standard.. level 2: busybox, the Hyper-V drivers
#   root-cloud.ext4, root-standard..  level 2's root file system with the tools of the cases
#   l1-root                         folder: what level 1 has on its disk, without hvbus
#   exit, probe, kexec, tsc         see tools/
#
#   KVM_CACHE=FOLDER    another folder, to share one between clones
#   KVM_REFRESH=1       ask apt for newer packages
set -eu
cd "$(dirname "$0")/../.."

here=$PWD/tests/kvm
cache=${KVM_CACHE:-$PWD/build/kvm-cache}
mkdir -p "$cache/debs"
exec 9>"$cache/lock"
flock 9
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

die() {
	echo "kvm images: $*" >&2
	exit 1
}

say() { echo "kvm images: $*"; }

# An ordinary user has lists of his own when the system's are missing.
apt_own() {
	mkdir -p "$cache/apt/lists/partial" "$cache/apt/cache/archives/partial"
	"$@" -o Dir::State::Lists="$cache/apt/lists" -o Dir::Cache="$cache/apt/cache"
}

# newest GLOB: the package in the cache with the highest version
newest() {
	find "$cache/debs" -name "$1" | sort -V | tail -n 1
}

# download PACKAGE: into debs; of several versions the newest
download() {
	(cd "$cache/debs" && apt-get -qq download "$1") >"$work/apt" 2>&1 && return
	say "apt-get download $1 failed; asking the archive for its lists"
	apt_own apt-get -qq update >>"$work/apt" 2>&1 &&
		(cd "$cache/debs" && apt_own apt-get -qq download "$1") >>"$work/apt" 2>&1 && return
	tail -n 5 "$work/apt" >&2
	die "cannot download the package $1"
}

# package PACKAGE: the path of its .deb in $deb
package() {
	deb=$(newest "$1_*.deb")
	if [ -z "$deb" ] || [ -n "${KVM_REFRESH:-}" ]; then
		say "downloading $1"
		if (download "$1"); then
			deb=$(newest "$1_*.deb")
		elif [ -z "$deb" ]; then
			exit 1
		fi
	fi
}

# ---- kernels ------------------------------------------------------------------------------------

# u32 FILE OFFSET
u32() { od -An -tu4 -j "$2" -N 4 "$1" | tr -d ' '; }

# unpack_kernel BZIMAGE ELF: the boot protocol says where the compressed ELF file is
unpack_kernel() {
	local start length size magic tool
	start=$((($(od -An -tu1 -j $((0x1f1)) -N 1 "$1") + 1) * 512 + $(u32 "$1" $((0x248)))))
	length=$(u32 "$1" $((0x24c)))
	size=$(u32 "$1" $((start + length - 4))) # what follows the payload's own end
	magic=$(od -An -tx1 -j $start -N 4 "$1" | tr -d ' ')
	case $magic in
	02214c18) tool=lz4 ;;
	fd377a58) tool=xz ;;
	28b52ffd) tool=zstd ;;
	1f8b*) tool=gzip ;;
	*) die "$1: compressed by an unknown method ($magic)" ;;
	esac
	# Some complain about the four bytes of the size behind the data: size and magic decide.
	tail -c +$((start + 1)) "$1" | head -c $((length - 4)) | $tool -dc >"$2" 2>"$work/unpack" || true
	[ "$(stat -c %s "$2")" = "$size" ] && [ "$(head -c 4 "$2" | tail -c 3)" = ELF ] && return
	cat "$work/unpack" >&2
	die "$1: $tool does not give an ELF file of $size bytes"
}

l1_modules="virtio_pci virtio_blk kvm-amd tun"
l2_modules="hv_vmbus hv_storvsc hv_netvsc hv_utils hv_balloon uio_hv_generic sd_mod sg ext4"

# copy_modules TREE VERSION TO MODULES...: with what they need, uncompressed, in a tree of their own
copy_modules() {
	local tree=$1 version=$2 to=$3 m path
	shift 3
	mkdir -p "$to/lib/modules/$version"
	cp "$tree/lib/modules/$version"/modules.builtin* "$tree/lib/modules/$version/modules.order" \
		"$to/lib/modules/$version/"
	for m in "$@"; do
		modprobe -C /dev/null -d "$tree" -S "$version" --show-depends "$m" 2>/dev/null || true
	done | awk '$1 == "insmod" { print $2 }' | sort -u | while read -r path; do
		m=$to${path#"$tree"}
		mkdir -p "${m%/*}"
		case $path in
		*.xz) xz -dc "$path" >"${m%.xz}" ;;
		*.zst) zstd -qdc "$path" >"${m%.zst}" ;;
		*) cp "$path" "$m" ;;
		esac
	done
	depmod -b "$to" "$version"
}

# has_all FOLDER: a kernel, with the modules that are needed now
has_all() {
	[ -e "$1/vmlinux" ] && [ "$(cat "$1/modules" 2>/dev/null)" = "$l1_modules $l2_modules" ]
}

# kernel FLAVOUR META: sets k to the folder of its files
kernel() {
	local name version tree
	k=$cache/kernel-$1
	! has_all "$k" || [ -n "${KVM_REFRESH:-}" ] || return 0
	name=$(LC_ALL=C apt-cache depends "$2" 2>/dev/null | sed -nE 's/^ *Depends: (linux-image-.*)/\1/p' | head -n 1)
	if [ -z "$name" ]; then # without lists the meta package itself says it
		package "$2"
		name=$(dpkg-deb -f "$deb" Depends | grep -oE 'linux-image-[^ ,]+' | head -n 1)
	fi
	package "$name"
	version=$(basename "$deb" .deb)
	if ! has_all "$cache/$version"; then
		say "unpacking $version"
		tree=$work/$1
		dpkg-deb -x "$deb" "$tree"
		rm -rf "${cache:?}/$version"
		mkdir -p "$cache/$version"
		cp "$tree"/boot/vmlinuz-* "$cache/$version/vmlinuz"
		basename "$tree"/lib/modules/* >"$cache/$version/version"
		depmod -b "$tree" "$(cat "$cache/$version/version")"
		# shellcheck disable=SC2086
		copy_modules "$tree" "$(cat "$cache/$version/version")" "$cache/$version" $l1_modules $l2_modules
		unpack_kernel "$cache/$version/vmlinuz" "$cache/$version/vmlinux.new"
		echo "$l1_modules $l2_modules" >"$cache/$version/modules"
		mv "$cache/$version/vmlinux.new" "$cache/$version/vmlinux"
		rm -rf "$tree"
	fi
	ln -sfn "$version" "$k"
}

# ---- file systems ---------------------------------------------------------------------------------

# stale FILE INPUTS...: true when FILE is missing or older than one of them
stale() {
	local file=$1 f
	shift
	[ -e "$file" ] || return 0
	for f in "$@"; do [ ! "$f" -nt "$file" ] || return 0; done
	return 1
}

# skeleton FOLDER: directories, busybox under each of its names
skeleton() {
	local d applet
	for d in bin sbin usr/bin usr/sbin lib lib64 proc sys dev run tmp root etc mnt var/lib harness; do
		mkdir -p "$1/$d"
	done
	cp "$busybox" "$1/bin/busybox"
	"$busybox" --list-full | while read -r applet; do
		[ "$applet" = bin/busybox ] || ln -sf /bin/busybox "$1/$applet"
	done
	echo 'root:x:0:0:root:/root:/bin/sh' >"$1/etc/passwd"
	echo 'root:x:0:' >"$1/etc/group"
}

# initramfs FILE FLAVOUR INIT MODULES...: padded, so that another archive can follow
initramfs() {
	local file=$1 k=$cache/kernel-$2 init=$3 root=$work/initramfs size
	shift 3
	stale "$file" "$here/images.sh" "$init" "$k/vmlinux" || return 0
	say "making ${file##*/}"
	skeleton "$root"
	copy_modules "$k" "$(cat "$k/version")" "$root" "$@"
	install -m 755 "$init" "$root/init"
	(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) | gzip -1 >"$file.new"
	size=$(stat -c %s "$file.new")
	truncate -s $(((size + 3) / 4 * 4)) "$file.new"
	mv "$file.new" "$file"
	rm -rf "$root"
}

# root_image FLAVOUR: level 2's root file system
root_image() {
	local file=$cache/root-$1.ext4 k=$cache/kernel-$1 root=$work/root
	stale "$file" "$here/images.sh" "$here/closure.sh" "$here/tools.list" "$k/vmlinux" || return 0
	say "making ${file##*/}"
	skeleton "$root"
	# shellcheck disable=SC2086
	copy_modules "$k" "$(cat "$k/version")" "$root" $l2_modules
	# shellcheck disable=SC2046
	"$here/closure.sh" "$root" $(sed 's/#.*//' "$here/tools.list")
	mke2fs -qq -t ext4 -L hvbus-root -E root_owner=0:0 -d "$root" "$file.new" 256M >/dev/null
	mv "$file.new" "$file"
	rm -rf "$root"
}

# l1_root: what run.sh adds hvbus and the cases to
l1_root() {
	local root=$cache/l1-root
	stale "$root/made" "$here/images.sh" "$here/closure.sh" || return 0
	say "making ${root##*/}"
	rm -rf "$root"
	skeleton "$root"
	"$here/closure.sh" "$root" e2fsck debugfs mkfs.ext4 iperf3 ip
	touch "$root/made"
}

# tool NAME: a static program of ours
tool() {
	stale "$cache/$1" "$here/tools/$1.c" || return 0
	${CC:-gcc} -std=gnu11 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -static -o "$cache/$1.new" "$here/tools/$1.c"
	mv "$cache/$1.new" "$cache/$1"
}

package busybox-static
busybox=$cache/$(basename "$deb" .deb)
if [ ! -x "$busybox" ]; then
	dpkg-deb -x "$deb" "$work/busybox"
	cp "$work/busybox/bin/busybox" "$busybox"
fi
ln -sfn "${busybox##*/}" "$cache/busybox"

tool exit
tool probe
tool kexec
tool tsc
kernel cloud linux-image-cloud-amd64
kernel standard linux-image-amd64
# shellcheck disable=SC2086
initramfs "$cache/l1.cpio.gz" cloud "$here/l1/init.sh" $l1_modules
l1_root
for flavour in cloud standard; do
	# shellcheck disable=SC2086
	initramfs "$cache/l2-$flavour.cpio.gz" $flavour "$here/l2/init.sh" $l2_modules
	root_image $flavour
done
