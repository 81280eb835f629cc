/* SPDX-License-Identifier: MIT */
/*
 * One open channel of a controller: its memory, its way to each LUN, its end.
 *
 * Teardown order: rings stopped (close), last request done, LUN queues, out of the
 * controller's table, guest memory reference, pool, vmbus_device_closed().
 */
#include "vsp/storvsp/stor_priv.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/log.h"

static void chan_called(struct loop_call *call);

/* Pages that cost nothing until they are written. */
static int map_lazily(size_t len, void *out)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -ENOMEM;
	memcpy(out, &p, sizeof(p));
	return 0;
}

static uint32_t count_luns(const struct scsi_target *t)
{
	uint32_t i, n = 0;

	for (i = 0; i < SCSI_MAX_LUNS; i++)
		n += scsi_target_lun(t, (uint8_t)i) != NULL;
	return n;
}

/* With several disks, a slow one may not take every slot (it gets TASK SET FULL). */
static void share_slots(struct stor_chan *c)
{
	c->lun_cap = count_luns(c->target) > 1 ? c->depth - c->depth / 4 : UINT32_MAX;
}

int stor_chan_open(struct stor_chan **out, struct storvsp *s, uint16_t sub, struct vmbus_chan *chan)
{
	struct stor_chan *c = calloc(1, sizeof(*c));
	int err = -ENOMEM;

	if (!c)
		return err;
	c->ctl = s;
	c->chan = chan;
	c->target = s->target;
	c->loop = vmbus_chan_loop(chan);
	c->gpa = vmbus_chan_gpa(chan);
	c->sub = sub;
	c->depth = s->cfg.queue_depth;
	c->max_iov = s->cfg.max_transfer / 4096 + 1;
	c->short_iov = c->max_iov < STOR_IOV_INLINE ? c->max_iov : STOR_IOV_INLINE;
	c->to_sample = 1;
	c->to_publish = STOR_PUBLISH;
	stor_reply_init(c);
	c->reqs_len = c->depth * sizeof(*c->reqs);
	c->iovs_len = (size_t)c->depth * c->max_iov * sizeof(*c->iovs);
	share_slots(c);
	c->primary_opening = load_acquire(&s->primary_opening); /* pairs with primary_opened() */
	c->call.fn = chan_called;
	c->reset_timer.fire = stor_reset_timeout;
	c->watch.fire = stor_watch_tick;
	c->fence_timer.fire = stor_fence_timeout;
	err = map_lazily(c->reqs_len, &c->reqs);
	if (err)
		goto free_chan;
	err = map_lazily(c->iovs_len, &c->iovs);
	if (err)
		goto unmap_reqs;
	hv_gpa_get(c->gpa);
	*out = c;
	return 0;

unmap_reqs:
	munmap(c->reqs, c->reqs_len);
free_chan:
	free(c);
	return err;
}

void stor_chan_free(struct stor_chan *c)
{
	hv_gpa_put(c->gpa);
	munmap(c->reqs, c->reqs_len);
	munmap(c->iovs, c->iovs_len);
	free(c);
}

/* Nothing is in flight there. */
static void drop_medium(struct stor_lun *l)
{
	if (l->medium_queue)
		blk_queue_destroy(l->medium_queue);
	scsi_medium_put(l->medium);
	l->medium_queue = NULL;
	l->medium = NULL;
}

/* The disk's other users get their share whatever this partition does. */
static int open_queue(struct stor_chan *c, struct blk_dev *dev, struct blk_queue **out)
{
	int err = blk_queue_create(out, dev, c->loop);

	if (err)
		return err;
	err = blk_queue_set_owner(*out, c->ctl->owner);
	if (err)
		blk_queue_destroy(*out);
	return err;
}

int stor_chan_medium(struct stor_chan *c, uint8_t number, struct scsi_task *t)
{
	struct stor_lun *l = &c->lun[number];
	struct scsi_medium *m = scsi_lun_medium_get(scsi_target_lun(c->target, number));
	int err = 0;

	if (m == l->medium) {
		scsi_medium_put(m); /* ours is another reference */
	} else if (l->in_flight) {
		scsi_medium_put(m);
		return -EBUSY;
	} else {
		drop_medium(l);
		if (m)
			err = open_queue(c, scsi_medium_dev(m), &l->medium_queue);
		if (err) {
			l->medium_queue = NULL;
			scsi_medium_put(m);
			return err;
		}
		l->medium = m;
	}
	t->queue = l->medium_queue;
	t->medium = l->medium;
	return 0;
}

/* The owner changed media: none is held on to because the guest has nothing to say. */
static void drop_old_media(struct stor_chan *c)
{
	for (uint8_t i = 0; i < SCSI_MAX_LUNS; i++) {
		struct stor_lun *l = &c->lun[i];
		struct scsi_medium *now;

		if (!l->medium || l->in_flight)
			continue;
		now = scsi_lun_medium_get(scsi_target_lun(c->target, i));
		if (now != l->medium)
			drop_medium(l);
		scsi_medium_put(now);
	}
}

/* First use of a LUN on this channel. */
struct stor_lun *stor_chan_lun_slow(struct stor_chan *c, uint8_t number, int *err)
{
	struct scsi_nexus *nexus = scsi_target_nexus(c->target, number);
	struct scsi_lun *lun = scsi_target_lun(c->target, number);

	*err = 0;
	if (!nexus || !lun) /* it may go between the two */
		return NULL;
	if (scsi_lun_is_drive(lun)) {
		c->lun[number].nexus = nexus;
		return &c->lun[number];
	}
	*err = open_queue(c, scsi_lun_dev(lun), &c->lun[number].queue);
	if (*err) {
		c->lun[number].queue = NULL;
		log_ratelimited(LOG_ERROR, "%s: no I/O queue for LUN %u: %s",
				vmbus_chan_name(c->chan), number, strerror(-*err));
		return NULL;
	}
	c->lun[number].nexus = nexus;
	return &c->lun[number];
}

/* What the channel counted outlives it in the controller's sums. */
static void fold_stats(struct storvsp *s, const struct stor_chan *c)
{
	s->closed.requests += c->requests;
	s->closed.rejected += c->rejected;
	s->closed.stuck += c->stat_stuck;
	s->closed.latency_ns_sum += c->latency_sum;
	s->closed.latency_count += c->latency_count;
	if (c->latency_max > s->closed.latency_ns_max)
		s->closed.latency_ns_max = c->latency_max;
	if (c->stat_max_in_flight > s->closed.max_in_flight)
		s->closed.max_in_flight = c->stat_max_in_flight;
}

/* Nothing is in flight and no ring is used: takes the channel out of the world. */
static void chan_end(struct stor_chan *c)
{
	struct storvsp *s = c->ctl;
	struct vmbus_device *dev = s->dev;
	uint16_t sub = c->sub;
	bool released;
	uint32_t i;

	for (i = 0; i < SCSI_MAX_LUNS; i++) {
		if (c->lun[i].queue)
			blk_queue_destroy(c->lun[i].queue);
		drop_medium(&c->lun[i]);
	}
	memset(c->lun, 0, sizeof(c->lun));
	pthread_mutex_lock(&s->lock);
	if (s->chan[sub] == c) {
		store_relaxed(&s->chan[sub], NULL);
		fold_stats(s, c);
	}
	released = c->release != 0;
	c->release = 0;
	pthread_mutex_unlock(&s->lock);
	stor_fence_begin(c); /* nothing is in flight: who asked last need not wait */
	if (released && s->cfg.released)
		s->cfg.released(s->cfg.released_ctx);
	/* From here on nobody posts any more; a call on its way comes back here and frees. */
	if (__atomic_load_n(&c->posted, __ATOMIC_ACQUIRE))
		return;
	loop_timer_cancel(c->loop, &c->reset_timer);
	loop_timer_cancel(c->loop, &c->watch);
	loop_timer_cancel(c->loop, &c->fence_timer);
	stor_chan_free(c);
	vmbus_device_closed(dev, sub); /* may free the controller */
}

void stor_chan_post(struct stor_chan *c)
{
	if (!__atomic_exchange_n(&c->posted, 1, __ATOMIC_ACQ_REL))
		loop_post(c->loop, &c->call);
}

static void chan_called(struct loop_call *call)
{
	struct stor_chan *c = container_of(call, struct stor_chan, call);

	/* Pairs with the exchange in stor_chan_post(): what was asked for before is seen. */
	__atomic_exchange_n(&c->posted, 0, __ATOMIC_ACQ_REL);
	stor_fence_begin(c);
	if (c->closing) {
		if (!c->in_flight)
			chan_end(c);
		return;
	}
	if (c->resetting)
		stor_reset_look(c);
	share_slots(c);
	stor_chan_release(c);
	if (!c->sub)
		stor_notify(c);
	drop_old_media(c);
	vmbus_device_kick(c->ctl->dev, c->sub);
}

/* The end of a task that scsi_task_abort() took back: for the guest, aborted and no error. */
static void task_aborted(struct scsi_task *t)
{
	struct stor_chan *c = container_of(t, struct stor_req, task)->chan;

	t->status = SCSI_TASK_ABORTED;
	t->sense_len = 0;
	t->transferred = 0;
	t->done = c->task_done;
	t->done(t);
}

bool stor_chan_abort_task(struct stor_chan *c, struct scsi_task *t)
{
	c->task_done = t->done;
	t->done = task_aborted;
	if (scsi_task_abort(t))
		return true;
	t->done = c->task_done;
	return false;
}

void stor_chan_abort_tasks(struct stor_chan *c)
{
	uint32_t i;

	for (i = 0; i < c->touched; i++)
		if (c->reqs[i].start_ns)
			stor_chan_abort_task(c, &c->reqs[i].task);
}

/* ---- a LUN that left ------------------------------------------------------------------- */

static void abort_lun(struct stor_chan *c, uint8_t number)
{
	uint32_t i;

	for (i = 0; i < c->touched; i++)
		if (c->reqs[i].start_ns && stor_lun_of(c->reqs[i].address) == number)
			scsi_task_abort(&c->reqs[i].task);
}

/* True when nothing of it is left. Else the last request posts, and we come back. */
static bool let_go(struct stor_chan *c, uint8_t number)
{
	struct stor_lun *l = &c->lun[number];

	if (l->in_flight) {
		bool before = l->leaving;

		l->leaving = true; /* first: the last request may end, and post, in the abort */
		if (!before)
			abort_lun(c, number);
		return false;
	}
	if (l->queue)
		blk_queue_destroy(l->queue);
	drop_medium(l);
	*l = (struct stor_lun){ 0 };
	return true;
}

void stor_chan_release(struct stor_chan *c)
{
	struct storvsp *s = c->ctl;
	uint64_t asked, done = 0;

	pthread_mutex_lock(&s->lock);
	asked = c->release;
	pthread_mutex_unlock(&s->lock);
	for (uint64_t left = asked; left; left &= left - 1) {
		uint8_t number = (uint8_t)__builtin_ctzll(left);

		if (let_go(c, number))
			done |= 1ull << number;
	}
	if (!done)
		return;
	pthread_mutex_lock(&s->lock);
	c->release &= ~done;
	pthread_mutex_unlock(&s->lock);
	if (s->cfg.released)
		s->cfg.released(s->cfg.released_ctx);
}

void stor_chan_close(struct stor_chan *c)
{
	c->closing = true;
	if (c->resetting) { /* its answer has no ring to go to */
		c->resetting = false;
		stor_reset_forget(c);
	}
	if (c->in_flight) {
		stor_chan_abort_tasks(c);
		return; /* the last one posts */
	}
	if (c->draining)
		stor_chan_post(c); /* a fault inside drain(): let it return first */
	else
		chan_end(c);
}
