/* SPDX-License-Identifier: MIT */
/*
 * Root and child in two processes: memory, messages and signals both ways, and the
 * sudden end of either (cases F01, F03, H27, H30).
 */
#include "tests/ut/hv-core/proc_rig.h"

#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "hv-core/child.h"

static struct root_rig root;

/* In the child process a failed assertion would report to nobody. */
#define CHILD_ASSERT(x)                                                                            \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: in the child: %s\n", __FILE__, __LINE__, #x);      \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static struct hv_child *child_connect(uint32_t nr_vps)
{
	struct hv_child_config cfg = { .memory = 4 << 20, .nr_vps = nr_vps, .name = "child" };
	char why[200] = "";
	struct hv_child *c;
	int err = hv_child_connect(&c, root.path, &cfg, why, sizeof(why));

	if (err)
		fprintf(stderr, "connect: %s\n", why);
	CHILD_ASSERT(!err);
	return c;
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

static void expect_exit(pid_t pid, int status_wanted)
{
	int status = -1;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, status_wanted);
}

/* ---- everything once ---------------------------------------------------------------- */

enum { ROUNDS = 300, RELID = 37 };

static struct {
	uint32_t posted, next_reply, refused;
	uint64_t gpa;
	struct loop_bell bell;
} server;

static void reply_all(void *ctx)
{
	(void)ctx;
	while (server.next_reply < server.posted) {
		uint32_t i = server.next_reply;

		if (hv_synic_post_message(root.p, 0, HV_VMBUS_SINT, HV_MESSAGE_VMBUS, &i,
					  sizeof(i)))
			break;
		server.next_reply++;
	}
}

/* Refuses when too much is unanswered, as a bus with a bounded queue does. */
static enum hv_status on_message(void *ctx, uint32_t connection_id, const void *payload,
				 uint32_t len)
{
	(void)ctx;
	(void)connection_id;
	ck_assert_uint_eq(len, 8);
	if (server.posted - server.next_reply >= 4) {
		server.refused++;
		return HV_STATUS_INSUFFICIENT_BUFFERS;
	}
	memcpy(&server.gpa, payload, 8);
	server.posted++;
	reply_all(NULL);
	return HV_STATUS_SUCCESS;
}

/* The child rang: double what it left in its page and tell it on its second VP. */
static void on_bell(struct loop_bell *b)
{
	uint32_t *word;

	(void)b;
	if (!root.p)
		return; /* killed after ringing */
	word = hv_gpa_ptr(hv_partition_gpa(root.p), server.gpa, 4);
	ck_assert_ptr_nonnull(word);
	store_relaxed(word, load_relaxed(word) * 2);
	ck_assert_int_eq(hv_synic_signal_event(root.p, 1, HV_VMBUS_SINT, RELID), 0);
}

static void serve(struct root_rig *r)
{
	memset(&server, 0, sizeof(server));
	server.bell.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	server.bell.rung = on_bell;
	ck_assert_int_eq(loop_bell_add(r->loop, &server.bell), 0);
	ck_assert_int_eq(hv_port_create_message(r->p, 1, on_message, NULL), 0);
	ck_assert_int_eq(hv_port_create_event(r->p, HV_CONN_CHANNEL_BASE + RELID, server.bell.fd),
			 0);
	hv_synic_on_retry(r->p, reply_all, NULL);
}

static void unserve(void)
{
	loop_bell_del(root.loop, &server.bell);
	close(server.bell.fd);
}

static void count_flag(void *ctx, uint32_t flag)
{
	CHILD_ASSERT(flag == RELID);
	++*(uint32_t *)ctx;
}

static void take_replies(struct hv_child *c, uint32_t *next)
{
	struct hv_message m;

	while (hv_child_take_message(c, 0, &m)) {
		CHILD_ASSERT(m.type == HV_MESSAGE_VMBUS && m.payload_size == 4);
		CHILD_ASSERT(!memcmp(m.payload, next, 4));
		++*next;
	}
}

static void guest_messages(struct hv_child *c, uint64_t gpa)
{
	uint32_t next = 0;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		enum hv_status s;

		while ((s = hv_child_post_message(c, 1, 1, &gpa, 8))) {
			CHILD_ASSERT(s == HV_STATUS_INSUFFICIENT_BUFFERS);
			take_replies(c, &next);
		}
		if (i % 16 == 15)
			take_replies(c, &next);
	}
	while (next < ROUNDS) {
		take_replies(c, &next);
		if (next < ROUNDS)
			CHILD_ASSERT(hv_child_vp_wait(c, 0, 5 * SECOND) == 1);
	}
	CHILD_ASSERT(hv_child_post_message(c, 2, 1, &gpa, 8) == HV_STATUS_INVALID_CONNECTION_ID);
	CHILD_ASSERT(hv_child_post_message(c, 1, 1, c, 241) == HV_STATUS_INVALID_PARAMETER);
}

static void guest_signals(struct hv_child *c, uint32_t *word)
{
	uint32_t flags = 0;

	for (uint32_t i = 1; i <= ROUNDS; i++) {
		store_relaxed(word, i);
		CHILD_ASSERT(!hv_child_signal_event(c, HV_CONN_CHANNEL_BASE + RELID));
		while (flags < i) {
			CHILD_ASSERT(hv_child_vp_wait(c, 1, 5 * SECOND) == 1);
			hv_child_take_events(c, 1, count_flag, &flags);
		}
		CHILD_ASSERT(load_relaxed(word) == 2 * i);
	}
	CHILD_ASSERT(hv_child_signal_event(c, 0x2001) == HV_STATUS_INVALID_CONNECTION_ID);
}

#define WISHES "nic switch=lan\nnic switch=wan,queues=2\n"

static void guest_wishes(void)
{
	static char text[HV_PROC_WISHES + 2];
	struct hv_child_config cfg = { .memory = 1 << 20, .wishes = text };
	char why[100] = "";
	struct hv_child *c;

	memset(text, 'x', HV_PROC_WISHES + 1);
	CHILD_ASSERT(hv_child_connect(&c, root.path, &cfg, why, sizeof(why)) == -E2BIG);
	CHILD_ASSERT(strstr(why, "at most 1024"));
	strcpy(text, "tab\t");
	CHILD_ASSERT(hv_child_connect(&c, root.path, &cfg, why, sizeof(why)) == -EPROTO);
	CHILD_ASSERT(strstr(why, "the root refused: wishes are lines"));
	cfg.wishes = WISHES;
	CHILD_ASSERT(!hv_child_connect(&c, root.path, &cfg, why, sizeof(why)));
	hv_child_destroy(c);
}

START_TEST(wishes_arrive)
{
	pid_t pid;

	root_rig_up(&root);
	pid = spawn(guest_wishes);
	RUN_UNTIL(&root, root.downs);
	expect_exit(pid, 0);
	ck_assert_uint_eq(root.accepts, 2);
	ck_assert_str_eq(root.wishes, WISHES);
	root_rig_down(&root);
}
END_TEST

static void guest_main(void)
{
	struct hv_child *c = child_connect(2);
	uint64_t gpa;

	CHILD_ASSERT(hv_child_nr_vps(c) == 2);
	CHILD_ASSERT(!hv_child_alloc_pages(c, 1, &gpa));
	guest_messages(c, gpa);
	guest_signals(c, hv_child_ptr(c, gpa));
	hv_child_destroy(c);
}

START_TEST(messages_signals_and_memory)
{
	struct held before;
	pid_t pid;

	root_rig_up(&root);
	root.on_up = serve;
	before = held_now();
	pid = spawn(guest_main);
	RUN_UNTIL(&root, root.downs);
	expect_exit(pid, 0);
	ck_assert_uint_eq(root.downs, 1);
	ck_assert_str_eq(root.why, "closed");
	ck_assert_uint_eq(server.posted, ROUNDS);
	ck_assert_uint_eq(server.next_reply, ROUNDS);
	ck_assert_uint_gt(server.bell.rings, 0);
	unserve();
	ASSERT_HELD(before);
	root_rig_down(&root);
}
END_TEST

/* After the first signal the root is not asked any more: it does not even have the port. */
static void guest_rings_alone(void)
{
	struct hv_child *c = child_connect(1);

	CHILD_ASSERT(!hv_child_signal_event(c, HV_CONN_CHANNEL_BASE + RELID));
	CHILD_ASSERT(!hv_child_post_message(c, 1, 1, "deleted?", 8)); /* deletes the port */
	CHILD_ASSERT(!hv_child_signal_event(c, HV_CONN_CHANNEL_BASE + RELID));
	hv_child_forget_connection(c, HV_CONN_CHANNEL_BASE + RELID);
	CHILD_ASSERT(hv_child_signal_event(c, HV_CONN_CHANNEL_BASE + RELID) ==
		     HV_STATUS_INVALID_CONNECTION_ID);
}

static int lone_bell;

static enum hv_status delete_port(void *ctx, uint32_t connection_id, const void *payload,
				  uint32_t len)
{
	(void)ctx;
	(void)connection_id;
	(void)payload;
	(void)len;
	hv_port_delete(root.p, HV_CONN_CHANNEL_BASE + RELID);
	return HV_STATUS_SUCCESS;
}

static void serve_once(struct root_rig *r)
{
	ck_assert_int_eq(hv_port_create_message(r->p, 1, delete_port, NULL), 0);
	ck_assert_int_eq(hv_port_create_event(r->p, HV_CONN_CHANNEL_BASE + RELID, lone_bell), 0);
}

START_TEST(signals_bypass_the_root)
{
	eventfd_t n;
	pid_t pid;

	lone_bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	root_rig_up(&root);
	root.on_up = serve_once;
	pid = spawn(guest_rings_alone);
	RUN_UNTIL(&root, root.downs);
	expect_exit(pid, 0);
	ck_assert_int_eq(eventfd_read(lone_bell, &n), 0);
	ck_assert_uint_eq(n, 2);
	root_rig_down(&root);
	close(lone_bell);
}
END_TEST

/* ---- sudden ends ------------------------------------------------------------------------ */

/* Busy in every way until somebody kills it. */
static void guest_busy(void)
{
	struct hv_child *c = child_connect(2);
	struct hv_message m;
	uint64_t gpa = 4096;
	uint32_t flags = 0;

	for (;;) {
		hv_child_post_message(c, 1, 1, &gpa, 8);
		hv_child_signal_event(c, HV_CONN_CHANNEL_BASE + RELID);
		hv_child_take_message(c, 0, &m);
		hv_child_take_events(c, 1, count_flag, &flags);
	}
}

START_TEST(killed_children_leave_nothing)
{
	struct held before = { 0 };
	uint64_t killed_at, worst = 0;

	root_rig_up(&root);
	root.on_up = serve;
	for (int i = 0; i < 50; i++) {
		uint32_t ups = root.ups, downs = root.downs;
		pid_t pid = spawn(guest_busy);

		RUN_UNTIL(&root, root.ups > ups && server.posted > (uint32_t)i % 7);
		ck_assert_uint_eq(root.ups, ups + 1);
		ck_assert_int_eq(hv_proc_pid(root.proc), pid);
		kill(pid, SIGKILL);
		killed_at = clock_ns();
		RUN_UNTIL(&root, root.downs > downs);
		if (clock_ns() - killed_at > worst)
			worst = clock_ns() - killed_at;
		ck_assert_uint_eq(root.downs, downs + 1);
		ck_assert_str_eq(root.why, "closed");
		expect_exit(pid, SIGKILL);
		unserve();
		if (i == 0)
			before = held_now();
		ASSERT_HELD(before);
	}
	ck_assert_uint_lt(worst, 2 * SECOND);
	root_rig_down(&root);
}
END_TEST

/* H27: a grandchild keeps the memory and the socket; the root does not wait for it. */
static void guest_with_offspring(void)
{
	struct hv_child *c = child_connect(1);

	if (!fork()) {
		alarm(30);
		pause();
	}
	CHILD_ASSERT(!hv_child_post_message(c, 1, 1, "\0\0\0\0\0\0\0", 8));
	hv_child_destroy(c);
}

START_TEST(grandchild_keeps_everything_open)
{
	struct held before;
	pid_t pid;

	root_rig_up(&root);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	root.on_up = serve;
	before = held_now();
	pid = spawn(guest_with_offspring);
	/* hv_child_destroy() shuts the connection down for all who hold the socket. */
	RUN_UNTIL(&root, root.downs);
	ck_assert_uint_eq(root.downs, 1);
	expect_exit(pid, 0);
	unserve();
	ASSERT_HELD(before);
	root_rig_down(&root);
}
END_TEST

/* The other way round: the root is killed, its child sleeps. */
START_TEST(root_is_killed)
{
	struct hv_child_config cfg = { .memory = 1 << 20, .nr_vps = 2 };
	struct held before = held_now();
	struct hv_child *c;
	struct pollfd pfd = { .events = POLLIN };
	uint64_t killed_at;
	pid_t pid;

	root_rig_up(&root);
	root.on_up = serve;
	pid = root_rig_fork(&root);
	ck_assert_int_eq(hv_child_connect(&c, root.path, &cfg, NULL, 0), 0);
	ck_assert_int_eq(hv_child_vp_wait(c, 0, 1000000), 0);
	ck_assert(!hv_child_dead(c));
	kill(pid, SIGKILL);
	killed_at = clock_ns();
	ck_assert_int_eq(hv_child_vp_wait(c, 0, UINT64_MAX), -ECONNRESET);
	ck_assert_uint_lt(clock_ns() - killed_at, 2 * SECOND);
	ck_assert_int_eq(hv_child_vp_wait(c, 1, UINT64_MAX), -ECONNRESET);
	ck_assert(hv_child_dead(c));
	pfd.fd = hv_child_hangup_fd(c);
	ck_assert_int_eq(poll(&pfd, 1, 2000), 1);
	ck_assert_uint_eq(hv_child_post_message(c, 1, 1, "x", 1),
			  HV_STATUS_INVALID_PARTITION_STATE);
	ck_assert_uint_eq(hv_child_signal_event(c, 0x2001), HV_STATUS_INVALID_PARTITION_STATE);
	expect_exit(pid, SIGKILL);
	hv_child_destroy(c);
	root_rig_forget(&root);
	ASSERT_HELD(before);
}
END_TEST

/* The root ends a partition while its child sleeps, and later serves another. */
static void guest_until_end(void)
{
	struct hv_child *c = child_connect(1);

	CHILD_ASSERT(!hv_child_post_message(c, 1, 1, "\0\0\0\0\0\0\0", 8));
	while (hv_child_vp_wait(c, 0, UINT64_MAX) != -ECONNRESET)
		; /* the reply to the message */
	hv_child_destroy(c);
}

START_TEST(root_ends_the_partition)
{
	struct held before;

	root_rig_up(&root);
	root.on_up = serve;
	before = held_now();
	for (int i = 0; i < 3; i++) {
		uint32_t ups = root.ups;
		pid_t pid = spawn(guest_until_end);

		RUN_UNTIL(&root, root.ups > ups && server.posted);
		hv_proc_destroy(root.proc);
		root.proc = NULL;
		expect_exit(pid, 0);
		unserve();
		ASSERT_HELD(before);
	}
	ck_assert_uint_eq(root.downs, 0); /* the owner knows already */
	root_rig_down(&root);
}
END_TEST

/* ---- who may connect ------------------------------------------------------------------------ */

static void guest_of_another_user(void)
{
	struct hv_child_config cfg = { .memory = 1 << 20 };
	char why[100] = "";
	struct hv_child *c;

	CHILD_ASSERT(!setgid(65534) && !setuid(65534));
	CHILD_ASSERT(hv_child_connect(&c, root.path, &cfg, why, sizeof(why)) == -EPERM);
	CHILD_ASSERT(strstr(why, "user 65534 may not be a child of user"));
}

START_TEST(another_user_is_refused)
{
	pid_t pid;

	if (geteuid())
		return; /* only root can become somebody else */
	root_rig_up(&root);
	ck_assert_int_eq(chmod(root.dir, 0755), 0);
	ck_assert_int_eq(chmod(root.path, 0777), 0);
	pid = spawn(guest_of_another_user);
	RUN_UNTIL(&root, root.accepts);
	ck_assert_int_eq(root.accept_result, -EPERM);
	expect_exit(pid, 0);
	ck_assert_uint_eq(root.ups, 0);
	root_rig_down(&root);
}
END_TEST

/* A descriptor too few in the child: said so, and no harm done (F22). */
static void guest_without_descriptors(void)
{
	struct hv_child *c = child_connect(1);
	struct pollfd pfd = { .events = POLLIN };
	struct rlimit old, none = { 0, 0 };

	CHILD_ASSERT(!getrlimit(RLIMIT_NOFILE, &old));
	none.rlim_max = old.rlim_max;
	CHILD_ASSERT(!setrlimit(RLIMIT_NOFILE, &none));
	CHILD_ASSERT(hv_child_signal_event(c, HV_CONN_CHANNEL_BASE + RELID) ==
		     HV_STATUS_NO_RESOURCES);
	raise(SIGSTOP); /* whatever sleeps in the kernel begins anew, under this limit */
	usleep(20000);
	CHILD_ASSERT(!setrlimit(RLIMIT_NOFILE, &old));
	pfd.fd = hv_child_hangup_fd(c);
	CHILD_ASSERT(poll(&pfd, 1, 100) == 0);
	CHILD_ASSERT(!hv_child_signal_event(c, HV_CONN_CHANNEL_BASE + RELID));
}

static bool stopped(pid_t pid)
{
	int status;

	return waitpid(pid, &status, WNOHANG | WUNTRACED) == pid && WIFSTOPPED(status);
}

START_TEST(child_runs_out_of_descriptors)
{
	eventfd_t n;
	pid_t pid;

	lone_bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	root_rig_up(&root);
	root.on_up = serve_once;
	pid = spawn(guest_without_descriptors);
	RUN_UNTIL(&root, stopped(pid));
	ck_assert_int_eq(kill(pid, SIGCONT), 0);
	RUN_UNTIL(&root, root.downs);
	expect_exit(pid, 0);
	ck_assert_int_eq(eventfd_read(lone_bell, &n), 0);
	ck_assert_uint_eq(n, 1);
	root_rig_down(&root);
	close(lone_bell);
}
END_TEST

RIG_MAIN("hv-core/proc", wishes_arrive, messages_signals_and_memory, signals_bypass_the_root,
	 killed_children_leave_nothing, grandchild_keeps_everything_open, root_is_killed,
	 root_ends_the_partition, another_user_is_refused, child_runs_out_of_descriptors)
