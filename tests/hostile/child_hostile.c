/* SPDX-License-Identifier: MIT */
/*
 * A process that is no proper child (hostile cases H22 to H27, F01, F02, X10), whole stack: what
 * goes over the socket, descriptors, deaths with I/O in flight.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "tests/hostile/fixture.h"

static struct evil_guest g;

/* ---- the first packet ----------------------------------------------------------------- */

struct hello_case {
	uint32_t len, at; /* bytes sent; which byte is changed .. */
	uint32_t value;	  /* .. to what, 4 bytes */
};

#define HELLO_CASES(X)                                                                             \
	X(h23_no_memory, 56, 8, 0)                                                                 \
	X(h23_memory_of_no_pages, 56, 8, 4097)                                                     \
	X(h23_memory_beyond_the_limit, 56, 12, 0x7fffffff)                                         \
	X(h19_no_vps, 56, 16, 0)                                                                   \
	X(h19_vps_all_ones, 56, 16, UINT32_MAX)                                                    \
	X(h22_wrong_magic, 56, 0, 0x12345678)                                                      \
	X(h22_wrong_version, 56, 4, 0x00010063)                                                    \
	X(h22_unknown_role, 56, 4, 0x00630001)                                                     \
	X(h22_hello_cut, 55, 16, 1)                                                                \
	X(h22_hello_of_one_byte, 1, 16, 1)

static void run_hello(const struct hello_case *c)
{
	struct hv_proc_hello h = evil_hello();
	struct hv_proc_welcome w = { 0 };
	ssize_t n;

	hostile_begin(&g, EVIL_ALONE);
	int s = evil_socket(hostile_path());

	memcpy((uint8_t *)&h + c->at, &c->value, 4);
	ck_assert_int_eq(send(s, &h, c->len, 0), c->len);
	n = recv(s, &w, sizeof(w), 0);
	ck_assert(n <= 0 || w.error < 0);
	close(s);
	hostile_end(&g, &(struct proof){ .cut = "" });
}

/* ---- descriptors --------------------------------------------------------------------------- */

struct fds_case {
	uint32_t n;
	int kind; /* 0 a pipe, 1 a socket, 2 a directory */
};

#define FDS_CASES(X)                                                                               \
	X(h22_a_pipe, 1, 0)                                                                        \
	X(h22_a_socket, 1, 1)                                                                      \
	X(h22_a_directory, 1, 2)                                                                   \
	X(h24_two_descriptors, 2, 0)                                                               \
	X(h24_all_that_the_kernel_allows, 253, 0)

static void send_fds(int s, const void *buf, size_t len, int fd, uint32_t n)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(253 * sizeof(int))] = { 0 };
	struct iovec iov = { (void *)buf, len };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int fds[253];

	for (uint32_t i = 0; i < n; i++)
		fds[i] = fd;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	ck_assert_int_eq(sendmsg(s, &m, 0), len);
}

static void run_fds(const struct fds_case *c)
{
	struct hv_proc_call call = { .op = HV_PROC_RDMSR };
	int fds[2], fd;

	hostile_begin(&g, EVIL_READY);
	ck_assert_int_eq(c->kind == 1 ? socketpair(AF_UNIX, SOCK_STREAM, 0, fds) : pipe(fds), 0);
	fd = c->kind == 2 ? open("/", O_RDONLY | O_DIRECTORY) : dup(fds[0]);
	send_fds(g.sock, &call, sizeof(call), fd, c->n);
	ck_assert(evil_cut_off(&g, 20000));
	close(fd);
	close(fds[0]);
	close(fds[1]);
	hostile_end(&g, &(struct proof){ .cut = "sent a file descriptor" });
}

/* ---- calls -------------------------------------------------------------------------------------
 */

struct call_case {
	uint32_t len, op;
	const char *cut;
};

#define CALL_CASES(X)                                                                              \
	X(h22_call_cut, 279, HV_PROC_HYPERCALL, "packet of a wrong size")                          \
	X(h22_call_too_long, 400, HV_PROC_HYPERCALL, "packet of a wrong size")                     \
	X(h22_unknown_call, 280, 99, "unknown request")                                            \
	X(h22_answer_from_the_child, 280, HV_PROC_RESULT, "unknown request")

static void run_call(const struct call_case *c)
{
	uint8_t buf[512] = { (uint8_t)c->op };

	hostile_begin(&g, EVIL_READY);
	ck_assert_int_eq(send(g.sock, buf, c->len, 0), c->len);
	ck_assert(evil_cut_off(&g, 20000));
	hostile_end(&g, &(struct proof){ .cut = c->cut });
}

/* H01 to H11: control words of hypercalls that must fail, each with its status. */
struct hypercall_case {
	uint64_t control;
	uint32_t words[4]; /* of the input */
	uint32_t status;
};

#define POST   HV_CALL_POST_MESSAGE
#define SIGNAL (HV_CALL_SIGNAL_EVENT | HV_CALL_FAST)

#define HYPERCALL_CASES(X)                                                                         \
	X(h01_unknown_code, 0x7777, { 0 }, HV_STATUS_INVALID_HYPERCALL_CODE)                       \
	X(h02_reserved_bits, POST | 1ull << 27, { 1, 0, 1, 8 }, HV_STATUS_INVALID_HYPERCALL_INPUT) \
	X(h02_reps_of_a_call_without, POST | 1ull << 32, { 1, 0, 1, 8 },                           \
	  HV_STATUS_INVALID_HYPERCALL_INPUT)                                                       \
	X(h05_payload_of_241, POST, { 1, 0, 1, 241 }, HV_STATUS_INVALID_PARAMETER)                 \
	X(h05_payload_all_ones, POST, { 1, 0, 1, UINT32_MAX }, HV_STATUS_INVALID_PARAMETER)        \
	X(h06_unknown_connection, POST, { 77, 0, 1, 8 }, HV_STATUS_INVALID_CONNECTION_ID)          \
	X(h07_message_of_the_hypervisor, POST, { 1, 0, 1u << 31, 8 }, HV_STATUS_INVALID_PARAMETER)

static void run_hypercall(const struct hypercall_case *c)
{
	struct hv_proc_call call = { .op = HV_PROC_HYPERCALL, .arg = { c->control } };

	memcpy(call.input, c->words, sizeof(c->words));
	hostile_begin(&g, EVIL_READY);
	ck_assert_int_eq(evil_call(&g, &call, NULL), c->status);
	evil_verified_io(&g);
	hostile_end(&g, &(struct proof){ .refused = true });
}

START_TEST(h09_h10_signals_to_nowhere)
{
	static const uint64_t conns[] = { 0,
					  1,
					  0x2000,
					  0x2002,
					  0x27ff,
					  0xffffff,
					  UINT64_MAX,
					  0x2001 | 1ull << 32,
					  0x2001 | 0xffffull << 32 };

	hostile_begin(&g, EVIL_READY);
	for (uint32_t i = 0; i < ARRAY_SIZE(conns); i++) {
		struct hv_proc_call call = { .op = HV_PROC_HYPERCALL, .arg = { SIGNAL, conns[i] } };

		ck_assert_int_ne(evil_call(&g, &call, NULL), HV_STATUS_SUCCESS);
	}
	hostile_end(&g, &(struct proof){ .refused = true });
}
END_TEST

/* What connect left in the registers of VP 0. */
static void synic_as_it_was(void)
{
	uint64_t page = EVIL_SYNIC * 4096ull;

	ck_assert_int_eq(evil_wrmsr(&g, 0, HV_MSR_SIMP, page | HV_SYNIC_PAGE_ENABLE), 0);
	ck_assert_int_eq(evil_wrmsr(&g, 0, HV_MSR_SIEFP, (page + 4096) | HV_SYNIC_PAGE_ENABLE), 0);
	ck_assert_int_eq(evil_wrmsr(&g, 0, HV_MSR_SINT0 + HV_VMBUS_SINT, 0x20), 0);
	ck_assert_int_eq(evil_wrmsr(&g, 0, HV_MSR_SCONTROL, HV_SCONTROL_ENABLE), 0);
}

/* H14: both pages where something else is, with traffic; and where nothing is. */
START_TEST(h14_synic_pages_anywhere)
{
	static const uint64_t in[] = { 0, EVIL_SYNIC + 2, EVIL_RINGS, EVIL_BUF, EVIL_PAGES - 1 };
	static const uint64_t out[] = { EVIL_PAGES, 1ull << 40, (1ull << 52) - 1 };
	struct vstor_packet p = evil_tur();

	hostile_begin(&g, EVIL_READY);
	for (uint32_t i = 0; i < ARRAY_SIZE(in) + ARRAY_SIZE(out); i++) {
		bool ram = i < ARRAY_SIZE(in);
		uint64_t page = ram ? in[i] : out[i - ARRAY_SIZE(in)];

		for (uint32_t msr = HV_MSR_SIEFP; msr <= HV_MSR_SIMP; msr++)
			ck_assert_int_eq(
				evil_wrmsr(&g, 0, msr, page << 12 | HV_SYNIC_PAGE_ENABLE) == 0,
				ram);
		for (uint32_t k = 0; k < 8; k++)
			evil_vstor(&g, k, &p);
		EVIL_SAY(&g, VMBUS_MSG_MODIFYCHANNEL, 0, EVIL_RELID, 99); /* a message back */
		usleep(1000);
	}
	synic_as_it_was();
	hostile_end(&g, &(struct proof){ .lost = true });
}
END_TEST

/* H15: a message that waits while its SINT is masked comes when it is not, once. */
START_TEST(h15_sint_changes_while_a_message_waits)
{
	static const uint64_t bad[] = { 0, 15, HV_SINT_AUTO_EOI | 3, HV_SINT_POLLING | 15 };
	const uint32_t sint = HV_MSR_SINT0 + HV_VMBUS_SINT;
	union vmbus_msg m;

	hostile_begin(&g, EVIL_READY);
	for (uint32_t i = 0; i < 20; i++) {
		evil_wrmsr(&g, 0, sint, HV_SINT_MASKED);
		EVIL_SAY(&g, VMBUS_MSG_MODIFYCHANNEL, 0, EVIL_RELID, 99);
		evil_wrmsr(&g, 0, HV_MSR_SCONTROL, i & 1 ? 0 : HV_SCONTROL_ENABLE);
		ck_assert_int_ne(evil_wrmsr(&g, 0, sint, bad[i % ARRAY_SIZE(bad)]), 0);
		evil_wrmsr(&g, 0, sint, 0x20 | (i & 2 ? HV_SINT_AUTO_EOI : HV_SINT_POLLING));
		evil_wrmsr(&g, 0, HV_MSR_SCONTROL, HV_SCONTROL_ENABLE);
		evil_expect(&g, VMBUS_MSG_MODIFYCHANNEL_RESPONSE);
	}
	ck_assert(!evil_take(&g, &m, 20));
	synic_as_it_was();
	evil_verified_io(&g);
	hostile_end(&g, NULL);
}
END_TEST

START_TEST(h21_every_register_all_ones)
{
	static const uint32_t vps[] = { 0, 1, EVIL_VPS, UINT32_MAX };
	uint32_t taken = 0;

	hostile_begin(&g, EVIL_READY);
	for (uint32_t msr = HV_MSR_GUEST_OS_ID; msr < HV_MSR_GUEST_OS_ID + 0x200; msr++)
		for (uint32_t i = 0; i < ARRAY_SIZE(vps); i++) {
			bool ok = !evil_wrmsr(&g, vps[i], msr, UINT64_MAX);

			ck_assert(!ok || vps[i] < EVIL_VPS);
			taken += ok;
		}
	ck_assert_uint_gt(taken, 2 * HV_SINT_COUNT); /* a masked SINT is always legal */
	synic_as_it_was();
	evil_verified_io(&g);
	hostile_end(&g, NULL);
}
END_TEST

/* H25: the root only polls the bell, so a full counter or one that blocks hurts nobody. */
START_TEST(h25_bell_that_is_full_and_blocks)
{
	struct vstor_packet p = evil_tur();
	struct evil_packet a;

	hostile_begin(&g, EVIL_READY);
	fcntl(g.bell, F_SETFL, 0);
	for (uint32_t i = 0; i < 20; i++) {
		struct pollfd room = { g.bell, POLLOUT, 0 };

		evil_queue(&g, VMPKT_INBAND, 2, 1, i, &p, VSTOR_PACKET);
		store_release(&g.out.ctrl->write_index, g.out.next);
		if (poll(&room, 1, 1000) > 0)
			eventfd_write(g.bell, 1);
		ck_assert(evil_recv(&g, &a, 10000));
	}
	hostile_end(&g, NULL);
}
END_TEST

/* H27: a grandchild keeps memory and socket; its being there must not keep the partition's. */
START_TEST(h27_grandchild_keeps_everything)
{
	pid_t pid;

	hostile_begin(&g, EVIL_READY);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	ck_assert_int_eq(send(g.sock, "x", 1, 0), 1);
	ck_assert(evil_cut_off(&g, 20000));
	hostile_end(&g, &(struct proof){ .cut = "packet of a wrong size" });
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
END_TEST

/* Calls by the thousand whose answers nobody reads: cut off, nothing queued without bound. */
START_TEST(h08_answers_never_read)
{
	struct hv_proc_call call = { .op = HV_PROC_RDMSR, .arg = { HV_MSR_SVERSION } };

	hostile_begin(&g, EVIL_READY);
	for (int i = 0; i < 20000; i++)
		if (send(g.sock, &call, sizeof(call), MSG_NOSIGNAL) < 0)
			break;
	ck_assert(evil_cut_off(&g, 20000));
	hostile_end(&g, &(struct proof){ .cut = "does not read its answers" });
}
END_TEST

/* X10, M04: a name that would draw on the administrator's screen. */
START_TEST(x10_name_of_escape_sequences)
{
	struct hv_proc_hello h = evil_hello();
	struct hv_proc_welcome w;
	char *text;
	int s;

	hostile_begin(&g, EVIL_ALONE);
	strcpy(h.name, "\x1b[31m\n\"},\x07\xff%s%n");
	s = evil_socket(hostile_path());
	ck_assert_int_eq(send(s, &h, sizeof(h), 0), sizeof(h));
	ck_assert_int_eq(recv(s, &w, sizeof(w), 0), sizeof(w));
	text = hostile_inspect();
	for (const char *c = text; *c; c++)
		ck_assert_int_ge((unsigned char)*c, ' ');
	free(text);
	close(s);
	hostile_end(&g, NULL);
}
END_TEST

/* ---- deaths
 * -------------------------------------------------------------------------------------- */

/* A process of its own with reads and writes in flight; @sig hits it there. */
static pid_t busy_child(void)
{
	struct vstor_packet p[2] = { evil_rw(LUN_FILE, false, 0, 8),
				     evil_rw(LUN_FILE, true, 8, 8) };
	struct evil_packet a;
	int ready[2];
	pid_t pid;
	char c;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		evil_reach(&g, hostile_path(), EVIL_READY);
		for (uint32_t i = 0;; i++) {
			for (; evil_out_free(&g) >= 200; i++)
				evil_srb_send(&g, i, &p[i % 2], EVIL_BUF + i % 32, 4096, 0);
			while (evil_recv(&g, &a, 0))
				;
			if (i > 512 && ready[1] >= 0 && write(ready[1], "", 1) == 1)
				ready[1] = -1;
		}
	}
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return pid;
}

START_TEST(f01_killed_with_io_in_flight)
{
	hostile_begin(&g, EVIL_ALONE);
	for (int i = 0; i < 5; i++) {
		pid_t pid = busy_child();

		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	hostile_end(&g, NULL);
}
END_TEST

START_TEST(f02_stopped_with_io_in_flight)
{
	pid_t pid;

	hostile_begin(&g, EVIL_ALONE);
	pid = busy_child();
	kill(pid, SIGSTOP);
	usleep(100000);
	hostile_canary_moves();
	kill(pid, SIGCONT);
	usleep(20000);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	hostile_end(&g, NULL);
}
END_TEST

/* F03: a new kernel in the same memory; what the old one asked for does not land in it. */
START_TEST(f03_f04_new_kernel_with_io_in_flight)
{
	struct vstor_packet p = evil_rw(LUN_FILE, false, 0, 8);
	const uint64_t *buf;

	hostile_begin(&g, EVIL_READY);
	buf = evil_page(&g, EVIL_BUF);
	for (int i = 0; i < 20; i++) {
		for (uint32_t k = 0; k < 64; k++)
			evil_srb_send(&g, k, &p, EVIL_BUF, 4096, 0);
		evil_restart(&g, EVIL_CONTACT); /* answered: nothing of before is under way */
		memset(evil_page(&g, EVIL_BUF), 0x77, 4096);
		evil_restart(&g, EVIL_READY);
		for (uint32_t k = 0; k < 512; k++)
			ck_assert_uint_eq(buf[k], 0x7777777777777777ull);
	}
	hostile_end(&g, NULL);
}
END_TEST

#define HELLO_TEST(name, ...) HOSTILE_ROW(name, run_hello, struct hello_case, __VA_ARGS__)
#define FDS_TEST(name, ...)   HOSTILE_ROW(name, run_fds, struct fds_case, __VA_ARGS__)
#define CALL_TEST(name, ...)  HOSTILE_ROW(name, run_call, struct call_case, __VA_ARGS__)
#define HYPERCALL_TEST(name, ...)                                                                  \
	HOSTILE_ROW(name, run_hypercall, struct hypercall_case, __VA_ARGS__)
#define NAME(name, ...) name,

HELLO_CASES(HELLO_TEST)
FDS_CASES(FDS_TEST)
CALL_CASES(CALL_TEST)
HYPERCALL_CASES(HYPERCALL_TEST)

HOSTILE_MAIN("hostile child process",
	     HELLO_CASES(NAME) FDS_CASES(NAME) CALL_CASES(NAME) HYPERCALL_CASES(NAME)
		     h08_answers_never_read,
	     h09_h10_signals_to_nowhere, h25_bell_that_is_full_and_blocks, h14_synic_pages_anywhere,
	     h15_sint_changes_while_a_message_waits, h21_every_register_all_ones,
	     h27_grandchild_keeps_everything, x10_name_of_escape_sequences,
	     f01_killed_with_io_in_flight, f02_stopped_with_io_in_flight,
	     f03_f04_new_kernel_with_io_in_flight)
