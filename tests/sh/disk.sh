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
expect 2 "unexpected 'more'" "$HVBUS" disk list --socket "$S" more
expect 1 "no root is serving there" "$HVBUS" disk list --socket "$S"
for verb in add remove resize list; do
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
