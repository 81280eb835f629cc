/* SPDX-License-Identifier: MIT */
/*
 * Physical limits between two cores: a cache line back and forth, a sleeper woken.
 *
 * usage: phys line|line-pause|two-lines [ROUNDTRIPS]
 *        phys wake eventfd|epoll|futex|pipe cross|same [ROUNDTRIPS]
 */
#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "peer.h"

/* ---- cache line ------------------------------------------------------------------------ */

static void await(uint64_t *line, uint64_t v, int pause)
{
	while (__atomic_load_n(line, __ATOMIC_ACQUIRE) != v) {
		if (pause)
			peer_relax();
	}
}

static void ping_pong(const char *name, int two_lines, int pause, uint64_t n)
{
	uint64_t *m = peer_shared(4096, NULL), *there = m, *back = two_lines ? m + 16 : m;
	uint64_t t, i;
	pid_t pid = fork();

	if (pid == 0) {
		peer_pin(1);
		__atomic_store_n(m + 64, 1, __ATOMIC_RELEASE);
		for (i = 0; i < n; i++) {
			await(there, 2 * i + 1, pause);
			__atomic_store_n(back, 2 * i + 2, __ATOMIC_RELEASE);
		}
		_exit(0);
	}
	peer_pin(0);
	while (!__atomic_load_n(m + 64, __ATOMIC_ACQUIRE))
		usleep(100);
	t = peer_now();
	for (i = 0; i < n; i++) {
		__atomic_store_n(there, 2 * i + 1, __ATOMIC_RELEASE);
		await(back, 2 * i + 2, pause);
	}
	t = peer_now() - t;
	waitpid(pid, NULL, 0);
	peer_result("pingpong-oneway", name, (double)t / (2.0 * (double)n), "ns");
}

/* ---- wake-ups: each side sleeps until the other signals -------------------------------------- */

enum kind { W_EVENTFD, W_EPOLL, W_FUTEX, W_PIPE, W_KINDS };
static const char *const kinds[] = { "eventfd", "epoll", "futex", "pipe" };

struct side {
	enum kind kind;
	int rx, tx, ep;
	uint32_t *futex_rx, *futex_tx, seen;
};

static void signal_peer(struct side *s)
{
	uint64_t one = 1;

	if (s->kind == W_FUTEX) {
		__atomic_fetch_add(s->futex_tx, 1, __ATOMIC_SEQ_CST);
		syscall(SYS_futex, s->futex_tx, FUTEX_WAKE, 1, NULL, NULL, 0);
	} else if (write(s->tx, &one, s->kind == W_PIPE ? 1 : 8) < 0) {
		_exit(4);
	}
}

static void await_signal(struct side *s)
{
	struct epoll_event ev;
	uint64_t x;

	if (s->kind == W_FUTEX) {
		while (__atomic_load_n(s->futex_rx, __ATOMIC_SEQ_CST) == s->seen)
			syscall(SYS_futex, s->futex_rx, FUTEX_WAIT, s->seen, NULL, NULL, 0);
		s->seen++;
		return;
	}
	if (s->kind == W_EPOLL) {
		while (epoll_wait(s->ep, &ev, 1, -1) != 1)
			;
	}
	if (read(s->rx, &x, s->kind == W_PIPE ? 1 : 8) <= 0)
		_exit(4);
}

static void side_init(struct side *s, int cpu)
{
	struct epoll_event ev = { .events = EPOLLIN };

	peer_pin(cpu);
	if (s->kind != W_EPOLL)
		return;
	s->ep = epoll_create1(0);
	if (epoll_ctl(s->ep, EPOLL_CTL_ADD, s->rx, &ev))
		_exit(4);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void wake(enum kind kind, const char *where, uint64_t n)
{
	uint32_t *sh = peer_shared(4096, NULL);
	uint64_t *h = calloc(n, sizeof(*h)), i;
	char variant[64];
	int a[2], b[2];
	pid_t pid;

	if (kind == W_PIPE) {
		if (pipe(a) || pipe(b))
			exit(3);
	} else {
		a[0] = a[1] = eventfd(0, 0);
		b[0] = b[1] = eventfd(0, 0);
	}
	pid = fork();
	if (pid == 0) {
		struct side s = { kind, a[0], b[1], -1, sh, sh + 64, 0 };

		side_init(&s, strcmp(where, "same") ? 1 : 0);
		for (i = 0; i < n; i++) {
			await_signal(&s);
			signal_peer(&s);
		}
		_exit(0);
	}
	struct side s = { kind, b[0], a[1], -1, sh + 64, sh, 0 };

	side_init(&s, 0);
	for (i = 0; i < n; i++) {
		uint64_t t = peer_now();

		signal_peer(&s);
		await_signal(&s);
		h[i] = peer_now() - t;
	}
	waitpid(pid, NULL, 0);
	qsort(h, n, sizeof(*h), by_value);
	snprintf(variant, sizeof(variant), "%s-%s", kinds[kind], where);
	peer_result("wake-oneway-p50", variant, (double)h[n / 2] / 2e3, "us");
	free(h);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	uint64_t n = argc > 2 ? strtoul(argv[2], NULL, 0) : 200000;
	int k;

	alarm(60);
	if (!strcmp(what, "line") || !strcmp(what, "line-pause") || !strcmp(what, "two-lines")) {
		ping_pong(what, !strcmp(what, "two-lines"), !strcmp(what, "line-pause"), n ? n : 1);
		return 0;
	}
	if (strcmp(what, "wake") || argc < 4)
		return 2;
	for (k = 0; k < W_KINDS && strcmp(kinds[k], argv[2]); k++)
		;
	if (k == W_KINDS)
		return 2;
	n = argc > 4 ? strtoul(argv[4], NULL, 0) : 5000;
	wake((enum kind)k, argv[3], n ? n : 1);
	return 0;
}
