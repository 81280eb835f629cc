#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# docs/hostile-cases.md against the tests: every test named there exists (a trailing * stands for
# any ending), and every id that a test in tests/hostile/ carries has a row. Rows with the word
# "payload" are those whose ids tests/kvm/payload/ carries. One line per offence.
set -u
cd "$(git rev-parse --show-toplevel)" || exit 2

doc=docs/hostile-cases.md
tests=$(mktemp) || exit 2
trap 'rm -f "$tests"' EXIT
git ls-files 'tests/*.c' | xargs sed -nE \
	's/.*START_TEST\(([a-z][a-z0-9_]*).*/\1/p; s/.*[^A-Za-z_]X\(([a-z][0-9]{2}_[a-z0-9_]*).*/\1/p' |
	sort -u >"$tests"

status=0
while read -r name; do
	grep -qE "^${name/\*/.*}\$" "$tests" && continue
	echo "$doc: no test is called $name"
	status=1
done < <(grep -E '^\| [A-Z][0-9]{2} ' "$doc" | tr '`' '\n' | grep -xE '[a-z][a-z0-9]*_[a-z0-9_]*\*?' | sort -u)

# From r40 on they are numbers of golden RNDIS messages.
while read -r id; do
	grep -q "^| $id |" "$doc" && continue
	echo "$doc: no row for $id, which a test carries"
	status=1
done < <(tr '_' '\n' <"$tests" | grep -xE '(r[0-3]|[hvipsncfx][0-9])[0-9]' | tr '[:lower:]' '[:upper:]' | sort -u)

ids=$(git ls-files 'tests/kvm/payload/*.c' | xargs sed -nE 's/.*"(([A-Z][0-9]{2} )+).*/\1/p' | tr ' ' '\n' | sort -u)
for id in $ids; do
	grep -qE "^\| $id \|.*payload \|\$" "$doc" && continue
	echo "$doc: the row of $id does not say that the payload has it"
	status=1
done
while read -r id; do
	grep -qx "$id" <<<"$ids" && continue
	echo "$doc: the payload does not have $id"
	status=1
done < <(sed -nE 's/^\| ([A-Z][0-9]{2}) \|.*payload \|$/\1/p' "$doc")
exit $status
