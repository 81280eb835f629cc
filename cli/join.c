/* SPDX-License-Identifier: MIT */
/*
 * Switches of type=joined: the cable is made here, while there are the user's rights, and one end
 * of it handed to the root that has the switch, as the image of a disk is.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/json.h"
#include "cli/root_options.h"

#define ANSWER_S 10
#define ROOM	 (4 << 20) /* bytes on their way; the kernel gives what it allows */

static void make_cable(int pair[2])
{
	const int room = ROOM;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		cli_die(CLI_FAILED, "a socket pair: %s", strerror(errno));
	for (int i = 0; i < 2; i++)
		if (setsockopt(pair[i], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)))
			setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
}

/* What is longer than the other switch takes would be lost there, frame by frame. */
static void agree_on_mtu(struct root_switch *sw, const json_t *answer)
{
	uint32_t there = (uint32_t)json_integer_value(json_object_get(answer, "mtu"));

	if (sw->mtu > there)
		cli_die(CLI_USAGE, "--switch name=%s: mtu=%u: the switch at %s takes %u at most",
			sw->name, sw->mtu, sw->root, there);
	if (!sw->mtu)
		sw->mtu = there;
}

static void join(struct root_switch *sw, const char *port)
{
	json_t *request = json_object(), *answer;
	int pair[2];

	make_cable(pair);
	json_object_set_new(request, "do", json_string("switch-join"));
	json_object_set_new(request, "switch", json_string(sw->of));
	json_object_set_new(request, "port", json_string(port));
	answer = cli_ask_json(sw->root, request, &pair[1], 1, ANSWER_S, false);
	close(pair[1]);
	agree_on_mtu(sw, answer);
	json_decref(answer);
	sw->cable = pair[0];
}

void root_join_switches(struct root_config *c, const char *port)
{
	for (uint32_t i = 0; i < c->nr_switches; i++)
		if (c->sw[i].type == VSW_JOINED)
			join(&c->sw[i], port);
}
