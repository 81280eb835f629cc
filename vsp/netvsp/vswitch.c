/* SPDX-License-Identifier: MIT */
/* The switch: one frame from a port to the ports that are to have it. */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/clock.h"
#include "vsp/netvsp/pcapng.h"
#include "vsp/netvsp/vsw_priv.h"

#define SWEEP_NS      1000000000ull
#define SWEEP_BUCKETS 64u

const char *vsw_drop_name(enum vsw_drop why)
{
	static const char *const names[VSW_DROP_COUNT] = { [VSW_FORWARDED] = "forwarded",
#define X(name, text) [VSW_DROP_##name] = text,
							   VSW_DROPS(X)
#undef X
	};

	return (unsigned)why < VSW_DROP_COUNT ? names[why] : "unknown";
}

const char *vsw_type_name(enum vsw_type t)
{
	static const char *const names[] = {
		[VSW_PRIVATE] = "private", [VSW_INTERNAL] = "internal", [VSW_EXTERNAL] = "external",
		[VSW_NAT] = "nat",	   [VSW_JOINED] = "joined",
	};

	return (unsigned)t < ARRAY_SIZE(names) ? names[t] : "unknown";
}

static uint64_t monotonic(void *ctx)
{
	(void)ctx;
	return clock_ns();
}

static uint64_t secret(void)
{
	uint64_t v;

	if (getrandom(&v, sizeof(v), GRND_NONBLOCK) != sizeof(v))
		v = clock_ns() * 0x9e3779b97f4a7c15ull;
	return v;
}

int vsw_create(struct vsw **out, const struct vsw_config *cfg)
{
	struct vsw *sw;
	int err;

	if (!cfg->name || !cfg->name[0] || strlen(cfg->name) >= VSW_NAME)
		return -EINVAL;
	sw = calloc(1, sizeof(*sw));
	if (!sw)
		return -ENOMEM;
	err = mac_table_init(&sw->macs, secret());
	if (err) {
		free(sw);
		return err;
	}
	strcpy(sw->name, cfg->name);
	sw->type = (uint8_t)cfg->type;
	sw->bridge = cfg->bridge;
	sw->now = cfg->now ? cfg->now : monotonic;
	sw->now_ctx = cfg->now_ctx;
	*out = sw;
	return 0;
}

void vsw_destroy(struct vsw *sw)
{
	if (!sw)
		return;
	mac_table_fini(&sw->macs);
	free(sw);
}

const char *vsw_name(const struct vsw *sw)
{
	return sw->name;
}

enum vsw_type vsw_type_of(const struct vsw *sw)
{
	return sw->type;
}

/* ---- look-up ---------------------------------------------------------------------------- */

/* The port that has the address in the frame's VLAN, or NULL. */
static struct vsw_port *find_receiver(struct vsw_tx *tx)
{
	struct vsw *sw = tx->sw;
	struct mac_hit hit = mac_table_find(&sw->macs, tx->dst, tx->vlan);
	struct vsw_port *p;

	if (likely(hit.fixed)) {
		p = sw->by_id[hit.fixed->port];
		if (likely(vsw_member(p, tx->vlan)))
			return p;
	}
	if (!hit.learned)
		return NULL;
	if (mac_entry_old(hit.learned, vsw_now_s(tx))) {
		mac_table_forget(&sw->macs, hit.learned);
		return NULL;
	}
	p = sw->by_id[hit.learned->port];
	return vsw_member(p, tx->vlan) ? p : NULL;
}

/* 01-80-C2-00-00-0x is between neighbours on a wire, and pause frames not even that. */
static bool is_reserved(const struct vsw_tx *tx)
{
	static const uint8_t prefix[5] = { 0x01, 0x80, 0xc2, 0x00, 0x00 };
	const uint8_t *dst = tx->f->head;

	if (memcmp(dst, prefix, sizeof(prefix)) || dst[5] > 0x0f)
		return false;
	return !(tx->from->features & VSW_F_UPLINK) || tx->sw->bridge || dst[5] == 0x01;
}

static void flood(struct vsw_tx *tx)
{
	struct vsw *sw = tx->sw;

	for (uint32_t i = 0; i < sw->nports; i++) {
		struct vsw_port *p = sw->port[i];

		/* Whose address is known gets nothing that is for an unknown one. */
		if (!tx->multicast && !sw->bridge && !(p->features & VSW_F_FOREIGN))
			continue;
		if (p != tx->from && vsw_member(p, tx->vlan))
			vsw_deliver(tx, p);
	}
}

static void mirror_sent(struct vsw_tx *tx)
{
	struct net_meta meta;

	vsw_meta_for(tx, tx->from, tx->f, &meta);
	vsw_mirror_frame(tx->from->mirror, tx->f, &meta, true);
}

static enum vsw_drop forward(struct vsw_tx *tx)
{
	if (tx->multicast && is_reserved(tx))
		return VSW_DROP_RESERVED;
	if (unlikely(tx->from->mirror))
		mirror_sent(tx);
	if (!tx->to)
		flood(tx);
	else if (likely(tx->to != tx->from))
		vsw_deliver(tx, tx->to);
	else
		return VSW_DROP_HAIRPIN;
	if (unlikely(tx->nsegment))
		vsw_deliver_segments(tx);
	if (likely(tx->taken))
		return VSW_FORWARDED;
	return tx->why ? tx->why : VSW_DROP_NO_PORT;
}

/* ---- a frame ------------------------------------------------------------------------------ */

/* What only some ports are configured for. */
static enum vsw_drop extras(struct vsw_tx *tx)
{
	struct vsw_port *p = tx->from;
	enum vsw_drop why = VSW_FORWARDED;

	if (p->features & VSW_F_STORM && !tx->to && !storm_allows(&p->storm, vsw_now(tx)))
		return VSW_DROP_STORM;
	if (p->features & (VSW_F_DHCP | VSW_F_ROUTER))
		why = vsw_check_guards(tx);
	if (why)
		return why;
	if (p->features & VSW_F_FOREIGN)
		vsw_learn(tx);
	if (p->features & VSW_F_METER) {
		if (meter_wait_ns(&p->meter, vsw_now(tx)))
			return VSW_DROP_BANDWIDTH;
		meter_charge(&p->meter, vsw_now(tx), meter_bytes(tx->f));
	}
	return VSW_FORWARDED;
}

#define EXTRAS (VSW_F_STORM | VSW_F_DHCP | VSW_F_ROUTER | VSW_F_FOREIGN | VSW_F_METER)

static enum vsw_drop ingress(struct vsw_tx *tx)
{
	enum vsw_drop why = vsw_check_format(tx);

	if (likely(!why))
		why = vsw_check_source(tx);
	if (likely(!why))
		why = vsw_classify(tx);
	if (unlikely(why))
		return why;
	tx->to = tx->multicast ? NULL : find_receiver(tx);
	return tx->from->features & EXTRAS ? extras(tx) : VSW_FORWARDED;
}

enum vsw_drop vsw_input(struct vsw_port *from, struct net_frame *f)
{
	struct vsw_tx tx;
	enum vsw_drop why;

	tx.sw = from->sw;
	tx.from = from;
	tx.f = f;
	tx.now = 0;
	tx.taken = 0;
	tx.why = VSW_FORWARDED;
	tx.nsegment = 0;
	tx.whole.f = f;
	tx.whole.have = 0;
	why = ingress(&tx);
	if (likely(!why))
		why = forward(&tx);
	if (unlikely(why))
		from->drop_in[why]++;
	return why;
}

/* A little of the table each second, so that nobody stays in it for ever. */
static void sweep(struct vsw *sw)
{
	uint64_t now = sw->now(sw->now_ctx);

	if (now - sw->swept_ns < SWEEP_NS)
		return;
	sw->swept_ns = now;
	mac_table_sweep(&sw->macs, SWEEP_BUCKETS, (uint32_t)(now / 1000000000u));
}

void vsw_flush(struct vsw *sw)
{
	while (sw->ntouched) {
		struct vsw_port *p = sw->touched[--sw->ntouched];

		p->touched = false;
		p->ops->flush(p->ctx);
	}
	if (sw->macs.learned)
		sweep(sw);
}
