#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# hvbus disk: what it does to a running root, what it says, and what it refuses.
. "$(dirname "$0")/lib.sh"
requires jq

disk() { "$HVBUS" disk "$@" --socket "$S"; }
# is FILTER: true of the list
is() { disk list --json | jq -e "$1" >/dev/null || fail "not so: $1: $(disk list --json)"; }

echo "usage"
expect 2 "unknown verb 'ad'" "$HVBUS" disk ad
expect 2 "--socket is missing" "$HVBUS" disk list
expect 2 "--disk is missing" "$HVBUS" disk add --socket "$S"
expect 2 "disk list" "$HVBUS" disk remove --socket "$S"
expect 2 "CONTROLLER:LUN is needed" "$HVBUS" disk remove --socket "$S" --disk 5
expect 2 "CONTROLLER:LUN is needed" "$HVBUS" disk resize --socket "$S" --disk 4:0
expect 2 "unknown key 'pth'" "$HVBUS" disk add --socket "$S" --disk pth=x
expect 2 "a disk needs a size" "$HVBUS" disk resize --socket "$S" --disk 0:0 --size 0
expect 2 "600 seconds are the limit" "$HVBUS" disk remove --socket "$S" --disk 0:0 --wait 601
expect 2 "--none is needed" "$HVBUS" disk limit --socket "$S" --disk 0:0
expect 2 "--none only alone" "$HVBUS" disk limit --socket "$S" --disk 0:0 --none --iops 5
expect 2 "--iops=x: a number" "$HVBUS" disk limit --socket "$S" --disk 0:0 --iops x
expect 2 "one at a time" "$HVBUS" disk fault --socket "$S" --disk 0:0 --set read:eio --clear 1
expect 2 "--clear=0: a number" "$HVBUS" disk fault --socket "$S" --disk 0:0 --clear 0
expect 2 "--seed goes with --set" "$HVBUS" disk fault --socket "$S" --disk 0:0 --seed 1
expect 2 "one of the two is needed" "$HVBUS" disk swap-medium --socket "$S" --disk 0:0
expect 2 "the others are the drive's" "$HVBUS" disk swap-medium --socket "$S" --disk 0:0 --medium path=x,iops=5
expect 2 "need a medium in the drive" "$HVBUS" serve --socket "$S" --disk type=dvd,fault=read:eio
expect 2 "--stuck-ms=5: a number from 10" "$HVBUS" serve --socket "$S" --disk engine=null --stuck-ms 5
expect 2 "unexpected 'more'" "$HVBUS" disk list --socket "$S" more
expect 1 "no root is serving there" "$HVBUS" disk list --socket "$S"
for verb in add remove resize list limit fault swap-medium; do
	"$HVBUS" disk $verb --help | grep -q "hvbus disk $verb --socket /tmp/s" || fail "$verb --help has no example"
	"$HVBUS" disk --help | grep -q "disk $verb" || fail "disk --help does not name $verb"
done

truncate -s 8M "$T/a.img" "$T/b.img"
truncate -s 1000 "$T/odd.img"
serve --disk "path=$T/a.img"

echo "add"
is '.disks | length == 1'
is '.disks[0] | .controller == 0 and .lun == 0 and .size == 8388608 and .state == "serving" and .partitions == []'
(cd "$T" && "$HVBUS" disk add --socket "$S" --disk path=b.img,serial=B,readonly) >"$T/said"
grep -q '^disk 0:1 .*8.00 MiB' "$T/said" || fail "$(cat "$T/said")"
grep -q 'partitions that connect from now on see it' "$T/said" || fail "$(cat "$T/said")"
is ".disks[1] | .lun == 1 and .readonly and .path == \"$T/b.img\""
disk add --disk engine=memory,size=16M,controller=2,lun=9 --json |
	jq -e '.disk.controller == 2 and .disk.lun == 9 and .disk.engine == "memory" and .seen_by == []' >/dev/null ||
	fail "the answer to disk add"
disk list >"$T/list"
grep -q '^2:9 *16.0 MiB *memory' "$T/list" || fail "$(cat "$T/list")"
grep -q "^0:1 *8.00 MiB .* ro .*$T/b.img" "$T/list" || fail "$(cat "$T/list")"
"$HVBUS" inspect --socket "$S" --json | jq -e '.disks | length == 3' >/dev/null || fail "inspect does not show them"
expect 1 "in use by process $ROOT" "$HVBUS" disk add --socket "$S" --disk "path=$T/a.img"
expect 1 "no such file" "$HVBUS" disk add --socket "$S" --disk "path=$T/none.img"
expect 1 "not a multiple" "$HVBUS" disk add --socket "$S" --disk "path=$T/odd.img"
expect 1 "is a directory" "$HVBUS" disk add --socket "$S" --disk "path=$T"
expect 1 "no free LUN of that number" "$HVBUS" disk add --socket "$S" --disk engine=memory,lun=1
is '.disks | length == 3'

echo "I/O on an added disk"
timeout 60 "$HVBUS" bench disk --socket "$S" --disk 0:0 --rw randrw --verify --runtime 1 >/dev/null || fail "I/O"
is '.disks[0] | .reads > 0 and .writes > 0'

echo "limit"
disk limit --disk 0:0 --iops 500 --bytes 20M | grep -q '500 requests/s and 20.0 MiB/s' || fail "limit does not say what holds"
is '.disks[0].limits | .iops == 500 and .bps == 20971520 and .burst_ms == 100'
disk limit --disk 0:0 --bytes 0 --burst 1000 --json | jq -e '.disk.limits | .iops == 500 and .bps == 0 and .burst_ms == 1000' >/dev/null ||
	fail "what was not given did not stay"
disk list | grep -q 'limited to 500 requests/s, 1000 ms may be caught up' || fail "list does not show the limit"
disk limit --disk 0:0 --none | grep -q 'disk 0:0 has no limits' || fail "limits stay"
is '.disks[0].limits == null'

echo "fault"
disk fault --disk 0:0 | grep -q 'has no faults' || fail "faults that nobody set"
disk fault --disk 0:0 --set 'read/write:5000-6000:eio:10%:delay=20ms+flush:stuck:times=3' >/dev/null
disk list | grep -q 'fault 2  flush:stuck:times=3  hit 0 times, 0 held now' || fail "list does not show the faults"
disk fault --disk 0:0 --json | jq -e '.disk.injected | length == 2 and .[0].rule == "read/write:5000-6000:eio:10%:delay=20ms"' >/dev/null ||
	fail "the rule is not what was set: $(disk fault --disk 0:0)"
disk fault --disk 0:0 --clear 1 | grep -q '2 *0 *0  flush:stuck' || fail "clear took the wrong one"
expect 1 "there is no fault 1" "$HVBUS" disk fault --socket "$S" --disk 0:0 --clear 1
expect 1 "is none of FIRST-LAST" "$HVBUS" disk fault --socket "$S" --disk 0:0 --set read:eioo
expect 1 "there is none" "$HVBUS" disk fault --socket "$S" --disk 3:3
disk fault --disk 0:0 --clear all >/dev/null
is '.disks[0].injected == []'

echo "swap-medium"
truncate -s 2M "$T/1.iso"
truncate -s 3M "$T/2.iso"
disk add --disk type=dvd,lun=7 >/dev/null
is '.disks[] | select(.lun == 7) | .type == "dvd" and .medium == "none" and .path == null and .size == 0'
disk list | grep -q '^0:7 .*(no medium)' || fail "list does not say that the drive is empty"
(cd "$T" && "$HVBUS" disk swap-medium --socket "$S" --disk 0:7 --medium path=1.iso) | grep -q '2.00 MiB' || fail "swap-medium"
is ".disks[] | select(.lun == 7) | .medium == \"in\" and .path == \"$T/1.iso\" and .readonly"
expect 1 "is a drive" "$HVBUS" disk resize --socket "$S" --disk 0:7
expect 1 "is no drive" "$HVBUS" disk swap-medium --socket "$S" --disk 0:0 --eject
expect 1 "no such file" "$HVBUS" disk swap-medium --socket "$S" --disk 0:7 --medium "path=$T/none.iso"
disk swap-medium --disk 0:7 --medium "path=$T/2.iso" --json | jq -e '.disk.size == 3145728' >/dev/null || fail "swap-medium --json"
disk swap-medium --disk 0:7 --eject | grep -q 'disk 0:7 is empty' || fail "eject"
is '.disks[] | select(.lun == 7) | .medium == "none"'
disk remove --disk 0:7 >/dev/null

echo "resize"
truncate -s 12M "$T/a.img"
disk resize --disk 0:0 | grep -q 'disk 0:0 has 12.0 MiB' || fail "resize does not say the size"
disk resize --disk 0:0 --size 16M --json | jq -e '.disk.size == 16777216' >/dev/null || fail "resize --json"
[ "$(stat -c %s "$T/a.img")" = 16777216 ] || fail "the file was not made longer"
expect 1 "--shrink" "$HVBUS" disk resize --socket "$S" --disk 0:0 --size 8M
expect 1 "not a multiple" "$HVBUS" disk resize --socket "$S" --disk 0:0 --size 16777217
expect 1 "read-only" "$HVBUS" disk resize --socket "$S" --disk 0:1 --size 16M
expect 1 "in memory" "$HVBUS" disk resize --socket "$S" --disk 2:9 --size 32M
expect 1 "there is none; \`hvbus disk list\` shows" "$HVBUS" disk resize --socket "$S" --disk 1:0
disk resize --disk 0:0 --size 8M --shrink >/dev/null
[ "$(stat -c %s "$T/a.img")" = 8388608 ] || fail "the file was not cut"
is '.disks[0].size == 8388608'

echo "remove"
disk remove --disk 0:1 | grep -q 'disk 0:1 is removed' || fail "remove does not say so"
is '.disks | length == 2'
expect 1 "there is none" "$HVBUS" disk remove --socket "$S" --disk 0:1
serve2=$T/s2 # the file is free: another root takes it for writing
"$HVBUS" serve --socket "$serve2" --disk "path=$T/b.img" 2>>"$T/serve2.log" &
PIDS="$PIDS $!"
wait_for 10 "$HVBUS" inspect --socket "$serve2"

if command -v nbdinfo >/dev/null && [ -x "$RELEASE_HVBUS" ] && command -v nbdkit >/dev/null; then
	echo "a running export"
	attach 0:0 "$T/nbd"
	wait_for 10 nbdinfo --size "nbd+unix:///?socket=$T/nbd"
	is '.disks[0].partitions | length == 1'
	disk add --disk engine=memory,size=1M | grep -q 'seen at once by partition' || fail "the partition is not named"
	disk add --disk engine=memory,size=1M,controller=3 | grep -q 'controller is new' || fail "no word of the new controller"
	disk resize --disk 0:0 --size 24M >/dev/null
	[ "$(nbdinfo --size "nbd+unix:///?socket=$T/nbd")" = 25165824 ] || fail "a new NBD client sees the old size"
	disk remove --disk 0:0 >/dev/null
	! nbdinfo --size "nbd+unix:///?socket=$T/nbd" 2>/dev/null || fail "the export outlives its disk"
	grep -q "it has been removed" "$T/attach.log" || fail "attach does not say that the disk is gone"
	rm "$T/a.img"
fi
stop_root
