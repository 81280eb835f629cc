/* SPDX-License-Identifier: MIT */
/*
 * The root's end of a process partition. Everything the child sends is one struct
 * hv_proc_call, received into private memory. No room is given for control data,
 * so the kernel drops descriptors a child sends before they become ours; it then
 * reports truncation, and the child is cut off.
 *
 * Teardown: quiesce() (no packet, no timer; the child sees the socket shut down) when
 * the child fails or the partition stops, whichever is first; then the partition, which
 * holds the reference to guest memory; then the interrupt page, what VPs poll, and the socket.
 */
#include "hv-core/proc/proc_root.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hv-core/hypercall.h"
#include "hv-core/proc/proc_irq.h"
#include "hv-core/proc/proc_poll.h"
#include "hv-core/proc/proc_sock.h"
#include "hv-core/synic.h"

#define DEFAULT_MAX_MEMORY (1ull << 30)
#define CALLS_PER_TURN	   32 /* of one child, before others get their turn */
#define MIN_SNDBUF	   1  /* the kernel rounds up: a few answers, a child waits for each */

struct hv_proc {
	struct loop *loop;
	struct hv_partition *partition;
	struct hv_proc_irq_page *irq;
	struct proc_poll poll;
	const struct hv_proc_ops *ops;
	void *ctx;
	struct loop_fd lf; /* .fd is the socket */
	bool listening;	   /* lf is in the loop */
	const char *late_why;
	struct loop_timer late_fail; /* a failure found inside hv_proc_accept() */
	pid_t pid;
	uid_t uid;
	char wishes[HV_PROC_WISHES + 1];
	const char *refusal; /* of ops->up, or NULL */
};

/* ---- the end ------------------------------------------------------------------ */

static void quiesce(struct hv_proc *proc)
{
	if (!proc->listening)
		return;
	proc->listening = false;
	hv_gpa_guard(hv_partition_gpa(proc->partition), -1); /* others may keep the memory longer */
	loop_fd_del(proc->loop, &proc->lf);
	loop_timer_cancel(proc->loop, &proc->late_fail);
	shutdown(proc->lf.fd, SHUT_RDWR); /* wakes the child's watcher */
}

/* The owner may destroy @proc inside: the caller must not touch it afterwards. */
static void proc_fail(struct hv_proc *proc, const char *why)
{
	quiesce(proc);
	proc->ops->down(proc->ctx, proc, why);
}

static void late_fail(struct loop_timer *t)
{
	struct hv_proc *proc = container_of(t, struct hv_proc, late_fail);

	proc_fail(proc, proc->late_why);
}

/* ---- backend of the partition --------------------------------------------------- */

static void proc_raise(void *backend, uint32_t vp, uint32_t sint)
{
	struct hv_proc *proc = backend;

	(void)sint; /* a process has one interrupt per VP and looks at every page itself */
	if (unlikely(proc_irq_raise(&proc->irq->vp[vp].state)))
		proc_poll_ring(&proc->poll, vp);
}

static void proc_stop(void *backend)
{
	quiesce(backend);
}

static const struct hv_backend_ops backend_ops = {
	.kind = "process",
	.raise = proc_raise,
	.stop = proc_stop,
};

/* ---- calls ------------------------------------------------------------------------ */

/* Handlers return NULL, or why the child is to be cut off. */
static const char *answer(struct hv_proc *proc, struct hv_proc_result *res, int fd)
{
	int err;

	res->op = HV_PROC_RESULT;
	res->has_fd = fd >= 0;
	err = proc_sock_send(proc->lf.fd, res, sizeof(*res), &fd, fd >= 0, MSG_DONTWAIT);
	if (fd >= 0 && (err == -ETOOMANYREFS || err == -ENOMEM || err == -ENOBUFS)) {
		res->has_fd = 0;
		res->value = HV_STATUS_NO_RESOURCES;
		res->error = -EMFILE;
		err = proc_sock_send(proc->lf.fd, res, sizeof(*res), NULL, 0, MSG_DONTWAIT);
	}
	if (err == -EAGAIN)
		return "does not read its answers";
	return err ? "closed" : NULL;
}

static const char *on_hypercall(struct hv_proc *proc, const struct hv_proc_call *call)
{
	struct hv_proc_result res = { .error = 0 };
	int fd;

	res.value = hv_hypercall_by_value(proc->partition, call->arg[0], call->arg[1], call->input,
					  sizeof(call->input), &fd);
	return answer(proc, &res, fd);
}

static const char *on_wrmsr(struct hv_proc *proc, const struct hv_proc_call *call)
{
	struct hv_proc_result res = { .error = -EINVAL };

	if (call->arg[0] <= UINT32_MAX)
		res.error = hv_synic_write(proc->partition, call->vp, (uint32_t)call->arg[0],
					   call->arg[1]);
	return answer(proc, &res, -1);
}

static const char *on_rdmsr(struct hv_proc *proc, const struct hv_proc_call *call)
{
	struct hv_proc_result res = { .error = -EINVAL };
	uint64_t value = 0;

	if (call->arg[0] <= UINT32_MAX)
		res.error =
			hv_synic_read(proc->partition, call->vp, (uint32_t)call->arg[0], &value);
	res.value = value;
	return answer(proc, &res, -1);
}

static const char *on_eom(struct hv_proc *proc, const struct hv_proc_call *call)
{
	return hv_synic_write(proc->partition, call->vp, HV_MSR_EOM, 0) ? "EOM of no VP" : NULL;
}

static const char *on_irq_fd(struct hv_proc *proc, const struct hv_proc_call *call)
{
	int fd = proc_poll_open(&proc->poll, call->vp, hv_partition_nr_vps(proc->partition));
	struct hv_proc_result res = { .error = fd < 0 ? fd : 0 };

	return answer(proc, &res, fd);
}

static const char *on_call(struct hv_proc *proc, const struct hv_proc_call *call)
{
	static const char *(*const handlers[])(struct hv_proc *, const struct hv_proc_call *) = {
		[HV_PROC_HYPERCALL] = on_hypercall, [HV_PROC_WRMSR] = on_wrmsr,
		[HV_PROC_RDMSR] = on_rdmsr,	    [HV_PROC_EOM] = on_eom,
		[HV_PROC_IRQ_FD] = on_irq_fd,
	};

	if (call->op >= ARRAY_SIZE(handlers) || !handlers[call->op])
		return "unknown request";
	return handlers[call->op](proc, call);
}

/* 1 a call; 0 nothing more now; -1 the child is to be cut off, *@why says why. */
static int receive(struct hv_proc *proc, struct hv_proc_call *call, const char **why)
{
	struct iovec iov = { call, sizeof(*call) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n = recvmsg(proc->lf.fd, &msg, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		*why = hv_gpa_failed(hv_partition_gpa(proc->partition)) ? "no memory for its pages"
									: "closed";
	else if (msg.msg_flags & MSG_CTRUNC)
		*why = "sent a file descriptor";
	else if (n != sizeof(*call) || msg.msg_flags & MSG_TRUNC)
		*why = "packet of a wrong size";
	else
		return 1;
	return -1;
}

static void proc_ready(struct loop_fd *lf, uint32_t events)
{
	struct hv_proc *proc = container_of(lf, struct hv_proc, lf);
	struct hv_proc_call call;
	const char *why = NULL;
	int got;

	(void)events;
	for (int i = 0; i < CALLS_PER_TURN; i++) {
		got = receive(proc, &call, &why);
		if (!got)
			return;
		if (got > 0)
			why = on_call(proc, &call);
		if (why) {
			proc_fail(proc, why);
			return;
		}
	}
}

/* ---- connecting --------------------------------------------------------------------- */

static void send_refusal(int sock, int err, const char *text)
{
	struct hv_proc_welcome w = { .magic = HV_PROC_MAGIC, .error = err };

	snprintf(w.text, sizeof(w.text), "%s", text);
	proc_sock_send(sock, &w, sizeof(w), NULL, 0, MSG_DONTWAIT);
}

void hv_proc_refuse(int sock, int err, const char *text)
{
	send_refusal(sock, err, text);
	close(sock);
}

static int check_peer(int sock, struct ucred *cred, char *text, size_t n)
{
	socklen_t len = sizeof(*cred);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, cred, &len) < 0)
		return -errno;
	if (cred->uid == geteuid() || !cred->uid)
		return 0;
	snprintf(text, n, "user %u may not be a child of user %u", (unsigned)cred->uid,
		 (unsigned)geteuid());
	return -EPERM;
}

static int check_hello(const void *packet, size_t len, struct hv_proc_hello *h, char *text,
		       size_t n)
{
	if (len < sizeof(*h)) {
		snprintf(text, n, "the first packet is not a hello");
		return -EPROTO;
	}
	memcpy(h, packet, sizeof(*h));
	if (h->magic != HV_PROC_MAGIC)
		snprintf(text, n, "the first packet is not a hello");
	else if (h->version != HV_PROC_VERSION)
		snprintf(text, n, "protocol version %u is not spoken here, only %u", h->version,
			 HV_PROC_VERSION);
	else if (h->role != HV_PROC_GUEST)
		snprintf(text, n, "role %u is not a child partition", h->role);
	else if (h->reserved || !memchr(h->name, 0, sizeof(h->name)))
		snprintf(text, n, "malformed hello");
	else if (!h->memory || h->memory % HV_PAGE_SIZE)
		snprintf(text, n, "memory must be a multiple of 4096 bytes, not %llu",
			 (unsigned long long)h->memory);
	else if (!h->nr_vps)
		snprintf(text, n, "a partition needs a virtual processor");
	else
		return 0;
	return -EPROTO;
}

/* Text for whoever gives out devices; here only what could not be shown to people is refused. */
static int take_wishes(char *out, const char *packet, size_t len, char *text, size_t n)
{
	len -= sizeof(struct hv_proc_hello);
	if (len > HV_PROC_WISHES) {
		snprintf(text, n, "wishes have at most %u bytes", HV_PROC_WISHES);
		return -E2BIG;
	}
	memcpy(out, packet + sizeof(struct hv_proc_hello), len);
	for (size_t i = 0; i < len; i++) {
		if (out[i] != '\n' && (out[i] < ' ' || out[i] > '~')) {
			snprintf(text, n, "wishes are lines of printable ASCII");
			return -EPROTO;
		}
	}
	return 0;
}

static int check_quota(const struct hv_proc_hello *h, const struct hv_proc_quota *q, char *text,
		       size_t n)
{
	uint64_t max_memory = q->max_memory ? q->max_memory : DEFAULT_MAX_MEMORY;
	uint32_t max_vps = q->max_vps && q->max_vps < HV_MAX_VPS ? q->max_vps : HV_MAX_VPS;

	if (h->memory > max_memory) {
		snprintf(text, n, "%llu bytes of memory wanted, %llu are allowed",
			 (unsigned long long)h->memory, (unsigned long long)max_memory);
		return -E2BIG;
	}
	if (h->nr_vps > max_vps) {
		snprintf(text, n, "%u virtual processors wanted, %u are allowed", h->nr_vps,
			 max_vps);
		return -E2BIG;
	}
	return 0;
}

static int make_irq_page(struct hv_proc *proc, int *fd)
{
	void *page;
	int err;

	*fd = hv_memfd_create("hvbus-irq", sizeof(*proc->irq));
	if (*fd < 0)
		return *fd;
	page = mmap(NULL, sizeof(*proc->irq), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (page == MAP_FAILED) {
		err = -errno;
		close(*fd);
		return err;
	}
	proc->irq = page;
	return 0;
}

static int make_partition(struct hv_proc *proc, const struct hv_proc_hello *h, int *fd)
{
	struct hv_partition_config cfg = { .name = h->name, .nr_vps = h->nr_vps };
	int err;

	*fd = hv_memfd_create("hvbus-ram", h->memory);
	if (*fd < 0)
		return *fd;
	err = hv_gpa_create(&cfg.gpa);
	if (err)
		goto close_fd;
	err = hv_gpa_add_ram(cfg.gpa, 0, h->memory, *fd, 0);
	if (err)
		goto put_gpa;
	err = hv_partition_create(&proc->partition, proc->loop, &cfg, &backend_ops, proc);
	if (err)
		goto put_gpa;
	return 0;

put_gpa:
	hv_gpa_put(cfg.gpa);
close_fd:
	close(*fd);
	return err;
}

/* From ops->up on the owner counts on ops->down, so a failure here is reported there. */
static void welcome(struct hv_proc *proc, const struct hv_proc_hello *h, const int fds[2])
{
	struct hv_proc_welcome w = {
		.magic = HV_PROC_MAGIC,
		.memory = h->memory,
		.nr_vps = h->nr_vps,
		.partition_id = hv_partition_id(proc->partition),
		.features = HV_PROC_HAS_IRQ_FD,
	};
	int err = proc_sock_send(proc->lf.fd, &w, sizeof(w), fds, 2, MSG_DONTWAIT);

	if (!err)
		return;
	proc->late_why = err == -ETOOMANYREFS ? "too many descriptors in flight" : "closed";
	loop_timer_arm(proc->loop, &proc->late_fail, 0);
}

static int bring_up(struct hv_proc *proc, const struct hv_proc_hello *h)
{
	int fds[2], err;

	err = make_irq_page(proc, &fds[1]);
	if (err)
		return err;
	err = make_partition(proc, h, &fds[0]);
	if (err)
		goto close_irq;
	err = loop_fd_add(proc->loop, &proc->lf, POLLIN);
	if (err)
		goto close_ram;
	proc->listening = true;
	hv_gpa_guard(hv_partition_gpa(proc->partition), proc->lf.fd);
	err = proc->ops->up(proc->ctx, proc, proc->partition);
	if (!err)
		welcome(proc, h, fds);
close_ram:
	close(fds[0]);
close_irq:
	close(fds[1]);
	return err;
}

/* Everything but the socket. */
static void proc_free(struct hv_proc *proc)
{
	hv_partition_destroy(proc->partition);
	if (proc->irq)
		munmap(proc->irq, sizeof(*proc->irq));
	proc_poll_fini(&proc->poll);
	free(proc);
}

int hv_proc_accept(struct hv_proc **out, struct loop *loop, int sock, const void *hello, size_t len,
		   const struct hv_proc_quota *quota, const struct hv_proc_ops *ops, void *ctx)
{
	struct hv_proc *proc = calloc(1, sizeof(*proc));
	const int sndbuf = MIN_SNDBUF;
	struct hv_proc_hello h;
	struct ucred cred;
	char text[100] = "";
	int err;

	err = proc ? 0 : -ENOMEM;
	if (proc)
		proc_poll_init(&proc->poll);
	if (!err)
		err = check_peer(sock, &cred, text, sizeof(text));
	if (!err)
		err = check_hello(hello, len, &h, text, sizeof(text));
	if (!err)
		err = check_quota(&h, quota, text, sizeof(text));
	if (!err)
		err = take_wishes(proc->wishes, hello, len, text, sizeof(text));
	if (err)
		goto refuse;
	setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
	proc->loop = loop;
	proc->ops = ops;
	proc->ctx = ctx;
	proc->lf.fd = sock;
	proc->lf.ready = proc_ready;
	proc->late_fail.fire = late_fail;
	proc->pid = cred.pid;
	proc->uid = cred.uid;
	err = bring_up(proc, &h);
	if (err && proc->refusal)
		snprintf(text, sizeof(text), "%s", proc->refusal);
	if (err)
		goto refuse;
	*out = proc;
	return 0;

refuse:
	if (!*text)
		snprintf(text, sizeof(text), "no partition could be made: %s", strerror(-err));
	send_refusal(sock, err, text); /* before the partition's end shuts the socket down */
	if (proc)
		proc_free(proc);
	close(sock);
	return err;
}

void hv_proc_destroy(struct hv_proc *proc)
{
	int sock;

	if (!proc)
		return;
	sock = proc->lf.fd;
	proc_free(proc);
	close(sock);
}

const char *hv_proc_wishes(const struct hv_proc *proc)
{
	return proc->wishes;
}

void hv_proc_set_refusal(struct hv_proc *proc, const char *text)
{
	proc->refusal = text;
}

pid_t hv_proc_pid(const struct hv_proc *proc)
{
	return proc->pid;
}

uid_t hv_proc_uid(const struct hv_proc *proc)
{
	return proc->uid;
}
