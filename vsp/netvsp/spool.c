/* SPDX-License-Identifier: MIT */
/* A ring of bytes and its writer. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/atomic.h"
#include "vsp/netvsp/spool.h"

#define STACK	      (64u * 1024)
#define POLL_MS	      50
#define LAST_POLLS    (1000 / POLL_MS) /* once it is to end */
#define WRITE_AT_ONCE (256u * 1024)    /* so that room comes back in portions */

struct spool {
	/* the loop's */
	uint64_t put; /* so far, of the record that is being put in */
	uint64_t seen_tail;
	uint8_t *ring;
	uint64_t size;
	int fd, wake;
	pthread_t writer;
	/* Counters of bytes, never taken modulo: each written by one side, read by the other. */
	uint64_t head __attribute__((aligned(CACHE_LINE)));
	uint32_t stop;
	uint64_t tail __attribute__((aligned(CACHE_LINE)));
	uint32_t asleep;
	int error;
};

/* ---- the loop's side ------------------------------------------------------------------------ */

bool spool_begin(struct spool *s, uint32_t len)
{
	s->put = s->head;
	if (len <= s->size - (s->put - s->seen_tail))
		return true;
	s->seen_tail = load_acquire(&s->tail); /* pairs with advance(): those bytes were read */
	return len <= s->size - (s->put - s->seen_tail);
}

void spool_put(struct spool *s, const void *data, size_t len)
{
	size_t at = s->put & (s->size - 1), first = s->size - at;

	if (first > len)
		first = len;
	memcpy(s->ring + at, data, first);
	memcpy(s->ring, (const uint8_t *)data + first, len - first);
	s->put += len;
}

static void wake_if_asleep(struct spool *s)
{
	full_fence(); /* pairs with rest(): either we see it asleep, or it sees our bytes */
	if (load_relaxed(&s->asleep) && __atomic_exchange_n(&s->asleep, 0, __ATOMIC_SEQ_CST))
		eventfd_write(s->wake, 1);
}

void spool_commit(struct spool *s)
{
	store_release(&s->head, s->put); /* pairs with the load in write_some() */
	wake_if_asleep(s);
}

int spool_error(const struct spool *s)
{
	return load_relaxed(&s->error);
}

/* ---- the writer ------------------------------------------------------------------------------ */

/* Is there a point in trying again after EAGAIN? */
static bool wait_for_room(struct spool *s, int *polls)
{
	struct pollfd pfd = { .fd = s->fd, .events = POLLOUT };

	if (poll(&pfd, 1, POLL_MS) != 0)
		return true;
	if (!load_acquire(&s->stop))
		return true;
	return ++*polls < LAST_POLLS;
}

static int write_all(struct spool *s, struct iovec *iov, int n)
{
	int polls = 0;

	while (n) {
		ssize_t did = writev(s->fd, iov, n);

		if (did < 0 && errno == EAGAIN && wait_for_room(s, &polls))
			continue;
		if (did < 0 && errno != EINTR)
			return errno;
		while (n && did > 0) {
			size_t part = (size_t)did < iov->iov_len ? (size_t)did : iov->iov_len;

			iov->iov_base = (uint8_t *)iov->iov_base + part;
			iov->iov_len -= part;
			did -= (ssize_t)part;
			if (iov->iov_len)
				break;
			iov++;
			n--;
		}
	}
	return 0;
}

/* What is there, or a good part of it. False: nothing was. */
static bool write_some(struct spool *s)
{
	uint64_t tail = s->tail, n = load_acquire(&s->head) - tail;
	size_t at = tail & (s->size - 1);
	struct iovec iov[2] = { { s->ring + at, 0 }, { s->ring, 0 } };

	if (!n)
		return false;
	if (n > WRITE_AT_ONCE)
		n = WRITE_AT_ONCE;
	iov[0].iov_len = n < s->size - at ? n : s->size - at;
	iov[1].iov_len = n - iov[0].iov_len;
	/* After an error the rest is only taken away: half a record is the last thing in the file.
	 */
	if (!s->error) {
		int err = write_all(s, iov, iov[1].iov_len ? 2 : 1);

		if (err)
			store_relaxed(&s->error, err);
	}
	store_release(&s->tail, tail + n); /* pairs with the load in spool_begin() */
	return true;
}

static void rest(struct spool *s)
{
	eventfd_t v;

	store_relaxed(&s->asleep, 1);
	full_fence(); /* pairs with wake_if_asleep() */
	if (load_acquire(&s->head) == s->tail && !load_acquire(&s->stop))
		eventfd_read(s->wake, &v);
	store_relaxed(&s->asleep, 0);
}

static void *write_until_stopped(void *arg)
{
	struct spool *s = arg;

	for (;;) {
		/* What was put in before the word to stop is seen after it. */
		bool stop = load_acquire(&s->stop);

		if (write_some(s))
			continue;
		if (stop)
			return NULL;
		rest(s);
	}
}

/* ---- life ------------------------------------------------------------------------------------ */

static int start_writer(struct spool *s)
{
	sigset_t all, old;
	pthread_attr_t attr;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	/* The program's signals are none of its business, nor is a pipe without a reader. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&s->writer, &attr, write_until_stopped, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -err;
}

static uint64_t round_up(uint32_t bytes)
{
	uint64_t size = SPOOL_MIN;

	while (size < bytes)
		size *= 2;
	return size;
}

static void spool_free(struct spool *s)
{
	if (s->wake >= 0)
		close(s->wake);
	free(s->ring);
	free(s);
}

int spool_open(struct spool **out, int fd, uint32_t bytes)
{
	int flags = fcntl(fd, F_GETFL);
	struct spool *s;
	int err;

	if (bytes > SPOOL_MAX)
		return -EINVAL;
	if (flags < 0)
		return -errno;
	s = aligned_alloc(CACHE_LINE, sizeof(*s));
	if (!s)
		return -ENOMEM;
	*s = (struct spool){ .fd = fd, .size = round_up(bytes) };
	s->wake = eventfd(0, EFD_CLOEXEC);
	err = s->wake < 0 ? -errno : 0;
	s->ring = malloc(s->size);
	if (!err && !s->ring)
		err = -ENOMEM;
	if (!err)
		err = start_writer(s);
	if (err) {
		spool_free(s);
		return err;
	}
	/* So that a pipe can be given up. Files do not care. */
	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	*out = s;
	return 0;
}

int spool_close(struct spool *s, const void *last, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)last, len };
	int err;

	store_release(&s->stop, 1); /* pairs with write_until_stopped() */
	wake_if_asleep(s);
	pthread_join(s->writer, NULL);
	err = s->error ? s->error : write_all(s, &iov, 1);
	if (close(s->fd) && !err)
		err = errno;
	spool_free(s);
	return err;
}
