#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Include directions: every #include names its layer and points sideways or down, never up.
# One line per offence; status 1 when there are any. Run from anywhere inside the checkout.
set -u
cd "$(git rev-parse --show-toplevel)" || exit 2

# The first row whose pattern fits the file decides. What a layer may include, beyond the C
# library; "*" stands for anything, also below.
rules() {
	cat <<-'TABLE'
		base/*          base/*
		ringbuf/*       ringbuf/* base/compiler.h base/atomic.h base/wire.h
		hv-core/*       hv-core/* ringbuf/* base/*
		vmbus/wire/*    vmbus/wire/* base/*
		vmbus/*         vmbus/* ringbuf/* base/* hv-core/partition.h hv-core/gpa.h hv-core/synic.h hv-core/port.h hv-core/child.h hv-core/hv_defs.h
		vsp/storvsp/*   vsp/storvsp/* base/* hv-core/gpa.h vmbus/chan.h vmbus/device.h vmbus/client.h vmbus/gpadl.h vmbus/wire/*
		vsp/netvsp/*    vsp/netvsp/* base/* hv-core/gpa.h vmbus/chan.h vmbus/device.h vmbus/wire/*
		vsp/ic/*        vsp/ic/* base/* vmbus/chan.h vmbus/device.h vmbus/wire/*
		vsc/*           vsc/* base/* hv-core/gpa.h hv-core/child.h vmbus/chan.h vmbus/device.h vmbus/client.h vmbus/gpadl.h vmbus/wire/*
		vmwp/*          vmwp/* vsp/* vsc/* vmbus/* hv-core/* ringbuf/* base/*
		cli/*           cli/* vmwp/* vsp/* vsc/* vmbus/* hv-core/* ringbuf/* base/*
		tests/*         *
		fuzz/*          *
		bench/*         *
	TABLE
}

# The right-hand side of the row for file $1.
allowed_for() {
	local pattern rest

	while read -r pattern rest; do
		# shellcheck disable=SC2053
		[[ $1 == $pattern ]] && echo "$rest" && return
	done < <(rules)
}

is_allowed() { # is_allowed INCLUDED PATTERN...
	local what=$1 pattern
	shift
	for pattern in "$@"; do
		# shellcheck disable=SC2053
		[[ $what == $pattern ]] && return
	done
	return 1
}

# What is wrong with file $1 including $2, or nothing; $3... is its row.
offence() {
	local file=$1 what=$2
	shift 2
	case $what in
	../* | */../*)
		echo "leaves its folder; name the layer instead"
		return
		;;
	esac
	if [ ! -f "$what" ]; then
		echo "does not name its layer (no such file from the root)"
	elif ! is_allowed "$what" "$@"; then
		echo "points up or sideways"
	elif [[ $what == *_priv.h || $what == *_int.h ]] && [[ $file != tests/* && $file != fuzz/* ]] &&
		[ "${what%%/*}" != "${file%%/*}" ]; then
		echo "is private to ${what%%/*}/"
	fi
}

status=0
set -f
while read -r file; do
	[ -f "$file" ] || continue # removed, not committed yet
	read -r -a allowed < <(allowed_for "$file")
	if [ ${#allowed[@]} = 0 ]; then
		echo "$file: belongs to no layer of tests/lint/includes.sh"
		status=1
		continue
	fi
	while IFS=: read -r line what; do
		why=$(offence "$file" "$what" "${allowed[@]}")
		if [ -n "$why" ]; then
			echo "$file:$line: \"$what\" $why"
			status=1
		fi
	done < <(sed -nE '/^[[:space:]]*#[[:space:]]*include[[:space:]]*"/{=;s/^[^"]*"([^"]*)".*/\1/p}' "$file" | paste -d: - -)
	if [[ $file != hv-core/kvm/* && $file != tests/* ]] && grep -q '<linux/kvm.h>' "$file"; then
		echo "$file: only hv-core/kvm/ knows <linux/kvm.h>"
		status=1
	fi
done < <(git ls-files '*.c' '*.h' ':!bench/peers')
exit $status
