/* SPDX-License-Identifier: MIT */
/*
 * Bottom up: guest memory and SynIC, the bus messages, the socket's calls, the thread.
 */
#include "tests/fake/evil_root.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "hv-core/proc/proc_irq.h"
#include "hv-core/proc/proc_sock.h"

#define RETRY_MS 2 /* when a slot is full and no EOM comes */

const struct guid evil_type = VMBUS_CLASS_SCSI;

void evil_lock(struct evil_root *r)
{
	pthread_mutex_lock(&r->lock);
}

static void wake(struct evil_root *r)
{
	eventfd_write(r->wake, 1);
}

void evil_unlock(struct evil_root *r)
{
	wake(r); /* the test may have queued something */
	pthread_mutex_unlock(&r->lock);
}

/* ---- SynIC --------------------------------------------------------------------- */

static void *page(struct evil_root *r, uint64_t msr)
{
	return r->gpa ? hv_gpa_ptr(r->gpa, msr & ~0xfffull, HV_PAGE_SIZE) : NULL;
}

static void raise_vp(struct evil_root *r, uint32_t vp)
{
	if (proc_irq_raise(&r->irq->vp[vp].state))
		proc_poll_ring(&r->poll, vp);
}

void evil_event(struct evil_root *r, uint32_t vp, uint32_t flag)
{
	struct hv_event_flags_page *p = vp < EVIL_MAX_VPS ? page(r, r->siefp[vp]) : NULL;

	if (!p || !r->siefp[vp])
		return;
	__atomic_fetch_or(&p->flags[HV_VMBUS_SINT][flag / 32], 1u << flag % 32, __ATOMIC_SEQ_CST);
	raise_vp(r, vp);
}

/* Moves queued messages into the slot as long as it is free (spec: hypervisor, 4.3). */
static void deliver(struct evil_root *r)
{
	struct hv_message_page *p = page(r, r->simp[0]);
	struct hv_message *slot;

	if (!p || !r->simp[0])
		return;
	slot = &p->slot[HV_VMBUS_SINT];
	while (r->head != r->tail) {
		struct hv_message *m = &r->queue[r->head % EVIL_MESSAGES];

		if (load_acquire(&slot->type)) {
			store_relaxed(&slot->flags, HV_MESSAGE_FLAG_PENDING);
			full_fence(); /* pairs with the guest's: it clears the type, then looks */
			if (load_acquire(&slot->type))
				return;
		}
		memcpy(slot->payload, m->payload, sizeof(slot->payload));
		slot->payload_size = m->payload_size;
		store_relaxed(&slot->flags, r->tail - r->head > 1);
		store_release(&slot->type, m->type);
		r->head++;
		raise_vp(r, 0);
	}
}

void evil_send_raw(struct evil_root *r, uint32_t hv_type, const void *payload, uint32_t len,
		   uint8_t size)
{
	struct hv_message *m = &r->queue[r->tail % EVIL_MESSAGES];

	ck_assert_uint_lt(r->tail - r->head, EVIL_MESSAGES);
	memset(m, 0, sizeof(*m));
	m->type = hv_type;
	m->payload_size = size;
	memcpy(m->payload, payload, len);
	r->tail++;
}

void evil_send(struct evil_root *r, const void *msg, uint32_t len)
{
	evil_send_raw(r, HV_MESSAGE_VMBUS, msg, len, (uint8_t)len);
}

void evil_say(struct evil_root *r, uint32_t type, uint32_t relid, uint32_t a, uint32_t b)
{
	uint32_t words[5] = { type, 0, relid, a, b };
	uint32_t len = vmbus_msg_size(type);

	ck_assert_uint_le(len, sizeof(words));
	evil_send(r, words, len);
}

/* ---- channels -------------------------------------------------------------------- */

struct vmbus_msg_offer evil_offer(uint32_t relid, uint16_t sub, uint32_t primary)
{
	struct vmbus_msg_offer o = {
		.hdr.type = VMBUS_MSG_OFFERCHANNEL,
		.type = evil_type,
		.sub_index = sub,
		.relid = relid,
		.monitor_id = VMBUS_NO_MONITOR,
		.dedicated_interrupt = 1,
		.connection_id = HV_CONN_CHANNEL_BASE + relid,
	};

	guid_from_name(&o.instance, &primary, sizeof(primary));
	memcpy(o.user, &relid, sizeof(relid));
	return o;
}

struct evil_chan *evil_add(struct evil_root *r, uint32_t relid, uint16_t sub, uint32_t primary)
{
	struct evil_chan *c = &r->chan[relid];

	ck_assert_uint_lt(relid, EVIL_CHANS);
	c->offered = true;
	c->offer = evil_offer(relid, sub, primary);
	return c;
}

static void tell_child(void *ctx)
{
	struct evil_chan *c = ctx;

	evil_event(c->root, c->opened.target_vp, c->offer.relid);
}

static void close_chan(struct evil_chan *c)
{
	if (!c->open)
		return;
	c->open = false;
	vmbus_chan_destroy(c->chan);
	hv_gpa_unmap_view(&c->in);
	hv_gpa_unmap_view(&c->out);
	close(c->bell);
}

static struct evil_gpadl *find_gpadl(struct evil_root *r, uint32_t id)
{
	for (int i = 0; i < EVIL_GPADLS; i++)
		if (r->gpadl[i].used && r->gpadl[i].id == id)
			return &r->gpadl[i];
	return NULL;
}

static bool open_chan(struct evil_root *r, const struct vmbus_msg_open *m)
{
	struct evil_chan *c = &r->chan[m->relid % EVIL_CHANS];
	struct evil_gpadl *g = find_gpadl(r, m->gpadl);
	struct vmbus_chan_config cfg = {
		.accept = VMRING_ACCEPT_HOST,
		.gpa = r->gpa,
		.signal = tell_child,
		.ctx = c,
		.name = "evil root",
	};

	if (!c->offered || c->open || !g || !g->complete || m->downstream_page >= g->pages)
		return false;
	c->opened = *m;
	if (hv_gpa_map_wrapped(r->gpa, &c->in, g->pfn, m->downstream_page))
		return false;
	ck_assert_int_eq(hv_gpa_map_wrapped(r->gpa, &c->out, g->pfn + m->downstream_page,
					    g->pages - m->downstream_page),
			 0);
	cfg.in = c->in;
	cfg.out = c->out;
	ck_assert_int_eq(vmbus_chan_create(&c->chan, &cfg), 0);
	c->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->open = true;
	return true;
}

static void echo(struct evil_chan *c)
{
	struct evil_root *r = c->root;
	struct vmpkt p;

	do {
		while (c->open && vmbus_chan_recv(c->chan, &p) > 0)
			if (!r->on_packet || !r->on_packet(c, &p))
				ck_assert_int_eq(vmbus_chan_send_completion(c->chan, p.trans_id,
									    p.payload,
									    p.payload_len),
						 0);
		if (c->open)
			vmbus_chan_flush(c->chan);
	} while (c->open && vmbus_chan_unmask(c->chan));
}

/* ---- messages ---------------------------------------------------------------------- */

static int on_contact(struct evil_root *r, const union vmbus_msg *m)
{
	uint32_t v = m->contact.version;
	union vmbus_msg a;
	uint32_t len = vmbus_msg_init(&a, VMBUS_MSG_VERSION_RESPONSE);

	if (v <= (r->max_version ? r->max_version : VMBUS_V5_3)) {
		r->version = v;
		a.version.supported = 1;
		a.version.version_or_connection = v >= VMBUS_V5_0 ? HV_CONN_VMBUS_CONTACT : v;
	}
	evil_send(r, &a, len);
	return HV_STATUS_SUCCESS;
}

static int on_request_offers(struct evil_root *r, const union vmbus_msg *m)
{
	(void)m;
	for (int i = 0; i < EVIL_CHANS; i++)
		if (r->chan[i].offered)
			evil_send(r, &r->chan[i].offer, sizeof(r->chan[i].offer));
	evil_say(r, VMBUS_MSG_ALLOFFERS_DELIVERED, 0, 0, 0);
	return HV_STATUS_SUCCESS;
}

static void take_pfns(struct evil_root *r, struct evil_gpadl *g, const uint8_t *from, uint32_t len)
{
	uint32_t n = len / 8 < g->pages - g->have ? len / 8 : g->pages - g->have;

	memcpy(g->pfn + g->have, from, n * 8);
	g->have += n;
	if (g->have < g->pages)
		return;
	g->complete = true;
	evil_say(r, VMBUS_MSG_GPADL_CREATED, g->relid, g->id, 0);
}

static int on_gpadl_header(struct evil_root *r, const union vmbus_msg *m, uint32_t len)
{
	const uint32_t fixed = sizeof(m->gpadl_header) + sizeof(struct vmbus_gpa_range);
	struct evil_gpadl *g = r->gpadl;

	while (g->used)
		g++;
	ck_assert(g < r->gpadl + EVIL_GPADLS);
	g->used = true;
	g->complete = false;
	g->relid = m->gpadl_header.relid;
	g->id = m->gpadl_header.gpadl;
	g->have = 0;
	g->pages = m->gpadl_header.range_buflen / 8 - 1;
	g->pfn = calloc(g->pages, sizeof(*g->pfn));
	take_pfns(r, g, m->bytes + fixed, len - fixed);
	return HV_STATUS_SUCCESS;
}

static int on_gpadl_body(struct evil_root *r, const union vmbus_msg *m, uint32_t len)
{
	struct evil_gpadl *g = find_gpadl(r, m->gpadl_body.gpadl);

	if (g)
		take_pfns(r, g, m->bytes + sizeof(m->gpadl_body), len - sizeof(m->gpadl_body));
	return HV_STATUS_SUCCESS;
}

static void free_gpadl(struct evil_gpadl *g)
{
	free(g->pfn);
	memset(g, 0, sizeof(*g));
}

static int on_teardown(struct evil_root *r, const union vmbus_msg *m)
{
	struct evil_gpadl *g = find_gpadl(r, m->gpadl_teardown.gpadl);

	if (g)
		free_gpadl(g);
	evil_say(r, VMBUS_MSG_GPADL_TORNDOWN, m->gpadl_teardown.gpadl, 0, 0);
	return HV_STATUS_SUCCESS;
}

static int on_open(struct evil_root *r, const union vmbus_msg *m)
{
	evil_say(r, VMBUS_MSG_OPENCHANNEL_RESULT, m->open.relid, m->open.open_id,
		 open_chan(r, &m->open) ? 0 : VMBUS_STATUS_FAILED);
	return HV_STATUS_SUCCESS;
}

static int on_modify(struct evil_root *r, const union vmbus_msg *m)
{
	struct evil_chan *c = &r->chan[m->modify.relid % EVIL_CHANS];

	c->opened.target_vp = m->modify.target_vp;
	if (r->version >= VMBUS_V5_3)
		evil_say(r, VMBUS_MSG_MODIFYCHANNEL_RESPONSE, m->modify.relid, 0, 0);
	return HV_STATUS_SUCCESS;
}

int evil_behave(struct evil_root *r, const union vmbus_msg *m, uint32_t len)
{
	switch (m->hdr.type) {
	case VMBUS_MSG_INITIATE_CONTACT:
		return on_contact(r, m);
	case VMBUS_MSG_REQUESTOFFERS:
		return on_request_offers(r, m);
	case VMBUS_MSG_GPADL_HEADER:
		return on_gpadl_header(r, m, len);
	case VMBUS_MSG_GPADL_BODY:
		return on_gpadl_body(r, m, len);
	case VMBUS_MSG_GPADL_TEARDOWN:
		return on_teardown(r, m);
	case VMBUS_MSG_OPENCHANNEL:
		return on_open(r, m);
	case VMBUS_MSG_CLOSECHANNEL:
		close_chan(&r->chan[m->relid.relid % EVIL_CHANS]);
		return HV_STATUS_SUCCESS;
	case VMBUS_MSG_MODIFYCHANNEL:
		return on_modify(r, m);
	case VMBUS_MSG_UNLOAD:
		evil_say(r, VMBUS_MSG_UNLOAD_RESPONSE, 0, 0, 0);
		return HV_STATUS_SUCCESS;
	}
	return HV_STATUS_SUCCESS; /* RELID_RELEASED is only counted */
}

/* ---- calls of the child --------------------------------------------------------------- */

static void answer(struct evil_root *r, uint64_t value, int fd)
{
	struct hv_proc_result res = { .op = HV_PROC_RESULT, .has_fd = fd >= 0, .value = value };

	proc_sock_send(r->sock, &res, sizeof(res), &fd, fd >= 0, 0);
}

static uint64_t post_message(struct evil_root *r, const struct hv_post_message_input *in)
{
	union vmbus_msg m = { .hdr.type = 0 };
	int status = EVIL_PASS;

	memcpy(&m, in->payload, in->payload_size <= sizeof(m) ? in->payload_size : sizeof(m));
	if (m.hdr.type < VMBUS_MSG_TYPES)
		r->count[m.hdr.type]++;
	if (r->on_message)
		status = r->on_message(r, in->connection_id, &m, in->payload_size);
	if (status == EVIL_PASS)
		status = evil_behave(r, &m, in->payload_size);
	pthread_cond_broadcast(&r->changed);
	return (uint64_t)status;
}

static void on_hypercall(struct evil_root *r, const struct hv_proc_call *call)
{
	uint32_t relid = (uint32_t)call->arg[1] - HV_CONN_CHANNEL_BASE;
	struct hv_post_message_input in;

	if ((call->arg[0] & 0xffff) == HV_CALL_POST_MESSAGE) {
		memcpy(&in, call->input, sizeof(in));
		answer(r, post_message(r, &in), -1);
	} else if (relid < EVIL_CHANS && r->chan[relid].open) {
		answer(r, HV_STATUS_SUCCESS, r->chan[relid].bell);
	} else {
		answer(r, HV_STATUS_INVALID_CONNECTION_ID, -1);
	}
}

static void on_call(struct evil_root *r, const struct hv_proc_call *call)
{
	if (r->on_call && !r->on_call(r, call))
		return;
	if (call->op == HV_PROC_EOM)
		return; /* deliver() runs after every call */
	if (call->op == HV_PROC_HYPERCALL) {
		on_hypercall(r, call);
		return;
	}
	if (call->op == HV_PROC_IRQ_FD) {
		answer(r, 0, proc_poll_open(&r->poll, call->vp, r->nr_vps));
		return;
	}
	if (call->op == HV_PROC_WRMSR && call->vp < EVIL_MAX_VPS) {
		if (call->arg[0] == HV_MSR_SIMP)
			r->simp[call->vp] = call->arg[1];
		if (call->arg[0] == HV_MSR_SIEFP)
			r->siefp[call->vp] = call->arg[1];
	}
	answer(r, 0, -1);
}

/* ---- a child's life ---------------------------------------------------------------------- */

static void welcome(struct evil_root *r)
{
	struct hv_proc_welcome w = { .magic = HV_PROC_MAGIC, .partition_id = 1 };
	struct hv_proc_hello h;
	int fds[2], none[PROC_MAX_FDS], nfds;

	if (proc_sock_recv(r->sock, &h, sizeof(h), none, &nfds) != (ssize_t)sizeof(h)) {
		r->hang_up = true;
		return;
	}
	r->nr_vps = w.nr_vps = h.nr_vps;
	w.memory = h.memory;
	w.features = r->old ? 0 : HV_PROC_HAS_IRQ_FD;
	fds[0] = hv_memfd_create("evil-ram", h.memory);
	fds[1] = hv_memfd_create("evil-irq", sizeof(*r->irq));
	ck_assert_int_ge(fds[0], 0);
	ck_assert_int_ge(fds[1], 0);
	ck_assert_int_eq(hv_gpa_create(&r->gpa), 0);
	ck_assert_int_eq(hv_gpa_add_ram(r->gpa, 0, h.memory, fds[0], 0), 0);
	r->irq = mmap(NULL, sizeof(*r->irq), PROT_READ | PROT_WRITE, MAP_SHARED, fds[1], 0);
	ck_assert_ptr_ne(r->irq, MAP_FAILED);
	proc_sock_send(r->sock, &w, sizeof(w), fds, 2, 0);
	close(fds[0]);
	close(fds[1]);
}

static void child_gone(struct evil_root *r)
{
	for (int i = 0; i < EVIL_CHANS; i++)
		close_chan(&r->chan[i]);
	for (int i = 0; i < EVIL_GPADLS; i++)
		free_gpadl(&r->gpadl[i]);
	if (r->irq)
		munmap(r->irq, sizeof(*r->irq));
	hv_gpa_put(r->gpa);
	close(r->sock);
	proc_poll_fini(&r->poll);
	proc_poll_init(&r->poll);
	r->gpa = NULL;
	r->irq = NULL;
	r->sock = -1;
	r->hang_up = false;
	r->head = r->tail = 0;
	memset(r->simp, 0, sizeof(r->simp));
	memset(r->siefp, 0, sizeof(r->siefp));
	r->hangups++;
	pthread_cond_broadcast(&r->changed);
}

void evil_hang_up(struct evil_root *r)
{
	r->hang_up = true;
	wake(r);
}

static void handle_child(struct evil_root *r)
{
	int none[PROC_MAX_FDS], nfds;
	struct hv_proc_call call;
	ssize_t n;

	if (!r->gpa) {
		welcome(r);
		return;
	}
	n = proc_sock_recv(r->sock, &call, sizeof(call), none, &nfds);
	if (n == (ssize_t)sizeof(call))
		on_call(r, &call);
	else
		r->hang_up = true;
}

/* Everything there is to wait for: the child or a new one, the test, the doorbells. */
static int gather(struct evil_root *r, struct pollfd *p, struct evil_chan **bells)
{
	int n = 2;

	p[0] = (struct pollfd){ r->wake, POLLIN, 0 };
	p[1] = (struct pollfd){ r->sock >= 0 ? r->sock : r->listener, POLLIN, 0 };
	for (int i = 0; i < EVIL_CHANS; i++)
		if (r->chan[i].open) {
			bells[n] = &r->chan[i];
			p[n++] = (struct pollfd){ r->chan[i].bell, POLLIN, 0 };
		}
	return n;
}

static void turn(struct evil_root *r)
{
	struct evil_chan *bells[EVIL_CHANS + 2];
	struct pollfd p[EVIL_CHANS + 2];
	int n = gather(r, p, bells), timeout = r->head != r->tail ? RETRY_MS : -1;
	eventfd_t v;

	pthread_mutex_unlock(&r->lock);
	poll(p, (nfds_t)n, timeout);
	pthread_mutex_lock(&r->lock);
	if (p[0].revents)
		eventfd_read(r->wake, &v);
	for (int i = 2; i < n; i++)
		if (p[i].revents && bells[i]->open && !eventfd_read(bells[i]->bell, &v))
			echo(bells[i]);
	if (p[1].revents && r->sock >= 0)
		handle_child(r);
	else if (p[1].revents)
		r->sock = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC);
	if (r->hang_up)
		child_gone(r);
	deliver(r);
}

static void *serve(void *arg)
{
	struct evil_root *r = arg;

	pthread_mutex_lock(&r->lock);
	while (!r->stop)
		turn(r);
	if (r->sock >= 0)
		child_gone(r);
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* ---- for the test's thread ------------------------------------------------------------------ */

void evil_root_start(struct evil_root *r)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	pthread_condattr_t attr;

	snprintf(r->path, sizeof(r->path), "/tmp/hvbus-evil-%d.sock", (int)getpid());
	strcpy(sa.sun_path, r->path);
	unlink(r->path);
	r->sock = -1;
	proc_poll_init(&r->poll);
	r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->queue = calloc(EVIL_MESSAGES, sizeof(*r->queue));
	for (int i = 0; i < EVIL_CHANS; i++)
		r->chan[i].root = r;
	r->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(r->listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_eq(listen(r->listener, 4), 0);
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->changed, &attr);
	pthread_condattr_destroy(&attr);
	ck_assert_int_eq(pthread_create(&r->thread, NULL, serve, r), 0);
}

void evil_root_stop(struct evil_root *r)
{
	evil_lock(r);
	r->stop = true;
	evil_unlock(r);
	pthread_join(r->thread, NULL);
	close(r->listener);
	close(r->wake);
	unlink(r->path);
	free(r->queue);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
}

const char *evil_root_path(const struct evil_root *r)
{
	return r->path;
}

/* Waits until *@counter, guarded by the lock, reaches @n. */
static void await(struct evil_root *r, const uint32_t *counter, uint32_t n)
{
	struct timespec until;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 5;
	evil_lock(r);
	while (*counter < n && !err)
		err = pthread_cond_timedwait(&r->changed, &r->lock, &until);
	ck_assert_msg(*counter >= n, "the child did not do what was waited for");
	evil_unlock(r);
}

void evil_await(struct evil_root *r, uint32_t type, uint32_t n)
{
	await(r, &r->count[type], n);
}

void evil_await_hangup(struct evil_root *r, uint32_t n)
{
	await(r, &r->hangups, n);
}
