#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The demo tells its story to the end and leaves what it promises.
. "$(dirname "$0")/lib.sh"
requires mke2fs e2fsck debugfs

timeout 110 "$HVBUS" demo --dir "$T/story" --seconds 2 >"$T/out" 2>"$T/demo.log" || fail "demo: $(cat "$T/out")"
for text in "the clone's file system is clean" "identical" "all of them identical" "raw io_uring" "every byte as written"; do
	grep -q "$text" "$T/out" || fail "the demo does not say: $text"
done
cmp "$T/story/source.img" "$T/story/clone.img" || fail "clone differs"
[ "$(stat -c %b "$T/story/clone.img")" -lt "$((96 * 2048 * 3 / 4))" ] || fail "the clone is not thin"
grep -q '<svg' "$T/story/latency.svg" || fail "no picture"
pgrep -f "$T/story" >/dev/null && fail "the demo left a process behind"
exit 0
