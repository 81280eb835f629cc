/* SPDX-License-Identifier: MIT */
/*
 * Interrupts as descriptors: a child that polls, children that misuse their end, roots that
 * misuse theirs (cases H22, H25).
 */
#include "tests/ut/hv-core/proc_rig.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "hv-core/child.h"
#include "hv-core/proc/proc_sock.h"

enum { RELID = 37, ROUNDS = 300 };

static struct root_rig root;

/* ---- root and child, two processes ------------------------------------------------------ */

#define CHILD_ASSERT(x)                                                                            \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: in the child: %s\n", __FILE__, __LINE__, #x);      \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static struct loop_bell bell;

static void on_bell(struct loop_bell *b)
{
	(void)b;
	if (root.p)
		ck_assert_int_eq(hv_synic_signal_event(root.p, 1, HV_VMBUS_SINT, RELID), 0);
}

static void serve(struct root_rig *r)
{
	bell.rung = on_bell;
	bell.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ck_assert_int_eq(loop_bell_add(r->loop, &bell), 0);
	ck_assert_int_eq(hv_port_create_event(r->p, HV_CONN_CHANNEL_BASE + RELID, bell.fd), 0);
}

static void unserve(void)
{
	loop_bell_del(root.loop, &bell);
	close(bell.fd);
}

static void count_flag(void *ctx, uint32_t flag)
{
	CHILD_ASSERT(flag == RELID);
	++*(uint32_t *)ctx;
}

/* Polls the way users do; returns what disarm says. */
static int poll_vp(struct hv_child *c, uint32_t vp, int timeout_ms)
{
	struct pollfd p = { hv_child_vp_fd(c, vp), POLLIN, 0 };

	CHILD_ASSERT(p.fd >= 0);
	if (hv_child_vp_arm(c, vp))
		CHILD_ASSERT(poll(&p, 1, timeout_ms) >= 0);
	return hv_child_vp_disarm(c, vp);
}

/* Every interrupt arrives, however the VP waits for it. */
static void guest_main(void)
{
	struct hv_child_config cfg = { .memory = 1 << 20, .nr_vps = 2 };
	struct hv_child *c;
	uint32_t flags = 0;

	CHILD_ASSERT(!hv_child_connect(&c, root.path, &cfg, NULL, 0));
	CHILD_ASSERT(!hv_child_vp_arm(c, 1)); /* no fd yet */
	CHILD_ASSERT(hv_child_vp_fd(c, 2) == -EINVAL);
	CHILD_ASSERT(hv_child_vp_fd(c, 1) == hv_child_vp_fd(c, 1));
	CHILD_ASSERT(poll_vp(c, 1, 0) == 0);
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		CHILD_ASSERT(!hv_child_signal_event(c, HV_CONN_CHANNEL_BASE + RELID));
		while (flags < i) {
			int r = i % 3 ? poll_vp(c, 1, 5000) : hv_child_vp_wait(c, 1, 5 * SECOND);

			CHILD_ASSERT(r >= 0);
			hv_child_take_events(c, 1, count_flag, &flags);
			/* A late byte wakes for nothing; nobody waits for nothing. */
			CHILD_ASSERT(r == 1 || i > 1);
		}
	}
	CHILD_ASSERT(poll_vp(c, 1, 0) == 0);
	hv_child_destroy(c);
}

static pid_t spawn(void (*body)(void))
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(30);
	body();
	_exit(0);
}

START_TEST(every_interrupt_arrives)
{
	struct held before;
	int status;
	pid_t pid;

	root_rig_up(&root);
	root.on_up = serve;
	before = held_now();
	pid = spawn(guest_main);
	RUN_UNTIL(&root, root.downs);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_str_eq(root.why, "closed");
	unserve();
	ASSERT_HELD(before);
	root_rig_down(&root);
}
END_TEST

static void *kick(void *arg)
{
	hv_child_kick_vp(arg, 0);
	return NULL;
}

static struct hv_child *forked_root(pid_t *pid)
{
	struct hv_child_config cfg = { .memory = 1 << 20, .nr_vps = 2 };
	struct hv_child *c;

	root_rig_up(&root);
	*pid = root_rig_fork(&root);
	ck_assert_int_eq(hv_child_connect(&c, root.path, &cfg, NULL, 0), 0);
	return c;
}

START_TEST(kicks_and_pokes_wake)
{
	struct held before = held_now();
	struct pollfd p = { .events = POLLIN };
	struct hv_child *c;
	pthread_t t;
	pid_t pid;

	c = forked_root(&pid);
	p.fd = hv_child_vp_fd(c, 0);
	for (int i = 0; i < 200; i++) {
		pthread_create(&t, NULL, kick, c);
		ck_assert_int_eq(poll_vp(c, 0, 5000), 1);
		pthread_join(t, NULL);
		/* The kicker may have written after the look. */
		while (poll_vp(c, 0, 0))
			;
	}
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	hv_child_vp_poke(c, 0);
	ck_assert_int_eq(poll_vp(c, 0, 5000), 0); /* readable, and no interrupt */
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	hv_child_vp_poke(c, 0);
	hv_child_kick_vp(c, 0);
	ck_assert_int_eq(poll(&p, 1, 5000), 1);
	hv_child_vp_empty(c, 0);
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	ck_assert_int_eq(hv_child_vp_disarm(c, 0), 1); /* .. which emptying leaves alone */
	hv_child_vp_poke(c, 1);			       /* has no fd */
	hv_child_vp_empty(c, 7);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	hv_child_destroy(c);
	root_rig_forget(&root);
	ASSERT_HELD(before);
}
END_TEST

START_TEST(end_of_the_root_wakes)
{
	struct held before = held_now();
	struct hv_child *c;
	pid_t pid;
	int r;

	c = forked_root(&pid);
	ck_assert_int_eq(poll_vp(c, 0, 0), 0);
	ck_assert_int_eq(poll_vp(c, 1, 0), 0);
	kill(pid, SIGKILL);
	do {
		r = poll_vp(c, 1, 5000);
	} while (r >= 0);
	ck_assert_int_eq(r, -ECONNRESET);
	while (!hv_child_dead(c))
		sched_yield();
	ck_assert(!hv_child_vp_arm(c, 0));
	ck_assert_int_eq(hv_child_vp_disarm(c, 0), -ECONNRESET);
	waitpid(pid, NULL, 0);
	hv_child_destroy(c);
	root_rig_forget(&root);
	ASSERT_HELD(before);
}
END_TEST

/* ---- children that misuse it: a socket and bytes ------------------------------------------ */

static ssize_t receive(int sock, void *buf, size_t len, int fds[PROC_MAX_FDS])
{
	struct pollfd pfd = { sock, POLLIN, 0 };
	int nfds;

	RUN_UNTIL(&root, poll(&pfd, 1, 0) > 0);
	return proc_sock_recv(sock, buf, len, fds, &nfds);
}

static struct hv_proc_result raw_call(int sock, uint32_t op, uint32_t vp, uint64_t a, uint64_t b,
				      int *fd)
{
	struct hv_proc_call call = { .op = op, .vp = vp, .arg = { a, b } };
	struct hv_proc_result res;
	int fds[PROC_MAX_FDS];

	ck_assert_int_eq(send(sock, &call, sizeof(call), 0), (ssize_t)sizeof(call));
	ck_assert_int_eq(receive(sock, &res, sizeof(res), fds), (ssize_t)sizeof(res));
	ck_assert_int_eq(fds[0] >= 0, (int)res.has_fd);
	*fd = fds[0];
	return res;
}

struct raw {
	int sock, fd; /* .. of VP 0's interrupts */
	struct hv_proc_irq_page *irq;
};

static void raw_up(struct raw *raw)
{
	struct hv_proc_welcome w;
	int fds[PROC_MAX_FDS], none;

	root_rig_up(&root);
	alarm(20); /* what we want to exclude is a hang */
	raw->sock = raw_child(&root);
	ck_assert_int_eq(receive(raw->sock, &w, sizeof(w), fds), (ssize_t)sizeof(w));
	ck_assert(w.features & HV_PROC_HAS_IRQ_FD);
	raw->irq = mmap(NULL, sizeof(*raw->irq), PROT_READ | PROT_WRITE, MAP_SHARED, fds[1], 0);
	ck_assert_ptr_ne(raw->irq, MAP_FAILED);
	close(fds[0]);
	close(fds[1]);
	raw_call(raw->sock, HV_PROC_WRMSR, 0, HV_MSR_SIEFP, 0x3001, &none);
	raw_call(raw->sock, HV_PROC_WRMSR, 0, HV_MSR_SINT0 + HV_VMBUS_SINT, 0xf3, &none);
	ck_assert_int_eq(raw_call(raw->sock, HV_PROC_IRQ_FD, 0, 0, 0, &raw->fd).error, 0);
	ck_assert_int_ge(raw->fd, 0);
}

static void raw_down(struct raw *raw)
{
	if (raw->fd >= 0)
		close(raw->fd);
	munmap(raw->irq, sizeof(*raw->irq));
	close(raw->sock);
	alarm(0);
	root_rig_down(&root);
}

/* Any thread: flag after flag, so that each is an interrupt. */
static void interrupt(uint32_t n)
{
	ck_assert_int_eq(hv_synic_signal_event(root.p, 0, HV_VMBUS_SINT, n), 0);
}

static bool readable(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };

	return poll(&p, 1, 0) == 1;
}

START_TEST(bytes_only_for_who_polls)
{
	static const uint32_t others[] = { HV_PROC_IRQ_NONE, HV_PROC_IRQ_PENDING, 4, ~0u };
	struct raw raw;
	uint32_t n = 0;
	char byte[8];

	raw_up(&raw);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		raw.irq->vp[0].state = others[i];
		interrupt(n++);
		ck_assert(!readable(raw.fd));
	}
	raw.irq->vp[0].state = HV_PROC_IRQ_POLLING;
	interrupt(n++);
	interrupt(n++);
	ck_assert_uint_eq(raw.irq->vp[0].state, HV_PROC_IRQ_PENDING);
	ck_assert_int_eq(recv(raw.fd, byte, sizeof(byte), MSG_DONTWAIT), 1);
	raw_down(&raw);
}
END_TEST

START_TEST(one_descriptor_per_vp)
{
	static const uint32_t none[] = { 2, 63, 64, 65, UINT32_MAX };
	struct hv_proc_result res;
	struct raw raw;
	struct held held;
	struct stat a, b;
	int again;

	raw_up(&raw);
	ck_assert_int_eq(fstat(raw.fd, &a), 0);
	held = held_now();
	for (int i = 0; i < 300; i++) {
		res = raw_call(raw.sock, HV_PROC_IRQ_FD, 0, 0, 0, &again);
		ck_assert_int_eq(res.error, 0);
		ck_assert_int_eq(fstat(again, &b), 0);
		ck_assert_uint_eq(a.st_ino, b.st_ino);
		close(again);
	}
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		res = raw_call(raw.sock, HV_PROC_IRQ_FD, none[i], 0, 0, &again);
		ck_assert_int_eq(res.error, -EINVAL);
		ck_assert_int_eq(again, -1);
	}
	ASSERT_HELD(held);
	raw_down(&raw);
}
END_TEST

/* A child that says it polls and never reads: the queue is bounded, and the root does not wait. */
START_TEST(child_never_reads)
{
	uint32_t raised, got = 0;
	struct raw raw;
	char byte[4096];
	ssize_t n;

	raw_up(&raw);
	ck_assert_int_eq(fcntl(raw.fd, F_SETFL, 0), 0); /* its end's flags are its own */
	for (raised = 0; raised < 4000; raised++) {
		memset(hv_gpa_ptr(hv_partition_gpa(root.p), 0x3000, 4096), 0, 4096);
		raw.irq->vp[0].state = HV_PROC_IRQ_POLLING;
		interrupt(raised % 100);
	}
	while ((n = recv(raw.fd, byte, sizeof(byte), MSG_DONTWAIT)) > 0)
		got += (uint32_t)n;
	ck_assert_uint_gt(got, 0);
	ck_assert_uint_lt(got, 100);
	raw.irq->vp[0].state = HV_PROC_IRQ_POLLING; /* read at last: it works again */
	interrupt(101);
	ck_assert(readable(raw.fd));
	raw_down(&raw);
}
END_TEST

/* Its end shut down, closed, written to. */
START_TEST(child_breaks_its_end)
{
	static const char junk[4096];
	struct raw raw;

	raw_up(&raw);
	ck_assert_int_eq(send(raw.fd, junk, sizeof(junk), MSG_DONTWAIT | MSG_NOSIGNAL), -1);
	ck_assert_int_eq(errno, EPIPE);
	raw.irq->vp[0].state = HV_PROC_IRQ_POLLING;
	interrupt(0);
	ck_assert(readable(raw.fd));
	shutdown(raw.fd, SHUT_RDWR);
	raw.irq->vp[0].state = HV_PROC_IRQ_POLLING;
	interrupt(1); /* no SIGPIPE */
	close(raw.fd);
	raw.fd = -1;
	raw.irq->vp[0].state = HV_PROC_IRQ_POLLING;
	interrupt(2);
	ck_assert_uint_eq(root.downs, 0);
	raw_down(&raw);
}
END_TEST

START_TEST(closed_with_the_partition)
{
	struct held before;
	struct raw raw;
	char byte;

	raw_up(&raw);
	before = held_now();
	hv_proc_destroy(root.proc);
	root.proc = NULL;
	root.p = NULL;
	ck_assert_int_eq(recv(raw.fd, &byte, 1, MSG_DONTWAIT), 0);
	ck_assert_uint_eq(held_now().fds, before.fds - 4); /* both ends, RAM, the socket */
	raw_down(&raw);
}
END_TEST

static uint32_t stop;
static struct hv_proc_irq_page *polled;

static void *interrupt_vp1(void *arg)
{
	for (uint32_t n = 0; !load_acquire(&stop); n++) {
		store_relaxed(&polled->vp[1].state, HV_PROC_IRQ_POLLING);
		hv_synic_signal_event(root.p, 1, HV_VMBUS_SINT, n % HV_FLAG_COUNT);
	}
	return arg;
}

/* The descriptor appears while another loop interrupts. */
START_TEST(asked_for_while_interrupted)
{
	struct hv_event_flags_page *events;
	struct raw raw;
	pthread_t t;
	int fd, none;

	raw_up(&raw);
	events = hv_gpa_ptr(hv_partition_gpa(root.p), 0x4000, 4096);
	raw_call(raw.sock, HV_PROC_WRMSR, 1, HV_MSR_SIEFP, 0x4001, &none);
	raw_call(raw.sock, HV_PROC_WRMSR, 1, HV_MSR_SINT0 + HV_VMBUS_SINT, 0xf3, &none);
	polled = raw.irq;
	pthread_create(&t, NULL, interrupt_vp1, NULL);
	ck_assert_int_eq(raw_call(raw.sock, HV_PROC_IRQ_FD, 1, 0, 0, &fd).error, 0);
	for (uint64_t end = clock_ns() + 5 * SECOND; !readable(fd) && clock_ns() < end;) {
		for (uint32_t i = 0; i < HV_FLAG_COUNT / 32; i++) /* set ones interrupt no more */
			store_relaxed(&events->flags[HV_VMBUS_SINT][i], 0);
		sched_yield();
	}
	ck_assert(readable(fd));
	store_release(&stop, 1);
	pthread_join(t, NULL);
	close(fd);
	raw_down(&raw);
}
END_TEST

RIG_MAIN("hv-core/proc_poll", every_interrupt_arrives, kicks_and_pokes_wake, end_of_the_root_wakes,
	 bytes_only_for_who_polls, one_descriptor_per_vp, child_never_reads, child_breaks_its_end,
	 closed_with_the_partition, asked_for_while_interrupted)
