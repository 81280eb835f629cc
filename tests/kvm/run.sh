#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Stock Linux guests on hvbus. Where /dev/kvm has no Hyper-V capabilities the cases run in level 1,
# a stock kernel under pure emulation, whose KVM has them. Needs no root. The last line is
# "N passed, M failed"; what failed leaves its consoles in a folder that is named.
#
# usage: run.sh [--long] [CASE[@FLAVOUR/CPUS]...]    cases/*.sh; --long: also their long variants
#        run.sh --list [--long] [CASE...]            what would run
#        run.sh --builds [--long] [CASE...]          which builds of hvbus that needs, such as release
#        run.sh --shell                              a shell in level 1; its files are in /harness
#
#   KVM_MODE=nested|direct   where; default: direct if /dev/kvm is good enough
#   KVM_LANES=N              how many level 1 side by side, each on a processor of its own; default 2
#   KVM_PER_BOOT=N           cases in one level 1, default 10
#   KVM_SCALE=N              all time limits N times as long
#   KVM_SLOWER=N             the clock of level 1 is N times as slow as ours, default 2
#   KVM_KEEP=1               keep the files of a good run too
#   KVM_SEED=N               what is random in cases begins with this number, not with another each time
#   KVM_CACHE=FOLDER         see images.sh
set -u
cd "$(dirname "$0")/../.." || exit 2

here=$PWD/tests/kvm
cache=${KVM_CACHE:-$PWD/build/kvm-cache}
per_boot=${KVM_PER_BOOT:-10}
scale=${KVM_SCALE:-1}
slower=${KVM_SLOWER:-2}
seed=${KVM_SEED:-$RANDOM}
lanes=${KVM_LANES:-2}
silence=$((60 * scale * slower)) # seconds without a sign of level 1, which gives one every two of its own
boot_limit=$((240 * scale))
passed=0
failed=0
retried=0
job= # what runs the cases: the emulator, or a shell
started=$SECONDS

die() {
	echo "run.sh: $*" >&2
	exit 2
}

# ---- which cases --------------------------------------------------------------------------------

# key CASE KEY: what the comment "# KEY: ..." in the case says:
#   check, long   the variants FLAVOUR/CPUS of the quick run, and of the long one besides
#   limit         seconds of its own clock
#   takes         seconds where nothing disturbs, by which the lanes share; VARIANT=SECONDS where it differs
#   build         of hvbus, when it is not release
key() { sed -nE "s/^# $2: *(.*)/\1/p" "$here/cases/$1.sh" | head -n 1; }

# takes ID: the seconds of its key
takes() {
	local seconds
	seconds=$(key "${1%@*}" takes)
	seconds=${seconds#*"${1#*@}="}
	echo "${seconds%% *}"
}

# variants CASE: its ids
variants() {
	local v
	for v in $(key "$1" check) $([ -z "$long" ] || key "$1" long); do echo "$1@$v"; done
}

list_cases() {
	local c
	if [ $# = 0 ]; then
		set -- "$here"/cases/*.sh
		set -- "${@##*/}"
		set -- "${@%.sh}"
	fi
	for c in "$@"; do
		[ -f "$here/cases/${c%@*}.sh" ] || die "no case is called '${c%@*}' (run.sh --list --long)"
		case $c in
		*@*/*) echo "$c" ;;
		*) variants "$c" ;;
		esac
	done
}

long=
shell=
list=
while [ $# -gt 0 ]; do
	case $1 in
	--long) long=1 ;;
	--shell) shell=1 ;;
	--list | --builds) list=$1 ;;
	-*) die "unknown option '$1'; usage: run.sh [--long] [--list|--builds|--shell] [CASE[@FLAVOUR/CPUS]...]" ;;
	*) break ;;
	esac
	shift
done
todo=()
[ -n "$shell" ] || { ids=$(list_cases "$@") && mapfile -t todo <<<"$ids"; } || exit 2

build_of() {
	local b
	b=$(key "${1%@*}" build)
	echo "${b:-release}"
}
# allowed_processors: their numbers, a line each
allowed_processors() {
	local range
	for range in $(taskset -cp $$ | sed 's/.*: //' | tr , ' '); do seq "${range%-*}" "${range#*-}"; done
}

builds() { for id in "${todo[@]}"; do build_of "$id"; done | sort -u; }

case $list in
--list) printf '%s\n' "${todo[@]}" && exit 0 ;;
--builds) builds && exit 0 ;;
esac

# ---- the machine ----------------------------------------------------------------------------------

"$here/images.sh" || exit 2
mode=${KVM_MODE:-}
if [ -z "$mode" ]; then
	mode=nested
	! "$cache/probe" caps >/dev/null 2>&1 || mode=direct
fi
case $mode in
nested | direct) ;;
*) die "KVM_MODE is '$mode', not nested or direct" ;;
esac
[[ $seed =~ ^[0-9]{1,9}$ ]] || die "KVM_SEED is '$seed', not a number of at most nine digits"
seed=$((10#$seed))
[[ $slower =~ ^[1-9]$ ]] || die "KVM_SLOWER is '$slower', not a number from 1 to 9"
[ "$mode" = nested ] || slower=1
[[ $lanes =~ ^[1-9][0-9]?$ ]] || die "KVM_LANES is '$lanes', not a number from 1 to 99"

mkdir -p build/kvm
run=$(mktemp -d "build/kvm/$(date +%m%d-%H%M%S)-XXXX") || exit 2
run=$PWD/$run

stop_job() {
	[ -n "$job" ] || return 0
	kill -TERM -- -"$job" 2>/dev/null
	wait "$job" 2>/dev/null
	kill -KILL -- -"$job" 2>/dev/null
	job=
}
clean() {
	local lane
	for lane in "${lane_jobs[@]}"; do kill "$lane" 2>/dev/null && wait "$lane"; done
	rm -rf "$run/stage" "$run"/*.img "$run"/*/disks
	[ $failed = 0 ] && [ $retried = 0 ] && [ -z "${KVM_KEEP:-}" ] && [ -n "${complete:-}" ] && rm -rf "$run"
	rmdir build/kvm 2>/dev/null
}
complete=
lane_jobs=()
trap clean EXIT
trap 'exit 130' INT TERM HUP

# harness FOLDER: what both ways need: the cases, hvbus, kernels and images
harness() {
	local to=$1 flavour build
	mkdir -p "$to/kernels" "$to/build"
	cp -r "$here/host" "$here/cases" "$to/"
	echo "$seed" >"$to/seed"
	echo "$scale" >"$to/scale"
	mkdir -p "$to/tools"
	ln -f "$cache/probe" "$cache/exit" "$to/tools/" 2>/dev/null || cp "$cache/probe" "$cache/exit" "$to/tools/"
	"$here/payload/build.sh" "$to/tools/payload" || die "cannot build the payload"
	mkdir -p "$run/overlay/harness"
	cp -r "$here/l2" "$here/cases" "$run/overlay/harness/"
	mkdir -p "$run/overlay/harness/tools"
	cp "$cache/kexec" "$run/overlay/harness/tools/"
	(cd "$run/overlay" && find . | cpio --quiet -o -H newc -R 0:0) >"$run/overlay.img"
	for flavour in cloud standard; do
		mkdir -p "$to/kernels/$flavour"
		ln -s "$(readlink -f "$cache/kernel-$flavour/vmlinux")" "$to/kernels/$flavour/vmlinux"
		ln -s "$(readlink -f "$cache/kernel-$flavour/vmlinuz")" "$to/kernels/$flavour/vmlinuz"
		ln -s "$cache/root-$flavour.ext4" "$to/kernels/$flavour/root.ext4"
		# Level 2 would spend more on inflating it than it takes to read.
		{ gzip -dc "$cache/l2-$flavour.cpio.gz" && cat "$run/overlay.img"; } >"$to/kernels/$flavour/initrd"
	done
	rm -rf "$run/overlay"
	for build in $(builds); do
		[ -x "build/$build/hvbus" ] || die "build/$build/hvbus is missing (make, or make SAN=address,undefined)"
		mkdir -p "$to/build/$build"
		cp "build/$build/hvbus" "$to/build/$build/"
	done
}

# Level 1's disk: the cached part, what is under test with its libraries, no links to outside.
make_disk() {
	local b f
	mkdir -p "$run/stage"
	cp -al "$cache/l1-root/." "$run/stage/" 2>/dev/null || cp -a "$cache/l1-root/." "$run/stage/"
	cp -rL --sparse=always --reflink=auto "$run/harness/." "$run/stage/harness/"
	cp -r "$here/l1" "$run/stage/harness/"
	mkdir -p "$run/stage/out" "$run/stage/disks"
	for b in "$run"/stage/harness/build/*/hvbus; do
		[ ! -e "$b" ] || ldd "$b" | grep -oE '/[^ ]+'
	done | sort -u | while read -r f; do
		[ -e "$run/stage$f" ] || { mkdir -p "$run/stage${f%/*}" && cp -L "$f" "$run/stage$f"; }
	done
	mke2fs -qq -t ext4 -E root_owner=0:0 -d "$run/stage" "$run/base.img" 4G >/dev/null || die "cannot make level 1's disk"
	rm -rf "$run/stage"
}

# emulator DISK ARGS...
emulator() {
	local disk=$1
	shift
	# -cx16: this emulator's cmpxchg16b spoils flags, and with them a kernel.
	# no_timer_check: on a busy machine the check of the timer fails, and with it the boot.
	# tsc=reliable: with the TSC in level 1, level 2 reads the time without an exit.
	# tsc_early_khz, and no other clock that would contradict: level 1 takes our second for a part of
	# one. Each interrupt costs level 2 its whole translation cache, and at the pace of a real clock
	# that, for ticks alone, was half of the time.
	# taskset: its processors on two of ours lost one level 1 in three. On one of ours one is lost now
	# and then, on a busy machine: one of its processors stays in KVM for ever. The other goes on and
	# would fail case after case. softlockup_panic: so that level 1 ends instead.
	exec taskset -c "$processor" qemu-system-x86_64 -machine q35 -accel tcg,thread=multi -cpu max,+svm,-cx16 -smp 2 -m 2048 \
		-nodefaults -display none -no-reboot -device isa-debug-exit,iobase=0xf4,iosize=1 \
		-drive "file=$disk,format=raw,if=virtio,cache=unsafe,discard=unmap" \
		-kernel "$cache/kernel-cloud/vmlinux" -initrd "$cache/l1.cpio.gz" \
		-append "console=ttyS0 quiet panic=-1 softlockup_panic=1 mitigations=off no_timer_check \
			tsc=reliable clocksource=tsc tsc_early_khz=$khz pmtmr=0 hpet=disable" "$@"
}

# The loop of level 1, here.
direct() {
	export KVM_HARNESS=$run/harness KVM_OUT=$dir KVM_DISKS=$dir/disks KVM_BUSYBOX=$cache/busybox
	export KVM_REPORT=$dir/report KVM_CONSOLES=$dir/guests.log
	local id limit build
	echo "started 0" >>"$KVM_REPORT"
	while sleep 2; do echo tick >>"$KVM_REPORT"; done &
	while read -r id limit build; do
		"$KVM_BUSYBOX" sh "$run/harness/host/case.sh" "$id" "$limit" "$build" </dev/null
	done <"$dir/list"
	echo finished >>"$KVM_REPORT"
	kill $!
}

# begin_boot IDS...: the report grows in $dir
begin_boot() {
	local id
	boots=$((boots + 1))
	dir=$run/boot-$lane.$boots
	mkdir -p "$dir/disks"
	: >"$dir/report"
	for id in "$@"; do
		echo "$id $(($(key "${id%@*}" limit) * scale)) $(build_of "$id")"
	done >"$dir/list"
	if [ "$mode" = direct ]; then
		export -f direct
		export run dir cache
		setsid bash -c direct </dev/null >"$dir/console" 2>&1 &
	else
		cp --sparse=always --reflink=auto "$run/base.img" "$run/disk-$lane.img"
		debugfs -w -R "write $dir/list harness/list" "$run/disk-$lane.img" >/dev/null 2>&1
		export -f emulator
		export cache processor khz
		setsid bash -c 'emulator "$@"' - "$run/disk-$lane.img" -serial "file:$dir/console" \
			-serial "file:$dir/report" -serial "file:$dir/guests.log" </dev/null >"$dir/emulator.log" 2>&1 &
	fi
	job=$!
}

# What the cases left, out of level 1's disk.
end_boot() {
	stop_job
	[ "$mode" = nested ] || return 0
	e2fsck -fy "$run/disk-$lane.img" >"$dir/e2fsck.log" 2>&1
	debugfs -R "rdump /out $dir" "$run/disk-$lane.img" >/dev/null 2>&1
	if [ -d "$dir/out" ]; then mv "$dir"/out/* "$dir/" 2>/dev/null; rmdir "$dir/out"; fi
	rm -f "$run/disk-$lane.img"
}

# ---- what they say ----------------------------------------------------------------------------------

declare -A tried=() # id: how often a level 1 died under it
begun=0

# line TEXT: of the report
line() {
	local word id
	alive=$SECONDS
	read -r word id _ <<<"$1"
	case $word in
	started) [ "$mode" = direct ] || echo "  level 1 is up after $((SECONDS - boot_start)) s" ;;
	begin)
		current=$id begun=$SECONDS good=0 wrong=0 words=()
		[ ! -t 1 ] || [ "$lanes" != 1 ] || printf '  ...     %s\r' "$id"
		;;
	ok) good=$((good + 1)) ;;
	FAILED)
		wrong=$((wrong + 1))
		words+=("$1")
		;;
	log) words+=("| ${1#log *: }") ;;
	end)
		settle "$id" $((SECONDS - begun))
		current=
		;;
	finished) finished=1 ;;
	esac
}

# A processor of level 2 that has a triple fault nobody asked for: rare, seen with one processor and
# with two, before the first driver and under load. Whether the emulator makes it, or hvbus,
# is not known. Such a case runs again in a fresh level 1, once, and that is said.
had_triple_fault() { [ "$mode" = nested ] && grep -q 'had a triple fault' <<<"${words[*]}"; }

# settle ID SECONDS: a case is over
settle() {
	local result=ok
	if [ -z "${tried[$1]:-}" ] && had_triple_fault; then
		tried[$1]=1
		retried=$((retried + 1))
		printf '  RETRY   %s: a processor had a triple fault; consoles: %s\n' "$1" "${dir#"$PWD"/}"
		left=("${left[@]:1}" "$1")
		return
	fi
	# A case without a result proves nothing.
	[ $((good + wrong)) != 0 ] || { wrong=1 && words+=("FAILED $1: checked nothing"); }
	[ "$wrong" = 0 ] || result=FAILED
	printf '  %-8s%-40s%4d checks%6d s\n' $result "$1" $((good + wrong)) "$2"
	[ "$wrong" = 0 ] || printf '    %s\n' "${words[@]}"
	passed=$((passed + good))
	failed=$((failed + wrong))
	left=("${left[@]:1}")
}

# last_words: of a kernel that is no more
last_words() {
	local panic
	panic=$(sed -n 's/.*Kernel panic - not syncing: //p' "$dir/console" | tr -d '\r' | head -n 1)
	echo "${panic:+, a panic of its kernel: $panic}"
}

# Until the cases are done or their machine is lost; why in $lost.
watch() {
	local seen=0 count text limit still last=$SECONDS
	alive=$SECONDS boot_start=$SECONDS current='' finished='' lost=''
	while [ -z "$lost" ]; do
		kill -0 "$job" 2>/dev/null || { wait "$job"; lost="it ended with status $?$(last_words)"; }
		# Where this stood still, by a stop or a sleeping machine, so did level 1.
		still=$((SECONDS - last))
		last=$SECONDS
		[ $still -le 10 ] || { alive=$((alive + still)) && begun=$((begun + still)); }
		count=$(wc -l <"$dir/report")
		if [ "$count" -gt "$seen" ]; then
			while IFS= read -r text; do line "${text%$'\r'}"; done < <(sed -n "$((seen + 1)),${count}p" "$dir/report")
			seen=$count
		fi
		[ -z "$finished" ] || break
		limit=$silence
		[ "$seen" != 0 ] || limit=$boot_limit
		[ $((SECONDS - alive)) -le "$limit" ] || lost="no sign of it for $limit s"
		if [ -n "$current" ] && [ $((SECONDS - begun)) -gt $((($(key "${current%@*}" limit) * scale + 60) * slower)) ]; then
			lost="$current did not end in its time limit"
		fi
		[ -n "$lost" ] || sleep 0.5
	done
	[ -n "$finished" ] || return 1
	lost=
	farewell
}

# The machine ends by itself, with a status that says that it did: its disk is complete then.
farewell() {
	local status=0
	for _ in $(seq $((20 * scale * slower))); do
		kill -0 "$job" 2>/dev/null || break
		sleep 0.5
	done
	if kill -0 "$job" 2>/dev/null; then
		echo "  note    level 1 did not end by itself"
		return 0
	fi
	wait "$job" || status=$?
	job=
	[ "$mode" = direct ] || [ "$status" = $((2 * 16 + 1)) ] || echo "  note    level 1 ended with status $status"
}

# Level 1 was lost: the case that ran gets one more, with the rest. That it never came up is
# not the case's fault, but does not go on for ever either.
after_loss() {
	local id=${current:-level 1} most=2
	[ -n "$current" ] || most=3
	tried[$id]=$((${tried[$id]:-0} + 1))
	if [ "${tried[$id]}" -lt $most ]; then
		retried=$((retried + 1))
		echo "  RETRY   $id: level 1 was lost ($lost); consoles: ${dir#"$PWD"/}"
		return
	fi
	good=0 wrong=1 words=("FAILED ${left[0]}: level 1 was lost again ($lost)")
	settle "${left[0]}" $((SECONDS - boot_start))
}

# ---- lanes: level 1 by level 1 on a processor of its own ------------------------------------------

mapfile -t processors < <(allowed_processors)
[ "$lanes" -le ${#processors[@]} ] || lanes=${#processors[@]}
[ "$lanes" -le ${#todo[@]} ] || lanes=${#todo[@]}
[ "$lanes" -gt 0 ] || lanes=1
[ "$mode" = nested ] || lanes=1 # machines of their own, with as many processors as they ask for

# cases_of LANE: the longest go first, each to who has least to do
cases_of() {
	local id
	for id in "${todo[@]}"; do echo "$(takes "$id") $id"; done | sort -rn | awk -v lanes="$lanes" -v mine="$1" '
		{ least = 1
		  for (l = 2; l <= lanes; l++) if (sum[l] < sum[least]) least = l
		  sum[least] += $1
		  if (least == mine) print $2 }'
}

# lane NUMBER: its cases; its counts are in a file when it is done
lane() {
	lane=$1 processor=${processors[$1 - 1]}
	trap 'stop_job; exit 130' INT TERM HUP
	trap stop_job EXIT
	mapfile -t left < <(cases_of "$lane")
	while [ ${#left[@]} -gt 0 ]; do
		begin_boot "${left[@]:0:per_boot}"
		watch || after_loss
		end_boot
	done
	echo "$passed $failed $retried" >"$run/counts-$lane"
}

# ---- all of it --------------------------------------------------------------------------------------

boots=0
harness "$run/harness"
[ "$mode" = direct ] || { make_disk && khz=$("$cache/tsc" "$slower"); } || exit 2
if [ -n "$shell" ]; then
	[ "$mode" = nested ] || die "--shell is for level 1; this machine has a shell (KVM_MODE=nested)"
	processor=${processors[0]}
	emulator "$run/base.img" -chardev stdio,id=c,mux=on,signal=off -serial chardev:c -serial null -serial null
fi

echo "${#todo[@]} cases, $mode$([ "$mode" = direct ] || echo " (level 1: emulation; $lanes side by side)"), KVM_SEED=$seed"
for n in $(seq "$lanes"); do
	lane "$n" &
	lane_jobs+=($!)
done
for n in $(seq "$lanes"); do
	wait "${lane_jobs[n - 1]}"
	read -r good wrong again <"$run/counts-$n" || die "lane $n ended without its counts"
	passed=$((passed + good)) failed=$((failed + wrong)) retried=$((retried + again))
done
lane_jobs=()

complete=1
echo
[ $retried = 0 ] || echo "$retried times a case ran again because level 1, or a processor in it, was lost"
[ $failed = 0 ] || echo "consoles and logs: ${run#"$PWD"/}"
echo "$((SECONDS - started)) seconds"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
