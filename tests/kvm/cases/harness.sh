# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# The harness itself: a processor runs, and KVM offers what Hyper-V guests need.
# limit: 30
# takes: 1
# check: cloud/1

host() {
	check "KVM has every capability" "$KVM_HARNESS/tools/probe" caps
	check "a processor writes to a port and halts" "$KVM_HARNESS/tools/probe" vcpu
	check "the kernel for guests is an ELF file" grep -q ELF "$KVM_HARNESS/kernels/$FLAVOUR/vmlinux"
	check "hvbus starts" "$HVBUS" --version
}
