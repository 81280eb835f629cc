#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What a laptop's user has without any privilege: a guest that gets its address by DHCP and reaches
# the host, and what the host listens at, through the switch's NAT.
. "$(dirname "$0")/lib_net.sh"
as_user
. "$(dirname "$0")/lib.sh"
requires ip ethtool udhcpc curl python3 jq nstat nsenter unshare sha256sum tcpdump

# A server of the host, on its loopback: says its port, gives and takes a file.
mkdir "$T/www"
head -c "$(by_build 8M 2M)" /dev/urandom >"$T/www/down"
head -c "$(by_build 8M 2M)" /dev/urandom >"$T/up"
server='import http.server, os, shutil, sys
os.chdir(sys.argv[1])
class H(http.server.SimpleHTTPRequestHandler):
	def do_PUT(self):
		left = int(self.headers["Content-Length"])
		with open("up", "wb") as f:
			while left and (b := self.rfile.read(min(left, 1 << 20))):
				f.write(b)
				left -= len(b)
		self.send_response(201)
		self.end_headers()
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H)
print(s.server_port, flush=True)
s.serve_forever()'
python3 -c "$server" "$T/www" >"$T/http-port" 2>"$T/http.log" &
PIDS="$PIDS $!"

serve --switch name=net,type=nat,subnet=10.7.0.0/24,loopback=on --switch name=strict,type=nat \
	--mirror "switch=net,port=a,file=$T/a.pcapng" --mirror "switch=net,port=nat,file=$T/nat.pcapng"
begin_guest a switch=net
begin_guest b switch=net
begin_guest c switch=strict,addr=10.0.2.20/24
await_guest a b c
wait_for 10 test -s "$T/http-port"
http=$(cat "$T/http-port")

# What Debian's own script does, without the files of /etc.
cat >"$T/lease" <<'SCRIPT'
#!/bin/sh
case $1 in
bound | renew)
	ip addr replace "$ip/$mask" dev "$interface"
	ip route replace default via "$router"
	echo "$ip/$mask router=$router dns=$dns lease=$lease server=$serverid"
	;;
esac
SCRIPT
chmod +x "$T/lease"
dhcp() { in_guest "$1" udhcpc -i eth0 -n -q -t 20 -T 1 -s "$T/lease" >"$T/$1.lease" 2>>"$T/dhcp.log" || fail "DHCP: $(cat "$T/dhcp.log")"; }

echo "DHCP"
dhcp a
dhcp b
grep -qE '^10\.7\.0\.(1[5-9]|[2-9][0-9])/24 router=10\.7\.0\.2 dns=10\.7\.0\.3 lease=[0-9]+ server=10\.7\.0\.2$' "$T/a.lease" || fail "the lease: $(cat "$T/a.lease")"
[ "$(cut -d' ' -f1 "$T/a.lease")" != "$(cut -d' ' -f1 "$T/b.lease")" ] || fail "both have $(cat "$T/a.lease")"

echo "HTTP from the host, and to it: the switch cuts and sums what the NAT cannot take large"
for name in a b; do
	in_guest $name curl -Ssf -m 30 -o "$T/down-$name" "http://10.7.0.2:$http/down" 2>"$T/curl.log" || fail "download"
	cmp "$T/www/down" "$T/down-$name" || fail "another file came"
done
# The interface at the guest's: everything, no large sends, nothing.
for how in "on on" "on off" "off off"; do
	in_guest a ethtool -K eth0 tx "${how% *}" sg "${how% *}" tso "${how#* }" gso "${how#* }" >/dev/null 2>&1
	in_guest a curl -Ssf -m 30 -T "$T/up" "http://10.7.0.2:$http/up" 2>"$T/curl.log" || fail "upload, tx and tso $how"
	cmp "$T/up" "$T/www/up" || fail "another file arrived, tx and tso $how"
	rm "$T/www/up"
done
"$HVBUS" net list --socket "$S" --json | jq -e '.switches[0].ports[] | select(.role == "nat") | .segmented > 10' >/dev/null ||
	fail "nothing was segmented: $("$HVBUS" net list --socket "$S")"
no_bad_sums a b

echo "guests of a NAT reach each other as well"
in_guest a ping -c 2 -i 0.02 -W 2 "$(sed 's,/.*,,' "$T/b.lease")" >/dev/null || fail "ping"

echo "the host's own address is shut unless asked for"
in_guest c curl -Ssf -m 3 -o /dev/null "http://10.0.2.2:$http/down" 2>/dev/null && fail "the host's loopback was reached"

echo "the captures have it all; what went to the NAT is small, and has its checksums"
for port in a nat; do
	"$HVBUS" net mirror --socket "$S" --port net/$port --off >/dev/null
	tcpdump -evvnr "$T/$port.pcapng" >"$T/$port.txt" 2>>"$T/tcpdump.log"
	grep -q 'BOOTP/DHCP, Reply' "$T/$port.txt" || fail "no DHCP"
	grep -q "10\.7\.0\.2\.$http: Flags" "$T/$port.txt" || fail "no HTTP"
	[ "$(grep -c '(correct)' "$T/$port.txt")" -gt 100 ] || fail "the capture of $port is short"
	! grep -E 'incorrect|bad cksum|bad udp cksum' "$T/$port.txt" | head -n 5 | grep . || fail "wrong checksums at $port"
done
long=$(sed -n 's/^[0-9].* length \([0-9]*\): .*/\1/p' "$T/nat.txt" | sort -n | tail -n 1)
[ "$long" = 1514 ] || fail "the longest frame of the NAT has $long bytes"
grep -A 1 "^[0-9].* length [0-9]\{5\}: " "$T/a.txt" | grep -q "> 10\.7\.0\.2\.$http: Flags" || fail "no large send of the guest"
stop_root
