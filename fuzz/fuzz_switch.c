/* SPDX-License-Identifier: MIT */
/*
 * The switch under everything that guests and administrators do: bytes become ports, policies,
 * links, steps of the clock, and frames with headers that are right, nearly right, or
 * random. Whatever happens: a frame reaches only who may have it, and is counted once.
 */
#include "base/iov.h"
#include "base/net/vnet.h"
#include "fuzz/input.h"
#include "vsp/netvsp/vsw_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PORTS	12
#define NR_MACS 20 /* some are ports', some nobody's */
#define VLANS	4

struct port {
	struct vsw_port *p;
	uint32_t id, got; /* of the current frame */
	uint8_t refuse;	  /* enum vsw_drop, or 0 */
	bool picky;
	bool pending; /* delivered to since its last flush */
};

static struct {
	struct vsw *sw;
	uint64_t now;
	struct port port[PORTS];
	struct port *from; /* of the frame in flight; NULL: none may be delivered */
	uint16_t vlan;	   /* it was classified into */
	uint32_t delivered;
	uint64_t refused;
	uint32_t sources; /* so many more may be made up in this run */
} w;

static uint64_t clock_now(void *ctx)
{
	(void)ctx;
	return w.now;
}

/* The rules once more, and independent of how the switch keeps them. */
static bool in_vlan(const struct vsw_port *p, uint16_t vlan)
{
	const struct vsw_policy *policy = &p->policy;

	if (p->role == VSW_UPLINK || policy->vlan == vlan)
		return true;
	return policy->vlan_mode == VSW_TRUNK && policy->allowed[vlan / 8] >> vlan % 8 & 1;
}

static bool goes_untagged(const struct vsw_port *p, uint16_t vlan)
{
	return p->role == VSW_UPLINK ? !vlan : p->policy.vlan == vlan;
}

static void check_bytes(const struct net_frame *f)
{
	INVARIANT(f->len >= NET_ETH_LEN && f->head_len >= NET_ETH_LEN);
	INVARIANT(f->head_len <= f->len && f->head_len <= NET_HEAD_MAX + NET_VLAN_LEN);
	INVARIANT(iov_length(f->iov, f->iovcnt) == f->len - f->head_len);
}

static void check_offloads(const struct port *p, const struct net_frame *f,
			   const struct net_meta *meta)
{
	uint32_t caps = p->p->caps;

	INVARIANT(caps & VSW_CAN_VLAN || !meta->tagged);
	INVARIANT(caps & VSW_CAN_CSUM || meta->csum != NET_CSUM_PARTIAL);
	INVARIANT(meta->gso != NET_GSO_TCP4 || caps & VSW_CAN_TSO4);
	INVARIANT(meta->gso != NET_GSO_TCP6 || caps & VSW_CAN_TSO6);
	if (meta->csum == NET_CSUM_PARTIAL)
		INVARIANT(meta->csum_start + meta->csum_offset + 2u <= f->head_len);
}

static enum vsw_drop deliver(void *ctx, const struct net_frame *f, const struct net_meta *meta,
			     uint32_t from)
{
	struct port *p = ctx;

	INVARIANT(w.from && p->p && p != w.from);
	INVARIANT(from == w.from->id);
	INVARIANT(vsw_port_link(p->p) && vsw_port_link(w.from->p));
	INVARIANT(in_vlan(p->p, w.vlan));
	INVARIANT(!(p->p->policy.isolated && w.from->p->policy.isolated));
	INVARIANT(!meta->tagged || (meta->vlan_tci & 0xfff) == w.vlan);
	if (p->p->caps & VSW_CAN_VLAN && !goes_untagged(p->p, w.vlan))
		INVARIANT(meta->tagged);
	check_bytes(f);
	check_offloads(p, f, meta);
	if (p->refuse) {
		w.refused++;
		return p->refuse;
	}
	p->got++;
	p->pending = true;
	w.delivered++;
	return VSW_FORWARDED;
}

static void flush(void *ctx)
{
	struct port *p = ctx;

	INVARIANT(p->p && p->pending);
	p->pending = false;
}

static bool wants(void *ctx, const uint8_t *dst)
{
	return !((struct port *)ctx)->picky || net_mac_multicast(dst);
}

static const struct vsw_port_ops ops = { .deliver = deliver, .flush = flush, .wants = wants };

/* ---- what is done to it --------------------------------------------------------------------- */

static void some_mac(struct input *in, uint8_t *mac)
{
	uint8_t n = input_u8(in);

	memset(mac, 0, NET_MAC_LEN);
	if (n < NR_MACS) {
		mac[0] = 2;
		mac[5] = n;
	} else if (n < 0x40) {
		memset(mac, 0xff, NET_MAC_LEN);
	} else if (n < 0x50) {
		memcpy(mac, "\x01\x80\xc2\x00\x00", 5);
		mac[5] = n & 0x1f;
	} else if (n < 0x60) {
		mac[0] = 3;
	} else {
		input_take(in, mac, NET_MAC_LEN);
	}
}

static uint16_t some_vlan(struct input *in)
{
	uint8_t n = input_u8(in);

	return n < 0xf0 ? n % VLANS : input_u16(in);
}

static void some_policy(struct input *in, struct vsw_policy *policy)
{
	uint8_t bits = input_u8(in), more = input_u8(in);

	memset(policy, 0, sizeof(*policy));
	policy->mac_spoofing = bits & 1;
	policy->dhcp_guard = bits & 2;
	policy->router_guard = bits & 4;
	policy->isolated = bits & 8;
	policy->priority_tag = bits & 16;
	policy->vlan_mode = bits >> 6;
	policy->vlan = policy->vlan_mode || bits & 32 ? some_vlan(in) : 0;
	policy->allowed[0] = more & 0x0f;
	policy->allowed[511] = more & 0x10 ? 0xff : 0;
	policy->storm = more & 0x20 ? 3 : 0;
	policy->bps = more & 0x40 ? 1000000 : 0;
	policy->burst = more & 0x80 ? 2000 : 0;
}

static void add_port(struct input *in, struct port *p)
{
	struct vsw_port_config cfg = { .name = "x", .ops = &ops, .ctx = p };
	uint8_t bits = input_u8(in);
	char name[8] = "port-a";

	if (p->p)
		return;
	name[5] = (char)('a' + (p - w.port) % PORTS);
	cfg.name = name;
	cfg.role = bits % 8 == 7 ? VSW_UPLINK : bits % 8 == 6 ? VSW_HOST : VSW_GUEST;
	cfg.caps = bits >> 4;
	cfg.mtu = bits & 8 ? 9000 : 0;
	some_mac(in, cfg.mac);
	some_policy(in, &cfg.policy);
	if (vsw_port_add(&p->p, w.sw, &cfg, NULL, 0)) {
		p->p = NULL;
		return;
	}
	p->id = vsw_port_id(p->p);
	p->refuse = 0;
	p->picky = p->pending = false;
	INVARIANT(p->id < VSW_MAX_PORTS);
}

static void del_port(struct port *p)
{
	vsw_port_del(p->p);
	p->p = NULL;
}

static void change_port(struct input *in, struct port *p)
{
	uint8_t what = input_u8(in), mac[NET_MAC_LEN];
	struct vsw_policy policy;

	if (!p->p)
		return;
	switch (what % 6) {
	case 0:
		some_policy(in, &policy);
		vsw_port_set_policy(p->p, &policy, NULL, 0);
		break;
	case 1:
		vsw_port_set_link(p->p, what & 0x80);
		break;
	case 2:
		some_mac(in, mac);
		vsw_port_set_mac(p->p, mac);
		break;
	case 3:
		vsw_port_set_caps(p->p, what >> 4, input_u16(in));
		break;
	case 4:
		p->refuse = what & 0x80 ? VSW_DROP_NO_BUFFER : 0;
		break;
	default:
		p->picky = what & 0x80;
	}
}

/* ---- frames ------------------------------------------------------------------------------------
 */

#define FRAME_MAX 9100u

static uint8_t bytes[FRAME_MAX];

/* Headers that make sense, to be spoilt; what is behind them is of the input. */
static uint32_t biased(struct input *in, uint32_t at, uint8_t kind)
{
	static const uint8_t ip4[20] = { 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6 };
	static const uint8_t ip6[40] = { 0x60, 0, 0, 0, 0, 0, 58 };
	static const uint8_t arp[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };
	static const uint8_t next[8] = { 6, 17, 1, 58, 0, 43, 44, 60 };
	uint8_t protocol = next[kind >> 2 & 7];

	switch (kind & 3) {
	case 0:
		be16_put(bytes + at - 2, NET_ETHERTYPE_IP4);
		memcpy(bytes + at, ip4, sizeof(ip4));
		bytes[at + 9] = protocol;
		input_take(in, bytes + at + 20, 24);
		bytes[at + 32] = 0x50;
		return at + 44;
	case 1:
		be16_put(bytes + at - 2, NET_ETHERTYPE_IP6);
		memcpy(bytes + at, ip6, sizeof(ip6));
		bytes[at + 6] = protocol;
		input_take(in, bytes + at + 40, 40);
		return at + 80;
	case 2:
		be16_put(bytes + at - 2, NET_ETHERTYPE_ARP);
		memcpy(bytes + at, arp, sizeof(arp));
		input_take(in, bytes + at + 8, 20);
		return at + 28;
	default:
		input_take(in, bytes + at - 2, 34);
		return at + 32;
	}
}

static uint32_t some_frame(struct input *in, struct net_meta *meta)
{
	uint8_t bits = input_u8(in), kind = input_u8(in), own = input_u8(in);
	uint32_t at = NET_ETH_LEN, len;

	memset(bytes, 0, 512);
	memset(meta, 0, sizeof(*meta));
	some_mac(in, bytes);
	some_mac(in, bytes + 6);
	if (own & 1) /* what most guests do */
		memcpy(bytes + 6, vsw_port_mac(w.from->p), NET_MAC_LEN);
	for (uint32_t tags = bits >> 1 & 3; tags > 1; tags--, at += NET_VLAN_LEN) {
		be16_put(bytes + at - 2, own & 2 ? NET_ETHERTYPE_QINQ : NET_ETHERTYPE_VLAN);
		be16_put(bytes + at, some_vlan(in));
	}
	len = biased(in, at, kind);
	if (bits & 1) {
		meta->tagged = true;
		meta->vlan_tci = some_vlan(in);
	}
	if (bits & 8)
		input_spoil(in, bytes + NET_ETH_LEN, len - NET_ETH_LEN);
	if (bits & 16)
		len = input_u16(in) % FRAME_MAX;
	if (kind & 0x20 && len > at + 20 && bytes[at] == 0x45)
		be16_put(bytes + at + 2, (uint16_t)(len - at));
	if (kind & 0x20 && len > at + 40 && bytes[at] == 0x60)
		be16_put(bytes + at + 4, (uint16_t)(len - at - 40));
	return len < NET_ETH_LEN ? NET_ETH_LEN : len;
}

/* As a driver would ask, or as a broken one would. */
static void some_offload(struct input *in, struct net_frame *f)
{
	uint8_t what = input_u8(in);
	struct net_meta tags = f->meta;

	switch (what % 8) {
	case 0:
		net_vlan_pop(f);
		if (net_frame_make_gso(f, 1 + input_u8(in) * 8u, what & 0x80))
			f->meta = tags;
		break;
	case 1:
		if (net_frame_make_partial(f, true, what & 0x80))
			f->meta = tags;
		break;
	case 2:
		input_take(in, &f->meta, offsetof(struct net_meta, hash));
		f->meta.tagged = what & 0x40;
		break;
	default:
		break;
	}
}

struct totals {
	uint64_t in, in_drops, out, out_drops;
};

static struct totals totals(void)
{
	struct totals t = { 0 };
	struct vsw_port_stats s;

	for (int i = 0; i < PORTS; i++) {
		if (!w.port[i].p)
			continue;
		vsw_port_stats(w.port[i].p, &s);
		t.in += s.in.frames;
		t.out += s.out.frames;
		for (int d = 0; d < VSW_DROP_COUNT; d++) {
			t.in_drops += s.drop_in[d];
			t.out_drops += s.drop_out[d];
		}
	}
	return t;
}

/* The VLAN by the rules, of a frame that got as far as being delivered. */
static uint16_t classified(const struct net_frame *f)
{
	struct net_frame copy = *f;
	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN];
	uint16_t id;

	memcpy(head, f->head, f->head_len);
	copy.head = head;
	if (!copy.meta.tagged)
		net_vlan_pop(&copy);
	id = copy.meta.tagged ? copy.meta.vlan_tci & 0xfff : 0;
	if (id)
		return id;
	return w.from->p->role == VSW_UPLINK ? 0 : w.from->p->policy.vlan;
}

static void send(struct input *in, struct port *from)
{
	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN], cut = input_u8(in);
	struct iovec iov[2], rest[2];
	struct totals before, after;
	enum vsw_drop result;
	struct net_meta meta;
	struct net_frame f;
	uint32_t len;

	if (!from->p)
		return;
	w.from = from;
	len = some_frame(in, &meta);
	iov[0] = (struct iovec){ bytes, len < cut ? len : cut };
	iov[1] = (struct iovec){ bytes + iov[0].iov_len, len - iov[0].iov_len };
	if (net_frame_init(&f, head, cut & 1 ? NET_HEAD_FIRST : 64, iov, 2, rest))
		return;
	f.meta = meta;
	some_offload(in, &f);
	w.vlan = classified(&f);
	w.delivered = 0;
	before = totals();
	result = vsw_input(from->p, &f);
	after = totals();
	INVARIANT(result < VSW_DROP_COUNT);
	INVARIANT((result == VSW_FORWARDED) == (w.delivered > 0));
	INVARIANT(after.in == before.in + 1);
	INVARIANT(after.in_drops == before.in_drops + (result != VSW_FORWARDED));
	INVARIANT(after.out == before.out + w.delivered);
	INVARIANT(after.out_drops - before.out_drops >= w.refused);
	w.refused = 0;
	w.from = NULL;
}

/* A burst of sources nobody has heard of. */
static void many_sources(struct input *in, struct port *from)
{
	uint32_t n = input_u16(in) % 2048, first = input_u16(in);
	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN] = { 2, 0, 0, 0, 0, 1, 2, 9 };
	struct net_frame f;

	if (!from->p || n > w.sources)
		return;
	w.sources -= n;
	w.from = from;
	for (uint32_t i = 0; i < n; i++) {
		be32_put(head + 8, first + i);
		f = (struct net_frame){ .head = head, .head_len = 60, .len = 60 };
		w.vlan = classified(&f);
		vsw_input(from->p, &f);
	}
	w.refused = 0;
	w.from = NULL;
}

static void see_mac(void *ctx, const struct vsw_mac_info *m)
{
	uint32_t *n = ctx;

	INVARIANT(m->port && !net_mac_multicast(m->mac) && !net_mac_zero(m->mac));
	INVARIANT(m->fixed || m->age_ns <= VSW_AGE_NS + 1000000000u);
	*n += !m->fixed;
}

static void check_caps(bool look)
{
	uint32_t learned = 0, seen = 0;

	for (int i = 0; i < PORTS; i++) {
		if (!w.port[i].p)
			continue;
		INVARIANT(w.sw->macs.per_port[w.port[i].id] <= VSW_MACS_PER_PORT);
		learned += w.sw->macs.per_port[w.port[i].id];
	}
	INVARIANT(learned == w.sw->macs.learned && learned <= VSW_MACS);
	if (look) /* slow: the whole table */
		vsw_each_mac(w.sw, see_mac, &seen);
	INVARIANT(seen <= learned);
}

static void step(struct input *in)
{
	uint8_t what = input_u8(in);
	struct port *p = &w.port[input_u8(in) % PORTS];

	switch (what % 16) {
	case 0:
	case 1:
		add_port(in, p);
		break;
	case 2:
		del_port(p);
		break;
	case 3:
	case 4:
		change_port(in, p);
		break;
	case 5:
		w.now += (uint64_t)input_u16(in) * (what & 0x80 ? 10000000 : 1000);
		break;
	case 6:
		vsw_flush(w.sw);
		for (int i = 0; i < PORTS; i++)
			INVARIANT(!w.port[i].p || !w.port[i].pending);
		break;
	case 7:
		if (what & 0x80)
			many_sources(in, p);
		break;
	default:
		send(in, p);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct vsw_config cfg = { .name = "lan", .type = VSW_EXTERNAL, .now = clock_now };
	uint8_t how;

	memset(&w, 0, sizeof(w));
	w.now = 1000000000u;
	w.sources = 4096;
	how = input_u8(&in);
	cfg.bridge = how & 1;
	if (vsw_create(&w.sw, &cfg))
		return 0;
	while (in.left)
		step(&in);
	check_caps(how & 2);
	for (int i = 0; i < PORTS; i++)
		del_port(&w.port[i]);
	INVARIANT(!w.sw->macs.learned);
	vsw_destroy(w.sw);
	return 0;
}
