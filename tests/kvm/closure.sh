#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Copies programs of this machine, with every library they load, to the same places below a
# folder. usage: closure.sh FOLDER PROGRAM|PROGRAM=NAME...
set -eu

to=$1
shift
PATH=$PATH:/usr/sbin:/sbin

# put FILE PLACE: the content, whatever links led to it; in place of a link of busybox too
put() {
	mkdir -p "$to${2%/*}"
	cp -L --remove-destination "$1" "$to$2"
}

for program in "$@"; do
	file=$(command -v "${program%=*}") || {
		echo "closure.sh: ${program%=*} is not installed (scripts/setup.sh kvm)" >&2
		exit 1
	}
	put "$file" "/usr/bin/$(basename "${program#*=}")"
	# Static programs have none.
	{ ldd "$file" 2>/dev/null || true; } | grep -oE '/[^ ]+' | sort -u | while read -r library; do
		[ -e "$to$library" ] || put "$library" "$library"
	done
done
