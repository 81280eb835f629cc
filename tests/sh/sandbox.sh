#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# hvbus serve in its sandbox: as an ordinary user, seen from outside, in every mode.
. "$(dirname "$0")/lib.sh"
requires jq setpriv

# Another user than that of the tests, and a command that this user can read.
chmod 755 "$T"
install -m 755 "$HVBUS" "$T/hvbus"
truncate -s 32M "$T/a.img"
mkdir "$T/run"
user=()
if [ "$(id -u)" = 0 ]; then
	user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	chown 65534:65534 "$T/a.img" "$T/run"
fi
S=$T/run/s

# start ARGS...: as serve of lib.sh, as that user
start() {
	"${user[@]}" "$T/hvbus" serve --socket "$S" --disk "path=$T/a.img" "$@" 2>"$T/serve.log" &
	ROOT=$!
	PIDS="$PIDS $ROOT"
	wait_for 10 "$HVBUS" inspect --socket "$S"
}

# verified: I/O whose every byte is compared
verified() {
	timeout 60 "$HVBUS" bench disk --socket "$S" --rw randrw --verify --runtime 0.5 >"$T/out" 2>&1 ||
		fail "verified I/O: $(cat "$T/out")"
}

# threads PATTERN: every thread of the root says so
threads() {
	for status in /proc/"$ROOT"/task/*/status; do
		grep -qE "$1" "$status" || fail "no '$1' in $status: $(grep -E 'Cap|NoNew|Secc' "$status")"
	done
}

start --io-threads 2
verified
[ "$(find /proc/"$ROOT"/task -mindepth 1 -maxdepth 1 | wc -l)" -ge 3 ] || fail "there are no io threads"
threads '^NoNewPrivs:.*1$'
threads '^Seccomp:.*2$'
case $B in
*san-thread*) ;; # its runtime has a thread from before
*) for set in Inh Prm Eff Amb; do threads "^Cap$set:.*0000000000000000\$"; done ;;
esac
grep -qE '^Max core file size +0 +0 ' "/proc/$ROOT/limits" || fail "core dumps: $(cat "/proc/$ROOT/limits")"
"$HVBUS" inspect --socket "$S" --json >"$T/j"
jq -e '.root.sandbox | .no_new_privs and .capabilities == "none" and .seccomp == "on" and
	(.landlock == "not in this kernel" or (.landlock | test("^abi [0-9]+$"))) and .max_fds >= 1024' "$T/j" >/dev/null ||
	fail "inspect: $(cat "$T/j")"
stop_root
[ ! -e "$S" ] || fail "the socket's name stayed behind"

# Killed: the name stays, as without a sandbox, and the next root replaces it. Nobody is left.
start
sweeper=$(pgrep -P "$ROOT" hvbus-sweeper) || fail "nobody to remove the socket's name"
kill -9 "$ROOT"
wait "$ROOT" || true
wait_for 10 sh -c "! kill -0 $sweeper"
[ -S "$S" ] || fail "somebody removed the socket's name"
start --loop epoll
verified
stop_root
[ ! -e "$S" ] || fail "the socket's name stayed behind"

start --sandbox log
verified
"$HVBUS" inspect --socket "$S" --json | jq -e '.root.sandbox.seccomp == "log"' >/dev/null || fail "log is not shown"
stop_root

start --sandbox off
grep -q 'warning: no sandbox' "$T/serve.log" || fail "no warning: $(cat "$T/serve.log")"
"$HVBUS" inspect --socket "$S" --json |
	jq -e '.root.sandbox | .seccomp == "off" and .landlock == "off"' >/dev/null || fail "off is not shown"
stop_root
[ ! -e "$S" ] || fail "the socket's name stayed behind"

expect 2 "--sandbox=maybe: allowed are off log on" "$T/hvbus" serve --socket "$S" --disk engine=null --sandbox maybe
