/* SPDX-License-Identifier: MIT */
/*
 * Between TAPs and NICs; see the header. The kernel writes a frame straight into memory that the
 * root reads, and reads one from where the root wrote it; only headers are looked at, in a copy.
 *
 * A thread with nothing to do looks around for a while before it sleeps: a wake-up costs as much as
 * many frames. How long is learnt: longer while that finds something, not at all when the
 * processor has others to run.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/net/csum.h"
#include "cli/net_pump.h"

#define BURST	     64
#define BURST_BYTES  (256u << 10) /* then the other direction has its turn */
#define SPIN_START   50000u	  /* ns of looking around before a sleep, at first, */
#define SPIN_MOST    100000u	  /* at most, */
#define SPIN_LEAST   6000u	  /* and below that not at all */
#define SHORT_SLEEP  150000u	  /* ns: looking around would have been better */
#define YIELD_EVERY  8u		  /* looks */
#define YIELD_OTHERS 30000u	  /* ns in a yield: somebody else has the processor */

struct pump_queue { /* of one NIC */
	struct netvsc *nic;
	const struct net_tap *tap;
	int fd;
	bool link, blocked;
	struct pump_stats stats;
};

struct pump_thread {
	struct pump *p;
	pthread_t id;
	uint32_t queue, nr;
	uint64_t spin, idle_since; /* ns; 0: not idle */
	uint32_t looks;
	uint64_t sleeps;
	struct pump_queue q[PUMP_NICS];
	struct netvsc_rx rx[BURST];
} __attribute__((aligned(CACHE_LINE)));

struct pump {
	uint32_t nr_threads, nr_nics;
	struct vmbus_client *bus;
	int ended, stop_fd; /* eventfds */
	bool stop;
	struct pump_nic nics[PUMP_NICS];
	struct pump_thread *thread[NETVSC_MAX_QUEUES];
};

/* ---- NIC to TAP ------------------------------------------------------------------------ */

/* The convention of net/frame.h, whatever the root left to us. False: it makes no sense. */
static bool settle(struct net_frame *f, const struct netvsc_rx *rx, uint32_t mtu)
{
	uint8_t csum = rx->meta.csum;
	uint16_t headers;

	if (rx->large && csum != NET_CSUM_UNKNOWN) {
		net_frame_parse(f);
		if (!net_frame_tcp(f, &headers) || headers >= mtu)
			return false;
		return !net_frame_make_gso(f, mtu + NET_ETH_LEN - headers, f->proto.version == 6);
	}
	if (csum == NET_CSUM_PARTIAL)
		return !net_frame_make_partial(f, true, true);
	if (rx->ip4_stale && net_frame_make_partial(f, false, true))
		return false;
	f->meta.csum = csum;
	return true;
}

static bool write_frame(struct pump_queue *q, const struct netvsc_rx *rx, uint32_t mtu)
{
	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN];
	struct iovec iov[2 + NETVSC_RX_IOV];
	struct virtio_net_hdr h;
	struct net_frame f;

	if (net_frame_init(&f, head, NET_HEAD_FIRST, rx->iov, rx->iovcnt, iov + 2))
		return false;
	f.meta = rx->meta;
	if (!settle(&f, rx, mtu))
		return false;
	net_vlan_push(&f);
	net_vnet_put(&h, &f);
	iov[0] = (struct iovec){ &h, sizeof(h) };
	iov[1] = (struct iovec){ f.head, f.head_len };
	return writev(q->fd, iov, 2 + f.iovcnt) >= 0;
}

/* Frames moved; more than 0 also for what else was done. */
static int pump_in(struct pump_thread *t, struct pump_queue *q)
{
	struct netvsc_info info;
	int n = netvsc_rx(q->nic, t->queue, t->rx, BURST);

	if (n <= 0)
		return n;
	netvsc_info(q->nic, &info);
	for (int i = 0; i < n; i++) {
		if (write_frame(q, &t->rx[i], info.mtu)) {
			q->stats.in_frames++;
			q->stats.in_bytes += t->rx[i].len;
		} else {
			q->stats.in_dropped++;
		}
	}
	netvsc_rx_done(q->nic, t->queue);
	return n;
}

/* The cable, as the interface shows it. */
static void follow_link(struct pump_queue *q)
{
	bool link = netvsc_link(q->nic);

	if (link == q->link)
		return;
	q->link = link;
	net_tap_set_carrier(q->tap, link);
}

/* ---- TAP to NIC --------------------------------------------------------------------------- */

/*
 * What the kernel said about the frame of @len bytes in @tx, in the NIC's words. What is changed in
 * the head is written back; a tag that is taken out makes the frame start later.
 */
static int describe(struct net_frame *f, uint8_t *head, struct netvsc_tx *tx, uint32_t *len,
		    const struct virtio_net_hdr *h)
{
	struct iovec in[2] = { tx->iov[0], tx->iov[1] }, rest[2];
	uint32_t copy = h->hdr_len > NET_HEAD_FIRST ? NET_HEAD_MAX : NET_HEAD_FIRST;
	int err;

	if (*len <= in[0].iov_len)
		in[0].iov_len = *len;
	in[1].iov_len = *len - in[0].iov_len;
	err = net_frame_init(f, head, copy, in, in[1].iov_len ? 2 : 1, rest);
	if (err)
		return err;
	err = net_vnet_get(f, h);
	if (err)
		return err;
	net_vlan_pop(f);
	tx->iov[0].iov_base = (uint8_t *)tx->iov[0].iov_base + (*len - f->len);
	tx->iov[0].iov_len -= *len - f->len;
	if (*len != f->len || h->flags || h->gso_type)
		memcpy(tx->iov[0].iov_base, f->head, f->head_len);
	*len = f->len;
	return 0;
}

/* One frame. Its bytes, 0: none is there, or there is no room for it (q->blocked). */
static uint32_t send_frame(struct pump_thread *t, struct pump_queue *q)
{
	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN];
	struct virtio_net_hdr h;
	struct netvsc_tx tx;
	struct iovec iov[3];
	struct net_frame f;
	uint32_t len;
	ssize_t n;

	q->blocked = netvsc_tx_begin(q->nic, t->queue, &tx) != 0;
	if (q->blocked)
		return 0;
	iov[0] = (struct iovec){ &h, sizeof(h) };
	iov[1] = tx.iov[0];
	iov[2] = tx.iov[1];
	n = readv(q->fd, iov, 3);
	if (n <= (ssize_t)sizeof(h)) {
		if (n < 0 && errno == EBADFD) /* somebody deleted the interface */
			q->fd = -1;
		return 0;
	}
	len = (uint32_t)n - (uint32_t)sizeof(h);
	if (describe(&f, head, &tx, &len, &h) ||
	    netvsc_tx_commit(q->nic, t->queue, &tx, len, &f.meta)) {
		q->stats.out_dropped++;
	} else {
		/* pump_sent() looks on */
		store_relaxed(&q->stats.out_frames, q->stats.out_frames + 1);
		q->stats.out_bytes += len;
	}
	return len;
}

static int pump_out(struct pump_thread *t, struct pump_queue *q)
{
	uint32_t bytes = 0, got;
	int n = 0;

	while (n < BURST && bytes < BURST_BYTES && (got = send_frame(t, q))) {
		bytes += got;
		n++;
	}
	if (n)
		netvsc_tx_flush(q->nic, t->queue);
	return n;
}

/* ---- looking around and sleeping --------------------------------------------------------------
 */

static void found_something(struct pump_thread *t)
{
	if (t->idle_since && t->spin)
		t->spin = t->spin * 2 > SPIN_MOST ? SPIN_MOST : t->spin * 2;
	t->idle_since = 0;
}

/* True: look again; false: sleep. */
static bool look_again(struct pump_thread *t)
{
	uint64_t now = clock_ns(), before;

	if (!t->idle_since)
		t->idle_since = now;
	if (now - t->idle_since >= t->spin)
		goto enough;
	if (++t->looks % YIELD_EVERY) {
		cpu_relax();
		return true;
	}
	before = now;
	sched_yield();
	if (clock_ns() - before < YIELD_OTHERS)
		return true;
enough:
	t->spin = t->spin / 2 < SPIN_LEAST ? 0 : t->spin / 2;
	return false;
}

static void wait_for_anything(struct pump_thread *t)
{
	struct pollfd fd[2 + PUMP_NICS] = {
		{ t->p->stop_fd, POLLIN, 0 },
		{ netvsc_fd(t->q[0].nic, t->queue), POLLIN, 0 }, /* also at the root's end */
	};
	uint64_t start = clock_ns();
	bool sleep = true;
	uint32_t i;

	for (i = 0; i < t->nr; i++) {
		/* Of a blocked one nobody would read. */
		fd[2 + i] = (struct pollfd){ t->q[i].blocked ? -1 : t->q[i].fd, POLLIN, 0 };
		sleep &= netvsc_arm_ring(t->q[i].nic, t->queue);
	}
	if (sleep) {
		if (vmbus_client_arm(t->p->bus, t->queue))
			poll(fd, 2 + t->nr, -1);
		vmbus_client_disarm(t->p->bus, t->queue);
		t->sleeps++;
	}
	for (i = 0; i < t->nr; i++)
		netvsc_disarm_ring(t->q[i].nic, t->queue);
	if (sleep && clock_ns() - start < SHORT_SLEEP)
		t->spin = t->spin ? t->spin : 2 * SPIN_LEAST;
	t->idle_since = 0;
}

static void *run(void *arg)
{
	struct pump_thread *t = arg;
	uint64_t one = 1;
	int n, work;

	while (!load_relaxed(&t->p->stop)) {
		work = 0;
		for (uint32_t i = 0; i < t->nr; i++) {
			n = pump_in(t, &t->q[i]);
			if (n < 0)
				goto failed;
			work |= n | pump_out(t, &t->q[i]);
			if (!t->queue)
				follow_link(&t->q[i]);
		}
		if (work)
			found_something(t);
		else if (!look_again(t))
			wait_for_anything(t);
	}
	return NULL;
failed:
	if (write(t->p->ended, &one, sizeof(one)) < 0)
		return arg; /* it is readable already */
	return NULL;
}

/* ---- life --------------------------------------------------------------------------------------
 */

static struct pump_thread *new_thread(struct pump *p, uint32_t queue)
{
	struct pump_thread *t = aligned_alloc(CACHE_LINE, sizeof(*t));

	if (!t)
		return NULL;
	memset(t, 0, sizeof(*t));
	t->p = p;
	t->queue = queue;
	t->spin = SPIN_START;
	for (uint32_t i = 0; i < p->nr_nics; i++)
		if (queue < p->nics[i].tap.queues)
			t->q[t->nr++] = (struct pump_queue){ .nic = p->nics[i].nic,
							     .tap = &p->nics[i].tap,
							     .fd = p->nics[i].tap.fd[queue],
							     .link = true };
	return t;
}

/* Threads as there are queues; each fd is asked for here, where an error can be told. */
static int start_threads(struct pump *p)
{
	uint32_t most = 0;
	int err;

	for (uint32_t i = 0; i < p->nr_nics; i++)
		most = p->nics[i].tap.queues > most ? p->nics[i].tap.queues : most;
	for (uint32_t i = 0; i < most; i++) {
		struct pump_thread *t = new_thread(p, i);

		if (!t)
			return -ENOMEM;
		err = netvsc_fd(t->q[0].nic, i);
		if (err >= 0)
			err = -pthread_create(&t->id, NULL, run, t);
		if (err) {
			free(t);
			return err;
		}
		p->thread[p->nr_threads++] = t;
	}
	return 0;
}

int pump_start(struct pump **out, struct vmbus_client *bus, const struct pump_nic *nics, uint32_t n)
{
	struct pump *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->nr_nics = n;
	memcpy(p->nics, nics, n * sizeof(*nics));
	p->bus = bus;
	p->ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = p->ended < 0 || p->stop_fd < 0 ? -EMFILE : start_threads(p);
	if (err) {
		pump_stop(p);
		pump_free(p);
		return err;
	}
	*out = p;
	return 0;
}

int pump_fd(const struct pump *p)
{
	return p->ended;
}

uint64_t pump_sent(const struct pump *p)
{
	uint64_t sent = 0;

	for (uint32_t i = 0; i < p->nr_threads; i++)
		for (uint32_t k = 0; k < p->thread[i]->nr; k++)
			sent += load_relaxed(&p->thread[i]->q[k].stats.out_frames);
	return sent;
}

void pump_stop(struct pump *p)
{
	uint64_t one = 1;

	store_relaxed(&p->stop, true);
	if (write(p->stop_fd, &one, sizeof(one)) < 0)
		return; /* it was readable before */
	for (uint32_t i = 0; i < p->nr_threads; i++)
		pthread_join(p->thread[i]->id, NULL);
}

void pump_stats(const struct pump *p, uint32_t nic, struct pump_stats *out)
{
	memset(out, 0, sizeof(*out));
	for (uint32_t i = 0; i < p->nr_threads; i++)
		for (uint32_t k = 0; k < p->thread[i]->nr; k++) {
			const struct pump_queue *q = &p->thread[i]->q[k];

			if (q->nic != p->nics[nic].nic)
				continue;
			out->out_frames += q->stats.out_frames;
			out->out_bytes += q->stats.out_bytes;
			out->in_frames += q->stats.in_frames;
			out->in_bytes += q->stats.in_bytes;
			out->out_dropped += q->stats.out_dropped;
			out->in_dropped += q->stats.in_dropped;
			out->sleeps += p->thread[i]->sleeps;
		}
}

void pump_free(struct pump *p)
{
	for (uint32_t i = 0; i < p->nr_threads; i++)
		free(p->thread[i]);
	if (p->ended >= 0)
		close(p->ended);
	if (p->stop_fd >= 0)
		close(p->stop_fd);
	free(p);
}
