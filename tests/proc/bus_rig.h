/* SPDX-License-Identifier: MIT */
/*
 * A root in a process of its own that offers an echo device to every child, and what a test
 * needs as such a child. The device's commands come in its packets.
 */
#ifndef HVBUS_TESTS_PROC_BUS_RIG_H
#define HVBUS_TESTS_PROC_BUS_RIG_H

#include <check.h>
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "hv-core/proc/proc_root.h"
#include "vmbus/client.h"
#include "vmbus/server.h"

#define MS	 1000000ull
#define LIMIT_NS (10000 * MS)
#define RING	 (16 * 4096u)
#define BATCH	 32
#define ROOM	 512 /* what the largest answer takes in the ring */
#define VPS	 3

#if defined(HVBUS_TSAN) || defined(__SANITIZE_ADDRESS__)
#define LIVES 200
#else
#define LIVES 1000
#endif

enum command {			  /* first word of an in-band packet; anything else is echoed */
	       CMD_SUBS = 0x1001, /* offer as many sub-channels as the second word says */
	       CMD_REVOKE,	  /* take the device away; offer it again when it is gone */
};

static const struct guid echo_type = VMBUS_CLASS_NET;
static char path[64];

static struct shared {
	uint32_t max_version; /* for the root, before it starts */
	uint64_t packets;     /* echoed by the root */
	uint32_t ups, downs, offers;
} * sh;

/* ==== the root ===================================================================== */

struct guest {
	struct hv_proc *proc;
	struct vmbus_bus *bus;
	struct vmbus_device *dev;
	struct vmbus_chan *chan[VMBUS_MAX_SUBCHANNELS + 1];
	struct loop_call end;
	bool ending;
};

static struct loop *loop;

static void offer_echo(struct guest *g);

static uint64_t sum_pages(struct vmbus_chan *c, const struct vmpkt *p)
{
	struct iovec iov[64];
	uint64_t sum = 0, bytes;
	int n;

	memcpy(&bytes, p->payload, sizeof(bytes));
	n = vmbus_chan_iov(c, p, 0, (uint32_t)bytes, iov, 64);
	for (int i = 0; i < n; i++)
		for (size_t k = 0; k < iov[i].iov_len; k++)
			sum += ((const uint8_t *)iov[i].iov_base)[k];
	return n < 0 ? (uint64_t)n : sum;
}

static void echo_gone(void *ctx)
{
	struct guest *g = ctx;

	g->dev = NULL;
	if (g->ending)
		loop_post(loop, &g->end);
	else
		offer_echo(g);
}

static void answer(struct guest *g, struct vmbus_chan *c, const struct vmpkt *p)
{
	uint32_t words[2] = { 0, 0 };
	uint64_t sum;

	if (p->type == VMPKT_GPA_DIRECT) {
		sum = sum_pages(c, p);
		vmbus_chan_send_completion(c, p->trans_id, &sum, sizeof(sum));
		return;
	}
	if (p->payload_len >= sizeof(words))
		memcpy(words, p->payload, sizeof(words));
	vmbus_chan_send_completion(c, p->trans_id, p->payload, p->payload_len);
	if (words[0] == CMD_SUBS)
		vmbus_device_offer_subchannels(g->dev, (uint16_t)words[1]);
	if (words[0] == CMD_REVOKE)
		vmbus_device_revoke(g->dev, echo_gone);
}

static bool echo_drain(void *ctx, uint16_t sub)
{
	struct guest *g = ctx;
	struct vmbus_chan *c = g->chan[sub];
	struct vmpkt p;
	int n = 0;

	while (n < BATCH && (c = g->chan[sub])) {
		if (vmbus_chan_send_room(c) < ROOM && vmbus_chan_want_space(c, ROOM))
			break;
		if (vmbus_chan_recv(c, &p) <= 0)
			break;
		answer(g, c, &p);
		n++;
	}
	if (g->chan[sub])
		vmbus_chan_recv_done(g->chan[sub]);
	__atomic_fetch_add(&sh->packets, (uint64_t)n, __ATOMIC_RELAXED);
	return n > 0;
}

static int echo_open(void *ctx, uint16_t sub, struct vmbus_chan *chan, const uint8_t *user)
{
	struct guest *g = ctx;

	(void)user;
	g->chan[sub] = chan;
	return 0;
}

static void echo_close(void *ctx, uint16_t sub)
{
	struct guest *g = ctx;

	g->chan[sub] = NULL;
	vmbus_device_closed(g->dev, sub);
}

static const struct vmbus_device_ops echo_ops = { .open = echo_open,
						  .drain = echo_drain,
						  .close = echo_close };

static void offer_echo(struct guest *g)
{
	struct vmbus_device_desc desc = { .type = echo_type, .name = "echo", .max_packet = 400 };

	guid_from_name(&desc.instance, "echo", 4);
	if (vmbus_device_offer(&g->dev, g->bus, &desc, &echo_ops, g))
		abort();
	sh->offers++;
}

static void end_guest(struct loop_call *call)
{
	struct guest *g = container_of(call, struct guest, end);

	vmbus_server_destroy(g->bus);
	hv_proc_destroy(g->proc);
	free(g);
	__atomic_fetch_add(&sh->downs, 1, __ATOMIC_RELEASE);
}

static void bus_gone(void *ctx)
{
	struct guest *g = ctx;

	if (g->dev)
		vmbus_device_revoke(g->dev, echo_gone);
}

static void guest_down(void *ctx, struct hv_proc *proc, const char *why)
{
	struct guest *g = ctx;

	(void)proc;
	(void)why;
	g->ending = true;
	g->end.fn = end_guest;
	vmbus_server_shutdown(g->bus, bus_gone, g);
}

static int guest_up(void *ctx, struct hv_proc *proc, struct hv_partition *p)
{
	struct vmbus_server_config cfg = { .max_version = sh->max_version };
	struct guest *g = ctx;

	g->proc = proc;
	if (vmbus_server_create(&g->bus, p, &cfg))
		return -ENOMEM;
	offer_echo(g);
	sh->ups++;
	return 0;
}

static void on_connection(struct loop_fd *lf, uint32_t events)
{
	static const struct hv_proc_ops ops = { guest_up, guest_down };
	static const struct hv_proc_quota quota;
	int fd = accept4(lf->fd, NULL, NULL, SOCK_CLOEXEC);
	struct guest *g;
	char hello[512];
	ssize_t n;

	(void)events;
	if (fd < 0)
		return;
	n = recv(fd, hello, sizeof(hello), 0);
	g = n > 0 ? calloc(1, sizeof(*g)) : NULL;
	if (!g)
		close(fd);
	else if (hv_proc_accept(&g->proc, loop, fd, hello, (size_t)n, &quota, &ops, g))
		free(g);
}

static void __attribute__((noreturn)) run_root(int ready)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct loop_fd lf = { .ready = on_connection };
	struct loop_config cfg = { .spin_us_max = 20, .name = "root" };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	strcpy(sa.sun_path, path);
	unlink(path);
	lf.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (bind(lf.fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(lf.fd, 8) ||
	    loop_create(&loop, &cfg) || loop_fd_add(loop, &lf, POLLIN))
		_exit(2);
	if (write(ready, "k", 1) != 1)
		_exit(2);
	close(ready);
	loop_run(loop);
	_exit(0);
}

/* ==== the test's side =============================================================== */

static pid_t root_pid;

static void start_root(uint32_t max_version)
{
	int ready[2];
	char ok;

	log_set_level(LOG_ERROR);
	snprintf(path, sizeof(path), "/tmp/hvbus-bus-%d.sock", (int)getpid());
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(sh, MAP_FAILED);
	sh->max_version = max_version;
	ck_assert_int_eq(pipe(ready), 0);
	root_pid = fork();
	if (root_pid == 0) {
		close(ready[0]);
		run_root(ready[1]);
	}
	close(ready[1]);
	ck_assert_int_gt(root_pid, 0);
	ck_assert_int_eq(read(ready[0], &ok, 1), 1);
	ck_assert_int_eq(read(ready[0], &ok, 1), 0); /* its end is closed: see usage_of() */
	close(ready[0]);
}

static void stop_root(void)
{
	kill(root_pid, SIGKILL);
	waitpid(root_pid, NULL, 0);
	unlink(path);
	munmap(sh, sizeof(*sh));
}

static int count_dir(pid_t pid, const char *what)
{
	char name[64];
	int n = 0;
	DIR *d;

	snprintf(name, sizeof(name), "/proc/%d/%s", (int)pid, what);
	d = opendir(name);
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

/* Mappings of memfds: rings, guest memory, interrupt pages. The heap's come and go. */
static int count_memfd_maps(pid_t pid)
{
	char name[64], line[512];
	int n = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/maps", (int)pid);
	f = fopen(name, "r");
	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, "memfd:") != NULL;
	if (f)
		fclose(f);
	return n;
}

struct usage {
	int fds, maps;
};

static struct usage usage_of(pid_t pid)
{
	return (struct usage){ count_dir(pid, "fd"), count_memfd_maps(pid) };
}

/* The root takes a moment to notice that a child has gone. */
static void await_usage(struct usage want)
{
	uint64_t limit = clock_ns() + LIMIT_NS;
	struct usage now;

	do {
		now = usage_of(root_pid);
		if (now.fds == want.fds && now.maps == want.maps)
			return;
		sched_yield();
	} while (clock_ns() < limit);
	ck_abort_msg("the root has %d fds and %d mappings instead of %d and %d", now.fds, now.maps,
		     want.fds, want.maps);
}

struct link {
	struct hv_child *hv;
	struct vmbus_client *bus;
};

static void link_up(struct link *l, uint64_t memory, const struct vmbus_client_config *cfg)
{
	struct hv_child_config hcfg = { .memory = memory, .nr_vps = VPS };
	char why[120] = "";

	ck_assert_msg(!hv_child_connect(&l->hv, path, &hcfg, why, sizeof(why)), "%s", why);
	ck_assert_int_eq(vmbus_client_connect(&l->bus, l->hv, cfg), 0);
}

static void link_down(struct link *l)
{
	vmbus_client_destroy(l->bus);
	hv_child_destroy(l->hv);
}

static struct vmbus_offer the_offer(struct link *l)
{
	struct vmbus_offer o;

	ck_assert_int_eq(vmbus_client_find(l->bus, &echo_type, 0, &o), 0);
	return o;
}

static struct vmbus_chan *open_one(struct link *l, const struct vmbus_offer *o, uint32_t vp)
{
	struct vmbus_chan *c;

	ck_assert_int_eq(vmbus_client_open(l->bus, o, RING, vp, 0, NULL, NULL, &c), 0);
	return c;
}

static void recv_one(struct link *l, struct vmbus_chan *c, uint32_t vp, struct vmpkt *p)
{
	uint64_t limit = clock_ns() + LIMIT_NS;
	int n;

	while ((n = vmbus_chan_recv(c, p)) == 0) {
		ck_assert_msg(clock_ns() < limit, "no answer");
		if (!vmbus_chan_unmask(c))
			ck_assert_int_eq(vmbus_client_wait(l->bus, vp, LIMIT_NS), 1);
	}
	ck_assert_int_eq(n, 1);
	vmbus_chan_recv_done(c);
}

static void command(struct link *l, struct vmbus_chan *c, uint32_t vp, uint32_t cmd, uint32_t arg)
{
	uint32_t words[2] = { cmd, arg };
	struct vmpkt p;

	ck_assert_int_eq(
		vmbus_chan_send(c, VMPKT_FLAG_COMPLETION_REQUESTED, cmd, words, sizeof(words)), 0);
	vmbus_chan_flush(c);
	recv_one(l, c, vp, &p);
	ck_assert_uint_eq(p.trans_id, cmd);
	ck_assert_mem_eq(p.payload, words, sizeof(words));
}

#endif
