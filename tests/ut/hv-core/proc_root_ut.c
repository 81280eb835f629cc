/* SPDX-License-Identifier: MIT */
/* The root's end of the process backend against a child that is just a socket (cases H22 to H26).
 */
#include "tests/ut/hv-core/proc_rig.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "hv-core/gpa_priv.h"

static struct root_rig root;

/* ---- helpers ---------------------------------------------------------------------- */

/* Receives one packet; its fds go to @fds (room for 4), their number to *@nfds. */
static ssize_t raw_recv(int fd, void *buf, size_t len, int *fds, int *nfds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec iov = { buf, len };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.buf,
			      .msg_controllen = sizeof(control.buf) };
	struct cmsghdr *cmsg;
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);

	*nfds = 0;
	cmsg = n >= 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (cmsg) {
		*nfds = (int)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(cmsg), (size_t)*nfds * sizeof(int));
	}
	return n;
}

static void raw_send_fds(int sock, const void *buf, size_t len, const int *fds, uint32_t n)
{
	char control[CMSG_SPACE(253 * sizeof(int))] __attribute__((aligned(8))) = { 0 };
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, n * sizeof(int));
	ck_assert_int_eq(sendmsg(sock, &msg, 0), (ssize_t)len);
}

static struct hv_proc_result raw_call(int sock, const struct hv_proc_call *call, int *fd)
{
	struct hv_proc_result res;
	int fds[4], nfds;
	struct pollfd pfd = { sock, POLLIN, 0 };

	ck_assert_int_eq(send(sock, call, sizeof(*call), 0), (ssize_t)sizeof(*call));
	RUN_UNTIL(&root, poll(&pfd, 1, 0) > 0);
	ck_assert_int_eq(raw_recv(sock, &res, sizeof(res), fds, &nfds), (ssize_t)sizeof(res));
	ck_assert_uint_eq(res.op, HV_PROC_RESULT);
	ck_assert_int_eq(nfds, (int)res.has_fd);
	ck_assert_int_le(nfds, 1);
	*fd = nfds ? fds[0] : -1;
	return res;
}

static struct hv_proc_call hypercall(uint64_t control, uint64_t in)
{
	struct hv_proc_call call = { .op = HV_PROC_HYPERCALL, .arg = { control, in } };

	return call;
}

static void read_welcome(int sock, struct hv_proc_welcome *w, int fds[2])
{
	int got[4], nfds;

	ck_assert_int_eq(raw_recv(sock, w, sizeof(*w), got, &nfds), (ssize_t)sizeof(*w));
	ck_assert_uint_eq(w->magic, HV_PROC_MAGIC);
	ck_assert_int_eq(nfds, w->error ? 0 : 2);
	memcpy(fds, got, (size_t)nfds * sizeof(int));
}

/* ---- hello ------------------------------------------------------------------------- */

START_TEST(welcome)
{
	struct hv_proc_welcome w;
	int fds[2], sock;

	root_rig_up(&root);
	sock = raw_child(&root);
	ck_assert_uint_eq(root.ups, 1);
	ck_assert_int_eq(hv_proc_pid(root.proc), getpid());
	ck_assert_uint_eq(hv_proc_uid(root.proc), geteuid());
	ck_assert_str_eq(hv_partition_name(root.p), "raw");
	ck_assert_str_eq(hv_partition_kind(root.p), "process");
	ck_assert_uint_eq(hv_partition_nr_vps(root.p), 2);
	read_welcome(sock, &w, fds);
	ck_assert_int_eq(w.error, 0);
	ck_assert_uint_eq(w.memory, 1 << 20);
	ck_assert_uint_eq(w.nr_vps, 2);
	ck_assert_uint_eq(w.partition_id, hv_partition_id(root.p));
	ck_assert_int_eq(hv_memfd_check(fds[0], 1 << 20), 0);
	ck_assert_int_eq(hv_memfd_check(fds[1], 4096), 0);
	close(fds[0]);
	close(fds[1]);
	close(sock);
	RUN_UNTIL(&root, root.downs);
	ck_assert_str_eq(root.why, "closed");
	ck_assert_uint_eq(root.downs, 1);
	root_rig_down(&root);
}
END_TEST

static void refused(const char *why, const void *hello, size_t len, int want, const char *text)
{
	struct held before = held_now();
	struct hv_proc_welcome w;
	int sv[2], none[2];

	root.ups = 0;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	ck_assert_msg(rig_accept(&root, sv[0], hello, len) == want, "%s: %d", why,
		      root.accept_result);
	read_welcome(sv[1], &w, none);
	ck_assert_int_eq(w.error, want);
	ck_assert_msg(strstr(w.text, text) != NULL, "%s: \"%s\"", why, w.text);
	ck_assert_int_eq(recv(sv[1], &w, sizeof(w), MSG_DONTWAIT), 0); /* and hung up */
	close(sv[1]);
	ck_assert_uint_eq(root.downs, 0);
	ASSERT_HELD(before);
}

START_TEST(hellos_that_are_refused)
{
	struct hv_proc_hello h;

	root_rig_up(&root);
#define REFUSED(change, want, text)                                                                \
	do {                                                                                       \
		h = good_hello();                                                                  \
		change;                                                                            \
		refused(#change, &h, sizeof(h), want, text);                                       \
		ck_assert_uint_eq(root.ups, 0);                                                    \
	} while (0)
	REFUSED(h.magic = 0, -EPROTO, "not a hello");
	REFUSED(h.version = 2, -EPROTO, "version 2");
	REFUSED(h.version = 0, -EPROTO, "version 0");
	REFUSED(h.role = HV_PROC_CONTROL, -EPROTO, "role 2");
	REFUSED(h.role = 77, -EPROTO, "role 77");
	REFUSED(h.reserved = 1, -EPROTO, "malformed");
	REFUSED(memset(h.name, 'x', sizeof(h.name)), -EPROTO, "malformed");
	REFUSED(h.memory = 0, -EPROTO, "multiple of 4096");
	REFUSED(h.memory = 4097, -EPROTO, "4097");
	REFUSED(h.nr_vps = 0, -EPROTO, "virtual processor");
	REFUSED(h.memory = (1ull << 30) + 4096, -E2BIG, "1073741824 are allowed");
	REFUSED(h.memory = ~4095ull, -E2BIG, "18446744073709547520 bytes");
	REFUSED(h.nr_vps = 65, -E2BIG, "65 virtual processors wanted, 64");
	REFUSED(h.nr_vps = ~0u, -E2BIG, "4294967295 virtual");
	root.quota.max_memory = 1 << 16;
	root.quota.max_vps = 3;
	REFUSED(h.memory = (1 << 16) + 4096, -E2BIG, "65536 are allowed");
	REFUSED((h.memory = 4096, h.nr_vps = 4), -E2BIG, "3 are allowed");
	h = good_hello();
	refused("short", &h, sizeof(h) - 1, -EPROTO, "not a hello");
	refused("empty", &h, 0, -EPROTO, "not a hello");
	root_rig_down(&root);
}
END_TEST

START_TEST(wishes)
{
	struct {
		struct hv_proc_hello h;
		char text[HV_PROC_WISHES + 1];
	} PACKED hello = { good_hello(), "" };
	int sv[2];

	root_rig_up(&root);
	memset(hello.text, 'w', sizeof(hello.text));
	for (size_t n = 0; n <= HV_PROC_WISHES; n += HV_PROC_WISHES / 2) {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
		ck_assert_int_eq(rig_accept(&root, sv[0], &hello, sizeof(hello.h) + n), 0);
		ck_assert_uint_eq(strlen(root.wishes), n); /* known to ops->up */
		ck_assert_mem_eq(root.wishes, hello.text, n);
		ck_assert_str_eq(hv_proc_wishes(root.proc), root.wishes);
		hv_proc_destroy(root.proc);
		root.proc = NULL;
		close(sv[1]);
	}
	refused("long", &hello, sizeof(hello), -E2BIG, "at most 1024 bytes");
	for (int c = -128; c < 128; c++) {
		if (c == '\n' || (c >= ' ' && c <= '~'))
			continue;
		hello.text[9] = (char)c;
		refused("odd", &hello, sizeof(hello.h) + 10, -EPROTO, "printable ASCII");
	}
	hello.text[9] = '\n';
	hello.h.magic++;
	refused("magic", &hello, sizeof(hello.h) + 10, -EPROTO, "not a hello");
	root_rig_down(&root);
}
END_TEST

START_TEST(owner_refuses)
{
	struct hv_proc_hello h = good_hello();

	root_rig_up(&root);
	root.up_result = -ENOSPC;
	refused("up", &h, sizeof(h), -ENOSPC, "No space left");
	ck_assert_uint_eq(root.ups, 1);
	root_rig_down(&root);
}
END_TEST

/* The child is dead before its welcome could be sent: up, then down, in this order. */
START_TEST(child_dies_before_welcome)
{
	struct hv_proc_hello h = good_hello();
	struct held before;
	int sv[2];

	root_rig_up(&root);
	before = held_now();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	close(sv[1]);
	ck_assert_int_eq(rig_accept(&root, sv[0], &h, sizeof(h)), 0);
	ck_assert_uint_eq(root.ups, 1);
	ck_assert_uint_eq(root.downs, 0);
	RUN_UNTIL(&root, root.downs);
	ck_assert_uint_eq(root.downs, 1);
	ck_assert_str_eq(root.why, "closed");
	ASSERT_HELD(before);
	root_rig_down(&root);
}
END_TEST

/* ---- calls -------------------------------------------------------------------------- */

static enum hv_status hear(void *ctx, uint32_t connection_id, const void *payload, uint32_t len)
{
	(void)connection_id;
	(void)payload;
	*(uint32_t *)ctx += len;
	return len == 7 ? HV_STATUS_INSUFFICIENT_BUFFERS : HV_STATUS_SUCCESS;
}

START_TEST(hypercalls)
{
	struct hv_proc_call call = hypercall(HV_CALL_POST_MESSAGE, 0);
	struct hv_post_message_input in = { 1, 0, 1, 5, { 1, 2, 3, 4, 5 } };
	int bell = eventfd(0, EFD_NONBLOCK), fd, sock;
	struct hv_proc_result res;
	uint32_t heard = 0;
	eventfd_t n;

	root_rig_up(&root);
	sock = raw_child(&root);
	ck_assert_int_eq(recv(sock, &res, sizeof(res), MSG_DONTWAIT), (ssize_t)sizeof(res));
	ck_assert_int_eq(hv_port_create_message(root.p, 1, hear, &heard), 0);
	ck_assert_int_eq(hv_port_create_event(root.p, 0x2001, bell), 0);

	memcpy(call.input, &in, sizeof(in));
	res = raw_call(sock, &call, &fd);
	ck_assert_uint_eq(res.value, HV_STATUS_SUCCESS);
	ck_assert_uint_eq(heard, 5);
	in.payload_size = 7;
	memcpy(call.input, &in, sizeof(in));
	ck_assert_uint_eq(raw_call(sock, &call, &fd).value, HV_STATUS_INSUFFICIENT_BUFFERS);
	in.payload_size = 241;
	memcpy(call.input, &in, sizeof(in));
	ck_assert_uint_eq(raw_call(sock, &call, &fd).value, HV_STATUS_INVALID_PARAMETER);
	ck_assert_uint_eq(heard, 12);

	call = hypercall(HV_CALL_SIGNAL_EVENT | HV_CALL_FAST, 0x2001);
	ck_assert_uint_eq(raw_call(sock, &call, &fd).value, HV_STATUS_SUCCESS);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_ne(eventfd_read(bell, &n), 0); /* the child rings, not the root */
	ck_assert_int_eq(eventfd_write(fd, 3), 0);
	ck_assert_int_eq(eventfd_read(bell, &n), 0);
	ck_assert_uint_eq(n, 3);
	close(fd);
	call.arg[1] = 1;
	ck_assert_uint_eq(raw_call(sock, &call, &fd).value, HV_STATUS_INVALID_PORT_ID);
	ck_assert_int_eq(fd, -1);
	call = hypercall(0x9999, 0);
	ck_assert_uint_eq(raw_call(sock, &call, &fd).value, HV_STATUS_INVALID_HYPERCALL_CODE);
	close(sock);
	close(bell);
	root_rig_down(&root);
}
END_TEST

START_TEST(registers)
{
	struct hv_proc_call call = { .op = HV_PROC_WRMSR, .vp = 1, .arg = { HV_MSR_SIMP, 0x5001 } };
	struct hv_proc_welcome w;
	int sock, fd, fds[2];

	root_rig_up(&root);
	sock = raw_child(&root);
	read_welcome(sock, &w, fds);
	ck_assert_int_eq(raw_call(sock, &call, &fd).error, 0);
	call.op = HV_PROC_RDMSR;
	ck_assert_uint_eq(raw_call(sock, &call, &fd).value, 0x5001);
	call.vp = 0;
	ck_assert_uint_eq(raw_call(sock, &call, &fd).value, 0);
	call.vp = 2;
	ck_assert_int_eq(raw_call(sock, &call, &fd).error, -EINVAL);
	call.vp = 0;
	call.arg[0] = HV_MSR_SIMP | 1ull << 32; /* not an MSR number */
	ck_assert_int_eq(raw_call(sock, &call, &fd).error, -EINVAL);
	call.op = HV_PROC_WRMSR;
	ck_assert_int_eq(raw_call(sock, &call, &fd).error, -EINVAL);
	call.arg[0] = HV_MSR_SIMP;
	call.arg[1] = 1 << 20 | 1; /* first page behind RAM */
	ck_assert_int_eq(raw_call(sock, &call, &fd).error, -EINVAL);
	close(sock);
	close(fds[0]);
	close(fds[1]);
	root_rig_down(&root);
}
END_TEST

/* ---- garbage --------------------------------------------------------------------------- */

START_TEST(packets_that_end_the_child)
{
	static const struct {
		size_t len;
		uint32_t op, vp;
		const char *why;
	} c[] = {
		{ sizeof(struct hv_proc_call), 0, 0, "unknown request" },
		{ sizeof(struct hv_proc_call), 6, 0, "unknown request" },
		{ sizeof(struct hv_proc_call), HV_PROC_RESULT, 0, "unknown request" },
		{ sizeof(struct hv_proc_call), ~0u, 0, "unknown request" },
		{ sizeof(struct hv_proc_call), HV_PROC_EOM, 2, "EOM of no VP" },
		{ sizeof(struct hv_proc_call), HV_PROC_EOM, ~0u, "EOM of no VP" },
		{ sizeof(struct hv_proc_call) - 1, HV_PROC_EOM, 0, "packet of a wrong size" },
		{ sizeof(struct hv_proc_call) + 1, HV_PROC_EOM, 0, "packet of a wrong size" },
		{ 8, HV_PROC_EOM, 0, "packet of a wrong size" },
		{ 1, HV_PROC_EOM, 0, "packet of a wrong size" },
		{ 60000, HV_PROC_EOM, 0, "packet of a wrong size" },
		{ 0, 0, 0, "closed" },
	};
	static uint8_t packet[60000];
	struct held before;

	root_rig_up(&root);
	before = held_now();
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		struct hv_proc_call *call = (void *)packet;
		int sock = raw_child(&root);

		call->op = c[i].op;
		call->vp = c[i].vp;
		ck_assert_int_eq(send(sock, packet, c[i].len, 0), (ssize_t)c[i].len);
		send(sock, packet, sizeof(*call), 0); /* what follows is not looked at */
		root.downs = 0;
		RUN_UNTIL(&root, root.downs);
		ck_assert_uint_eq(root.downs, 1);
		ck_assert_str_eq(root.why, c[i].why);
		close(sock);
		ASSERT_HELD(before);
	}
	root_rig_down(&root);
}
END_TEST

/* H24: no descriptor of a child ever becomes ours, however many it sends. */
START_TEST(descriptors_end_the_child)
{
	static const uint32_t counts[] = { 1, 2, 3, 253 };
	struct hv_proc_call call = { .op = HV_PROC_EOM };
	struct held before;
	int fds[253];

	root_rig_up(&root);
	before = held_now();
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		int sock = raw_child(&root);

		for (uint32_t j = 0; j < counts[i]; j++)
			fds[j] = j % 2 ? 0 : sock;
		raw_send_fds(sock, &call, sizeof(call), fds, counts[i]);
		root.downs = 0;
		RUN_UNTIL(&root, root.downs);
		ck_assert_str_eq(root.why, "sent a file descriptor");
		close(sock);
		ASSERT_HELD(before);
	}
	root_rig_down(&root);
}
END_TEST

/* Cut off means cut off at once, however long the owner needs for its teardown. */
START_TEST(owner_takes_its_time)
{
	struct hv_proc_call call = { .op = 99 };
	struct hv_proc_welcome w;
	int sock, fds[2];

	root_rig_up(&root);
	root.keep = true;
	sock = raw_child(&root);
	read_welcome(sock, &w, fds);
	ck_assert_int_eq(send(sock, &call, sizeof(call), 0), (ssize_t)sizeof(call));
	RUN_UNTIL(&root, root.downs);
	ck_assert_int_eq(recv(sock, &w, sizeof(w), MSG_DONTWAIT), 0);
	ck_assert_int_eq(send(sock, &call, sizeof(call), MSG_NOSIGNAL), -1);
	for (int i = 0; i < 5; i++)
		ck_assert_int_ge(loop_turn(root.loop, 1000000), 0);
	ck_assert_uint_eq(root.downs, 1);
	close(sock);
	close(fds[0]);
	close(fds[1]);
	root_rig_down(&root);
}
END_TEST

static uint32_t eoms;

static void count_eom(void *ctx)
{
	(void)ctx;
	eoms++;
}

/* A flood is worked off in portions: others get their turn in between. */
START_TEST(flood_is_bounded_per_turn)
{
	struct hv_proc_call call = { .op = HV_PROC_EOM };
	uint32_t sent = 0, last = 0;
	int sock;

	root_rig_up(&root);
	sock = raw_child(&root);
	hv_synic_on_retry(root.p, count_eom, NULL);
	eoms = 0;
	while (send(sock, &call, sizeof(call), MSG_DONTWAIT) > 0)
		sent++;
	ck_assert_uint_gt(sent, 64);
	while (eoms < sent) {
		ck_assert_int_ge(loop_turn(root.loop, SECOND), 0);
		ck_assert_uint_le(eoms - last, 32);
		last = eoms;
	}
	ck_assert_uint_eq(root.downs, 0);
	close(sock);
	root_rig_down(&root);
}
END_TEST

START_TEST(child_that_does_not_read_is_cut_off)
{
	struct hv_proc_call call = { .op = HV_PROC_RDMSR, .arg = { HV_MSR_SCONTROL, 0 } };
	uint32_t sent = 0;
	int sock;

	root_rig_up(&root);
	sock = raw_child(&root);
	while (!root.downs && sent < 10000) {
		if (send(sock, &call, sizeof(call), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
			sent++;
		ck_assert_int_ge(loop_turn(root.loop, 0), 0);
	}
	ck_assert_str_eq(root.why, "does not read its answers");
	ck_assert_uint_lt(sent, 100);
	close(sock);
	root_rig_down(&root);
}
END_TEST

/* ---- shared objects in the child's hands ------------------------------------------------ */

/*
 * The child has the doorbell's file description and can do with it what it wants,
 * and with the interrupt page. The root must never wait for it.
 */
START_TEST(root_never_blocks_on_what_it_shares)
{
	struct hv_proc_call call = hypercall(HV_CALL_SIGNAL_EVENT | HV_CALL_FAST, 0x2001);
	int bell = eventfd(0, EFD_NONBLOCK), fd, sock, fds[2];
	struct hv_proc_irq_page *irq;
	struct hv_proc_welcome w;

	root_rig_up(&root);
	alarm(20); /* what we want to exclude is a hang */
	sock = raw_child(&root);
	read_welcome(sock, &w, fds);
	ck_assert_int_eq(hv_port_create_event(root.p, 0x2001, bell), 0);
	raw_call(sock, &call, &fd);
	ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
	ck_assert_int_eq(eventfd_write(fd, UINT64_MAX - 1), 0);
	for (int i = 0; i < 5; i++) {
		int again;

		ck_assert_uint_eq(raw_call(sock, &call, &again).value, HV_STATUS_SUCCESS);
		close(again);
	}

	irq = mmap(NULL, sizeof(*irq), PROT_READ | PROT_WRITE, MAP_SHARED, fds[1], 0);
	ck_assert_ptr_ne(irq, MAP_FAILED);
	for (uint32_t state = 0; state < 5; state++) {
		struct hv_proc_call on[] = {
			{ .op = HV_PROC_WRMSR, .arg = { HV_MSR_SIEFP, 0x3001 } },
			{ .op = HV_PROC_WRMSR, .arg = { HV_MSR_SINT0 + 2, 0xf3 } },
		};
		int none;

		raw_call(sock, &on[0], &none);
		raw_call(sock, &on[1], &none);
		irq->vp[0].state = state * 0x1234567;
		ck_assert_int_eq(hv_synic_signal_event(root.p, 0, 2, state), 0);
		ck_assert_uint_eq(irq->vp[0].state, HV_PROC_IRQ_PENDING);
	}
	/* A hole in the page is zeroes, not a fault. */
	ck_assert_int_eq(fallocate(fds[1], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
	ck_assert_int_eq(hv_synic_signal_event(root.p, 0, 2, 100), 0);
	munmap(irq, sizeof(*irq));
	close(fd);
	close(fds[0]);
	close(fds[1]);
	close(sock);
	root_rig_down(&root);
	close(bell);
}
END_TEST

/* ---- running out (F22, F25) --------------------------------------------- */

/* Memory runs out under a page that we touch: the partition ends, we do not. */
START_TEST(no_memory_for_a_page)
{
	int fd = memfd_create("hvbus-lost", 0), sock;
	uint8_t *p;

	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	close(fd);
	root_rig_up(&root);
	sock = raw_child(&root);
	hv_gpa_guard_add(hv_partition_gpa(root.p), p, 4096);
	store_relaxed(p, 1);
	RUN_UNTIL(&root, root.downs);
	ck_assert_uint_eq(root.downs, 1);
	ck_assert_str_eq(root.why, "no memory for its pages");
	hv_gpa_guard_remove(p);
	munmap(p, 4096);
	close(sock);
	root_rig_down(&root);
}
END_TEST

START_TEST(no_descriptors_left)
{
	struct hv_proc_hello h = good_hello();
	struct rlimit old, low;
	struct held before;
	int sv[2], err = -EMFILE;
	uint32_t refusals = 0;

	root_rig_up(&root);
	before = held_now();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	for (uint32_t spare = 0; err; spare++) {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
		ck_assert_uint_lt(spare, 20);
		low.rlim_cur = (rlim_t)(sv[1] > sv[0] ? sv[1] : sv[0]) + 1 + spare;
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
		err = rig_accept(&root, sv[0], &h, sizeof(h));
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
		close(sv[1]);
		if (!err)
			break;
		ck_assert_int_eq(err, -EMFILE);
		refusals++;
		ASSERT_HELD(before);
	}
	ck_assert_uint_ge(refusals, 3); /* two RAM files and a duplicate */
	RUN_UNTIL(&root, root.downs);
	ASSERT_HELD(before);
	root_rig_down(&root);
}
END_TEST

RIG_MAIN("hv-core/proc_root", welcome, hellos_that_are_refused, wishes, owner_refuses,
	 child_dies_before_welcome, hypercalls, registers, packets_that_end_the_child,
	 descriptors_end_the_child, owner_takes_its_time, flood_is_bounded_per_turn,
	 child_that_does_not_read_is_cut_off, root_never_blocks_on_what_it_shares,
	 no_memory_for_a_page, no_descriptors_left)
