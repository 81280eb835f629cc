/* SPDX-License-Identifier: MIT */
/*
 * Queues of the file engine: which way of making calls a loop gets, and in which order the
 * others take over (spec: disk-backends, section 1); closing the device.
 *
 * Teardown: requests finish; queues go (each takes its transport along); the device
 * flushes what is volatile and closes the file, which ends the lock.
 */
#include "vsp/storvsp/blk/blk_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

enum { TO_LIBAIO = 1, TO_THREADS = 2, OUT_OF_CONTEXTS = 4 };

/* Once per device: each queue would say the same. */
static void log_fallback(struct file_dev *f, uint8_t which, const char *why)
{
	bool logged;

	pthread_mutex_lock(&f->dev.lock);
	logged = f->fallbacks_logged & which;
	f->fallbacks_logged |= which;
	pthread_mutex_unlock(&f->dev.lock);
	if (!logged)
		log_info("%s: %s, using %s", f->dev.path, why,
			 which == TO_LIBAIO ? "libaio" : "helper threads");
}

/* io_uring, else libaio, else threads (spec: disk-backends, section 1). */
static const struct file_transport *choose(struct file_dev *f, struct loop *loop)
{
	bool asked_aio = f->engine == BLK_ENGINE_AIO;

	if (f->engine == BLK_ENGINE_THREADS)
		return &file_threads;
	if (!asked_aio && loop_has_uring(loop))
		return &file_uring;
	if (f->engine == BLK_ENGINE_URING)
		return NULL;
	if (!f->direct) {
		log_fallback(
			f, TO_THREADS,
			asked_aio
				? "libaio would block on the page cache"
				: "there is no io_uring, and libaio would block on the page cache");
		return &file_threads;
	}
	if (!asked_aio)
		log_fallback(f, TO_LIBAIO, "there is no io_uring");
	return &file_aio;
}

static int start_transport(struct file_queue *fq, struct file_dev *f, struct loop *loop)
{
	int err;

	fq->tr = choose(f, loop);
	if (!fq->tr)
		return -ENOTSUP;
	err = fq->tr->init(fq);
	if (err == -EAGAIN && fq->tr == &file_aio) {
		log_fallback(f, OUT_OF_CONTEXTS, "no libaio context is left (fs.aio-max-nr)");
		fq->tr = &file_threads;
		err = fq->tr->init(fq);
	}
	if (err)
		return err;
	pthread_mutex_lock(&f->dev.lock);
	f->dev.info.engine = fq->tr->name;
	pthread_mutex_unlock(&f->dev.lock);
	return 0;
}

static int file_queue_create(struct blk_queue **out, struct blk_dev *d, struct loop *loop)
{
	struct file_queue *fq = calloc(1, sizeof(*fq));
	int err;

	if (!fq)
		return -ENOMEM;
	fq->q.dev = d;
	fq->q.loop = loop;
	fq->fixed = -1;
	fq->hook.flush = file_end_of_turn;
	fq->retry.fire = file_retry;
	err = file_slots_init(fq);
	if (err)
		goto free_queue;
	err = start_transport(fq, file_dev(d), loop);
	if (err)
		goto free_slots;
	*out = &fq->q;
	return 0;

free_slots:
	file_slots_fini(fq);
free_queue:
	free(fq);
	return err;
}

static void file_queue_destroy(struct blk_queue *q)
{
	struct file_queue *fq = file_queue(q);

	loop_timer_cancel(q->loop, &fq->retry);
	loop_hook_cancel(q->loop, &fq->hook);
	fq->tr->fini(fq);
	file_slots_fini(fq);
	free(fq);
}

static void file_close(struct blk_dev *d)
{
	struct file_dev *f = file_dev(d);

	if (!d->info.readonly && fdatasync(f->flush_fd))
		log_error("%s: the last flush failed: %s; what was written lately may be lost",
			  d->path, strerror(errno));
	if (f->flush_fd != f->fd)
		close(f->flush_fd);
	/* By hand: an io_uring worker may keep the file open for a moment after its last call. */
	file_image_unlock(f->fd);
	close(f->fd);
	blk_dev_fini(d);
	free(f);
}

const struct blk_ops file_ops = {
	.queue_create = file_queue_create,
	.queue_destroy = file_queue_destroy,
	.submit = file_submit,
	.resume = file_resume,
	.holds = file_holds,
	.cancel = file_cancel,
	.resize = file_resize,
	.close = file_close,
};
