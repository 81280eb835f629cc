# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the shell tests share. The runner sets HVBUS (the command under test), B (its build
# folder) and PLUGIN.
#
# The NBD server runs with the plugin of the release build, and other people's SCSI tools with
# its preload library: a sanitizer cannot be loaded into the distribution's programs. The root
# and everything else is the build under test.
set -eu

: "${HVBUS:?}" "${B:?}"
RELEASE_HVBUS=$(dirname "$B")/release/hvbus
PATH=$PATH:/usr/sbin:/sbin
T=$(mktemp -d "${TMPDIR:-/tmp}/hvbus-test-XXXXXX")
S=$T/s
PIDS=

finish() {
	status=$?
	# shellcheck disable=SC2086
	[ -z "$PIDS" ] || kill $PIDS 2>/dev/null || true
	wait 2>/dev/null || true
	if [ "$status" != 0 ] && [ "$status" != 77 ]; then
		for f in "$T"/*.log; do
			[ -s "$f" ] && echo "--- $(basename "$f")" && tail -n 20 "$f"
		done
	fi
	rm -rf "$T"
	exit $status
}
trap finish EXIT

fail() {
	echo "FAILED: $*"
	exit 1
}

requires() {
	for tool in "$@"; do
		command -v "$tool" >/dev/null || { echo "$tool is not installed"; exit 77; }
	done
}

# wait_for SECONDS COMMAND...: until it succeeds
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || fail "waited too long for: $*"
		sleep 0.05
	done
}

# serve ARGS...: a root on $S in the background; ROOT is its pid
serve() {
	"$HVBUS" serve --socket "$S" "$@" 2>>"$T/serve.log" &
	ROOT=$!
	PIDS="$PIDS $ROOT"
	wait_for 10 "$HVBUS" inspect --socket "$S"
}

stop_root() {
	kill "$ROOT"
	wait "$ROOT" || fail "the root did not end with success"
}

# attach DISK SOCKET: exports it; ATTACH is the pid
attach() {
	"$RELEASE_HVBUS" attach --socket "$S" --disk "$1" --nbd "$2" 2>>"$T/attach.log" &
	ATTACH=$!
	PIDS="$PIDS $ATTACH"
	wait_for 10 test -S "$2"
	# It listens before it has reached the root.
	wait_for 10 nbdinfo --size "nbd+unix:///?socket=$2" >/dev/null
}

# sg DISK COMMAND...: runs it with the disk as the SCSI generic device $SG
SG=/dev/sg-hvbus
sg() {
	local disk=$1
	shift
	"$RELEASE_HVBUS" attach --socket "$S" --disk "$disk" --sg --sg-path "$SG" -- "$@"
}

# expect STATUS TEXT COMMAND...: fails with that status, and one line with the text on stderr
expect() {
	local want=$1 text=$2 got=0
	shift 2
	timeout 20 "$@" >"$T/out" 2>"$T/err" || got=$?
	[ "$got" = "$want" ] || { cat "$T/err"; fail "status $got instead of $want: $*"; }
	grep -qF -- "$text" "$T/err" || { cat "$T/err"; fail "no '$text' in the message of: $*"; }
	[ "$(grep -c '^hvbus' "$T/err")" -ge 1 ] || fail "the message does not name the command: $*"
	! grep -qE 'Sanitizer|Assertion|core dumped' "$T/err" || { cat "$T/err"; fail "crash in: $*"; }
}
