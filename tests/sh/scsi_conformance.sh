#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every test of libiscsi's iscsi-test-cu, one process each, with the result that the table in
# docs/scsi-conformance.md has for it. A failure, or any other result than the table's, fails.
. "$(dirname "$0")/lib.sh"
requires iscsi-test-cu
# One client, one command at a time: the thread sanitizer has nothing to find, and 40 s to look.
case $B in *thread*) echo "one command at a time: release and address are enough"; exit 77 ;; esac

table=$(dirname "$0")/../../docs/scsi-conformance.md
# For a path that begins with /dev/sg the tool limits itself to 120 KiB a command.
SG=/dev/hvbus-disk
truncate -s 64M "$T/a.img"
truncate -s 16M "$T/b.img" "$T/c.img"
serve --disk "path=$T/a.img" --disk "path=$T/b.img,readonly" --disk "path=$T/c.img"

# Rows as "TEST EXPECTED REASON..."
rows=$(sed -nE 's/^\| *([A-Za-z0-9]+\.[^ |]+) *\| *([^ |]*) *\| *(.*[^ ])? *\|$/\1 \2 \3/p' "$table")
# Every line of the table that names a test must be a row that was understood.
[ "$(grep -cE '^\|[^|]*[A-Za-z0-9]\.[A-Za-z0-9]' "$table")" = "$(wc -l <<<"$rows")" ] || fail "a row of $table is malformed"
diff <(cut -d' ' -f1 <<<"$rows" | sort) \
	<(iscsi-test-cu --list | sed -nE 's/^ALL\.([^.]+\.[^.]+)$/\1/p' | sort) >"$T/diff.log" ||
	fail "the table (<) and iscsi-test-cu --list (>) name different tests"

# run TEST: its output
run() {
	case $1 in
	ReadOnly.*) set -- "$1" 0:1 "$SG" ;;
	# Expects zeroes in a block that it has not written.
	MultipathIO.CompareAndWrite) set -- "$1" 0:2 "$SG" "$SG" ;;
	MultipathIO.*) set -- "$1" 0:0 "$SG" "$SG" ;; # two descriptors are its two paths
	*) set -- "$1" 0:0 "$SG" ;;
	esac
	sg "$2" timeout 60 iscsi-test-cu --dataloss --allow-sanitize --Verbose-scsi --test "ALL.$1" "${@:3}" 2>&1 |
		sed -n '/^Suite: /,$p' # before it: what the tool finds out about the disk
}

# The verdict on the output on standard input: pass, skip, fail, or nothing (it died, or there is
# no such test). A test may pass without having counted an assertion: some count failures only.
verdict() {
	awk '/^ +tests / { tests = $3 } /^ +asserts / { bad += $5 } /^FAILED/ { bad++ } /\[SKIPPED\]/ { skipped = 1 }
		END { print tests != 1 ? "nothing" : bad ? "fail" : skipped ? "skip" : "pass" }'
}

passed=0
failed=0
wrong() {
	echo "$*"
	failed=$((failed + 1))
}

while read -r test want reason; do
	case $want in
	pass | skip) ;;
	n/a) ;; # cannot end well, and the reason says why: not run
	*) wrong "$test: '$want' is no result (pass, skip, n/a)" ;;
	esac
	[ "$want" = pass ] || [ -n "$reason" ] || wrong "$test: no reason"
	[ "$want" != n/a ] || continue
	got=$(run "$test" | tee "$T/out" | verdict)
	if [[ " $want " = *" $got "* ]]; then
		passed=$((passed + 1))
	else
		wrong "$test: $got instead of $want"
		grep -E 'SKIPPED|FAILED|CU_' "$T/out" | head -n 4 || true
	fi
done <<<"$rows"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
