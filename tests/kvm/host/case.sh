#!/bin/sh
# SPDX-License-Identifier: MIT
# One case in its time limit, on the machine whose /dev/kvm is used (level 1, or this machine).
# usage: case.sh NAME@FLAVOUR/CPUS SECONDS BUILD
#
#   KVM_HARNESS                 builds of hvbus, kernels, images, tools
#   KVM_OUT, KVM_DISKS          where what is kept goes, and what is not
#   KVM_REPORT, KVM_CONSOLES    lines for the harness, and what guests say
id=$1
limit=$2
here=$(dirname "$0")
rest=${id#*@}
export CASE_ID="$id" CASE="${id%@*}" FLAVOUR="${rest%/*}" CPUS="${rest#*/}"
export CASE_DIR="$KVM_OUT/$CASE-$FLAVOUR-$CPUS" DISKS="$KVM_DISKS/$$"
export HVBUS="$KVM_HARNESS/build/$3/hvbus"

report() { echo "$*" >>"$KVM_REPORT"; }

rm -rf "$CASE_DIR"
mkdir -p "$CASE_DIR" "$DISKS"
report "begin $id"
start=$(date +%s)
# A session of its own: whatever the case leaves behind is ended by its number.
setsid timeout -k 5 "$limit" "${KVM_BUSYBOX:-/bin/busybox}" sh "$here/run_case.sh" >"$CASE_DIR/log" 2>&1 &
pid=$!
wait $pid
status=$?
kill -9 -$pid 2>/dev/null
rm -rf "$DISKS"
case $status in
0 | 1) ;; # has said why
124 | 137 | 143) report "FAILED $id: not done after $limit s" ;;
*) report "FAILED $id: its host part ended with status $status" ;;
esac
[ $status = 0 ] || tail -n 40 "$CASE_DIR/log" | sed "s,^,log $id: ," >>"$KVM_REPORT"
report "end $id $status $(($(date +%s) - start))"
