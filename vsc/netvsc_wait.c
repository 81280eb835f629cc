/* SPDX-License-Identifier: MIT */
/*
 * Waiting, and noticing the end. A channel is masked while somebody looks at it, and asks for
 * signals only between arm and disarm: ask, look once more, sleep.
 */
#include "base/clock.h"
#include "vsc/netvsc_priv.h"

void nv_check_alive(struct nv_queue *q)
{
	struct netvsc *n = q->n;

	vmbus_client_poll(n->bus);
	if (hv_child_dead(n->child))
		nv_fail(n, -ECONNRESET, "the root is gone");
	else if (vmbus_client_rescinded(n->bus, q->chan))
		nv_fail(n, -ENOENT, "the root has taken the adapter away");
}

/* Something to do after all, or the end? Leaves the channel asking for signals. */
static bool something(struct nv_queue *q)
{
	if (q->cramped && !vmbus_chan_want_space(q->chan, NV_REQUEST_ROOM))
		return true;
	vmbus_chan_flush(q->chan);
	return q->live || nv_failed(q->n) || vmbus_chan_unmask(q->chan);
}

static void ended(struct nv_queue *q, int err)
{
	if (err < 0)
		nv_fail(q->n, err == -ECONNRESET ? err : -EIO,
			err == -ECONNRESET ? "the root is gone" : "waiting for the root failed");
	nv_check_alive(q);
}

bool netvsc_arm_ring(struct netvsc *n, uint32_t qi)
{
	struct nv_queue *q = &n->queue[qi];

	netvsc_tx_flush(n, qi);
	nv_check_alive(q);
	return !something(q);
}

void netvsc_disarm_ring(struct netvsc *n, uint32_t qi)
{
	vmbus_chan_mask(n->queue[qi].chan);
	nv_check_alive(&n->queue[qi]);
}

bool netvsc_arm(struct netvsc *n, uint32_t qi)
{
	return netvsc_arm_ring(n, qi) && vmbus_client_arm(n->bus, n->queue[qi].vp);
}

void netvsc_disarm(struct netvsc *n, uint32_t qi)
{
	struct nv_queue *q = &n->queue[qi];

	vmbus_chan_mask(q->chan);
	ended(q, vmbus_client_disarm(n->bus, q->vp));
}

int netvsc_fd(struct netvsc *n, uint32_t qi)
{
	return vmbus_client_fd(n->bus, n->queue[qi].vp);
}

/* Sleeps unless there is something. 1, 0 (time over) */
static int sleep_for(struct nv_queue *q, uint64_t timeout_ns)
{
	int got = 1;

	if (!something(q)) {
		NV_BUMP(q->stats.sleeps);
		got = vmbus_client_wait(q->n->bus, q->vp, timeout_ns);
	}
	vmbus_chan_mask(q->chan);
	ended(q, got);
	return got;
}

int nv_wait_until(struct netvsc *n, uint64_t deadline)
{
	uint64_t now = clock_ns();
	int got;

	if (nv_failed(n))
		return nv_failed(n);
	if (now >= deadline)
		return 0;
	got = sleep_for(&n->queue[0], deadline - now);
	if (nv_failed(n))
		return nv_failed(n);
	return got >= 0; /* the time is looked at by the next call */
}

int netvsc_wait(struct netvsc *n, uint32_t qi, uint64_t timeout_ns)
{
	struct nv_queue *q = &n->queue[qi];
	int got;

	if (nv_failed(n))
		return nv_failed(n);
	netvsc_tx_flush(n, qi);
	got = sleep_for(q, timeout_ns);
	if (nv_failed(n))
		return nv_failed(n);
	return got;
}
