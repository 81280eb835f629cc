#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# hvbus bench net: every path moves frames and loses none, with a root of its own and with one that
# serves already; what is asked for wrongly is said.
. "$(dirname "$0")/lib.sh"
requires jq

bench() { timeout 60 "$HVBUS" bench net --rounds 1 --runtime 0.1 "$@" 2>"$T/bench.log"; }
good='length == 11 and all(.[]; if .op | startswith("rtt")
	then .latency_ns.p50 > 0 and .latency_ns.p99 >= .latency_ns.p50
	else .frames_per_second > 0 and (.bits_per_second - .frames_per_second * .size * 8 | fabs) <= .size * 8 end) and
	([.[] | .lost // 0] | add) == 0 and
	([.[] | .op] | unique) == ["child-child", "child-root", "root-child", "rtt-child", "rtt-root"] and
	([.[] | .size] | unique) == [64, 1514, 62780]'

bench --json >"$T/own" || fail "own root: $(cat "$T/bench.log")"
jq -e "$good" "$T/own" >/dev/null || fail "own root: $(cat "$T/own")"
jq -e 'all(.[]; .cpu_ns_per_frame.child > 0 and .cpu_ns_per_frame.root > 0)' "$T/own" >/dev/null || fail "CPU: $(cat "$T/own")"

serve --switch name=a,type=private,test=on --switch name=b,type=private
bench --json --socket "$S" --switch a --poll never >"$T/at" || fail "a root that serves: $(cat "$T/bench.log")"
jq -e "$good" "$T/at" >/dev/null || fail "a root that serves: $(cat "$T/at")"
"$HVBUS" inspect --socket "$S" --json | jq -e '.switches[0].ports | length == 1 and .[0].name == "test" and
	.[0].in.frames > 0 and .[0].out.frames > 0' >/dev/null || fail "the test port did not take part"

bench --socket "$S" --switch b --path child-root >/dev/null && fail "there is no test port on b"
grep -q 'has that switch a test port' "$T/bench.log" || fail "no test port: $(cat "$T/bench.log")"
bench --socket "$S" --switch b --path child-child --size 1000 >/dev/null || fail "between children: $(cat "$T/bench.log")"
bench --socket "$S" --switch c >/dev/null && fail "there is no switch c"
grep -q 'there is no such switch; there are a b' "$T/bench.log" || fail "no switch: $(cat "$T/bench.log")"
bench --size 63 >/dev/null && fail "a runt"
grep -q 'a number from 64 to 65549' "$T/bench.log" || fail "a runt: $(cat "$T/bench.log")"
stop_root
