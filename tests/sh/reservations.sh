#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Persistent reservations that a guest asked to keep (APTPL) outlive a root that is killed, on
# disks it had from the beginning and on those that were added; the processes that see to it
# are confined.
. "$(dirname "$0")/lib.sh"
requires sg_persist sg_write_same jq

# pr DISK ARGS...: as the initiator sg_persist
pr() {
	local disk=$1
	shift
	sg "$disk" sg_persist "$@" "$SG" >"$T/out" 2>"$T/err" || { cat "$T/out" "$T/err"; fail "sg_persist $*"; }
}
# says TEXT: of the command before
says() { grep -qF -- "$1" "$T/out" || { cat "$T/out"; fail "no '$1'"; }; }

# reserved DISK KEY: registered and reserved by it, and others cannot write
reserved() {
	local got=0

	pr "$1" --in --read-keys
	says "$2"
	pr "$1" --in --read-reservation
	says "Key=$2"
	says "type: Write Exclusive, registrants only"
	sg "$1" sg_write_same --lba=8 --num=1 "$SG" >"$T/out" 2>&1 || got=$?
	[ $got = 24 ] || fail "status $got and no reservation conflict: $(cat "$T/out")"
}

# reserve DISK KEY [--param-aptpl]
reserve() {
	pr "$1" --out --register --param-sark="$2" ${3:+"$3"}
	pr "$1" --out --reserve --param-rk="$2" --prout-type=5
}

die() {
	kill -9 "$ROOT"
	wait "$ROOT" 2>/dev/null || true
}

mkdir "$T/elsewhere"
truncate -s 8M "$T/a.img" "$T/b.img" "$T/elsewhere/c.img"
serve --disk "path=$T/a.img" --disk "path=$T/b.img"
echo "a disk from the beginning, one that does not ask, one that is added"
"$HVBUS" disk add --socket "$S" --disk "path=$T/elsewhere/c.img,lun=5" >"$T/out"
reserve 0:0 0xabc --param-aptpl
reserve 0:1 0xdef
reserve 0:5 0x123 --param-aptpl
reserved 0:0 0xabc
for f in "$T/a.img.pr" "$T/elsewhere/c.img.pr"; do [ -s "$f" ] || fail "nothing was kept in $f"; done
[ ! -e "$T/b.img.pr" ] || fail "kept what nobody asked to keep"

echo "who keeps them is confined"
KEEPER=$(pgrep -P "$ROOT" hvbus-keeper) || fail "there is no keeper"
keepers() { echo "$KEEPER"; pgrep -P "$KEEPER"; }
[ "$(keepers | wc -l)" = 4 ] || fail "not one for each disk: $(keepers)"
all=$(keepers)
for p in $all; do
	grep -qE '^NoNewPrivs:.*1$' "/proc/$p/status" || fail "keeper $p may get privileges"
	grep -qE '^Seccomp:.*2$' "/proc/$p/status" || fail "keeper $p may call anything"
	case $B in
	*san-thread*) continue ;; # its runtime has a thread from before
	esac
	! grep -E '^Cap(Inh|Prm|Eff|Amb):' "/proc/$p/status" | grep -qv '0000000000000000$' ||
		fail "keeper $p has capabilities"
	! find "/proc/$p/fd" -lname "*.img" 2>/dev/null | grep -q . || fail "keeper $p has an image open"
done

echo "killed"
die
for p in $all; do wait_for 10 sh -c "! kill -0 $p"; done
serve --disk "path=$T/a.img" --disk "path=$T/b.img"
"$HVBUS" disk add --socket "$S" --disk "path=$T/elsewhere/c.img,lun=5" >"$T/out"
reserved 0:0 0xabc
reserved 0:5 0x123
pr 0:1 --in --read-keys
says "there are NO registered reservation keys"

echo "removed and added again; released, and killed again"
"$HVBUS" disk remove --socket "$S" --disk 0:5 >"$T/out"
"$HVBUS" disk add --socket "$S" --disk "path=$T/elsewhere/c.img,lun=6" >"$T/out"
reserved 0:6 0x123
pr 0:6 --out --release --param-rk=0x123 --prout-type=5
pr 0:0 --out --clear --param-rk=0xabc
die
serve --disk "path=$T/a.img" --disk "path=$T/elsewhere/c.img"
pr 0:0 --in --read-keys
says "there are NO registered reservation keys"
pr 0:1 --in --read-keys
says 0x123
pr 0:1 --in --read-reservation
says "there is NO reservation held"

echo "no root can be fooled by the file"
stop_root
printf 'not a state' >"$T/a.img.pr"
expect 1 "holds no reservations" "$HVBUS" serve --socket "$S" --disk "path=$T/a.img"
serve --disk engine=memory,size=1M
expect 1 "holds no reservations" "$HVBUS" disk add --socket "$S" --disk "path=$T/a.img"
stop_root
