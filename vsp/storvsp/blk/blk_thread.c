/* SPDX-License-Identifier: MIT */
/*
 * Calls on helper threads: what is left where there is no io_uring and libaio would block
 * (spec: disk-backends, section 11). One pool per process, a few threads, started when
 * work waits and nobody is idle, joined when the last queue that may need it is gone.
 *
 * Locks: pool.life (start and end of the pool), then pool.lock (the work); a helper holds
 * neither while it works or mails a result.
 */
#include "vsp/storvsp/blk/blk_file.h"

#include <errno.h>
#include <signal.h>

#define POOL_THREADS 8

static struct {
	pthread_mutex_t life;
	unsigned users; /* life */
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct blk_list work;
	unsigned queued, idle, threads;
	bool stop;
	pthread_t id[POOL_THREADS];
} pool = {
	.life = PTHREAD_MUTEX_INITIALIZER,
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.more = PTHREAD_COND_INITIALIZER,
};

static void work_on(struct blk_req *req)
{
	struct blk_priv *p = blk_priv(req);
	struct blk_queue *q = p->q;
	struct file_dev *f = file_dev(q->dev);
	struct file_call c;

	file_call_build(req, &c);
	p->result = file_call_run(f, &c);
	p->flags |= FILE_F_RESULT;
	pthread_mutex_lock(&f->dev.lock);
	blk_queue_mail(q, req);
	pthread_mutex_unlock(&f->dev.lock);
}

static void *helper(void *unused)
{
	struct blk_req *req;

	pthread_mutex_lock(&pool.lock);
	while (!pool.stop) {
		req = blk_list_pop(&pool.work);
		if (!req) {
			pool.idle++;
			pthread_cond_wait(&pool.more, &pool.lock);
			pool.idle--;
			continue;
		}
		pool.queued--;
		pthread_mutex_unlock(&pool.lock);
		work_on(req);
		pthread_mutex_lock(&pool.lock);
	}
	pthread_mutex_unlock(&pool.lock);
	return unused;
}

/* Signals are for the threads that expect them. Under pool.lock. */
static int start_helper(void)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&pool.id[pool.threads], NULL, helper, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!err)
		pool.threads++;
	return -err;
}

int file_pool_get(void)
{
	int err = 0;

	pthread_mutex_lock(&pool.life);
	pthread_mutex_lock(&pool.lock);
	/* One is started now, so that there is always somebody to do the work. */
	if (!pool.threads)
		err = start_helper();
	pthread_mutex_unlock(&pool.lock);
	if (!err)
		pool.users++;
	pthread_mutex_unlock(&pool.life);
	return err;
}

void file_pool_put(void)
{
	pthread_mutex_lock(&pool.life);
	if (--pool.users == 0) {
		pthread_mutex_lock(&pool.lock);
		pool.stop = true;
		pthread_cond_broadcast(&pool.more);
		pthread_mutex_unlock(&pool.lock);
		for (unsigned i = 0; i < pool.threads; i++)
			pthread_join(pool.id[i], NULL);
		pool.threads = 0;
		pool.stop = false;
	}
	pthread_mutex_unlock(&pool.life);
}

int32_t file_pool_issue(struct file_queue *fq, struct blk_req *req, struct file_call *c)
{
	(void)fq;
	(void)c; /* the helper builds it again: it lives on our stack */
	pthread_mutex_lock(&pool.lock);
	blk_list_push(&pool.work, req);
	pool.queued++;
	if (pool.queued > pool.idle && pool.threads < POOL_THREADS)
		start_helper(); /* if not, the others do it */
	pthread_cond_signal(&pool.more);
	pthread_mutex_unlock(&pool.lock);
	return FILE_PENDING;
}

bool file_pool_holds(const struct blk_req *req)
{
	bool held;

	pthread_mutex_lock(&pool.lock);
	held = blk_list_has(&pool.work, req);
	pthread_mutex_unlock(&pool.lock);
	return held;
}

bool file_pool_remove(struct blk_req *req)
{
	bool out;

	pthread_mutex_lock(&pool.lock);
	out = blk_list_remove(&pool.work, req);
	pool.queued -= out;
	pthread_mutex_unlock(&pool.lock);
	return out;
}

static int threads_init(struct file_queue *fq)
{
	(void)fq;
	return file_pool_get();
}

static void threads_fini(struct file_queue *fq)
{
	(void)fq;
	file_pool_put();
}

const struct file_transport file_threads = {
	.name = "threads",
	.init = threads_init,
	.fini = threads_fini,
	.issue = file_pool_issue,
};
