#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The demo tells its story to the end and leaves what it promises, and nothing else.
. "$(dirname "$0")/lib.sh"
requires mke2fs e2fsck debugfs ping ip udhcpc busybox curl

# Nobody works in the directory any more.
deserted() {
	local p
	for p in /proc/[0-9]*/cwd; do
		[ "$(readlink "$p")" != "$1" ] || return 1
	done
	! pgrep -f "$1" >/dev/null
}

timeout 110 "$HVBUS" demo --dir "$T/story" --seconds 2 >"$T/out" 2>"$T/demo.log" || fail "demo: $(cat "$T/out")"
for text in "the clone's file system is clean" "identical" "all of them identical" "raw io_uring" "every byte as written"; do
	grep -q "$text" "$T/out" || fail "the demo does not say: $text"
done
cmp "$T/story/source.img" "$T/story/clone.img" || fail "clone differs"
[ "$(stat -c %b "$T/story/clone.img")" -lt "$((96 * 2048 * 3 / 4))" ] || fail "the clone is not thin"
grep -q '<svg' "$T/story/latency.svg" || fail "no picture"
deserted "$T/story" || fail "the demo left a process behind"

if ! unshare -rn true 2>/dev/null; then
	grep -q 'network: SKIPPED: .*as root: ' "$T/out" || fail "no word of what to enable"
	echo "SKIPPED the network: no user namespaces here"
	exit 0
fi

grep -q 'ping  *alice to bob [0-9.]* ms, bob to alice [0-9.]* ms (means of 6 and 6 answers)' "$T/out" || fail "no ping"
grep -q 'carol has 10\.0\.2\.[0-9]*/.* from 10\.0\.2\.2, router 10\.0\.2\.2, name server 10\.0\.2\.3' "$T/out" || fail "no lease"
cmp "$T/story/scratch.img" "$T/story/copy.img" || fail "another file came over the network"
grep -q "same at both ends: $(sha256sum <"$T/story/scratch.img" | cut -c 1-16)" "$T/out" || fail "no digest, or another"
grep -q '^switch lan  private  2 ports' "$T/out" || fail "no picture of the switch"
for guest in alice bob; do
	grep -A 3 -- "- $guest " "$T/out" | grep -qE '(in|out) [0-9.k]* frames 25[6-9] MiB' || fail "the file is not at $guest's port"
done

echo "interrupted"
"$HVBUS" demo --act net --dir "$T/story" >"$T/out" 2>"$T/demo.log" &
DEMO=$!
PIDS="$PIDS $DEMO"
wait_for 30 grep -q 'name=carol' "$T/out"
sleep 0.5
kill -TERM "$DEMO"
got=0
wait "$DEMO" || got=$?
[ $got = 143 ] || fail "status $got instead of 143"
deserted "$T/story" || fail "the interrupted demo left a process behind"

echo "killed"
rm -rf "$T/story"
"$HVBUS" demo --act net --dir "$T/story" >"$T/out" 2>"$T/demo.log" &
DEMO=$!
PIDS="$PIDS $DEMO"
wait_for 30 grep -q 'PING 10.0.0' "$T/story/bob.txt" # ping has a while to go
kill -KILL "$DEMO"
wait "$DEMO" || true
wait_for 8 deserted "$T/story"

echo "where namespaces are forbidden"
# shellcheck disable=SC2016
unshare -r sh -c 'echo 0 >/proc/sys/user/max_net_namespaces && exec "$@"' sh "$HVBUS" demo --act net --dir "$T/none" \
	>"$T/out" 2>"$T/demo.log" || fail "a demo without network is no failure"
grep -q 'network: SKIPPED: .*sysctl -w user.max_net_namespaces=' "$T/out" || fail "no word of what to enable: $(cat "$T/out")"
