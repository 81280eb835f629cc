#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Real NBD clients on the exported synthetic disk.
. "$(dirname "$0")/lib.sh"
requires nbdkit nbdinfo nbdcopy qemu-img fio jq cmp

head -c 24M /dev/urandom >"$T/data"
truncate -s 64M "$T/a.img" "$T/b.img"
dd if="$T/data" of="$T/a.img" bs=1M seek=8 conv=notrunc status=none
cp "$T/a.img" "$T/a.orig"
truncate -s 64M "$T/data64"
dd if="$T/data" of="$T/data64" bs=1M seek=3 conv=notrunc status=none

serve --disk "path=$T/a.img,readonly" --disk "path=$T/b.img"
attach 0:0 "$T/nbd0"
attach 0:1 "$T/nbd1"
A="nbd+unix:///?socket=$T/nbd0"
N="nbd+unix:///?socket=$T/nbd1"

echo "nbdinfo"
[ "$(nbdinfo --size "$A")" = 67108864 ] || fail "wrong size"
nbdinfo --json "$A" >"$T/info"
[ "$(jq '.exports[0].is_read_only' "$T/info")" = true ] || fail "read-only disk exported writable"
nbdinfo --json "$N" >"$T/info"
[ "$(jq '.exports[0].can_trim' "$T/info")" = true ] || fail "no trim"
[ "$(jq '.exports[0].can_fua' "$T/info")" = true ] || fail "no fua"

echo "qemu-img compare"
qemu-img compare -f raw -F raw "$A" "$T/a.orig" || fail "export differs from the image"

echo "nbdcopy in, out, and between two exports"
nbdcopy "$T/data64" "$N"
nbdcopy "$N" "$T/out"
cmp "$T/out" "$T/data64" || fail "what was copied in does not come out"
nbdcopy "$A" "$N"
nbdcopy "$N" "$T/out"
cmp "$T/out" "$T/a.orig" || fail "disk to disk copy differs"

echo "qemu-img convert to qcow2 and back"
qemu-img convert -f raw -O qcow2 "$N" "$T/c.qcow2"
qemu-img check -q "$T/c.qcow2"
qemu-img convert -n -f qcow2 -O raw "$T/c.qcow2" "$N"
qemu-img compare -f raw -F qcow2 "$N" "$T/c.qcow2" || fail "qcow2 round trip differs"

echo "fio --verify=crc32c"
for rw in randwrite write randrw; do
	timeout 100 fio --name="$rw" --ioengine=nbd --uri="$N" --rw="$rw" --bsrange=512-64k --iodepth=16 --size=24M \
		--verify=crc32c --do_verify=1 --verify_fatal=1 --verify_state_save=0 --fsync=64 --output="$T/fio.log" ||
		fail "fio $rw found damage"
	! grep -qi 'verify.*bad\|err=[^ ]*[1-9]' "$T/fio.log" || fail "fio $rw: $(cat "$T/fio.log")"
done

echo "trim makes holes"
before=$(stat -c %b "$T/b.img")
nbdcopy --destination-is-zero /dev/null "$N" 2>/dev/null || true
qemu-io -f raw -c 'discard 0 64M' -c 'read -P 0 0 64M' "$N" >"$T/qio.log" || fail "$(cat "$T/qio.log")"
grep -q 'Pattern verification failed' "$T/qio.log" && fail "trimmed disk does not read zero"
[ "$(stat -c %b "$T/b.img")" -lt "$before" ] || fail "no hole appeared"

kill "$ATTACH"
wait "$ATTACH" || true
stop_root
cmp "$T/a.img" "$T/a.orig" || fail "a read-only image changed"
