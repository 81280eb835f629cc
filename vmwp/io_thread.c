/* SPDX-License-Identifier: MIT */
/*
 * Threads that own channels beside the main loop. Each creates its loop itself,
 * because an io_uring in single-issuer mode belongs to the thread that made it.
 */
#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "vmwp/root_priv.h"

static void *io_main(void *arg)
{
	struct io_thread *t = arg;
	struct loop_config lc = {
		.engine = t->root->cfg.loop_engine,
		.spin_us_max = t->root->cfg.spin_us,
		.name = "io",
	};
	struct loop *loop = NULL;
	int err = loop_create(&loop, &lc);

	pthread_mutex_lock(&t->lock);
	t->loop = loop;
	t->error = err;
	t->started = true;
	pthread_cond_signal(&t->ready);
	pthread_mutex_unlock(&t->lock);
	if (err)
		return NULL;
	loop_run(loop);
	pthread_mutex_lock(&t->lock); /* loop_stop() may still be inside the loop */
	pthread_mutex_unlock(&t->lock);
	loop_destroy(loop);
	return NULL;
}

static int start_one(struct root *r, struct io_thread *t)
{
	int err;

	t->root = r;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->ready, NULL);
	err = pthread_create(&t->thread, NULL, io_main, t);
	if (err)
		return -err;
	pthread_mutex_lock(&t->lock);
	while (!t->started)
		pthread_cond_wait(&t->ready, &t->lock);
	pthread_mutex_unlock(&t->lock);
	if (t->error)
		pthread_join(t->thread, NULL);
	return t->error;
}

int io_threads_start(struct root *r)
{
	uint32_t i;
	int err;

	for (i = 0; i < r->cfg.io_threads && i < ROOT_MAX_IO_THREADS; i++) {
		err = start_one(r, &r->io[i]);
		if (err)
			return err;
		r->io_loop[r->nr_io++] = r->io[i].loop;
	}
	return 0;
}

void io_threads_stop(struct root *r)
{
	while (r->nr_io) {
		struct io_thread *t = &r->io[--r->nr_io];

		pthread_mutex_lock(&t->lock);
		loop_stop(t->loop);
		pthread_mutex_unlock(&t->lock);
		pthread_join(t->thread, NULL);
	}
}
