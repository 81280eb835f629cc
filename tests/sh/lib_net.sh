# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the tests with guests of switches share. It starts the script again as somebody without any
# privilege (as_user), or with those that a user has in a namespace of his own (as_owner): nothing
# here may need more than that.
#
# A guest is `hvbus attach --nic` without a command; what runs in it gets there by nsenter.

as_user() {
	if [ "$(id -u)" = 0 ]; then
		unshare -U --map-user=1000 --map-group=1000 unshare -Un true 2>/dev/null ||
			{ echo "no user namespaces here (sysctl user.max_user_namespaces)"; exit 77; }
		exec unshare -U --map-user=1000 --map-group=1000 bash "$0"
	fi
	unshare -Un true 2>/dev/null || { echo "no user namespaces here (sysctl user.max_user_namespaces)"; exit 77; }
}

# Not as user 0 there: tcpdump would become another user, and there is none.
as_owner() {
	local enter=(unshare -Un --map-user=1000 --map-group=1000 --keep-caps)
	[ -z "${HVBUS_OWNER:-}" ] || return 0
	"${enter[@]}" unshare -Un true 2>/dev/null ||
		{ echo "no user namespaces here (sysctl user.max_user_namespaces)"; exit 77; }
	HVBUS_OWNER=1 exec "${enter[@]}" bash "$0"
}

# The load of a test, so that a sanitizer's takes no longer: by_build RELEASE SANITIZER
by_build() { case $B in */release) echo "$1" ;; *) echo "$2" ;; esac; }

declare -A ATTACHED=() NS=() # of guests: the process that attaches, the one in the namespace

# Nobody enters a user namespace who has threads, and ThreadSanitizer always has one.
OWN=()
case $B in */san-thread) OWN=(unshare -r) ;; esac

# guest NAME KEYS [ARGS...]: starts one whose port has the name. begin_guest does not wait.
begin_guest() {
	local name=$1 keys=$2
	shift 2
	"${OWN[@]}" "$HVBUS" attach --socket "$S" --netns new --nic "$keys,name=$name" "$@" </dev/null >"$T/$name.log" 2>&1 &
	ATTACHED[$name]=$!
	PIDS="$PIDS $!"
}
said_or_ended() { grep -q 'in the namespace of process' "$T/$1.log" || ! kill -0 "${ATTACHED[$1]}"; }
await_guest() {
	local name
	for name in "$@"; do
		wait_for 20 said_or_ended "$name"
		grep -q 'in the namespace of process' "$T/$name.log" || fail "guest $name did not start"
		NS[$name]=$(sed -n 's/.*in the namespace of process //p' "$T/$name.log" | head -n 1)
	done
}
guest() {
	begin_guest "$@"
	await_guest "$1"
}

# end_guest NAME...
end_guest() {
	local name
	for name in "$@"; do kill "${ATTACHED[$name]}"; done
	for name in "$@"; do wait "${ATTACHED[$name]}" || fail "guest $name did not end with success"; done
}

# in_guest NAME COMMAND...
in_guest() {
	local name=$1
	shift
	nsenter -t "${NS[$name]}" -U -n --preserve-credentials -- "$@"
}

# beside NAME COMMAND...: in the background; BESIDE is the pid
beside() {
	local name=$1
	shift
	nsenter -t "${NS[$name]}" -U -n --preserve-credentials -- "$@" >>"$T/beside.log" 2>&1 &
	BESIDE=$!
	PIDS="$PIDS $BESIDE"
}

# Does somebody listen there? listens NAME PORT
listens() { in_guest "$1" ss -Hltn "sport = :$2" | grep -q LISTEN; }

# port NAME JQ: what is known of it
port() {
	"$HVBUS" net list --socket "$S" --json >"$T/j"
	jq -r "[.switches[].ports[] | select(.name == \"$1\")][0] | $2" "$T/j"
}
port_is() { [ "$(port "$1" "$2")" = true ]; }
nr_ports() { [ "$("$HVBUS" net list --socket "$S" --json | jq '[.switches[].ports[]] | length')" = "$1" ]; }

# No checksum was wrong at any of these guests.
no_bad_sums() {
	local name
	for name in "$@"; do
		in_guest "$name" nstat -asz TcpInCsumErrors UdpInCsumErrors Icmp6InCsumErrors IcmpInCsumErrors |
			awk '/Csum/ && $2 != 0 { bad = 1; print } END { exit bad }' || fail "wrong checksums at $name"
	done
}

# Nobody is in the namespace any more: namespace_gone NS-LINK
namespace_gone() { ! readlink /proc/[0-9]*/ns/net 2>/dev/null | grep -qxF "$1"; }
namespace_of() { readlink "/proc/${NS[$1]}/ns/net"; }

# vlan_links NAME DEV ID...: interfaces DEV.ID for tagged frames, of the guest or, "", our own
vlan_links() {
	local name=$1 dev=$2 id in=
	shift 2
	[ -z "$name" ] || in="in_guest $name"
	if $in ip link add link "$dev" name "$dev.$1" type vlan id "$1" 2>>"$T/vlan.log"; then
		for id in "${@:2}"; do $in ip link add link "$dev" name "$dev.$id" type vlan id "$id"; done
	else
		echo "(the kernel has no 802.1Q: vlan_link.py)"
		$in python3 "$(dirname "$0")/vlan_link.py" "$dev" "$@" >"$T/vlan-$name" 2>>"$T/vlan.log" &
		PIDS="$PIDS $!"
		wait_for 10 grep -q ready "$T/vlan-$name"
	fi
	for id in "$@"; do $in ip link set "$dev.$id" up; done
}
