#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `make lint`: what can be said about the sources without compiling them. Looks at tracked
# files only. One line per check, the offences below it; status 1 when one failed.
set -u
cd "$(git rev-parse --show-toplevel)" || exit 2

# tracked PATHSPEC...: those that exist (one may be removed and not committed yet)
tracked() {
	git ls-files "$@" | while read -r f; do [ -f "$f" ] && echo "$f"; done
}

mapfile -t c_files < <(tracked '*.c' '*.h' ':!bench/peers')
mapfile -t text_files < <(tracked ':!fuzz/corpus' ':!LICENSE' ':!*.svg' ':!*.png' ':!*.bin')
mapfile -t word_files < <(printf '%s\n' "${text_files[@]}" | grep -v '^tests/lint/run.sh$')
mapfile -t shell_files < <(grep -lE '^#!.*[/ ](ba)?sh( |$)|^# shellcheck shell=' "${text_files[@]}")
passed=0
failed=0

# check NAME COMMAND...: passes when the command succeeds; shows what it says when not
check() {
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then
		printf 'ok     %s\n' "$name"
		passed=$((passed + 1))
	else
		printf 'FAILED %s\n' "$name"
		printf '%s\n' "$out" | head -n 40 | sed 's/^/       /'
		failed=$((failed + 1))
	fi
}

installed() {
	command -v "$1" >/dev/null && return
	echo "$1 is not installed (apt-get install ${2:-$1})"
	return 1
}

# Prints what grep finds and fails then; also when grep itself fails.
none() {
	grep -nE "$@"
	[ $? = 1 ]
}

formatted() {
	installed clang-format &&
		printf '%s\0' "${c_files[@]}" | xargs -0 -P 2 -n 8 clang-format --dry-run -Werror
}

shell_clean() {
	installed shellcheck && shellcheck -x -P SCRIPTDIR "${shell_files[@]}"
}

manuals_clean() {
	local pages

	mapfile -t pages < <(tracked 'docs/*.[1-9]')
	[ ${#pages[@]} = 0 ] || { installed mandoc && mandoc -Tlint -W warning "${pages[@]}"; }
}

licensed() {
	local f status=0

	for f in "${c_files[@]}"; do
		if [ "$(head -n 1 "$f")" != '/* SPDX-License-Identifier: MIT */' ]; then
			echo "$f: the first line is not the license"
			status=1
		elif [[ $(sed -n 2p "$f") != '/*'* ]]; then
			echo "$f: no opening comment after the license"
			status=1
		fi
	done
	for f in "${shell_files[@]}" Makefile; do
		head -n 3 "$f" | grep -qx '# SPDX-License-Identifier: MIT' && continue
		echo "$f: no license in the first three lines"
		status=1
	done
	return $status
}

# Tests may be longer: tables of cases.
short_enough() {
	local f n limit status=0

	for f in "${c_files[@]}"; do
		n=$(wc -l <"$f")
		limit=1000
		[[ $f != tests/* ]] || limit=1500
		[ "$n" -lt $limit ] && continue
		echo "$f: $n lines; look for the second thing it does"
		status=1
	done
	return $status
}

# Header guards are the path in capitals, so that no two can be the same.
guarded() {
	local f guard status=0

	for f in "${c_files[@]}"; do
		[[ $f == *.h ]] || continue
		guard=$(grep -m 1 -oE '^#ifndef HVBUS_[A-Z0-9_]+$' "$f" | cut -d' ' -f2)
		if [ -z "$guard" ] || ! grep -qx "#define $guard" "$f"; then
			echo "$f: no HVBUS_... include guard"
			status=1
		fi
		echo "$guard" >>"$guards"
	done
	sort "$guards" | uniq -d | sed 's/^/guard used twice: /' | grep . && status=1
	return $status
}

guards=$(mktemp) || exit 2
trap 'rm -f "$guards"' EXIT

check "C is formatted as .clang-format says" formatted
check "includes point down and name their layer" tests/lint/includes.sh
check "hostile cases name tests that exist" tests/lint/hostile.sh
check "license and opening comment" licensed
check "include guards" guarded
check "no endless file" short_enough
check "nothing left for later" none -w 'TODO|FIXME|XXX|HACK' "${word_files[@]}"
check "no blanks at line ends" none '[[:blank:]]+$' "${text_files[@]}"
check "shell scripts" shell_clean
check "manual pages" manuals_clean

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
