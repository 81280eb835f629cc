/* SPDX-License-Identifier: MIT */
/* The child's partition and bus for client tests; see the header. */
#include "tests/fake/fake_child.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define REQUIRE(cond)                                                                              \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "fake_child: %s:%d: %s\n", __FILE__, __LINE__, #cond);     \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#define FAKE_CHILD_GPADLS 64

struct fake_chan {
	struct vmbus_client *client;
	struct vmbus_chan *host, *guest;
	struct hv_gpa_view host_in, host_out, guest_in, guest_out;
	uint64_t ring_gpa;
	uint32_t pages;
};

struct hv_child {
	uint8_t *mem;
	uint64_t size;
	uint8_t *used; /* one byte per page */
	struct hv_gpa *gpa;
	uint32_t vps, fail_alloc;
	bool dead;
};

struct vmbus_client {
	struct hv_child child;
	struct vmbus_offer offer;
	struct fake_chan chan[FAKE_CHILD_CHANS];
	void (*work)(void *ctx);
	void *work_ctx;
	uint16_t subs;
	bool rescinded, keep_gpadls;
	int fail_open, fail_gpadl;
	uint64_t gpadl[FAKE_CHILD_GPADLS]; /* first page; names count from 1 */
	uint32_t next_gpadl;
	struct fake_client_counts counts;
};

static struct vmbus_client *client_of(struct hv_child *c)
{
	return container_of(c, struct vmbus_client, child);
}

/* ---- the test's side ---------------------------------------------------------------- */

struct vmbus_client *fake_client_create(const struct guid *type, uint32_t vps, uint64_t memory)
{
	struct vmbus_client *c = calloc(1, sizeof(*c));
	int fd = hv_memfd_create("fake child", memory);

	REQUIRE(c && fd >= 0);
	c->child.size = memory;
	c->child.vps = vps;
	c->child.fail_alloc = UINT32_MAX;
	c->child.used = calloc(memory / 4096, 1);
	c->child.mem = mmap(NULL, memory, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(c->child.used && c->child.mem != MAP_FAILED);
	REQUIRE(!hv_gpa_create(&c->child.gpa));
	REQUIRE(!hv_gpa_add_ram(c->child.gpa, 0, memory, fd, 0));
	close(fd);
	c->child.used[0] = 1;
	c->offer = (struct vmbus_offer){ .type = *type, .relid = 1, .connection_id = 17 };
	c->subs = FAKE_CHILD_CHANS - 1;
	return c;
}

void fake_client_destroy(struct vmbus_client *c)
{
	uint32_t i;

	for (i = 0; i < FAKE_CHILD_CHANS; i++)
		REQUIRE(!c->chan[i].guest);
	munmap(c->child.mem, c->child.size);
	hv_gpa_put(c->child.gpa);
	free(c->child.used);
	free(c);
}

void fake_client_on_wait(struct vmbus_client *c, void (*work)(void *ctx), void *ctx)
{
	c->work = work;
	c->work_ctx = ctx;
}

struct vmbus_chan *fake_client_host(struct vmbus_client *c, uint16_t sub)
{
	return c->chan[sub].host;
}

const struct hv_gpa_view *fake_client_host_out(struct vmbus_client *c, uint16_t sub)
{
	return &c->chan[sub].host_out;
}

struct hv_gpa *fake_client_gpa(struct vmbus_client *c)
{
	return c->child.gpa;
}

void fake_client_offer_subs(struct vmbus_client *c, uint16_t n)
{
	c->subs = n;
}

void fake_client_kill_root(struct vmbus_client *c)
{
	c->child.dead = true;
}

void fake_client_rescind(struct vmbus_client *c)
{
	c->rescinded = true;
}

void fake_client_fail_open(struct vmbus_client *c, int err)
{
	c->fail_open = err;
}

void fake_client_fail_alloc(struct vmbus_client *c, uint32_t n)
{
	c->child.fail_alloc = n;
}

uint64_t fake_client_gpadl(struct vmbus_client *c, uint32_t gpadl)
{
	REQUIRE(gpadl && gpadl <= c->next_gpadl && c->gpadl[gpadl - 1]);
	return c->gpadl[gpadl - 1];
}

void fake_client_fail_gpadl(struct vmbus_client *c, int err)
{
	c->fail_gpadl = err;
}

void fake_client_keep_gpadls(struct vmbus_client *c)
{
	c->keep_gpadls = true;
}

const struct fake_client_counts *fake_client_counts(const struct vmbus_client *c)
{
	return &c->counts;
}

/* ---- hv-core/child.h ------------------------------------------------------------------- */

int hv_child_connect(struct hv_child **out, const char *path, const struct hv_child_config *cfg,
		     char *why, size_t whylen)
{
	(void)out;
	(void)path;
	(void)cfg;
	snprintf(why, whylen, "no root in this test");
	return -ECONNREFUSED;
}

void hv_child_destroy(struct hv_child *c)
{
	(void)c; /* fake_client_destroy() */
}

uint32_t hv_child_nr_vps(const struct hv_child *c)
{
	return c->vps;
}

bool hv_child_dead(struct hv_child *c)
{
	return c->dead;
}

void *hv_child_ptr(struct hv_child *c, uint64_t gpa)
{
	return gpa < c->size ? c->mem + gpa : NULL;
}

bool hv_child_gpa(struct hv_child *c, const void *p, uint64_t *gpa)
{
	*gpa = (uint64_t)((const uint8_t *)p - c->mem);
	return *gpa < c->size;
}

uint64_t hv_child_memory(const struct hv_child *c)
{
	return c->size;
}

int hv_child_alloc_pages(struct hv_child *c, uint32_t n, uint64_t *gpa)
{
	uint64_t i, run = 0, pages = c->size / 4096;

	if (c->fail_alloc != UINT32_MAX && !c->fail_alloc--)
		return -ENOMEM;
	for (i = 0; i < pages; i++) {
		run = c->used[i] ? 0 : run + 1;
		if (run < n)
			continue;
		*gpa = (i + 1 - n) * 4096;
		memset(c->used + i + 1 - n, 1, n);
		memset(c->mem + *gpa, 0, n * 4096ul);
		client_of(c)->counts.pages_used += n;
		return 0;
	}
	return -ENOMEM;
}

void hv_child_free_pages(struct hv_child *c, uint64_t gpa, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		REQUIRE(c->used[gpa / 4096 + i]);
		c->used[gpa / 4096 + i] = 0;
	}
	client_of(c)->counts.pages_used -= n;
}

/* ---- vmbus/client.h ----------------------------------------------------------------------- */

int vmbus_client_connect(struct vmbus_client **out, struct hv_child *child,
			 const struct vmbus_client_config *cfg)
{
	(void)out;
	(void)child;
	(void)cfg;
	return -ECONNRESET;
}

void vmbus_client_destroy(struct vmbus_client *c)
{
	(void)c; /* fake_client_destroy() */
}

struct hv_child *vmbus_client_child(struct vmbus_client *c)
{
	return &c->child;
}

int vmbus_client_find(struct vmbus_client *c, const struct guid *type, uint32_t index,
		      struct vmbus_offer *out)
{
	if (index || !guid_equal(type, &c->offer.type))
		return -ENOENT;
	*out = c->offer;
	return 0;
}

int vmbus_client_wait_sub(struct vmbus_client *c, const struct vmbus_offer *primary, uint16_t sub,
			  struct vmbus_offer *out)
{
	REQUIRE(primary->relid == c->offer.relid && sub);
	if (sub > c->subs)
		return -ETIMEDOUT;
	*out = c->offer;
	out->relid += sub;
	out->sub_index = sub;
	return 0;
}

static void signal_host(void *ctx)
{
	((struct fake_chan *)ctx)->client->counts.signals_to_host++;
}

static void signal_guest(void *ctx)
{
	((struct fake_chan *)ctx)->client->counts.signals_to_guest++;
}

static void map_ring(struct vmbus_client *c, struct hv_gpa_view *v, uint64_t gpa, uint32_t pages)
{
	uint64_t pfn[1024];
	uint32_t i;

	REQUIRE(pages <= ARRAY_SIZE(pfn));
	for (i = 0; i < pages; i++)
		pfn[i] = gpa / 4096 + i;
	REQUIRE(!hv_gpa_map_wrapped(c->child.gpa, v, pfn, pages));
}

static void create_ends(struct fake_chan *ch, uint32_t max_packet)
{
	struct vmbus_chan_config cfg = {
		.in = ch->guest_in,
		.out = ch->guest_out,
		.accept = VMRING_ACCEPT_GUEST,
		.max_packet = max_packet,
		.signal = signal_host,
		.ctx = ch,
		.name = "fake child",
	};

	REQUIRE(!vmbus_chan_create(&ch->guest, &cfg));
	cfg.in = ch->host_in;
	cfg.out = ch->host_out;
	cfg.accept = VMRING_ACCEPT_HOST;
	cfg.max_packet = 0;
	cfg.gpa = ch->client->child.gpa;
	cfg.signal = signal_guest;
	cfg.name = "fake root";
	REQUIRE(!vmbus_chan_create(&ch->host, &cfg));
}

int vmbus_client_open(struct vmbus_client *c, const struct vmbus_offer *offer, uint32_t ring_bytes,
		      uint32_t target_vp, uint32_t max_packet,
		      void (*fault)(void *ctx, const char *why), void *ctx, struct vmbus_chan **out)
{
	struct fake_chan *ch = &c->chan[offer->sub_index];
	uint32_t pages = ring_bytes / 4096;
	int err = c->fail_open;

	(void)fault;
	(void)ctx;
	REQUIRE(target_vp < c->child.vps && ring_bytes % 4096 == 0 && !ch->guest);
	c->fail_open = 0;
	if (err)
		return err;
	if (hv_child_alloc_pages(&c->child, 2 * pages, &ch->ring_gpa))
		return -ENOMEM;
	ch->client = c;
	ch->pages = pages;
	map_ring(c, &ch->guest_out, ch->ring_gpa, pages);
	map_ring(c, &ch->host_in, ch->ring_gpa, pages);
	map_ring(c, &ch->guest_in, ch->ring_gpa + pages * 4096ull, pages);
	map_ring(c, &ch->host_out, ch->ring_gpa + pages * 4096ull, pages);
	create_ends(ch, max_packet);
	c->counts.opens++;
	*out = ch->guest;
	return 0;
}

void vmbus_client_close(struct vmbus_client *c, struct vmbus_chan *chan)
{
	struct fake_chan *ch = c->chan;

	while (ch->guest != chan)
		ch++;
	vmbus_chan_destroy(ch->guest);
	vmbus_chan_destroy(ch->host);
	hv_gpa_unmap_view(&ch->guest_in);
	hv_gpa_unmap_view(&ch->guest_out);
	hv_gpa_unmap_view(&ch->host_in);
	hv_gpa_unmap_view(&ch->host_out);
	hv_child_free_pages(&c->child, ch->ring_gpa, 2 * ch->pages);
	memset(ch, 0, sizeof(*ch));
	c->counts.closes++;
}

bool vmbus_client_rescinded(struct vmbus_client *c, struct vmbus_chan *chan)
{
	(void)chan;
	return c->rescinded;
}

int vmbus_client_wait(struct vmbus_client *c, uint32_t vp, uint64_t timeout_ns)
{
	uint32_t before = c->counts.signals_to_guest;

	(void)timeout_ns; /* time passes outside */
	REQUIRE(vp < c->child.vps);
	c->counts.waits++;
	if (c->child.dead)
		return -ECONNRESET;
	if (c->work)
		c->work(c->work_ctx);
	return c->counts.signals_to_guest != before;
}

/* Nobody sleeps here. */
void hv_child_kick_vp(struct hv_child *c, uint32_t vp)
{
	REQUIRE(vp < c->vps);
}

int vmbus_client_gpadl_create(struct vmbus_client *c, struct vmbus_chan *chan, uint64_t gpa,
			      uint32_t npages, uint32_t *gpadl)
{
	int err = c->fail_gpadl;

	c->fail_gpadl = 0;
	if (err)
		return err;
	REQUIRE(chan && npages && c->next_gpadl < FAKE_CHILD_GPADLS);
	REQUIRE(gpa % 4096 == 0 && gpa + npages * 4096ull <= c->child.size);
	c->gpadl[c->next_gpadl++] = gpa;
	c->counts.gpadls++;
	*gpadl = c->next_gpadl;
	return 0;
}

int vmbus_client_gpadl_teardown(struct vmbus_client *c, struct vmbus_chan *chan, uint32_t gpadl)
{
	REQUIRE(chan && fake_client_gpadl(c, gpadl));
	if (c->child.dead)
		return -ECONNRESET;
	if (c->work) /* the client waits for the answer */
		c->work(c->work_ctx);
	if (c->keep_gpadls)
		return -ETIMEDOUT;
	c->gpadl[gpadl - 1] = 0;
	c->counts.gpadls--;
	return 0;
}

/* Nobody sleeps in poll(2) here: what the test does between arm and disarm is the sleep. */
int vmbus_client_fd(struct vmbus_client *c, uint32_t vp)
{
	REQUIRE(vp < c->child.vps);
	return -EOPNOTSUPP;
}

bool vmbus_client_arm(struct vmbus_client *c, uint32_t vp)
{
	REQUIRE(vp < c->child.vps);
	return !c->child.dead;
}

int vmbus_client_disarm(struct vmbus_client *c, uint32_t vp)
{
	REQUIRE(vp < c->child.vps);
	return c->child.dead ? -ECONNRESET : 0;
}

void vmbus_client_poll(struct vmbus_client *c)
{
	(void)c;
}
