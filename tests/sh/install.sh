#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What is installed works: the library with its pkg-config file, the command with its plugin,
# and the manual names every option that --help does.
. "$(dirname "$0")/lib.sh"
requires pkg-config make gcc
case $B in */release) ;; *) echo "the release build is what gets installed"; exit 77 ;; esac

top=$(cd "$(dirname "$0")/../.." && pwd)
make -s -C "$top" install PREFIX="$T/usr" >"$T/install.log" 2>&1 || fail "make install"

cat >"$T/use.c" <<'C'
#include <stdio.h>
#include <string.h>
#include <hvbus/vsc/storvsc.h>

int main(int argc, char **argv)
{
	struct storvsc *ctl;
	struct storvsc_disk disk;
	char why[256], block[4096], back[4096];

	if (argc != 2 || storvsc_attach(&ctl, argv[1], 0, 0, NULL, why, sizeof(why)))
		return 1;
	memset(block, 'x', sizeof(block));
	if (storvsc_disk_info(ctl, 0, &disk) || storvsc_write(ctl, 0, 0, block, 8192, 4096, STORVSC_FUA) ||
	    storvsc_read(ctl, 0, 0, back, 8192, 4096) || memcmp(block, back, 4096))
		return 2;
	storvsc_detach(ctl);
	printf("%llu\n", (unsigned long long)disk.size);
	return 0;
}
C
flags=$(PKG_CONFIG_PATH=$T/usr/lib/pkgconfig pkg-config --cflags --libs --static hvbus)
# shellcheck disable=SC2086
gcc -Wall -Werror -o "$T/use" "$T/use.c" $flags || fail "a program does not build with: $flags"
truncate -s 8M "$T/a.img"
HVBUS=$T/usr/bin/hvbus
serve --disk "path=$T/a.img"
[ "$("$T/use" "$S")" = 8388608 ] || fail "the program does not work"
if command -v nbdkit >/dev/null; then
	"$HVBUS" attach --socket "$S" --nbd "$T/n" 2>>"$T/attach.log" &
	PIDS="$PIDS $!"
	wait_for 10 test -S "$T/n"
fi
if command -v sg_turs >/dev/null; then
	"$HVBUS" attach --socket "$S" --sg -- sg_turs /dev/sg-hvbus || fail "attach --sg does not find its library"
fi

echo "the manual has every option"
for c in serve attach inspect "bench disk" "bench ring" demo; do
	# shellcheck disable=SC2086
	for o in $("$HVBUS" $c --help | sed -nE 's/^  --([a-z-]+).*/\1/p'); do
		grep -qE -- "-$o( |,|\$)" "$top/docs/hvbus.1" || fail "docs/hvbus.1 does not know --$o of $c"
	done
done

make -s -C "$top" uninstall PREFIX="$T/usr" >>"$T/install.log" 2>&1 || fail "make uninstall"
left=$(find "$T/usr" -type f)
[ -z "$left" ] || fail "uninstall leaves: $left"
