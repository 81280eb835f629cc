#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What sg3-utils and sdparm read out of our answers is what the disks are. The disks differ in
# everything that can differ, so that a field which is always the same is noticed.
. "$(dirname "$0")/lib.sh"
requires sg_inq sg_vpd sg_dd sdparm python3 cmp

truncate -s 64M "$T/a.img"
truncate -s 96M "$T/b.img"
truncate -s 24M "$T/c.img"
head -c 24M /dev/urandom >"$T/c.img"
cp "$T/c.img" "$T/c.orig"
serve --disk "path=$T/a.img,serial=HVBUS-SG-0001" \
	--disk "path=$T/b.img,serial=SECOND,block=4096,cache=writethrough" \
	--disk "path=$T/c.img,serial=3,readonly,lun=5"

# on STATUS DISK COMMAND...: it ends with that status; what it says is kept for says()
on() {
	local want=$1 got=0
	shift
	LAST="$*"
	sg "$@" >"$T/out" 2>&1 </dev/null || got=$?
	[ "$got" = "$want" ] || { cat "$T/out"; fail "status $got instead of $want: $LAST"; }
}

# says TEXT...: each is a line of the last output, blanks at both ends aside
says() {
	local text
	for text in "$@"; do
		sed -E 's/^[[:blank:]]+//; s/[[:blank:]]+$//; s/[[:blank:]]+/ /g' "$T/out" | grep -qxF -- "$text" ||
			{ cat "$T/out"; fail "no line '$text' from: $LAST"; }
	done
}

echo "INQUIRY"
for disk in 0:0=HVBUS-SG-0001 0:1=SECOND 0:5=3; do
	on 0 "${disk%%=*}" sg_inq "$SG"
	says "PQual=0 PDT=0 RMB=0 LU_CONG=0 hot_pluggable=0 version=0x05 [SPC-3]" \
		"length=96 (0x60) Peripheral device type: disk" \
		"Vendor identification: Msft" "Product identification: Virtual Disk" \
		"Product revision level: 1.0" "Unit serial number: ${disk#*=}"
	on 0 "${disk%%=*}" sg_vpd --page=sn "$SG"
	says "Unit serial number: ${disk#*=}"
	on 0 "${disk%%=*}" sdparm --quiet --inquiry --page=sn "$SG"
	says "${disk#*=}"
done
on 0 0:0 sg_vpd --page=sv "$SG"
pages=("Supported VPD pages [sv]" "Unit serial number [sn]" "Device identification [di]" "Block limits (SBC) [bl]"
	"Block device characteristics (SBC) [bdc]" "Logical block provisioning (SBC) [lbpv]")
says "${pages[@]}"
on 0 0:0 sg_vpd --page=sv --hex "$SG"
grep -qE '^ *00 +00 00 00 06 00 80 83 b0  b1 b2 +[^0-9a-f]' "$T/out" || { cat "$T/out"; fail "other VPD pages, or not in order"; }
on 0 0:0 sdparm --inquiry --all "$SG"
says "${pages[@]}"
on 5 0:0 sg_raw --request=96 "$SG" 12 1 b3 0 60 0 # a page that is not in the list

echo "identification"
for disk in 0:0 0:1 0:5; do
	on 0 $disk sg_vpd --page=di "$SG"
	says "designator type: T10 vendor identification, code set: Binary" "vendor id: Msft" \
		"designator type: NAA, code set: Binary"
	grep -oE '0x60022480[0-9a-f]{24}$' "$T/out" >>"$T/naa" || fail "no NAA identifier of Microsoft's"
	grep -E '0x[0-9a-f]{32}$' "$T/out" >"$T/di"
	on 0 $disk sdparm --inquiry --page=di "$SG"
	grep -E '0x[0-9a-f]{32}$' "$T/out" | cmp - "$T/di" || fail "two decoders, two identifications"
done
[ "$(sort -u "$T/naa" | wc -l)" = 3 ] || fail "disks share an identifier"

echo "block limits"
on 0 0:0 sg_vpd --page=bl "$SG"
says "Write same non-zero (WSNZ): 1" "Maximum compare and write length: 255 blocks" \
	"Optimal transfer length granularity: 8 blocks" "Optimal transfer length: 512 blocks" \
	"Maximum transfer length: 8192 blocks" "Maximum unmap LBA count: 1048576" \
	"Maximum unmap block descriptor count: 256" "Optimal unmap granularity: 8 blocks" \
	"Unmap granularity alignment: 0" "Maximum write same length: 0x10000 blocks" \
	"Maximum atomic transfer length: 0 blocks [not reported]"
on 0 0:1 sdparm --inquiry --page=bl "$SG"
says "Optimal transfer length granularity: 1 blocks" "Optimal transfer length: 64 blocks" \
	"Maximum transfer length: 1024 blocks" "Optimal unmap granularity: 1 blocks"
on 0 0:5 sg_vpd --page=bl "$SG"
says "Maximum unmap LBA count: 0 [Unmap command not implemented]"

echo "rotation and provisioning"
on 0 0:0 sg_vpd --page=bdc "$SG"
says "Non-rotating medium (e.g. solid state)" "Nominal form factor not reported" "ZONED=0" "FUAB=0"
on 0 0:0 sg_vpd --page=lbpv "$SG"
says "Unmap command supported (LBPU): 1" "Write same (16) with unmap bit supported (LBPWS): 1" \
	"Write same (10) with unmap bit supported (LBPWS10): 1" "Anchored LBAs supported (ANC_SUP): 0" \
	"Logical block provisioning read zeros (LBPRZ): 1" "Provisioning type: 2 (thin provisioned)"
on 0 0:5 sg_vpd --page=lbpv "$SG"
says "Unmap command supported (LBPU): 0" "Write same (16) with unmap bit supported (LBPWS): 0"
! grep -q thin "$T/out" || fail "a disk without UNMAP calls itself thin"

# capacity DISK BLOCKS BLOCK EXPONENT THIN
capacity() {
	local last=$(($2 - 1)) exponent="Logical blocks per physical block exponent=$4"
	[ "$4" = 0 ] || exponent="$exponent [so physical block length=$(($3 << $4)) bytes]"
	on 0 "$1" sg_readcap "$SG"
	says "Last LBA=$last ($(printf 0x%x $last)), Number of logical blocks=$2" "Logical block length=$3 bytes"
	on 0 "$1" sg_readcap --16 "$SG"
	says "Last LBA=$last ($(printf 0x%x $last)), Number of logical blocks=$2" "Logical block length=$3 bytes" \
		"$exponent" "Lowest aligned LBA=0" "Logical block provisioning: lbpme=$5, lbprz=$5" \
		"Protection: prot_en=0, p_type=0, p_i_exponent=0"
	on 0 "$1" sdparm --quiet --command=capacity "$SG"
	says "blocks: $2" "block_length: $3"
}

echo "capacity"
capacity 0:0 131072 512 3 1
capacity 0:1 24576 4096 0 1
capacity 0:5 49152 512 3 0

# modes DISK WP WCE
modes() {
	on 0 "$1" sg_modes --page=8 "$SG"
	says "Mode data length=28, medium type=0x00, WP=$2, DpoFua=1, longlba=0"
	on 0 "$1" sg_modes --six --page=8 "$SG"
	says "Mode data length=24, medium type=0x00, WP=$2, DpoFua=1, longlba=0"
	# 5: it asks for saved values too, and there are none
	on 5 "$1" sdparm --quiet --all "$SG"
	says "Caching (SBC) mode page:" "WCE $3 [cha: n, def: $3]" "RCD 0 [cha: n, def: 0]" \
		"Control mode page:" "D_SENSE 0 [cha: n, def: 0]" "SWP 0 [cha: y, def: 0]" "QAM 1 [cha: n, def: 1]" \
		"Read write error recovery mode page:" "AWRE 1 [cha: n, def: 1]" \
		"Informational exceptions control mode page:" "DEXCPT 0 [cha: n, def: 0]"
}

echo "mode pages"
modes 0:0 0 1
modes 0:1 0 0
modes 0:5 1 0

echo "LUNs, sense, readiness"
on 0 0:1 sg_luns "$SG"
says "Lun list length = 24 which imples 3 lun entries" 0000000000000000 0001000000000000 0005000000000000
on 0 0:0 sg_requests "$SG"
says "Fixed format, current; Sense key: No Sense"
on 0 0:0 sg_turs "$SG"
on 0 0:5 sg_scan "$SG"
says "$SG: scsi0 channel=0 id=0 lun=5"

echo "data"
head -c 4M /dev/urandom >"$T/data"
on 0 0:0 sg_dd "if=$T/data" "of=$SG" bs=512 seek=2048
cmp -n 4194304 "$T/a.img" "$T/data" 1048576 0 || fail "sg_dd did not write what it was given"
on 0 0:0 sg_dd "if=$SG" "of=$T/back" bs=512 bpt=100 skip=2048 count=8192
cmp "$T/data" "$T/back" || fail "sg_dd does not read what it wrote"
on 0 0:1 sg_dd "if=$T/data" "of=$SG" bs=4096 bpt=64 seek=256 cdbsz=16 oflag=fua
cmp -n 4194304 "$T/b.img" "$T/data" 1048576 0 || fail "sg_dd on 4096-byte blocks"
on 0 0:0 sg_read "if=$SG" bs=512 count=1000 bpt=128
says "1000+0 records in, SCSI READ commands issued: 8"
on 0 0:0 sg_sync "$SG"
on 0 0:0 sg_sync --16 "$SG"

echo "unmap and write same"
before=$(stat -c %b "$T/a.img")
on 0 0:0 sg_unmap --lba=2048 --num=4096 --force "$SG"
cmp -n 2097152 "$T/a.img" /dev/zero 1048576 0 || fail "unmapped blocks are not zero"
cmp -n 2097152 "$T/a.img" "$T/data" 3145728 2097152 || fail "unmap reached too far"
[ "$(stat -c %b "$T/a.img")" -lt "$before" ] || fail "unmap left no hole"
head -c 512 /dev/urandom >"$T/block"
cat "$T/block" "$T/block" "$T/block" "$T/block" >"$T/blocks"
on 0 0:0 sg_write_same --16 --in="$T/block" --lba=100 --num=4 --xferlen=512 "$SG"
cmp -n 2048 "$T/a.img" "$T/blocks" 51200 0 || fail "WRITE SAME(16)"
on 0 0:0 sg_write_same --10 --in="$T/block" --lba=200 --num=4 --xferlen=512 "$SG"
cmp -n 2048 "$T/a.img" "$T/blocks" 102400 0 || fail "WRITE SAME(10)"
on 0 0:0 sg_write_same --16 --unmap --lba=0 --num=65536 --xferlen=512 "$SG"
cmp -n 33554432 "$T/a.img" /dev/zero || fail "WRITE SAME with UNMAP of 65536 blocks"

echo "errors are decoded as what they are"
on 22 0:0 sg_unmap --lba=131072 --num=8 --force "$SG"
says "sg_unmap failed: LBA out of range"
on 9 0:0 sg_raw "$SG" c7 0 0 0 0 0 0 0 0 0
says "Fixed format, current; Sense key: Illegal Request" "Additional sense: Invalid command operation code"
on 5 0:0 sg_raw --request=96 "$SG" 12 0 80 0 60 0 # a page without EVPD
says "Additional sense: Invalid field in cdb"
on 7 0:5 sg_write_same --16 --in="$T/block" --lba=0 --num=1 --xferlen=512 "$SG"
says "Write same(16): Data protect"
cmp "$T/c.img" "$T/c.orig" || fail "a read-only image changed"
on 0 0:0 sg_reset --device "$SG"
on 0 0:0 sg_reset --bus "$SG"
on 0 0:0 sg_turs "$SG"

echo "the device as a file, and the ioctls"
cat >"$T/node.py" <<'PY'
import ctypes, errno, fcntl, os, stat, struct, sys, threading
path = sys.argv[1]
SG_IO, TO_DEV, FROM_DEV, NONE = 0x2285, -2, -3, -1

def refused(want, call, *args):
    try:
        call(*args)
    except OSError as e:
        assert e.errno == want, (e, errno.errorcode[want])
        return
    raise AssertionError("%s succeeded" % (args,))

def is_sg(st):
    assert stat.S_ISCHR(st.st_mode) and os.major(st.st_rdev) == 21 and os.minor(st.st_rdev) == 0, st

is_sg(os.stat(path)), is_sg(os.lstat(path))
assert os.access(path, os.R_OK | os.W_OK) and not os.access(path, os.X_OK)
fd = os.open(path, os.O_RDWR)
other = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
copy = os.dup(fd)
high = fcntl.fcntl(fd, fcntl.F_DUPFD, 200)
os.dup2(fd, 300)
null = os.open("/dev/null", os.O_RDWR)
for f in (fd, other, copy, high, 300):
    is_sg(os.fstat(f))
    refused(errno.ENOSYS, os.read, f, 1)
    refused(errno.ENOSYS, os.write, f, b"x")
    refused(errno.ENOTTY, fcntl.ioctl, f, 0x5401)
os.dup2(null, 300)
assert os.fstat(300).st_rdev == os.stat("/dev/null").st_rdev and os.read(300, 1) == b""
refused(errno.ENOTTY, fcntl.ioctl, null, SG_IO, b"\0" * 88)
os.close(fd)
refused(errno.EBADF, os.fstat, fd)

def get(f, request, n=4):
    return fcntl.ioctl(f, request, b"\xaa" * n)
assert get(copy, 0x2282) == struct.pack("i", 30536)
assert get(copy, 0x2203) == struct.pack("i", 0)
assert get(copy, 0x1267) == struct.pack("i", 256 * 1024)
assert struct.unpack("iiiiihh2i", get(copy, 0x2276, 32)) == (0, 0, 0, 1, 0, 1, 1, 0, 0)
assert get(copy, 0x5382, 8) == struct.pack("II", 1 << 8, 0)
assert get(copy, 0x5386) == struct.pack("i", 0)
fcntl.ioctl(copy, 0x2275, struct.pack("i", 1 << 30))
assert get(copy, 0x2272) == struct.pack("i", 256 * 1024)
assert fcntl.ioctl(copy, 0x2202) == 60 * os.sysconf("SC_CLK_TCK")
fcntl.ioctl(copy, 0x2201, struct.pack("i", 1234))
assert fcntl.ioctl(copy, 0x2202) == 1234
refused(errno.EIO, fcntl.ioctl, copy, 0x2201, struct.pack("i", -1))
refused(errno.EINVAL, fcntl.ioctl, copy, 0x2284, struct.pack("i", 77))

def sg_io(f, cdb, direction=NONE, data=None, iov=None, sense=32, length=None, interface=ord("S"), timeout=5000):
    c = ctypes.create_string_buffer(bytes(cdb), len(cdb))
    s = ctypes.create_string_buffer(sense + 1)
    s[sense] = b"\x5c"
    if iov:
        table = b"".join(struct.pack("PN", ctypes.addressof(b), len(b)) for b in iov)
        at, n = ctypes.create_string_buffer(table, len(table)), sum(len(b) for b in iov)
    else:
        at, n = data, len(data) if data is not None else 0
    n = n if length is None else length
    h = bytearray(struct.pack("iiBBHIPPPIIiPBBBBHHiII4x", interface, direction, len(cdb), sense, len(iov or ()), n,
        ctypes.addressof(at) if at is not None else 0, ctypes.addressof(c), ctypes.addressof(s), timeout, 0, 7, 99,
        0xee, 0xee, 0xee, 0xee, 0xeeee, 0xeeee, -1, 0xeeeeeeee, 0xeeeeeeee))
    assert len(h) == 88
    fcntl.ioctl(f, SG_IO, h)
    assert s[sense] == b"\x5c"
    v = struct.unpack("iiBBHIPPPIIiPBBBBHHiII4x", h)
    assert v[11] == 7 and v[12] == 99
    names = "status masked msg sb_len host driver resid duration info".split()
    r = dict(zip(names, v[13:]))
    assert r["msg"] == 0 and r["duration"] < 5000
    return r, s.raw[:r["sb_len"]]

GOOD = dict(status=0, masked=0, msg=0, sb_len=0, host=0, driver=0, info=0)
def good(answer, resid):
    r = dict(answer[0]); r.pop("duration")
    assert r == dict(GOOD, resid=resid), r

good(sg_io(copy, [0] * 6), 0)
buf = ctypes.create_string_buffer(b"\xaa" * 200, 200)
good(sg_io(copy, [0x12, 0, 0, 0, 200, 0], FROM_DEV, buf), 104)
assert buf.raw[8:16] == b"Msft    " and buf.raw[96:] == b"\xaa" * 104
r, sense = sg_io(copy, [0xc7] + [0] * 9)
assert (r["status"], r["masked"], r["host"], r["driver"], r["info"] & 1) == (2, 1, 0, 8, 1), r
assert len(sense) == 18 and sense[2] == 5 and sense[12] == 0x20
r, sense = sg_io(copy, [0xc7] + [0] * 9, sense=8)
assert len(sense) == 8 and sense[2] == 5
r, sense = sg_io(copy, [0xc7] + [0] * 9, sense=0)
assert r["sb_len"] == 0 and r["driver"] == 8

parts = [ctypes.create_string_buffer(os.urandom(n), n) for n in (512, 8, 3000, 576)]
whole = b"".join(p.raw for p in parts)
good(sg_io(copy, [0x2a, 0, 0, 0, 0, 9, 0, 0, 1, 0], TO_DEV, iov=parts), 0)
back = [ctypes.create_string_buffer(n) for n in (1, 4000, 95, 900)]
good(sg_io(copy, [0x28, 0, 0, 0, 0, 9, 0, 0, 1, 0], FROM_DEV, iov=back, length=4096), 0)
assert b"".join(p.raw for p in back) == whole + bytes(900)
short = [ctypes.create_string_buffer(100), ctypes.create_string_buffer(100)]
good(sg_io(copy, [0x12, 0, 0, 0, 150, 0], FROM_DEV, iov=short, length=150), 54)
assert short[0].raw[8:16] == b"Msft    "

refused(errno.ENOSYS, sg_io, copy, [0] * 6, NONE, None, None, 32, None, ord("Q"))
refused(errno.EMSGSIZE, sg_io, copy, [0] * 5)
refused(errno.EMSGSIZE, sg_io, copy, [0x7f] + [0] * 31)
refused(errno.EINVAL, sg_io, copy, [0x12, 0, 0, 0, 8, 0], 5, buf)
refused(errno.EFAULT, sg_io, copy, [0x12, 0, 0, 0, 8, 0], FROM_DEV, None, None, 32, 8)
refused(errno.EINVAL, sg_io, copy, [0x28] + [0] * 9, FROM_DEV, buf, None, 32, 1 << 30)

failures = []
def worker(lba):
    try:
        data = ctypes.create_string_buffer(os.urandom(8192), 8192)
        got = ctypes.create_string_buffer(8192)
        for _ in range(50):
            good(sg_io(copy, [0x2a, 0, 0, 0, 0, lba, 0, 0, 2, 0], TO_DEV, data), 0)
            good(sg_io(other, [0x28, 0, 0, 0, 0, lba, 0, 0, 2, 0], FROM_DEV, got), 0)
            assert got.raw == data.raw
    except BaseException as e:
        failures.append(e)
threads = [threading.Thread(target=worker, args=(20 + 2 * i,)) for i in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
assert not failures, failures

pid = os.fork()
if not pid: # what it inherits is its parent's; what it opens is its own
    try:
        refused(errno.ENODEV, sg_io, copy, [0] * 6)
        own = os.open(path, os.O_RDWR)
        good(sg_io(own, [0] * 6), 0)
        os._exit(0)
    finally:
        os._exit(1)
assert os.waitpid(pid, 0)[1] == 0
good(sg_io(copy, [0] * 6), 0)
PY
on 0 0:1 python3 "$T/node.py" "$SG"

echo "attach: statuses, signals, what it says"
on 7 0:0 sh -c 'exit 7'
on 127 0:0 hvbus-no-such-command
says "hvbus attach: hvbus-no-such-command: No such file or directory"
got=0
"$RELEASE_HVBUS" attach --socket "$S" --disk 0:9 --sg -- sg_turs "$SG" >"$T/out" 2>&1 || got=$?
[ "$got" != 0 ] || fail "a LUN that is not there opened"
[ "$(grep -c '^hvbus-sg: disk 0:9: there is no such LUN$' "$T/out")" = 1 ] || { cat "$T/out"; fail "no reason, or twice"; }
expect 2 "--sg needs a command" "$RELEASE_HVBUS" attach --socket "$S" --sg
expect 2 "one at a time" "$RELEASE_HVBUS" attach --socket "$S" --sg --nbd "$T/n" -- true
expect 1 "no root is serving there" "$RELEASE_HVBUS" attach --socket "$T/nobody" --sg -- true
(cd "$T" && "$RELEASE_HVBUS" attach --socket s --sg -- sh -c "cd / && sg_turs $SG") || fail "a relative socket path"
sg 0:0 sleep 60 &
PIDS="$PIDS $!"
sleep 0.2
kill -TERM $!
got=0
wait $! || got=$?
[ "$got" = 143 ] || fail "a command that was killed ends with $got"

echo "the root goes away under an open device"
cat >"$T/gone.py" <<'PY'
import errno, fcntl, os, sys, ctypes, struct
fd = os.open(sys.argv[1], os.O_RDWR)
print("open", flush=True)
sys.stdin.readline()
cdb = ctypes.create_string_buffer(6)
h = struct.pack("iiBBHIPPPIIiP", ord("S"), -1, 6, 0, 0, 0, 0, ctypes.addressof(cdb), 0, 5000, 0, 0, 0) + bytes(24)
for _ in range(3):
    try:
        fcntl.ioctl(fd, 0x2285, h)
    except OSError as e:
        assert e.errno == errno.ENODEV, e
    else:
        raise AssertionError("answered by nobody")
PY
mkfifo "$T/go"
sg 0:0 python3 "$T/gone.py" "$SG" >"$T/gone.out" 2>"$T/gone.err" <"$T/go" &
PIDS="$PIDS $!"
exec 9>"$T/go"
wait_for 10 grep -q open "$T/gone.out"
kill -9 "$ROOT"
wait "$ROOT" 2>/dev/null || true
echo >&9
exec 9>&-
wait $! || { cat "$T/gone.err"; fail "a device without its root"; }
[ "$(grep -c "^hvbus-sg: the root partition at .* is gone$" "$T/gone.err")" = 1 ] || { cat "$T/gone.err"; fail "not said once"; }
