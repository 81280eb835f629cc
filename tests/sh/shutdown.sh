#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Heartbeats, `hvbus shutdown` and `reboot`: guests of `attach`, exit status, what is refused.
. "$(dirname "$0")/lib.sh"
requires jq nbdinfo nbdkit

ask_to() { # ask_to VERB STATUS TEXT ARGS...
	local verb=$1 want=$2 text=$3 status=0
	shift 3
	timeout 60 "$HVBUS" "$verb" "$@" >"$T/out" 2>&1 || status=$?
	[ $status = "$want" ] || fail "$verb $*: status $status, not $want: $(cat "$T/out")"
	grep -q -- "$text" "$T/out" || fail "$verb $*: no '$text' in: $(cat "$T/out")"
}
ask() { ask_to shutdown "$@"; }

guest() { # guest JQ: is it so of the first partition?
	"$HVBUS" inspect --socket "$S" --json | jq -e ".partitions[0] | $1"
}

ask 2 "--control is missing"
ask 2 "one at a time" --control "$S" --reboot --force
ask 2 "0.1 to 600 seconds" --control "$S" --timeout 700
ask 1 "no root is serving there" --control "$S"
ask_to reboot 0 "begins anew" --help
ask_to reboot 2 "--control is missing"
ask_to reboot 2 "unknown option .--hibernate." --control "$S" --hibernate
ask_to reboot 1 "no root is serving there" --control "$S"
"$HVBUS" serve --socket "$S" --disk engine=memory,size=1M --integration clock >"$T/out" 2>&1 && fail "clock is a service"
grep -q "'clock' is no service; there are heartbeat, shutdown" "$T/out" || fail "$(cat "$T/out")"

serve --disk engine=memory,size=16M --heartbeat-ms 50
ask 1 "there is no guest" --control "$S"
ask_to reboot 1 "there is no guest" --control "$S"
attach 0:0 "$T/nbd"
wait_for 10 guest '.heartbeat.contact == "ok" and .heartbeat.answered > 3'
wait_for 10 guest '.integration | map(.state) == ["ready", "ready"] or map(.state) == ["waiting", "ready"]'
"$HVBUS" inspect --socket "$S" >"$T/page"
grep -q '^  heartbeat ok  last' "$T/page" || fail "the page lacks the heartbeat: $(cat "$T/page")"
ask 1 "guest nbdkit refuses: it cannot do that" --control "$S" --reboot
ask 1 "guest other: there is none" --control "$S" --guest other
ask_to reboot 1 "guest nbdkit is a process" --control "$S"
ask_to reboot 1 "guest nbdkit is a process" --control "$S" --force
ask_to pause 1 "this root has no virtual machine" --control "$S"
ask 0 "guest nbdkit: ended" --control "$S" --guest nbdkit --timeout 20
wait "$ATTACH" || fail "attach ended with $?"
[ ! -e "$T/nbd" ] || fail "the export's socket is still there"

# The server is stopped as if it hung: not gone in time, and then without being asked.
attach 0:0 "$T/nbd"
wait_for 10 guest '.heartbeat.contact == "ok"'
NBDKIT=$(guest .pid)
kill -STOP "$NBDKIT"
wait_for 10 guest '.heartbeat.contact == "lost"'
ask 3 "does not answer; --force ends it" --control "$S" --timeout 0.2
ask 1 "has not answered the request before" --control "$S"
ask 0 "ended" --control "$S" --force
kill -CONT "$NBDKIT"
wait "$ATTACH" || true # it may find the request first, or that it was cut off

attach 0:0 "$T/nbd"
wait_for 10 guest '.heartbeat.contact == "ok"'
NBDKIT=$(guest .pid)
kill -STOP "$NBDKIT"
ask 0 "ended" --control "$S" --force
kill -CONT "$NBDKIT"
wait "$ATTACH" && fail "the server of a partition that was cut off reported success"
stop_root

serve --disk engine=memory,size=16M --integration none
attach 0:0 "$T/nbd"
guest '.heartbeat == null and .integration == []' >/dev/null || fail "services are offered"
ask 1 "was not offered the shutdown service" --control "$S"
stop_root
wait "$ATTACH" || true
