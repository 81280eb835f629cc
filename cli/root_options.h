/* SPDX-License-Identifier: MIT */
/*
 * What `hvbus serve` and `hvbus run` have in common: disks, switches, and how a root works.
 */
#ifndef HVBUS_CLI_ROOT_OPTIONS_H
#define HVBUS_CLI_ROOT_OPTIONS_H

#include "cli/cli.h"
#include "vmwp/root.h"

struct root_options {
	struct root_config cfg;
	char *arg[ROOT_MAX_DISKS]; /* the --disk values that cfg's strings point into */
};

/* Setters of struct cli_option, whose context begins with a struct root_options. */
void root_set_disk(void *ctx, const char *v);
void root_set_switch(void *ctx, const char *v);
void root_set_mirror(void *ctx, const char *v);
void root_set_io_threads(void *ctx, const char *v);
void root_set_poll(void *ctx, const char *v);
void root_set_loop(void *ctx, const char *v);
void root_set_cpu(void *ctx, const char *v);
void root_set_stuck_ms(void *ctx, const char *v);
void root_set_integration(void *ctx, const char *v);
void root_set_heartbeat_ms(void *ctx, const char *v);
void root_set_sandbox(void *ctx, const char *v);
void root_set_verbose(void *ctx, const char *v);

/* The order of options does not matter: call it behind the last. */
void root_check_mirrors(const struct root_config *c);

/*
 * Plugs a cable into the other root for each switch of type=joined, on a port called @port there;
 * or the end, with what that root says against it. Before root_create(), which gets the other end.
 */
void root_join_switches(struct root_config *c, const char *port);

/* For the help. */
#define ROOT_DISK_KEYS                                                                             \
	"Keys of --disk:\n"                                                                        \
	"  path=FILE                  raw image or block device\n"                                 \
	"  lun=N, controller=N        where the guest sees it (default: next LUN of controller "   \
	"0)\n"                                                                                     \
	"  type=disk|dvd              a drive shows an ISO image as a DVD, read-only; without "    \
	"path=\n"                                                                                  \
	"                             it is empty until `hvbus disk swap-medium`\n"                \
	"  readonly                   guests cannot write\n"                                       \
	"  engine=NAME                io_uring, libaio, threads, memory or null (default: "        \
	"io_uring,\n"                                                                              \
	"                             libaio or threads where the kernel forbids it)\n"            \
	"  cache=MODE                 writeback: guests flush (default); writethrough: every "     \
	"write\n"                                                                                  \
	"                             is on the medium before it completes\n"                      \
	"  direct=on|off              O_DIRECT (default: on for block devices)\n"                  \
	"  serial=TEXT                serial number the guest sees\n"                              \
	"  size=SIZE, block=512|4096  of memory and null disks; logical block size\n"              \
	"  iops=N, bps=SIZE           requests and bytes per second, shared fairly by the "        \
	"guests\n"                                                                                 \
	"  burst=MS                   unused time that may be caught up (default 100)\n"           \
	"  fault=SPEC                 errors, delays and hangs on purpose, to see what guests "    \
	"do:\n"                                                                                    \
	"                             write:5000-6000:eio:10%:delay=20ms+flush:stuck\n\n"
#define ROOT_SWITCH_KEYS                                                                           \
	"Keys of --switch:\n"                                                                      \
	"  name=NAME                  what `hvbus attach --nic switch=NAME` calls it\n"            \
	"  type=private               guests only\n"                                               \
	"  type=internal              guests and the host, which has the TAP tap=NAME (default\n"  \
	"                             hv- and the switch's name); existing=on: one that is "       \
	"there,\n"                                                                                 \
	"                             from `ip tuntap add NAME mode tap user $USER`\n"             \
	"  type=external              and the world, through tap=NAME, a TAP in a bridge of the\n" \
	"                             host, or iface=NAME, an interface of the host "              \
	"(CAP_NET_RAW)\n"                                                                          \
	"  type=nat                   and the world, with the host's address, DHCP and DNS; "      \
	"needs "                                                                                   \
	"no\n"                                                                                     \
	"                             privilege. subnet=10.0.2.0/24: the host is .2; ipv6=off;\n"  \
	"                             forward=tcp::8080-:80+...: ports of the host that lead to "  \
	"the\n"                                                                                    \
	"                             guest; loopback=on: guests reach the host's 127.0.0.1 at "   \
	".2\n"                                                                                     \
	"  type=joined,root=S         and those on the switch of another root, whose socket S "    \
	"is:\n"                                                                                    \
	"                             of=NAME there (default: the same name)\n"                    \
	"  mode=hyper-v|bridge        who has which address is known (default), or learned\n"      \
	"  test=on                    a port that counts, echoes and sends: for `hvbus bench "     \
	"net`\n"                                                                                   \
	"  guests=N, mtu=N            most guests (default 250); most bytes of an IP packet that " \
	"a\n"                                                                                      \
	"                             guest may choose (68 to 65535, default 9000)\n"              \
	"  vlan=N, guest-vlan=on      the VLAN of guests; they may choose their own\n"             \
	"  guest-mac=on|off           guests may choose their address with mac= (default: as "     \
	"spoof)\n"                                                                                 \
	"  guest-name=on|off          guests may name their port with name= (default: on)\n"       \
	"  spoof=on                   guests may send from any address\n"                          \
	"  dhcp-guard=, router-guard= on|off: no guest can be DHCP server, or router, for the "    \
	"others\n"                                                                                 \
	"                             (default: on for external and nat)\n"                        \
	"  isolated=on                guests reach the host and the world, not each other\n"       \
	"  priority=on, storm=N       802.1p tags of guests are kept; broadcasts per second\n"     \
	"  bps=RATE, burst=SIZE       what each guest may send: bits per second, bytes at once\n"

#endif
