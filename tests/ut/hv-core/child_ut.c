/* SPDX-License-Identifier: MIT */
/*
 * The child library: connecting to things that are no root or a hostile one, its page
 * allocator, and its interrupts. The other end runs in a thread of the test.
 */
#include "tests/ut/hv-core/proc_rig.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "hv-core/child.h"
#include "hv-core/proc/proc_sock.h"

/* ---- a peer that is not what it should be ---------------------------------------- */

struct peer {
	char dir[32], path[64];
	int listener;
	pthread_t thread;
	/* Talks to the child; the connection is closed when it returns. */
	void (*talk)(int sock);
};

static void *peer_main(void *arg)
{
	struct peer *p = arg;
	int sock = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);

	ck_assert_int_ge(sock, 0);
	p->talk(sock);
	close(sock);
	return NULL;
}

static void peer_start(struct peer *p, int type, void (*talk)(int sock))
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	strcpy(p->dir, "/tmp/hvcore-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/s", p->dir);
	strcpy(sa.sun_path, p->path);
	p->listener = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	p->talk = talk;
	ck_assert_int_eq(bind(p->listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_eq(listen(p->listener, 1), 0);
	if (talk)
		ck_assert_int_eq(pthread_create(&p->thread, NULL, peer_main, p), 0);
}

static void peer_stop(struct peer *p)
{
	if (p->talk)
		pthread_join(p->thread, NULL);
	close(p->listener);
	unlink(p->path);
	rmdir(p->dir);
}

static int try_connect(const char *path, const char *text)
{
	struct hv_child_config cfg = { .memory = 1 << 20, .timeout_ms = 300 };
	struct held before = held_now();
	struct hv_child *c = NULL;
	char why[300] = "";
	int err = hv_child_connect(&c, path, &cfg, why, sizeof(why));

	ck_assert_ptr_null(c);
	ck_assert_msg(strstr(why, text) != NULL, "\"%s\" is not in \"%s\"", text, why);
	ck_assert_uint_eq(held_now().shared_maps, before.shared_maps);
	return err;
}

START_TEST(nobody_there)
{
	struct hv_child_config cfg = { .nr_vps = 65 };
	char path[200], why[100];
	struct hv_child *c;
	struct peer p;

	ck_assert_int_eq(try_connect("/nonexistent/socket", "No such file"), -ENOENT);
	memset(path, 'x', sizeof(path));
	path[199] = 0;
	ck_assert_int_eq(try_connect(path, "at most 107"), -ENAMETOOLONG);
	peer_start(&p, SOCK_SEQPACKET, NULL);
	close(p.listener);
	p.listener = -1;
	ck_assert_int_eq(try_connect(p.path, "Connection refused"), -ECONNREFUSED);
	peer_stop(&p);
	peer_start(&p, SOCK_STREAM, NULL);
	ck_assert_int_eq(try_connect(p.path, "Protocol error"), -EPROTO);
	peer_stop(&p);
	ck_assert_int_eq(hv_child_connect(&c, "/x", &cfg, why, sizeof(why)), -EINVAL);
	ck_assert_int_eq(hv_child_connect(&c, "/nonexistent", NULL, NULL, 0), -ENOENT);
}
END_TEST

/* The kernel queues connections that nobody accepts; the hello's answer never comes. */
START_TEST(nobody_answers)
{
	struct peer p;

	peer_start(&p, SOCK_SEQPACKET, NULL);
	ck_assert_int_eq(try_connect(p.path, "does not answer"), -ETIMEDOUT);
	peer_stop(&p);
}
END_TEST

static void hang_up(int sock)
{
	struct hv_proc_hello h;

	ck_assert_int_eq(recv(sock, &h, sizeof(h), 0), (ssize_t)sizeof(h));
}

static void hang_up_at_once(int sock)
{
	(void)sock;
}

/* What the next peers answer to a hello. */
static struct hv_proc_welcome answer;
static size_t answer_len;
static int answer_fd[2];
static int answer_fds;

static void talk(int sock)
{
	struct hv_proc_hello h;

	ck_assert_int_eq(recv(sock, &h, sizeof(h), 0), (ssize_t)sizeof(h));
	ck_assert_uint_eq(h.magic, HV_PROC_MAGIC);
	ck_assert_uint_eq(h.role, HV_PROC_GUEST);
	ck_assert_uint_eq(h.memory, 1 << 20);
	ck_assert_uint_eq(h.nr_vps, 1);
	ck_assert_int_eq(proc_sock_send(sock, &answer, answer_len, answer_fd, answer_fds, 0), 0);
}

static void bad_welcome(int want, const char *text)
{
	struct peer p;

	peer_start(&p, SOCK_SEQPACKET, talk);
	ck_assert_int_eq(try_connect(p.path, text), want);
	peer_stop(&p);
}

static void good_answer(int ram, int irq)
{
	answer = (struct hv_proc_welcome){ .magic = HV_PROC_MAGIC, .memory = 1 << 20, .nr_vps = 1 };
	answer_len = sizeof(answer);
	answer_fd[0] = ram;
	answer_fd[1] = irq;
	answer_fds = 2;
}

START_TEST(welcomes_that_are_wrong)
{
	static const char *const unknown = "not a root that this version knows";
	int ram = hv_memfd_create("hvbus-ut", 1 << 20), irq = hv_memfd_create("hvbus-ut", 4096);
	struct peer p;

	peer_start(&p, SOCK_SEQPACKET, hang_up);
	ck_assert_int_eq(try_connect(p.path, "hung up"), -EPROTO);
	peer_stop(&p);
	peer_start(&p, SOCK_SEQPACKET, hang_up_at_once);
	ck_assert_int_eq(try_connect(p.path, "hung up"), -EPROTO);
	peer_stop(&p);
#define WRONG(change)                                                                              \
	do {                                                                                       \
		good_answer(ram, irq);                                                             \
		change;                                                                            \
		bad_welcome(-EPROTO, unknown);                                                     \
	} while (0)
	WRONG(answer.magic++);
	WRONG(answer_len--);
	WRONG(answer_len = 4);
	WRONG(answer.error = 5);
	WRONG(answer.error = INT32_MIN);
	WRONG(answer.memory *= 2);
	WRONG(answer.nr_vps = 2);
	WRONG(answer.nr_vps = 0);
	WRONG(answer_fds = 0);
	WRONG(answer_fds = 1);
	close(ram);
	close(irq);
}
END_TEST

START_TEST(memory_that_cannot_be_trusted)
{
	int ram = hv_memfd_create("hvbus-ut", 1 << 20), irq = hv_memfd_create("hvbus-ut", 4096);
	int loose = memfd_create("loose", MFD_ALLOW_SEALING), small;
	int bell = eventfd(0, 0);

	small = hv_memfd_create("hvbus-ut", 1 << 16);
	ck_assert_int_eq(ftruncate(loose, 1 << 20), 0);
	good_answer(loose, irq);
	bad_welcome(-EPERM, "cannot be used");
	good_answer(small, irq);
	bad_welcome(-EINVAL, "cannot be used");
	good_answer(ram, ram);
	bad_welcome(-EINVAL, "cannot be used");
	good_answer(bell, irq);
	bad_welcome(-EINVAL, "cannot be used");
	good_answer(ram, bell);
	bad_welcome(-EINVAL, "cannot be used");
	close(ram);
	close(irq);
	close(loose);
	close(small);
	close(bell);
}
END_TEST

START_TEST(refusal_has_a_reason)
{
	good_answer(-1, -1);
	answer_fds = 0;
	answer.error = -E2BIG;
	strcpy(answer.text, "too much of everything");
	bad_welcome(-E2BIG, "the root refused: too much of everything");
	memset(answer.text, 'z', sizeof(answer.text)); /* no end */
	bad_welcome(-E2BIG, "zzzz");
}
END_TEST

/* A welcome, good answers to @msrs register writes, then whatever the test wants. */
static int accepting_ram, accepting_irq;
static uint32_t msrs;
static void (*then)(int sock, const struct hv_proc_call *call);

static void accepting(int sock)
{
	struct hv_proc_call call;
	struct hv_proc_result ok = { .op = HV_PROC_RESULT };

	good_answer(accepting_ram, accepting_irq);
	talk(sock);
	for (uint32_t i = 0; recv(sock, &call, sizeof(call), 0) == sizeof(call); i++) {
		if (i >= msrs) {
			then(sock, &call);
			return;
		}
		ck_assert_uint_eq(call.op, HV_PROC_WRMSR);
		ck_assert_int_eq(send(sock, &ok, sizeof(ok), 0), (ssize_t)sizeof(ok));
	}
}

static void answer_short(int sock, const struct hv_proc_call *call)
{
	(void)call;
	ck_assert_int_eq(send(sock, "x", 1, 0), 1);
	recv(sock, &msrs, 1, 0); /* until the child hangs up */
}

static void answer_long(int sock, const struct hv_proc_call *call)
{
	ck_assert_int_eq(send(sock, call, sizeof(*call), 0), (ssize_t)sizeof(*call));
	recv(sock, &msrs, 1, 0);
}

static void answer_nothing(int sock, const struct hv_proc_call *call)
{
	(void)call;
	recv(sock, &msrs, 1, 0);
}

static void answer_hang_up(int sock, const struct hv_proc_call *call)
{
	(void)sock;
	(void)call;
}

static void answer_error(int sock, const struct hv_proc_call *call)
{
	struct hv_proc_result r = { .op = HV_PROC_RESULT, .error = -EINVAL };

	(void)call;
	ck_assert_int_eq(send(sock, &r, sizeof(r), 0), (ssize_t)sizeof(r));
}

static void answer_no_errno(int sock, const struct hv_proc_call *call)
{
	struct hv_proc_result r = { .op = HV_PROC_RESULT, .error = INT32_MIN };

	(void)call;
	ck_assert_int_eq(send(sock, &r, sizeof(r), 0), (ssize_t)sizeof(r));
	recv(sock, &msrs, 1, 0);
}

static void answer_wrong_op(int sock, const struct hv_proc_call *call)
{
	struct hv_proc_result r = { .op = HV_PROC_HYPERCALL };

	(void)call;
	ck_assert_int_eq(send(sock, &r, sizeof(r), 0), (ssize_t)sizeof(r));
	recv(sock, &msrs, 1, 0);
}

static void answer_fd_unasked(int sock, const struct hv_proc_call *call)
{
	struct hv_proc_result r = { .op = HV_PROC_RESULT };

	(void)call;
	ck_assert_int_eq(proc_sock_send(sock, &r, sizeof(r), &accepting_ram, 1, 0), 0);
	recv(sock, &msrs, 1, 0);
}

static void two_fds(int sock, const struct hv_proc_call *call)
{
	struct hv_proc_result r = { .op = HV_PROC_RESULT, .has_fd = 1 };
	int fds[2] = { accepting_ram, accepting_irq };

	(void)call;
	ck_assert_int_eq(proc_sock_send(sock, &r, sizeof(r), fds, 2, 0), 0);
	recv(sock, &msrs, 1, 0);
}

/* Looks like the end of the stream, but for what came along. */
static void empty_with_fds(int sock, const struct hv_proc_call *call)
{
	int fds[2] = { accepting_ram, accepting_irq };

	(void)call;
	ck_assert_int_eq(proc_sock_send(sock, "", 0, fds, 2, 0), 0);
	recv(sock, &msrs, 1, 0);
}

static const struct {
	void (*then)(int sock, const struct hv_proc_call *call);
	int want;
} bad_answers[] = {
	{ answer_short, -EPROTO },	{ answer_long, -EPROTO },
	{ answer_nothing, -ETIMEDOUT }, { answer_hang_up, -ECONNRESET },
	{ answer_wrong_op, -EPROTO },	{ answer_fd_unasked, -EPROTO },
	{ two_fds, -EPROTO },		{ empty_with_fds, -ECONNRESET },
	{ answer_no_errno, -EPROTO },	{ answer_error, -EINVAL },
};

static void accepting_up(void)
{
	accepting_ram = hv_memfd_create("hvbus-ut", 1 << 20);
	accepting_irq = hv_memfd_create("hvbus-ut", 4096);
}

/* While the SynIC is set up. */
START_TEST(answers_that_are_wrong)
{
	accepting_up();
	for (size_t i = 0; i < ARRAY_SIZE(bad_answers); i++) {
		struct peer p;

		msrs = 2;
		then = bad_answers[i].then;
		peer_start(&p, SOCK_SEQPACKET, accepting);
		ck_assert_int_eq(try_connect(p.path, "could not be set up"), bad_answers[i].want);
		peer_stop(&p);
	}
}
END_TEST

/* Later: the call fails, the child is dead from then on, and everybody is woken. */
START_TEST(bad_answer_kills_the_child)
{
	struct hv_child_config cfg = { .memory = 1 << 20, .timeout_ms = 300 };

	for (size_t i = 0; i < ARRAY_SIZE(bad_answers) - 1; i++) {
		struct held before = held_now();
		struct pollfd pfd = { .events = POLLIN };
		struct hv_child *c;
		struct peer p;

		accepting_up();
		msrs = 4;
		then = bad_answers[i].then;
		peer_start(&p, SOCK_SEQPACKET, accepting);
		ck_assert_int_eq(hv_child_connect(&c, p.path, &cfg, NULL, 0), 0);
		pfd.fd = hv_child_hangup_fd(c);
		ck_assert(!hv_child_dead(c));
		ck_assert_int_eq(poll(&pfd, 1, 0), 0);
		ck_assert_int_eq(hv_child_vp_wait(c, 0, 0), 0);
		ck_assert_uint_eq(hv_child_post_message(c, 1, 1, "x", 1),
				  HV_STATUS_INVALID_PARTITION_STATE);
		ck_assert(hv_child_dead(c));
		/* The watcher may have found the end first, and be on its way to the fd. */
		ck_assert_int_eq(poll(&pfd, 1, 10000), 1);
		ck_assert_int_eq(hv_child_vp_wait(c, 0, UINT64_MAX), -ECONNRESET);
		ck_assert_uint_eq(hv_child_signal_event(c, 0x2001),
				  HV_STATUS_INVALID_PARTITION_STATE);
		hv_child_destroy(c);
		peer_stop(&p);
		close(accepting_ram);
		close(accepting_irq);
		ASSERT_HELD(before);
	}
}
END_TEST

/* ---- against a real root in a thread -------------------------------------------------- */

static struct root_rig root;
static pthread_t root_thread;
static struct hv_child *child;
static uint32_t root_ready;
static void (*root_on_up)(struct root_rig *r);

static void *root_main(void *arg)
{
	root_rig_up(&root);
	root.on_up = root_on_up;
	store_release(&root_ready, 1);
	ck_assert_int_eq(loop_run(root.loop), 0);
	while (load_acquire(&root_ready)) /* until loop_stop() has returned */
		sched_yield();
	root_rig_down(&root);
	return arg;
}

static void up(uint32_t nr_vps, void (*on_up)(struct root_rig *r))
{
	struct hv_child_config cfg = { .memory = 1 << 20, .nr_vps = nr_vps, .name = "ut" };
	char why[100] = "";

	root_on_up = on_up;
	ck_assert_int_eq(pthread_create(&root_thread, NULL, root_main, NULL), 0);
	while (!load_acquire(&root_ready))
		sched_yield();
	ck_assert_msg(!hv_child_connect(&child, root.path, &cfg, why, sizeof(why)), "%s", why);
}

static void down(void)
{
	hv_child_destroy(child);
	loop_stop(root.loop);
	store_release(&root_ready, 0);
	pthread_join(root_thread, NULL);
}

START_TEST(pages)
{
	static uint64_t gpa[256];
	uint64_t a, b, back;
	uint32_t n = 0;

	up(1, NULL);
	ck_assert_uint_eq(hv_child_memory(child), 1 << 20);
	ck_assert_int_eq(hv_child_alloc_pages(child, 0, &a), -EINVAL);
	ck_assert_int_eq(hv_child_alloc_pages(child, 256, &a), -ENOMEM);
	ck_assert_int_eq(hv_child_alloc_pages(child, ~0u, &a), -ENOMEM);
	while (!hv_child_alloc_pages(child, 1, &gpa[n])) {
		uint8_t *page = hv_child_ptr(child, gpa[n]);

		ck_assert_uint_ne(gpa[n], 0);
		ck_assert_uint_eq(gpa[n] % 4096, 0);
		for (uint32_t i = 0; i < n; i++)
			ck_assert_uint_ne(gpa[i], gpa[n]);
		for (uint32_t i = 0; i < 4096; i += 64)
			ck_assert_uint_eq(page[i], 0);
		memset(page, 0xcc, 4096);
		n++;
	}
	ck_assert_uint_eq(n, 256 - 1 - 2); /* page 0 and the SynIC's two */

	/* Three in a row in the middle, then not four. */
	for (uint32_t i = 100; i < 103; i++)
		hv_child_free_pages(child, gpa[i], 1);
	ck_assert_int_eq(hv_child_alloc_pages(child, 4, &a), -ENOMEM);
	ck_assert_int_eq(hv_child_alloc_pages(child, 3, &a), 0);
	ck_assert_uint_eq(a, gpa[100]);
	for (uint32_t i = 0; i < 3 * 4096; i++)
		ck_assert_uint_eq(((uint8_t *)hv_child_ptr(child, a))[i], 0);

	/* Frees that make no sense do nothing. */
	hv_child_free_pages(child, 0, 1);
	hv_child_free_pages(child, 1 << 20, 1);
	hv_child_free_pages(child, a, 300);
	ck_assert_int_eq(hv_child_alloc_pages(child, 1, &b), -ENOMEM);

	ck_assert_ptr_null(hv_child_ptr(child, 1 << 20));
	ck_assert(hv_child_gpa(child, (uint8_t *)hv_child_ptr(child, a) + 9, &back));
	ck_assert_uint_eq(back, a + 9);
	ck_assert(!hv_child_gpa(child, &back, &back));
	ck_assert(!hv_child_gpa(child, NULL, &back));
	down();
}
END_TEST

START_TEST(wrapped_view)
{
	uint8_t *data, *page;
	uint32_t size;
	uint64_t gpa;
	size_t maplen;
	void *ctrl;

	up(1, NULL);
	ck_assert_int_eq(hv_child_alloc_pages(child, 4, &gpa), 0);
	ck_assert_int_eq(hv_child_map_wrapped(child, gpa, 4, &ctrl, &data, &size, &maplen), 0);
	page = hv_child_ptr(child, gpa);
	ck_assert_uint_eq(size, 3 * 4096);
	*(uint8_t *)ctrl = 1;
	data[0] = 2;
	data[2 * size - 1] = 3;
	ck_assert_uint_eq(page[0], 1);
	ck_assert_uint_eq(page[4096], 2);
	ck_assert_uint_eq(data[size], 2);
	ck_assert_uint_eq(page[4 * 4096 - 1], 3);
	hv_child_unmap_wrapped(ctrl, maplen);
	ck_assert_int_eq(hv_child_map_wrapped(child, gpa, 1, &ctrl, &data, &size, &maplen),
			 -EINVAL);
	ck_assert_int_eq(hv_child_map_wrapped(child, gpa + 1, 2, &ctrl, &data, &size, &maplen),
			 -EINVAL);
	ck_assert_int_eq(hv_child_map_wrapped(child, 255 * 4096, 2, &ctrl, &data, &size, &maplen),
			 -EFAULT);
	ck_assert_int_eq(hv_child_map_wrapped(child, gpa, ~0u, &ctrl, &data, &size, &maplen),
			 -EINVAL);
	down();
}
END_TEST

/* ---- interrupts --------------------------------------------------------------------------- */

START_TEST(waiting)
{
	uint64_t start;

	up(2, NULL);
	ck_assert_int_eq(hv_child_vp_wait(child, 2, 0), -EINVAL);
	ck_assert_int_eq(hv_child_vp_wait(child, 0, 0), 0);
	start = clock_ns();
	ck_assert_int_eq(hv_child_vp_wait(child, 0, 20000000), 0);
	ck_assert_uint_ge(clock_ns() - start, 20000000);
	hv_child_kick_vp(child, 0);
	hv_child_kick_vp(child, 0);
	hv_child_kick_vp(child, 7); /* no such VP: nothing happens */
	ck_assert_int_eq(hv_child_vp_wait(child, 1, 0), 0);
	ck_assert_int_eq(hv_child_vp_wait(child, 0, UINT64_MAX), 1);
	ck_assert_int_eq(hv_child_vp_wait(child, 0, 0), 0); /* two kicks are one interrupt */
	hv_child_kick_vp(child, 1);
	ck_assert_int_eq(hv_child_vp_wait(child, 1, SECOND), 1);
	hv_child_kick_vp(child, 1);
	ck_assert_int_eq(hv_child_vp_wait(child, 1, UINT64_MAX - 1), 1);
	hv_child_kick_vp(child, 1);
	ck_assert_int_eq(hv_child_vp_wait(child, 1, 0), 1);
	down();
}
END_TEST

/* Ping-pong between two sleeping VPs: every kick arrives, none is invented. */
#define PINGS (RIG_EFFORT * 1000)

static void *pong(void *arg)
{
	for (uint32_t i = 0; i < PINGS; i++) {
		ck_assert_int_eq(hv_child_vp_wait(child, 1, i % 2 ? UINT64_MAX : 5 * SECOND), 1);
		hv_child_kick_vp(child, 0);
	}
	return arg;
}

static void on_signal(int sig)
{
	(void)sig;
}

START_TEST(kicks_between_sleepers)
{
	struct sigaction sa = { .sa_handler = on_signal };
	pthread_t t;

	sigaction(SIGUSR1, &sa, NULL); /* without SA_RESTART: sleeps are interrupted */
	up(2, NULL);
	ck_assert_int_eq(pthread_create(&t, NULL, pong, NULL), 0);
	for (uint32_t i = 0; i < PINGS; i++) {
		hv_child_kick_vp(child, 1);
		if (i % 64 == 0)
			pthread_kill(t, SIGUSR1);
		ck_assert_int_eq(hv_child_vp_wait(child, 0, i % 3 ? UINT64_MAX : 5 * SECOND), 1);
	}
	pthread_join(t, NULL);
	ck_assert_int_eq(hv_child_vp_wait(child, 0, 0), 0);
	ck_assert_int_eq(hv_child_vp_wait(child, 1, 0), 0);
	down();
}
END_TEST

/* ---- doorbells --------------------------------------------------------------------------------
 */

static int bell;

static void make_event_ports(struct root_rig *r)
{
	ck_assert_int_eq(hv_port_create_event(r->p, 0x2001, bell), 0);
	ck_assert_int_eq(hv_port_create_event(r->p, 0x2800, bell), 0);
}

#define SIGNALS (RIG_EFFORT * 500)

static void *signal_often(void *arg)
{
	for (uint32_t i = 0; i < SIGNALS; i++)
		ck_assert_uint_eq(hv_child_signal_event(child, 0x2001), HV_STATUS_SUCCESS);
	return arg;
}

START_TEST(doorbells)
{
	uint32_t fds;
	eventfd_t n;
	pthread_t t[3];

	bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	up(1, make_event_ports);
	fds = held_now().fds;
	ck_assert_uint_eq(hv_child_signal_event(child, 0x2002), HV_STATUS_INVALID_CONNECTION_ID);
	/* Outside the range that is remembered: works, keeps nothing. */
	ck_assert_uint_eq(hv_child_signal_event(child, 0x2800), HV_STATUS_SUCCESS);
	ck_assert_uint_eq(hv_child_signal_event(child, 0x2800), HV_STATUS_SUCCESS);
	ck_assert_int_eq(eventfd_read(bell, &n), 0);
	ck_assert_uint_eq(n, 2);
	ck_assert_uint_eq(held_now().fds, fds);
	/* Several threads find out at once; one descriptor is kept, each signal counts. */
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, signal_often, NULL), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	ck_assert_int_eq(eventfd_read(bell, &n), 0);
	ck_assert_uint_eq(n, 3 * SIGNALS);
	ck_assert_uint_eq(held_now().fds, fds + 1);
	hv_child_forget_connection(child, 0x2001);
	hv_child_forget_connection(child, 0x2001);
	hv_child_forget_connection(child, 5);
	ck_assert_uint_eq(held_now().fds, fds);
	ck_assert_uint_eq(hv_child_signal_event(child, 0x2001), HV_STATUS_SUCCESS);
	ck_assert_int_eq(eventfd_read(bell, &n), 0);
	ck_assert_uint_eq(n, 1);
	down();
	close(bell);
}
END_TEST

static int false_bell;

static void answer_false_bell(int sock, const struct hv_proc_call *call)
{
	struct hv_proc_result r = { .op = HV_PROC_RESULT, .has_fd = 1 };

	ck_assert_uint_eq(call->op, HV_PROC_HYPERCALL);
	ck_assert_int_eq(proc_sock_send(sock, &r, sizeof(r), &false_bell, 1, 0), 0);
	recv(sock, &msrs, 1, 0);
}

/* A pipe or socket that nobody reads would end the program, a file would be written to. */
START_TEST(doorbells_that_are_none)
{
	struct hv_child_config cfg = { .memory = 1 << 20, .timeout_ms = 2000 };
	int pipe_fds[2], sockets[2], bells[3];

	ck_assert_int_eq(pipe(pipe_fds), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	close(pipe_fds[0]);
	close(sockets[0]);
	accepting_up();
	bells[0] = pipe_fds[1];
	bells[1] = sockets[1];
	bells[2] = accepting_ram;
	for (size_t i = 0; i < ARRAY_SIZE(bells); i++) {
		struct held before = held_now();
		struct hv_child *c;
		struct peer p;

		false_bell = bells[i];
		msrs = 4;
		then = answer_false_bell;
		peer_start(&p, SOCK_SEQPACKET, accepting);
		ck_assert_int_eq(hv_child_connect(&c, p.path, &cfg, NULL, 0), 0);
		ck_assert_uint_eq(hv_child_signal_event(c, 0x2001),
				  HV_STATUS_INVALID_PARTITION_STATE);
		ck_assert(hv_child_dead(c));
		hv_child_destroy(c);
		peer_stop(&p);
		ASSERT_HELD(before);
	}
	close(pipe_fds[1]);
	close(sockets[1]);
	close(accepting_ram);
	close(accepting_irq);
}
END_TEST

RIG_MAIN("hv-core/child", nobody_there, nobody_answers, welcomes_that_are_wrong,
	 memory_that_cannot_be_trusted, refusal_has_a_reason, answers_that_are_wrong,
	 bad_answer_kills_the_child, pages, wrapped_view, waiting, kicks_between_sleepers,
	 doorbells, doorbells_that_are_none)
