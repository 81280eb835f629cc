/* SPDX-License-Identifier: MIT */
/* Both ends of a cable between the switches of two roots; see the header. */
#include "vmwp/cable.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "vmwp/root_priv.h"

struct cable {
	struct netsw *sw;
	struct port_sock *sock;
	struct cable *next; /* of the switch */
};

static uint32_t mtu_of(const struct netsw *sw)
{
	return sw->cfg.mtu ? sw->cfg.mtu : ROOT_NIC_MTU;
}

/* The port, with @fd behind it: closed if that fails. */
static int plug_in(struct netsw *sw, struct port_sock_config *cfg, int fd, struct cable **out,
		   char *why, size_t n)
{
	struct cable *c = calloc(1, sizeof(*c));
	int err = c ? 0 : -ENOMEM;

	cfg->mtu = mtu_of(sw);
	cfg->ctx = c;
	if (!err)
		err = port_sock_create(&c->sock, sw->root->loop, sw->vsw, cfg, why, n);
	if (err) {
		free(c);
		close(fd);
		return err;
	}
	c->sw = sw;
	err = port_sock_attach(c->sock, fd);
	if (err) {
		port_sock_destroy(c->sock);
		free(c);
		return err;
	}
	*out = c;
	return 0;
}

/* ---- who joins --------------------------------------------------------------------------- */

static void root_gone(void *ctx)
{
	const struct cable *c = ctx;

	log_warn("switch %s: the root at %s is gone, and what was on its switch; restart this one "
		 "to join again",
		 c->sw->cfg.name, c->sw->cfg.root);
}

int cable_up(struct netsw *sw, int fd, char *why, size_t n)
{
	struct port_sock_config cfg = { .name = "uplink", .role = VSW_UPLINK, .gone = root_gone };

	host_policy(&cfg.policy, 0);
	return plug_in(sw, &cfg, fd, &sw->uplink, why, n);
}

/* ---- who is joined ------------------------------------------------------------------------ */

static void pull_out(struct cable *c)
{
	switch_port_leaves(c->sw, port_sock_port(c->sock));
	port_sock_destroy(c->sock);
	c->sw->nr_joined--;
	free(c);
}

static void joiner_gone(void *ctx)
{
	struct cable *c = ctx, **at = &c->sw->joined;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	log_info("port %s/%s: who had joined is gone", c->sw->cfg.name,
		 vsw_port_name(port_sock_port(c->sock)));
	pull_out(c);
}

static bool has_room(const struct root *r)
{
	uint32_t all = 0;

	for (uint32_t i = 0; i < r->nr_switches; i++)
		all += r->sw[i]->nr_joined;
	return all < ROOT_MAX_JOINED;
}

int cable_join(struct netsw *sw, const char *port, int fd, char *why, size_t n)
{
	struct port_sock_config cfg = {
		.name = port, .role = VSW_HOST, .policy = sw->cfg.policy, .gone = joiner_gone
	};
	struct cable *c;
	int err;

	if (!has_room(sw->root)) {
		close(fd);
		snprintf(why, n, "%u switches of other roots are the limit", ROOT_MAX_JOINED);
		return -ENOSPC;
	}
	cfg.policy.mac_spoofing = true;
	err = plug_in(sw, &cfg, fd, &c, why, n);
	if (err)
		return err;
	c->next = sw->joined;
	sw->joined = c;
	sw->nr_joined++;
	switch_port_came(sw, port_sock_port(c->sock));
	return 0;
}

/* ---- both ---------------------------------------------------------------------------------- */

void cables_close(struct netsw *sw)
{
	while (sw->joined) {
		struct cable *c = sw->joined;

		sw->joined = c->next;
		pull_out(c);
	}
	if (sw->uplink)
		port_sock_destroy(sw->uplink->sock);
	free(sw->uplink);
	sw->uplink = NULL;
}

struct cable *cable_find(const struct netsw *sw, const struct vsw_port *p)
{
	struct cable *c = sw->joined;

	while (c && port_sock_port(c->sock) != p)
		c = c->next;
	return c;
}

void cable_stats(const struct cable *c, struct port_stats *out)
{
	port_sock_stats(c->sock, out);
}
