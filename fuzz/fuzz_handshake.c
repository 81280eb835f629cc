/* SPDX-License-Identifier: MIT */
/*
 * Both ends of the socket of a process partition, each against the other one's worst: the
 * first byte says which is real.
 *
 *   a root    gets a hello, then packets with any bytes and descriptors; what must hold: it
 *             sends nothing but well-formed answers, cuts off what is not a call, and says so
 *             once
 *   a child   connects and works with a root that has already said all it will ever say:
 *             welcomes and answers, right or not, with descriptors of any kind, and a memory
 *             that this root writes too; what must hold: every call ends, dead is dead, no
 *             address outside its memory is used
 *
 * No descriptor may be left over at the end, whichever side it was sent to.
 *
 * A child's connect() leads to the root here and its watcher thread is never started: the
 * input says when the end of the root is noticed.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "fuzz/input.h"
#include "fuzz/vtime.h"
#include "hv-core/child.h"
#include "hv-core/port.h"
#include "hv-core/proc/proc_root.h"
#include "hv-core/proc/proc_sock.h"
#include "hv-core/proc/proc_wire.h"
#include "hv-core/synic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_connect(int fd, const struct sockaddr *sa, socklen_t len);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
int __wrap_pthread_join(pthread_t t, void **result);
int __real_pthread_join(pthread_t t, void **result);

#define FDS	   4 /* at most, in one packet */
#define FD_TABLE   96
#define STEPS	   64
#define PAGES	   32u
#define EVENT_ID   (HV_CONN_CHANNEL_BASE + 1)
#define MESSAGE_ID 1u

static int dialled = -1; /* where a child's connect() leads */

int __wrap_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	(void)sa;
	(void)len;
	return dup2(dialled, fd) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) ? -1 : 0;
}

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg)
{
	if (!vtime.inside)
		return __real_pthread_create(t, a, fn, arg);
	*t = pthread_self();
	return 0;
}

int __wrap_pthread_join(pthread_t t, void **result)
{
	return vtime.inside ? 0 : __real_pthread_join(t, result);
}

/* ---- descriptors ------------------------------------------------------------------------ */

static uint32_t open_fds(void)
{
	uint32_t n = 0;

	for (int fd = 0; fd < FD_TABLE; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int make_memory(uint32_t pages, bool sealed)
{
	int fd;

	if (sealed)
		return hv_memfd_create("fuzz", pages * 4096ull);
	fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd < 0 || !ftruncate(fd, pages * 4096) ? fd : -1;
}

/* A descriptor of the kind that the input says. */
static int make_fd(uint8_t kind)
{
	int sv[2];

	switch (kind % 8) {
	case 0:
		return make_memory(1, true);
	case 1:
		return make_memory(PAGES, true);
	case 2:
		return make_memory(PAGES, false);
	case 3:
		return make_memory(1, false);
	case 4:
		return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	case 5:
		return eventfd(0xfffffffe, EFD_NONBLOCK | EFD_CLOEXEC);
	case 6:
		return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) || close(sv[0])
			       ? -1
			       : sv[1];
	default:
		return make_memory(2, true);
	}
}

static void send_packet(int sock, const void *buf, size_t len, const int *fds, uint32_t n)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(FDS * sizeof(int))];
	} control;
	struct cmsghdr *c;

	memset(&control, 0, sizeof(control));
	if (n) {
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* With descriptors of the input's choice, which are closed here again. */
static void send_with_fds(int sock, const void *buf, size_t len, struct input *in, uint32_t n)
{
	int fds[FDS] = { -1, -1, -1, -1 };

	for (uint32_t i = 0; i < n; i++) {
		fds[i] = make_fd(input_u8(in));
		INVARIANT(fds[i] >= 0);
	}
	send_packet(sock, buf, len, fds, n);
	for (uint32_t i = 0; i < n; i++)
		close(fds[i]);
}

/* ---- a root --------------------------------------------------------------------------------- */

static struct {
	struct loop *loop;
	struct hv_proc *proc;
	struct hv_partition *p;
	int refuse, bell;
	uint32_t ups, downs;
	uint32_t vps;
	uint64_t memory;
} root;

static enum hv_status on_message(void *ctx, uint32_t connection_id, const void *payload,
				 uint32_t len)
{
	uint8_t copy[HV_MSG_PAYLOAD];

	(void)ctx;
	INVARIANT(connection_id == MESSAGE_ID && len <= sizeof(copy));
	memcpy(copy, payload, len);
	return len & 1 ? HV_STATUS_INSUFFICIENT_BUFFERS : HV_STATUS_SUCCESS;
}

static int on_up(void *ctx, struct hv_proc *proc, struct hv_partition *p)
{
	(void)ctx;
	INVARIANT(!root.ups++);
	if (root.refuse)
		return root.refuse;
	root.proc = proc;
	root.p = p;
	INVARIANT(!hv_port_create_message(p, MESSAGE_ID, on_message, NULL));
	INVARIANT(!hv_port_create_event(p, EVENT_ID, root.bell));
	return 0;
}

static void on_down(void *ctx, struct hv_proc *proc, const char *why)
{
	(void)ctx;
	INVARIANT(!root.downs++ && why && *why && proc == root.proc);
	hv_proc_destroy(proc);
	root.proc = NULL;
	root.p = NULL;
}

/* Everything that the root has said: only what a root says, and fds only where they belong. */
static void hear(int sock, bool *welcomed)
{
	union {
		struct hv_proc_welcome welcome;
		struct hv_proc_result result;
		uint8_t bytes[512];
	} m;
	int fds[PROC_MAX_FDS], nfds;
	ssize_t n;

	fcntl(sock, F_SETFL, O_NONBLOCK);
	while ((n = proc_sock_recv(sock, &m, sizeof(m), fds, &nfds)) > 0) {
		if (!*welcomed) {
			INVARIANT(n == (ssize_t)sizeof(m.welcome));
			INVARIANT(m.welcome.magic == HV_PROC_MAGIC && m.welcome.error <= 0);
			INVARIANT(memchr(m.welcome.text, 0, sizeof(m.welcome.text)));
			INVARIANT(nfds == (m.welcome.error ? 0 : 2));
			INVARIANT(m.welcome.error || m.welcome.memory == root.memory);
			INVARIANT(m.welcome.error || !hv_memfd_check(fds[0], root.memory));
			*welcomed = true;
		} else {
			INVARIANT(n == (ssize_t)sizeof(m.result));
			INVARIANT(m.result.op == HV_PROC_RESULT && m.result.error <= 0);
			INVARIANT(nfds == (m.result.has_fd ? 1 : 0));
		}
		for (int i = 0; i < nfds; i++)
			close(fds[i]);
	}
}

struct wishful {
	struct hv_proc_hello hello;
	uint8_t wishes[UINT8_MAX];
};

static size_t some_hello(struct input *in, struct wishful *w)
{
	struct hv_proc_hello *h = &w->hello;
	uint8_t how = input_u8(in), at, len;

	*h = (struct hv_proc_hello){ .magic = HV_PROC_MAGIC,
				     .version = HV_PROC_VERSION,
				     .role = HV_PROC_GUEST,
				     .memory = (1 + how % 16) * 4096u,
				     .nr_vps = 1 + how / 16 % 4,
				     .name = "fuzz" };
	if (how & 0x40) {
		at = input_u8(in) % sizeof(*h);
		input_take(in, (uint8_t *)h + at, input_u8(in) % (sizeof(*h) - at + 1));
	}
	root.memory = h->memory;
	root.vps = h->nr_vps;
	if (!(how & 0x80))
		return sizeof(*h);
	len = input_u8(in); /* cut, or with wishes */
	if (len > sizeof(*h))
		input_take(in, w->wishes, len - sizeof(*h));
	return len;
}

/* A call that is right in form, mostly. */
static void send_call(int sock, struct input *in)
{
	static const uint32_t controls[] = { HV_CALL_POST_MESSAGE,
					     HV_CALL_SIGNAL_EVENT | HV_CALL_FAST,
					     HV_CALL_SIGNAL_EVENT, HV_CALL_CREATE_PORT };
	struct hv_proc_call call = { .op = 0 };
	struct hv_post_message_input *m = (void *)call.input;
	uint8_t how = input_u8(in), what = input_u8(in);
	uint32_t len = sizeof(call);

	call.op = how % 8;
	call.vp = how >> 3 & 3;
	call.arg[0] = HV_MSR_SCONTROL + what % 40;
	call.arg[1] = input_u16(in);
	if (call.op == HV_PROC_HYPERCALL) {
		call.arg[0] = controls[what % 4];
		call.arg[1] = EVENT_ID;
		m->connection_id = what & 8 ? EVENT_ID : MESSAGE_ID;
		m->message_type = HV_MESSAGE_VMBUS;
		m->payload_size = what >> 3;
	}
	if (how & 0x20)
		input_take(in, call.arg, sizeof(call.arg));
	if (how & 0x40)
		input_take(in, call.input, 24);
	if (how & 0x80) {
		len = input_u16(in) % (sizeof(call) + 1);
		call.op = input_u32(in);
	}
	send_with_fds(sock, &call, len, in, what >= 0xf0 ? what % (FDS + 1) : 0);
}

static void root_does(struct input *in)
{
	uint8_t how = input_u8(in), payload[8];

	if (!root.p)
		return;
	input_take(in, payload, sizeof(payload));
	if (how & 1)
		hv_synic_post_message(root.p, how >> 1 & 3, HV_VMBUS_SINT, 1, payload, 8);
	else
		hv_synic_signal_event(root.p, how >> 1 & 3, HV_VMBUS_SINT, payload[0]);
}

static void with_root(struct input *in, uint8_t how)
{
	static const struct hv_proc_ops ops = { on_up, on_down };
	struct hv_proc_quota quota = { .max_memory = 12 * 4096, .max_vps = 3 };
	struct loop_config lc = { .engine = LOOP_EPOLL };
	bool welcomed = false, hung_up = false;
	struct wishful hello;
	size_t len = some_hello(in, &hello);
	int sv[2], err, steps = 0;

	root.ups = root.downs = 0;
	root.proc = NULL;
	root.p = NULL;
	root.refuse = how & 2 ? -ENOSPC : 0;
	INVARIANT(!loop_create(&root.loop, &lc));
	INVARIANT(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv));
	root.bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	err = hv_proc_accept(&root.proc, root.loop, sv[0], &hello, len, &quota, &ops, NULL);
	INVARIANT(err <= 0 && (!err || (!root.downs && (!root.ups || root.refuse))));
	INVARIANT(err ||
		  !memcmp(hv_proc_wishes(root.proc), hello.wishes, len - sizeof(hello.hello)));
	INVARIANT(err || (root.memory <= quota.max_memory && root.vps <= quota.max_vps));
	if (err)
		root.proc = NULL;
	while (in->left && steps++ < STEPS) {
		uint8_t op = input_u8(in) % 8;

		if (op < 5)
			send_call(sv[1], in);
		else if (op == 5)
			root_does(in);
		else if (op == 6 && input_u8(in) > 0xf0)
			hung_up = !shutdown(sv[1], SHUT_RDWR);
		else if (!(how & 4)) /* else: never reads its answers */
			hear(sv[1], &welcomed);
		INVARIANT(loop_turn(root.loop, 0) >= 0);
	}
	hear(sv[1], &welcomed);
	INVARIANT(welcomed || hung_up || how & 4);
	close(sv[1]);
	for (int i = 0; i < 8 && root.proc; i++) /* what it sent last, then its end */
		INVARIANT(loop_turn(root.loop, 0) >= 0);
	INVARIANT(!root.proc && root.downs == !err);
	loop_destroy(root.loop);
	close(root.bell);
}

/* ---- a child -----------------------------------------------------------------------------------
 */

static uint8_t *shared; /* the root's mapping of what may be the child's memory */

/* The welcome: right, but for what the input spoils. */
static void say_welcome(int sock, struct input *in, uint32_t vps)
{
	struct hv_proc_welcome w = {
		.magic = HV_PROC_MAGIC, .memory = PAGES * 4096, .nr_vps = vps, .partition_id = 7
	};
	uint8_t how = input_u8(in);
	size_t len = sizeof(w);
	int fds[2];

	if (how & 1)
		input_spoil(in, &w, sizeof(w));
	if (how & 2)
		w.error = (int32_t)input_u32(in);
	if (how & 0x10)
		w.features = HV_PROC_HAS_IRQ_FD;
	if (how & 4)
		len = input_u8(in) % (sizeof(w) + 1);
	if (how & 8) {
		send_with_fds(sock, &w, len, in, input_u8(in) % (FDS + 1));
		return;
	}
	fds[0] = make_memory(PAGES, true);
	fds[1] = make_memory(1, true);
	shared = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	INVARIANT(shared != MAP_FAILED);
	send_packet(sock, &w, len, fds, 2);
	close(fds[0]);
	close(fds[1]);
}

static void say_result(int sock, struct input *in)
{
	struct hv_proc_result r = { .op = HV_PROC_RESULT };
	uint8_t how = input_u8(in), bytes[64] = { 0 };
	size_t len = sizeof(r);

	r.has_fd = how & 1;
	if (how & 0x20)
		r.value = input_u8(in);
	if (how & 0x40)
		r.error = (int32_t)input_u32(in);
	if (how & 0x10)
		input_spoil(in, &r, sizeof(r));
	memcpy(bytes, &r, sizeof(r));
	if (how & 0x80)
		len = input_u8(in) % sizeof(bytes);
	send_with_fds(sock, bytes, len, in, how & 8 ? input_u8(in) % (FDS + 1) : how & 1);
}

static void on_flag(void *ctx, uint32_t flag)
{
	(void)ctx;
	INVARIANT(flag < HV_FLAG_COUNT);
}

static void child_memory(struct hv_child *c, struct input *in)
{
	uint32_t n = input_u8(in) % (PAGES + 2);
	uint64_t gpa, back;
	uint8_t *p;

	if (hv_child_alloc_pages(c, n, &gpa))
		return;
	INVARIANT(n && gpa && gpa % 4096 == 0 && gpa + n * 4096ull <= hv_child_memory(c));
	p = hv_child_ptr(c, gpa);
	for (uint32_t i = 0; i < n * 4096; i += 512)
		p[i]++;
	INVARIANT(hv_child_gpa(c, p + n * 4096 - 1, &back) && back == gpa + n * 4096ull - 1);
	if (input_u8(in) & 1)
		hv_child_free_pages(c, gpa, n);
}

static void child_rings(struct hv_child *c, struct input *in)
{
	uint32_t n = input_u8(in) % 6, size;
	uint8_t *data;
	size_t maplen;
	uint64_t gpa;
	void *ctrl;

	if (!n || hv_child_alloc_pages(c, n, &gpa))
		return;
	if (!hv_child_map_wrapped(c, gpa, n, &ctrl, &data, &size, &maplen)) {
		INVARIANT(size == (n - 1) * 4096);
		data[size] = 1;
		INVARIANT(data[0] == 1);
		hv_child_unmap_wrapped(ctrl, maplen);
	}
	hv_child_free_pages(c, gpa, n);
}

static void child_step(struct hv_child *c, struct input *in)
{
	uint8_t op = input_u8(in), what = input_u8(in), payload[HV_MSG_PAYLOAD + 8] = { 0 };
	bool dead = hv_child_dead(c);
	struct hv_message m;
	enum hv_status st;

	switch (op % 8) {
	case 0:
		st = hv_child_post_message(c, what, 1, payload, what);
		INVARIANT(!dead || st == HV_STATUS_INVALID_PARTITION_STATE ||
			  what > HV_MSG_PAYLOAD);
		break;
	case 1:
		hv_child_signal_event(c, HV_CONN_CHANNEL_BASE + what % 8);
		break;
	case 2:
		hv_child_forget_connection(c, HV_CONN_CHANNEL_BASE + what % 8);
		break;
	case 3:
		if (hv_child_take_message(c, what % hv_child_nr_vps(c), &m))
			INVARIANT(m.payload_size <= HV_MSG_PAYLOAD);
		break;
	case 4:
		hv_child_take_events(c, what % hv_child_nr_vps(c), on_flag, NULL);
		break;
	case 5:
		hv_child_kick_vp(c, what % hv_child_nr_vps(c));
		INVARIANT(hv_child_vp_wait(c, what % 4, 0) <= 1);
		if (what & 0x80) {
			hv_child_vp_fd(c, what % 4);
			hv_child_vp_arm(c, what % 4);
			INVARIANT(hv_child_vp_disarm(c, what % 4) <= 1);
		}
		break;
	case 6:
		(what & 1 ? child_rings : child_memory)(c, in);
		break;
	default:
		if (shared) /* the root writes: the SynIC pages are the first that were allocated */
			input_take(in, shared + (1 + what % 8) * 4096 + input_u16(in) % 4000, 16);
	}
	INVARIANT(!dead || hv_child_dead(c));
}

static void with_child(struct input *in, uint8_t how)
{
	struct hv_child_config cfg = { .name = "fuzz", .memory = PAGES * 4096 };
	uint32_t answers = input_u8(in) % STEPS;
	struct hv_child *c = NULL;
	char why[128], hello[512];
	int sv[2], steps = 0;

	cfg.nr_vps = 1 + (how >> 1 & 3);
	shared = NULL;
	INVARIANT(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv));
	dialled = sv[0];
	say_welcome(sv[1], in, cfg.nr_vps);
	if (how & 8) /* the registers are taken: the SynIC comes up */
		for (uint32_t i = 0; i < 4 * cfg.nr_vps; i++)
			send_packet(sv[1], &(struct hv_proc_result){ .op = HV_PROC_RESULT },
				    sizeof(struct hv_proc_result), NULL, 0);
	while (answers--)
		say_result(sv[1], in);
	shutdown(sv[1], SHUT_WR);
	if (!hv_child_connect(&c, "fuzz", &cfg, why, sizeof(why))) {
		INVARIANT(hv_child_memory(c) == cfg.memory && hv_child_nr_vps(c) == cfg.nr_vps);
		while (in->left && steps++ < STEPS) {
			child_step(c, in);
			while (recv(sv[1], hello, sizeof(hello), MSG_DONTWAIT) > 0)
				; /* so that it can go on sending */
		}
	}
	if (c)
		hv_child_destroy(c);
	if (shared)
		munmap(shared, PAGES * 4096);
	close(sv[0]);
	close(sv[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint32_t before = open_fds();
	uint8_t how = input_u8(&in);

	log_set_level(LOG_ERROR);
	vtime_enter();
	if (how & 1)
		with_child(&in, how);
	else
		with_root(&in, how);
	vtime_leave();
	INVARIANT(open_fds() == before);
	return 0;
}
