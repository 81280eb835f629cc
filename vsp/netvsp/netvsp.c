/* SPDX-License-Identifier: MIT */
/*
 * An adapter as the bus, the switch and its owner see it: offered, connected, opened, closed,
 * taken away. What it says to the guest is in the other files (net_priv.h).
 */
#include "vsp/netvsp/net_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_MTU    9000u
#define DEFAULT_QUEUES 8u
#define MAX_PACKET     8192u /* NET_MAX_RANGES ranges of two pages and more, or 562 of a transfer */

/* ---- device ops -------------------------------------------------------------------- */

static int dev_open(void *dev, uint16_t sub, struct vmbus_chan *chan, const uint8_t *user)
{
	struct netvsp *n = dev;
	struct net_chan *c;

	(void)user;
	/* Only what was granted: a sub-channel nobody asked for has no place in the guest's plan.
	 */
	if (sub > n->granted || (sub && !nvsp_serving(n)))
		return -EINVAL;
	c = &n->chan[sub];
	if (c->open)
		return -EBUSY;
	*c = (struct net_chan){ .n = n, .chan = chan, .sub = sub, .open = true };
	n->nr_open++;
	net_chan_opened(c);
	nvsp_opened(c);
	return 0;
}

static bool dev_drain(void *dev, uint16_t sub)
{
	struct netvsp *n = dev;

	return n->chan[sub].open && net_chan_drain(&n->chan[sub]);
}

static void dev_close(void *dev, uint16_t sub)
{
	struct netvsp *n = dev;
	struct net_chan *c = &n->chan[sub];

	c->open = false;
	n->nr_open--;
	net_chan_closed(c);
	nvsp_closed(c);
	*c = (struct net_chan){ .n = n, .sub = sub };
	vmbus_device_closed(n->dev, sub);
}

/*
 * Control messages overtake the ring: the guest may have written a REVOKE that was not read yet, or
 * none at all. Either way it wants its memory back.
 */
static void dev_unmap(void *dev, struct vmbus_buffer *b)
{
	struct netvsp *n = dev;

	if (b != n->rx.buf && b != n->tx.buf)
		return;
	nvsp_revoke(n);
	net_rndis_reset(n);
	if (n->state != NET_FAILED)
		n->state = NET_REVOKED;
}

static const struct vmbus_device_ops net_ops = {
	.open = dev_open,
	.drain = dev_drain,
	.close = dev_close,
	.unmap = dev_unmap,
};

/* ---- life ---------------------------------------------------------------------------- */

static int refuse(char *why, size_t whylen, const char *text)
{
	if (why)
		snprintf(why, whylen, "%s", text);
	return -EINVAL;
}

static bool known_version(uint32_t v)
{
	return v == NVSP_V1 || v == NVSP_V2 || v == NVSP_V4 || v == NVSP_V5 || v == NVSP_V6 ||
	       v == NVSP_V6_1;
}

static int check_config(struct netvsp_config *cfg, struct vmbus_bus *bus, char *why, size_t whylen)
{
	uint32_t vps = vmbus_bus_nr_vps(bus);

	if (!cfg->max_mtu)
		cfg->max_mtu = DEFAULT_MTU;
	if (!cfg->max_version)
		cfg->max_version = NVSP_V6_1;
	if (!cfg->speed)
		cfg->speed = NETVSP_SPEED;
	if (!cfg->max_queues)
		cfg->max_queues = (uint16_t)(vps < DEFAULT_QUEUES ? vps : DEFAULT_QUEUES);
	if (!cfg->max_queues)
		cfg->max_queues = 1;
	if (!cfg->loop)
		return refuse(why, whylen,
			      "an adapter runs on its switch's loop, which is not given");
	if (!cfg->name || !*cfg->name)
		return refuse(why, whylen, "the adapter has no name");
	if (strlen(cfg->name) >= sizeof(((struct netvsp *)0)->name))
		return refuse(why, whylen, "the adapter's name is longer than 15 characters");
	if (cfg->port_name && strlen(cfg->port_name) >= VSW_NAME)
		return refuse(why, whylen, "the port's name is longer than 31 characters");
	if (net_mac_multicast(cfg->mac) || net_mac_zero(cfg->mac))
		return refuse(why, whylen, "an adapter needs a unicast address (mac)");
	if (cfg->max_mtu < NET_MIN_MTU || cfg->max_mtu > NETVSP_MAX_MTU)
		return refuse(why, whylen, "the MTU has to be 68 to 65535");
	if (cfg->max_queues > NETVSP_MAX_QUEUES)
		return refuse(why, whylen, "an adapter has at most 16 queues");
	if (!known_version(cfg->max_version))
		return refuse(why, whylen, "there is no such NVSP version");
	return 0;
}

static int connect_port(struct netvsp *n, char *why, size_t whylen)
{
	struct vsw_port_config port = {
		.name = n->port_name,
		.role = VSW_GUEST,
		.mtu = n->cfg.max_mtu,
		.policy = n->cfg.policy,
		.ops = &net_port_ops,
		.ctx = n,
	};

	memcpy(port.mac, n->cfg.mac, NET_MAC_LEN);
	return vsw_port_add(&n->port, n->sw, &port, why, whylen);
}

static int offer(struct netvsp *n, char *why, size_t whylen)
{
	struct vmbus_device_desc desc = {
		.type = VMBUS_CLASS_NET,
		.instance = n->cfg.instance,
		.flags = VMBUS_OFFER_ENUMERATE,
		.max_packet = MAX_PACKET,
		.name = n->name,
		.loop = n->cfg.loop,
	};
	int err = vmbus_device_offer(&n->dev, n->bus, &desc, &net_ops, n);

	if (err && why)
		snprintf(why, whylen, "%s cannot be offered to the guest: %s", n->name,
			 strerror(-err));
	return err;
}

static void set_names(struct netvsp *n)
{
	struct netvsp_config *cfg = &n->cfg;

	snprintf(n->name, sizeof(n->name), "%s", cfg->name);
	if (cfg->port_name)
		snprintf(n->port_name, sizeof(n->port_name), "%s", cfg->port_name);
	else
		snprintf(n->port_name, sizeof(n->port_name), "p%u.%s",
			 vmbus_bus_partition_id(n->bus), n->name);
	snprintf(n->friendly, sizeof(n->friendly), "%s",
		 cfg->friendly ? cfg->friendly : "Network Adapter");
	cfg->name = n->name;
	cfg->port_name = n->port_name;
	cfg->friendly = n->friendly;
}

int netvsp_create(struct netvsp **out, struct vmbus_bus *bus, struct vsw *sw,
		  const struct netvsp_config *cfg, char *why, size_t whylen)
{
	struct netvsp *n = calloc(1, sizeof(*n));
	int err;

	if (!n)
		return -ENOMEM;
	n->cfg = *cfg;
	n->bus = bus;
	n->sw = sw;
	n->loop = cfg->loop;
	err = check_config(&n->cfg, bus, why, whylen);
	if (!err) {
		set_names(n);
		n->speed = n->cfg.speed;
		n->mtu = n->cfg.max_mtu;
		memcpy(n->mac, n->cfg.mac, NET_MAC_LEN);
		net_rss_reset(n);
		err = connect_port(n, why, whylen);
	}
	if (!err)
		err = offer(n, why, whylen);
	if (err) {
		vsw_port_del(n->port);
		free(n);
		return err;
	}
	net_rndis_reset(n);
	*out = n;
	return 0;
}

static void dev_gone(void *dev)
{
	struct netvsp *n = dev;
	void (*gone)(void *ctx) = n->gone;
	void *ctx = n->gone_ctx;

	free(n);
	if (gone)
		gone(ctx);
}

void netvsp_destroy(struct netvsp *n, void (*gone)(void *ctx), void *ctx)
{
	n->gone = gone;
	n->gone_ctx = ctx;
	vsw_port_del(n->port);
	n->port = NULL;
	vmbus_device_revoke(n->dev, dev_gone);
}

/* ---- the cable ------------------------------------------------------------------------- */

/* What was said outside of a drain goes out with the next one. */
static void kick(struct netvsp *n)
{
	if (n->chan[0].open)
		vmbus_device_kick(n->dev, 0);
}

void netvsp_set_link(struct netvsp *n, bool up)
{
	if (!n->port)
		return;
	vsw_port_set_link(n->port, up); /* tells net_rndis_changed() */
	kick(n);
}

void netvsp_set_speed(struct netvsp *n, uint64_t bps)
{
	uint32_t units = bps / 100 < UINT32_MAX ? (uint32_t)(bps / 100) : UINT32_MAX;

	n->speed = bps;
	if (!(n->caps & NVSP_CAP_TEAMING))
		return;
	net_rndis_indicate(n, RNDIS_STATUS_LINK_SPEED_CHANGE, &units, sizeof(units));
	kick(n);
}

void netvsp_network_change(struct netvsp *n)
{
	net_rndis_indicate(n, RNDIS_STATUS_NETWORK_CHANGE, NULL, 0);
	kick(n);
}

/* ---- before it is taken away ------------------------------------------------------------- */

static bool buffer_is_back(const struct netvsp *n)
{
	return !n->rx.buf || (n->rx.free == n->rx.count - n->rx.reserved &&
			      n->control_free == (1u << NVSP_RX_CONTROL) - 1);
}

static bool cable_is_known(const struct netvsp *n)
{
	return n->state != NET_OPERATIONAL || !n->filter || !n->port ||
	       n->link == vsw_port_link(n->port);
}

/* Between its messages the driver has not let go of what it begins with. */
static bool is_beginning(const struct netvsp *n)
{
	return n->state == NET_INIT || n->state == NET_CONFIG || n->state == NET_READY;
}

bool netvsp_idle(const struct netvsp *n)
{
	if (is_beginning(n))
		return false;
	for (uint32_t i = 0; i < NETVSP_MAX_QUEUES; i++)
		if (n->chan[i].open && !net_chan_idle(&n->chan[i]))
			return false;
	return !n->control_first && buffer_is_back(n) && cable_is_known(n);
}

/* ---- inspection --------------------------------------------------------------------------- */

struct vsw_port *netvsp_port(const struct netvsp *n)
{
	return n->port;
}

static const char *const state_names[] = {
	[NET_CLOSED] = "closed",   [NET_INIT] = "init",	    [NET_CONFIG] = "config",
	[NET_READY] = "ready",	   [NET_HALTED] = "halted", [NET_OPERATIONAL] = "operational",
	[NET_REVOKED] = "revoked", [NET_FAILED] = "failed",
};

void netvsp_stats(const struct netvsp *n, struct netvsp_stats *out)
{
	*out = n->count;
	out->state = state_names[n->state];
	out->failed = n->failed;
	out->version = n->version;
	out->mtu = n->mtu;
	out->speed = n->speed;
	out->channels = n->nr_open;
	out->max_queues = n->cfg.max_queues;
	out->filter = n->filter;
	out->link = n->port && vsw_port_link(n->port);
	out->rsc = n->offload.rsc4 || n->offload.rsc6;
	out->rss = n->rss.enabled;
	if (n->rx.buf) {
		out->rx_sections = n->rx.count;
		out->rx_usable = n->rx.count - n->rx.reserved;
		out->rx_free = n->rx.free;
	}
	if (n->tx.buf)
		out->tx_sections = n->tx.sections;
}
