#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What inspect and the JSON outputs promise.
. "$(dirname "$0")/lib.sh"
requires jq

truncate -s 32M "$T/a.img"
serve --stuck-ms 2500 --disk "path=$T/a.img" --disk engine=memory,size=16M,controller=1,lun=5
timeout 60 "$HVBUS" bench disk --socket "$S" --rw randrw --verify --runtime 1 --json >"$T/bench" || fail "$(cat "$T/bench")"
jq -e '.op == "randrw" and .bs == 4096 and .iodepth == 32 and .numjobs == 1 and .errors == 0 and .verified and
	.iops > 0 and .bytes_per_second > 0 and .latency_ns.p50 > 0 and .latency_ns.p99 >= .latency_ns.p50 and
	.latency_ns.p999 >= .latency_ns.p99 and .latency_ns.max >= .latency_ns.p999 and
	.cpu_ns_per_io.child > 0 and .cpu_ns_per_io.root > 0 and (.signals_per_1000_io | type) == "number"' "$T/bench" >/dev/null ||
	fail "bench --json: $(cat "$T/bench")"
timeout 60 "$HVBUS" bench disk --socket "$S" --disk 1:5 --rw write --runtime 0.3 >"$T/out" || fail "$(cat "$T/out")"

"$HVBUS" inspect --socket "$S" --json >"$T/j"
jq -e '.disks | length == 2 and .[0].reads > 0 and .[0].errors == 0 and .[1].engine == "memory" and .[1].lun == 5' "$T/j" >/dev/null ||
	fail "disks: $(cat "$T/j")"
jq -e '.partitions == [] and .root.partitions_served == 2' "$T/j" >/dev/null || fail "partitions: $(cat "$T/j")"

timeout 60 "$HVBUS" bench disk --socket "$S" --runtime 3 >"$T/out" &
BENCH=$!
wait_for 10 sh -c "'$HVBUS' inspect --socket '$S' --json | jq -e '.partitions[0].channels[0].packets_in > 0'"
"$HVBUS" inspect --socket "$S" --json >"$T/j"
jq -e '.partitions[0] | .kind == "process" and .bus.version == "5.3" and .bus.state == "connected" and
	.controllers[0].version == "6.2" and .controllers[0].state == "ready" and .channels[0].state == "open" and
	.channels[0].fault == null and .bus.dropped == 0' "$T/j" >/dev/null || fail "running: $(cat "$T/j")"
"$HVBUS" inspect --socket "$S" | grep -q 'vmbus 5.3 connected' || fail "the page for people lacks the bus"
"$HVBUS" inspect --socket "$S" >"$T/page"
grep -qE 'sandbox  no_new_privs  capabilities none  seccomp on  landlock ' "$T/page" || fail "the page lacks the sandbox: $(head -4 "$T/page")"
grep -q 'requests are stuck after 2500 ms' "$T/page" || fail "the page lacks the age of stuck requests"
jq -e '.root.stuck_ms == 2500' "$T/j" >/dev/null || fail "stuck_ms: $(cat "$T/j")"
wait $BENCH || fail "bench: $(cat "$T/out")"

timeout 60 "$HVBUS" bench disk --runtime 1 --rounds 2 --compare --size 32M --plot "$T/p.svg" --direct 0 --json --filename "$T/a.img" >"$T/c" 2>&1 &&
	fail "an image in use was opened again"
stop_root
timeout 60 "$HVBUS" bench disk --runtime 1 --rounds 2 --compare --size 32M --plot "$T/p.svg" --direct 0 --json --filename "$T/a.img" >"$T/c" ||
	fail "compare: $(cat "$T/c")"
jq -e '.compare.iops_ratio > 0 and .compare.p50_ratio > 0 and .compare.cpu_ratio > 0 and .raw.iops > 0' "$T/c" >/dev/null ||
	fail "compare --json: $(cat "$T/c")"
grep -q '<svg.*' "$T/p.svg" || fail "no picture"
grep -q 'raw io_uring' "$T/p.svg" || fail "no second curve"
