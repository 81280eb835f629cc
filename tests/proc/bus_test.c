/* SPDX-License-Identifier: MIT */
/*
 * The bus end to end: the real client in one process, the real root in another, an echo
 * device between them. What is proved here is what neither end can prove alone: that
 * the two agree, that nothing leaks over a thousand lives of a channel, and that either
 * end survives the other's sudden death.
 */
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

static const struct vmbus_device_ops echo_ops = { echo_open, echo_drain, echo_close };

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

/* ---- agreeing ------------------------------------------------------------------------ */

START_TEST(versions_meet)
{
	static const struct {
		uint32_t root, child, want;
	} v[] = {
		{ 0, 0, VMBUS_V5_3 },
		{ VMBUS_V5_2, 0, VMBUS_V5_2 },
		{ VMBUS_V5_1, 0, VMBUS_V5_1 },
		{ VMBUS_V5_0, 0, VMBUS_V5_0 },
		{ VMBUS_V4_1, 0, VMBUS_V4_1 },
		{ VMBUS_V4_0, 0, VMBUS_V4_0 },
		{ VMBUS_V3_0, 0, VMBUS_V3_0 },
		{ 0, VMBUS_V4_0, VMBUS_V4_0 },
		{ VMBUS_V4_1, VMBUS_V5_1, VMBUS_V4_1 },
	};
	struct vmbus_client_config cfg = { .max_version = v[_i].child };
	struct vmbus_offer o;
	struct vmbus_chan *c;
	struct link l;
	int err;

	start_root(v[_i].root);
	link_up(&l, 0, &cfg);
	ck_assert_uint_eq(vmbus_client_version(l.bus), v[_i].want);
	o = the_offer(&l);
	c = open_one(&l, &o, 1);
	for (uint32_t i = 0; i < 100; i++)
		command(&l, c, 1, 1, i);
	err = vmbus_client_modify(l.bus, c, 2);
	ck_assert_int_eq(err, v[_i].want >= VMBUS_V4_1 ? 0 : -EOPNOTSUPP);
	/* Below 5.3 nobody says when it has happened: wait on both. */
	if (v[_i].want >= VMBUS_V5_3 || err)
		for (uint32_t i = 0; i < 100; i++)
			command(&l, c, err ? 1 : 2, 1, i);
	vmbus_client_close(l.bus, c);
	link_down(&l);
	stop_root();
}
END_TEST

START_TEST(no_version_in_common)
{
	struct vmbus_client_config cfg = { .min_version = VMBUS_V5_0 };
	struct hv_child_config hcfg = { .nr_vps = 1 };
	struct vmbus_client *bus;
	struct hv_child *hv;

	start_root(VMBUS_V4_1);
	ck_assert_int_eq(hv_child_connect(&hv, path, &hcfg, NULL, 0), 0);
	ck_assert_int_eq(vmbus_client_connect(&bus, hv, &cfg), -EPROTONOSUPPORT);
	cfg.min_version = 0;
	ck_assert_int_eq(vmbus_client_connect(&bus, hv, &cfg), 0);
	vmbus_client_destroy(bus);
	hv_child_destroy(hv);
	stop_root();
}
END_TEST

START_TEST(gpadls_of_every_size)
{
	static const uint32_t sizes[] = { 1, 2, 26, 27, 54, 55, 82, 83, 1000, 8189, 8190 };
	struct vmbus_offer o;
	struct vmbus_chan *c;
	struct link l;
	uint32_t id[2];
	uint64_t gpa;

	start_root(0);
	link_up(&l, 40ull << 20, NULL);
	o = the_offer(&l);
	c = open_one(&l, &o, 0);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		ck_assert_int_eq(hv_child_alloc_pages(l.hv, sizes[i], &gpa), 0);
		ck_assert_int_eq(vmbus_client_gpadl_create(l.bus, c, gpa, sizes[i], &id[0]), 0);
		ck_assert_int_eq(vmbus_client_gpadl_create(l.bus, c, gpa, 1, &id[1]), 0);
		ck_assert_int_eq(vmbus_client_gpadl_teardown(l.bus, c, id[0]), 0);
		ck_assert_int_eq(vmbus_client_gpadl_teardown(l.bus, c, id[1]), 0);
		ck_assert_int_eq(vmbus_client_gpadl_create(l.bus, c, gpa, 8191, &id[0]), -EINVAL);
		hv_child_free_pages(l.hv, gpa, sizes[i]);
	}
	command(&l, c, 0, 1, 1);
	link_down(&l);
	stop_root();
}
END_TEST

START_TEST(requests_name_guest_pages)
{
	uint64_t gpa, pfn[5], want = 0, got, len = 4 * 4096 + 100;
	struct vmbus_offer o;
	struct vmbus_chan *c;
	struct vmpkt p;
	struct link l;
	uint8_t *b;

	start_root(0);
	link_up(&l, 0, NULL);
	o = the_offer(&l);
	c = open_one(&l, &o, 0);
	ck_assert_int_eq(hv_child_alloc_pages(l.hv, 5, &gpa), 0);
	b = hv_child_ptr(l.hv, gpa);
	for (uint32_t i = 0; i < 5 * 4096; i++)
		b[i] = (uint8_t)(i * 7);
	for (int i = 0; i < 5; i++)
		pfn[i] = gpa / 4096 + (uint64_t)(4 - i); /* backwards: no neighbours */
	for (uint64_t i = 50; i < 50 + len; i++)
		want += ((uint8_t *)hv_child_ptr(l.hv, pfn[i / 4096] * 4096))[i % 4096];
	ck_assert_int_eq(vmbus_chan_send_gpa_direct(c, VMPKT_FLAG_COMPLETION_REQUESTED, 9,
						    (uint32_t)len, 50, pfn, 5, &len, sizeof(len)),
			 0);
	vmbus_chan_flush(c);
	recv_one(&l, c, 0, &p);
	memcpy(&got, p.payload, sizeof(got));
	ck_assert_uint_eq(got, want);
	link_down(&l);
	stop_root();
}
END_TEST

/* ---- lives --------------------------------------------------------------------------------- */

START_TEST(a_thousand_lives_of_a_channel_leave_nothing)
{
	struct usage child, root;
	struct vmbus_client_stats st;
	struct vmbus_offer o;
	struct vmbus_chan *c;
	struct link l;

	start_root(0);
	link_up(&l, 4 << 20, NULL);
	o = the_offer(&l);
	for (uint32_t i = 0; i < LIVES; i++) {
		if (i == 10) { /* allocators and caches have seen everything once */
			child = usage_of(getpid());
			root = usage_of(root_pid);
		}
		c = open_one(&l, &o, i % VPS);
		if (i % 7 == 0)
			command(&l, c, i % VPS, 1, i);
		vmbus_client_close(l.bus, c);
	}
	ck_assert_int_eq(usage_of(getpid()).fds, child.fds);
	ck_assert_int_eq(usage_of(getpid()).maps, child.maps);
	await_usage(root);
	vmbus_client_stats(l.bus, &st);
	ck_assert_uint_eq(st.pages_abandoned, 0);
	ck_assert_uint_eq(st.messages_ignored, 0);
	link_down(&l);
	stop_root();
}
END_TEST

START_TEST(lives_of_a_connection_leave_nothing)
{
	struct vmbus_client *first = NULL;
	struct usage root;
	struct vmbus_offer o;
	struct link l;

	start_root(0);
	link_up(&l, 0, NULL);
	vmbus_client_destroy(l.bus);
	root = usage_of(root_pid);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(vmbus_client_connect(&l.bus, l.hv, NULL), 0);
		o = the_offer(&l);
		command(&l, open_one(&l, &o, 1), 1, 1, 1);
		vmbus_client_destroy(l.bus); /* with the channel open */
	}
	await_usage(root);
	/* V06: a second client starts over without a word: as after a kexec. */
	ck_assert_int_eq(vmbus_client_connect(&first, l.hv, NULL), 0);
	l.bus = first;
	o = the_offer(&l);
	open_one(&l, &o, 1);
	ck_assert_int_eq(vmbus_client_connect(&l.bus, l.hv, NULL), 0);
	o = the_offer(&l);
	command(&l, open_one(&l, &o, 2), 2, 1, 1);
	vmbus_client_destroy(l.bus);
	vmbus_client_cancel(first);
	vmbus_client_destroy(first);
	await_usage(root);
	hv_child_destroy(l.hv);
	stop_root();
}
END_TEST

START_TEST(sub_channels_come_and_go)
{
	struct vmbus_client_stats st;
	struct vmbus_chan *c, *sub[2];
	struct vmbus_offer o, so;
	struct link l;

	start_root(0);
	link_up(&l, 0, NULL);
	for (int round = 0; round < 20; round++) {
		o = the_offer(&l);
		c = open_one(&l, &o, 0);
		command(&l, c, 0, CMD_SUBS, 2);
		for (uint16_t i = 0; i < 2; i++) {
			ck_assert_int_eq(vmbus_client_wait_sub(l.bus, &o, i + 1, &so), 0);
			sub[i] = open_one(&l, &so, i + 1u);
			command(&l, sub[i], i + 1u, 1, i);
		}
		vmbus_client_close(l.bus, sub[0]);
		vmbus_client_close(l.bus, sub[1]);
		vmbus_client_close(l.bus, c); /* the root rescinds the sub-channels */
		do {
			vmbus_client_wait(l.bus, 0, MS);
			vmbus_client_stats(l.bus, &st);
		} while (st.offers != 1);
	}
	link_down(&l);
	stop_root();
}
END_TEST

START_TEST(device_is_taken_away_and_comes_back)
{
	struct vmbus_offer o;
	struct vmbus_chan *c;
	struct link l;

	start_root(0);
	link_up(&l, 0, NULL);
	for (int round = 0; round < 20; round++) {
		uint64_t limit = clock_ns() + LIMIT_NS;

		while (vmbus_client_find(l.bus, &echo_type, 0, &o)) {
			ck_assert(clock_ns() < limit);
			vmbus_client_wait(l.bus, 0, MS);
		}
		c = open_one(&l, &o, 0);
		if (round % 2) {
			command(&l, c, 0, CMD_REVOKE, 0);
			while (!vmbus_client_rescinded(l.bus, c))
				ck_assert_int_eq(vmbus_client_wait(l.bus, 0, LIMIT_NS), 1);
		} else {
			uint32_t words[2] = { CMD_REVOKE, 0 };
			uint64_t before = load_relaxed(&sh->packets);

			vmbus_chan_send(c, 1, 1, words, sizeof(words));
			vmbus_chan_flush(c);
			while (load_relaxed(&sh->packets) == before)
				ck_assert(clock_ns() < limit);
			/* It goes while we close. */
		}
		vmbus_client_close(l.bus, c);
		while (sh->offers < (uint32_t)round + 2) {
			ck_assert(clock_ns() < limit);
			vmbus_client_wait(l.bus, 0, MS);
		}
	}
	link_down(&l);
	stop_root();
}
END_TEST

/* ---- sudden death ---------------------------------------------------------------------------- */

struct pump {
	struct link *l;
	struct vmbus_chan *chan;
	uint32_t vp;
	int result;
};

/* Keeps thirty-two packets in flight until something ends it. */
static void *pump_packets(void *arg)
{
	struct pump *t = arg;
	struct vmbus_chan *c = t->chan;
	uint64_t sent = 0, done = 0, payload[8] = { 0 };
	struct vmpkt p;
	int n;

	for (;;) {
		while (sent - done < BATCH && !vmbus_chan_send(c, 1, sent, payload, 64))
			sent++;
		vmbus_chan_flush(c);
		while ((n = vmbus_chan_recv(c, &p)) > 0)
			done++;
		vmbus_chan_recv_done(c);
		if (n < 0)
			break;
		if (sent - done < BATCH || vmbus_chan_unmask(c))
			continue;
		n = vmbus_client_wait(t->l->bus, t->vp, LIMIT_NS);
		if (n != 1)
			break;
	}
	t->result = n;
	return NULL;
}

/* A channel per VP, each with its thread. */
static void start_pumps(struct link *l, struct pump *t, pthread_t *threads)
{
	struct vmbus_offer o, so;

	link_up(l, 0, NULL);
	o = the_offer(l);
	t[0] = (struct pump){ .l = l, .chan = open_one(l, &o, 0) };
	command(l, t[0].chan, 0, CMD_SUBS, VPS - 1);
	for (uint16_t i = 1; i < VPS; i++) {
		ck_assert_int_eq(vmbus_client_wait_sub(l->bus, &o, i, &so), 0);
		t[i] = (struct pump){ .l = l, .chan = open_one(l, &so, i), .vp = i };
	}
	for (int i = 0; i < VPS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, pump_packets, &t[i]), 0);
}

static void await_packets(uint64_t n)
{
	uint64_t limit = clock_ns() + LIMIT_NS;

	while (load_relaxed(&sh->packets) < n) {
		ck_assert_msg(clock_ns() < limit, "the channels stand still");
		sched_yield();
	}
}

static void __attribute__((noreturn)) run_child(void)
{
	pthread_t threads[VPS];
	struct pump t[VPS];
	struct link l;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	start_pumps(&l, t, threads);
	for (;;)
		pause();
}

START_TEST(killed_child_leaves_nothing_in_the_root)
{
	struct usage root;
	struct vmbus_offer o;
	struct link l;

	start_root(0);
	root = usage_of(root_pid);
	for (uint32_t round = 0; round < 10; round++) {
		uint64_t before = load_relaxed(&sh->packets);
		pid_t pid = fork();

		ck_assert_int_ge(pid, 0);
		if (pid == 0)
			run_child();
		await_packets(before + 2000 + 300 * round);
		kill(pid, SIGKILL);
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
		await_usage(root);
		ck_assert_uint_eq(__atomic_load_n(&sh->downs, __ATOMIC_ACQUIRE), round + 1);
	}
	/* U9 */
	link_up(&l, 0, NULL);
	o = the_offer(&l);
	command(&l, open_one(&l, &o, 0), 0, 1, 1);
	link_down(&l);
	await_usage(root);
	stop_root();
}
END_TEST

START_TEST(killed_root_ends_every_wait)
{
	pthread_t threads[VPS];
	struct pump t[VPS];
	struct vmbus_offer o;
	struct usage before;
	struct link l;

	start_root(0);
	before = usage_of(getpid());
	start_pumps(&l, t, threads);
	o = the_offer(&l);
	await_packets(5000);
	kill(root_pid, SIGKILL);
	for (int i = 0; i < VPS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
		ck_assert_int_eq(t[i].result, -ECONNRESET);
	}
	ck_assert_int_eq(vmbus_client_wait_sub(l.bus, &o, 9, &o), -ECONNRESET);
	ck_assert_int_eq(vmbus_client_modify(l.bus, t[0].chan, 1), -ECONNRESET);
	ck_assert_int_eq(vmbus_client_wait(l.bus, 1, UINT64_MAX), -ECONNRESET);
	link_down(&l);
	ck_assert_int_eq(usage_of(getpid()).fds, before.fds);
	ck_assert_int_eq(usage_of(getpid()).maps, before.maps);
	stop_root();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bus end to end");
	TCase *tc = tcase_create("bus");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, versions_meet, 0, 9);
	tcase_add_test(tc, no_version_in_common);
	tcase_add_test(tc, gpadls_of_every_size);
	tcase_add_test(tc, requests_name_guest_pages);
	tcase_add_test(tc, a_thousand_lives_of_a_channel_leave_nothing);
	tcase_add_test(tc, lives_of_a_connection_leave_nothing);
	tcase_add_test(tc, sub_channels_come_and_go);
	tcase_add_test(tc, device_is_taken_away_and_comes_back);
	tcase_add_test(tc, killed_child_leaves_nothing_in_the_root);
	tcase_add_test(tc, killed_root_ends_every_wait);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
