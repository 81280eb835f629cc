#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Everything a tired user can get wrong ends in one clear line and the right status.
. "$(dirname "$0")/lib.sh"

img() { truncate -s "$2" "$T/$1"; }
img ok.img 8M
img ok2.img 8M
img empty.img 0
img odd.img 1000
mkdir "$T/dir"

echo "usage"
expect 2 "unknown command 'sreve'" "$HVBUS" sreve
expect 2 "unknown option '--sokcet'" "$HVBUS" serve --sokcet "$S"
expect 2 "--socket is missing" "$HVBUS" serve --disk "path=$T/ok.img"
expect 2 "--disk is missing" "$HVBUS" serve --socket "$S"
expect 2 "needs a value" "$HVBUS" serve --socket
expect 2 "unknown key 'pth'" "$HVBUS" serve --socket "$S" --disk "pth=$T/ok.img"
expect 2 "allowed are auto io_uring libaio threads memory null" "$HVBUS" serve --socket "$S" --disk "path=x,engine=fast"
expect 2 "a number from 0 to 63" "$HVBUS" serve --socket "$S" --disk "path=x,lun=64"
expect 2 "a number from 1 to" "$HVBUS" serve --socket "$S" --disk "path=x,iops=0"
expect 2 "a number from 1 to" "$HVBUS" serve --socket "$S" --disk "path=x,bps=fast"
expect 2 "a number from 1 to 60000" "$HVBUS" serve --socket "$S" --disk "path=x,burst=1000000"
expect 2 "it does nothing" "$HVBUS" serve --socket "$S" --disk "path=x,fault=write:5-6"
expect 2 "'eoi' is none of" "$HVBUS" serve --socket "$S" --disk "path=x,fault=write:eoi"
expect 2 "allowed are never adaptive always" "$HVBUS" serve --socket "$S" --disk "path=$T/ok.img" --poll sometimes
expect 2 "a number from 1 to 512" "$HVBUS" bench disk --iodepth 0
expect 2 "allowed are read write" "$HVBUS" bench disk --rw scribble
expect 2 "CONTROLLER:LUN" "$HVBUS" attach --socket "$S" --disk 0 --nbd "$T/n"
expect 2 "--nbd is missing" "$HVBUS" attach --socket "$S"

echo "images"
expect 1 "$T/none.img" "$HVBUS" serve --socket "$S" --disk "path=$T/none.img"
expect 1 "empty.img" "$HVBUS" serve --socket "$S" --disk "path=$T/empty.img"
expect 1 "odd.img" "$HVBUS" serve --socket "$S" --disk "path=$T/odd.img"
expect 1 "dir" "$HVBUS" serve --socket "$S" --disk "path=$T/dir"
expect 1 "ok.img" "$HVBUS" serve --socket "$S" --disk "path=$T/ok.img" --disk "path=$T/ok.img"
expect 1 "LUN" "$HVBUS" serve --socket "$S" --disk "path=$T/ok.img,lun=3" --disk "path=$T/ok2.img,lun=3"
[ ! -e "$S" ] || fail "a failed start left its socket"
if [ "$(id -u)" != 0 ]; then
	chmod 000 "$T/ok2.img"
	expect 1 "ok2.img" "$HVBUS" serve --socket "$S" --disk "path=$T/ok2.img"
	chmod 600 "$T/ok2.img"
fi

echo "sockets"
expect 1 "no root is serving there" "$HVBUS" inspect --socket "$S"
expect 1 "no root is serving there" "$HVBUS" attach --socket "$S" --nbd "$T/n"
expect 1 "is not a socket" "$HVBUS" serve --socket "$T/ok2.img" --disk "path=$T/ok.img"
expect 1 "characters" "$HVBUS" serve --socket "$T/$(printf 'x%.0s' {1..120})" --disk "path=$T/ok.img"
serve --disk "path=$T/ok.img"
[ "$(stat -c %a "$S")" = 600 ] || fail "socket mode is $(stat -c %a "$S")"
expect 1 "in use by another root" "$HVBUS" serve --socket "$S" --disk "path=$T/ok2.img"
expect 1 "ok.img" "$HVBUS" serve --socket "$T/s2" --disk "path=$T/ok.img"
echo "a stale socket is replaced"
kill -9 "$ROOT"
wait "$ROOT" 2>/dev/null || true
[ -S "$S" ] || fail "the test expects a stale socket"
serve --disk "path=$T/ok.img"

echo "garbage on the socket"
python3 - "$S" <<'PY'
import os, socket, sys
for data in (b"x", b"GET / HTTP/1.0\r\n\r\n", os.urandom(300), b"\0" * 56, b"BVUS" + os.urandom(52)):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(sys.argv[1])
    s.send(data)
    s.settimeout(5)
    try:
        s.recv(4096)
    except ConnectionError:
        pass
    s.close()
silent = []
for i in range(100):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(sys.argv[1])
    silent.append(s)
for s in silent:
    s.close()
PY
"$HVBUS" inspect --socket "$S" --json >"$T/j" || fail "the root does not answer after garbage"

echo "a child whose root goes away"
if command -v nbdkit >/dev/null; then
	attach 0:0 "$T/nbd"
	kill -9 "$ROOT"
	wait "$ROOT" 2>/dev/null || true
	got=0
	timeout 20 tail --pid="$ATTACH" -f /dev/null || fail "attach hangs without its root"
	wait "$ATTACH" || got=$?
	[ "$got" = 1 ] || fail "attach ended with $got instead of 1"
	grep -q "root partition .* is gone" "$T/attach.log" || fail "attach does not say why it ended"
	[ ! -e "$T/nbd" ] || fail "attach left its socket"
	serve --disk "path=$T/ok.img"
fi

echo "io_uring forbidden"
kill "$ROOT"
wait "$ROOT" || true
serve --loop epoll --disk "path=$T/ok.img"
"$HVBUS" inspect --socket "$S" --json | grep -q '"loop":"epoll"' || fail "not on epoll"
timeout 60 "$HVBUS" bench disk --socket "$S" --rw randrw --verify --runtime 0.5 --size 4M --iodepth 8 >"$T/bench.log" ||
	fail "I/O without io_uring: $(cat "$T/bench.log")"

echo "out of space"
kill "$ROOT"
wait "$ROOT" || true
: >"$T/serve.log"
(
	ulimit -f 1024
	exec "$HVBUS" serve --socket "$S" --disk "path=$T/big.img" 2>>"$T/serve.log"
) 2>/dev/null && fail "a missing image was served"
truncate -s 128M "$T/big.img"
(
	ulimit -f 65536 # KiB: writes beyond 64 MiB fail with EFBIG
	exec "$HVBUS" serve --socket "$S" --disk "path=$T/big.img" 2>>"$T/serve.log"
) &
ROOT=$!
PIDS="$PIDS $ROOT"
wait_for 10 "$HVBUS" inspect --socket "$S"
got=0
timeout 60 "$HVBUS" bench disk --socket "$S" --rw randwrite --runtime 0.5 --size 128M --bs 64k --json >"$T/bench.log" 2>&1 || got=$?
[ "$got" = 1 ] || fail "writes beyond the limit were reported as success ($got)"
"$HVBUS" inspect --socket "$S" --json >"$T/j"
grep -q '"last_error":"7/27/07"' "$T/j" || fail "no space allocation sense: $(cat "$T/j")"
stop_root
