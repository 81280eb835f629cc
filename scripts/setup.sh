#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs the Debian packages that are missing. usage: setup.sh [demo|check|kvm|bench|fuzz|lint]
set -eu

build="gcc make pkg-config libc6-dev liburing-dev libaio-dev zlib1g-dev libjansson-dev libseccomp-dev libslirp-dev nbdkit-plugin-dev"
demo="$build e2fsprogs iproute2 iputils-ping busybox udhcpc curl"
kvm="$build qemu-system-x86 cpio kmod e2fsprogs xz-utils zstd lz4 util-linux fio sg3-utils hdparm iperf3 ethtool iproute2"
check="$demo $kvm check libnbd-dev clang libclang-rt-14-dev spin nbdkit libnbd-bin qemu-utils fio sg3-utils sdparm libiscsi-bin jq mandoc python3 procps iperf3 tcpdump ethtool"
bench="$build g++ fio jq bc nbdkit qemu-utils libck-dev libdpdk-dev libboost-dev libzmq3-dev e2fsprogs dpdk dpdk-dev iperf3 iproute2 iputils-ping ethtool vde2"
fuzz="$build clang llvm libclang-rt-14-dev"
lint="clang-format shellcheck mandoc"

what=${1:-check}
case $what in
demo) want=$demo ;;
check) want=$check ;;
kvm) want=$kvm ;;
bench) want=$bench ;;
fuzz) want=$fuzz ;;
lint) want=$lint ;;
*)
	echo "setup.sh: unknown purpose '$what' (demo, check, kvm, bench, fuzz, lint)" >&2
	exit 2
	;;
esac

missing=
for p in $want; do
	status=$(dpkg-query -W -f='${Status}' "$p" 2>/dev/null || true)
	[ "$status" = "install ok installed" ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
	run=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
	run="sudo"
else
	echo "hvbus needs these Debian packages and cannot install them (not root, no sudo):" >&2
	echo "  apt-get install$missing" >&2
	exit 1
fi

echo "hvbus: installing$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086
if ! { $run apt-get install -y --no-install-recommends $missing >"$log" 2>&1 ||
	{ $run apt-get update >>"$log" 2>&1 && $run apt-get install -y --no-install-recommends $missing >>"$log" 2>&1; }; }; then
	tail -n 20 "$log" >&2
	echo "hvbus: apt-get could not install:$missing" >&2
	exit 1
fi
