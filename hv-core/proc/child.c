/* SPDX-License-Identifier: MIT */
/*
 * Connecting to a root, the watcher thread, and the interrupts of the VPs.
 *
 * A VP sleeps on its word in the interrupt page, which knows nothing of the socket. So
 * that a sleeper learns of the root's end, the watcher sleeps on the socket's
 * hang-up and then interrupts every VP. It costs nothing as long as the root lives.
 */
#include "hv-core/child.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "hv-core/guest.h"
#include "hv-core/proc/child_priv.h"
#include "hv-core/proc/proc_irq.h"
#include "hv-core/proc/proc_sock.h"

#define DEFAULT_MEMORY	   (32ull << 20)
#define DEFAULT_TIMEOUT_MS 10000u
#define VMBUS_VECTOR	   0xf3u /* what Linux uses; a process takes no vector */
#define WATCHER_STACK	   (64u << 10)

struct reason {
	char *text;
	size_t len;
};

/* Returns @err, so that "return fail(..)" says both. */
static int PRINTF_LIKE(3, 4) fail(const struct reason *why, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (why->text && why->len)
		vsnprintf(why->text, why->len, fmt, ap);
	va_end(ap);
	return err;
}

/* ---- the end ---------------------------------------------------------------------- */

void child_die(struct hv_child *c)
{
	if (__atomic_exchange_n(&c->dead, 1, __ATOMIC_SEQ_CST))
		return;
	shutdown(c->sock, SHUT_RDWR); /* ends calls in other threads, and the watcher */
	eventfd_write(c->hangup_fd, 1);
	for (uint32_t i = 0; i < c->nr_vps; i++)
		child_raise(c, i); /* I1: "dead" before the interrupt */
}

static void *watch(void *arg)
{
	struct hv_child *c = arg;
	struct epoll_event ev;

	while (epoll_wait(c->watch_fd, &ev, 1, -1) < 0 && errno == EINTR)
		;
	child_die(c);
	return NULL;
}

/* An epoll: poll() fails in a process that has set its RLIMIT_NOFILE to 0, as sandboxes do. */
static int open_watch(struct hv_child *c)
{
	struct epoll_event ev = { .events = EPOLLRDHUP };

	c->watch_fd = epoll_create1(EPOLL_CLOEXEC);
	if (c->watch_fd < 0 || epoll_ctl(c->watch_fd, EPOLL_CTL_ADD, c->sock, &ev) < 0)
		return -errno;
	return 0;
}

static int start_watcher(struct hv_child *c)
{
	sigset_t all, old;
	pthread_attr_t attr;
	int err = open_watch(c);

	if (err)
		return err;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, WATCHER_STACK);
	/* The program's signals are none of its business. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&c->watcher, &attr, watch, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	c->watching = !err;
	return -err;
}

bool hv_child_dead(struct hv_child *c)
{
	return load_acquire(&c->dead);
}

int hv_child_hangup_fd(struct hv_child *c)
{
	return c->hangup_fd;
}

/* ---- connecting --------------------------------------------------------------------- */

static int dial(struct hv_child *c, const char *path, uint32_t timeout_ms, const struct reason *why)
{
	struct timeval tv = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int err;

	if (strlen(path) >= sizeof(sa.sun_path))
		return fail(why, -ENAMETOOLONG, "%s: a socket path has at most %zu characters",
			    path, sizeof(sa.sun_path) - 1);
	strcpy(sa.sun_path, path);
	c->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (c->sock < 0)
		return fail(why, -errno, "socket: %s", strerror(errno));
	setsockopt(c->sock, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(c->sock, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (!connect(c->sock, (struct sockaddr *)&sa, sizeof(sa)))
		return 0;
	err = errno == EPROTOTYPE ? -EPROTO : errno == EAGAIN ? -ETIMEDOUT : -errno;
	return fail(why, err, "%s: %s", path, strerror(-err));
}

static int say_hello(struct hv_child *c, const struct hv_child_config *cfg)
{
	struct hv_proc_hello hello = {
		.magic = HV_PROC_MAGIC,
		.version = HV_PROC_VERSION,
		.role = HV_PROC_GUEST,
		.memory = c->memory,
		.nr_vps = c->nr_vps,
	};
	size_t len = cfg->wishes ? strlen(cfg->wishes) : 0;
	char packet[sizeof(hello) + HV_PROC_WISHES];

	snprintf(hello.name, sizeof(hello.name), "%s",
		 cfg->name ? cfg->name : program_invocation_short_name);
	memcpy(packet, &hello, sizeof(hello));
	if (len)
		memcpy(packet + sizeof(hello), cfg->wishes, len);
	return proc_sock_send(c->sock, packet, sizeof(hello) + len, NULL, 0, 0);
}

/* Is this the welcome for what was asked? *@err is the refusal, 0 when there is none. */
static bool welcome_ok(const struct hv_child *c, const struct hv_proc_welcome *w, ssize_t n,
		       int nfds, int *err)
{
	*err = 0;
	if (n != (ssize_t)sizeof(*w) || w->magic != HV_PROC_MAGIC || !proc_error_valid(w->error))
		return false;
	*err = w->error;
	return w->error || (w->memory == c->memory && w->nr_vps == c->nr_vps && nfds == 2);
}

static int await_welcome(struct hv_child *c, int fds[PROC_MAX_FDS], const struct reason *why)
{
	struct hv_proc_welcome w;
	int nfds, err;
	ssize_t n;

	n = proc_sock_recv(c->sock, &w, sizeof(w), fds, &nfds);
	if (n == -EAGAIN)
		return fail(why, -ETIMEDOUT, "the root does not answer");
	if (n == 0 || n == -ECONNRESET)
		return fail(why, -EPROTO, "the peer hung up instead of answering");
	if (!welcome_ok(c, &w, n, nfds, &err))
		return fail(why, -EPROTO, "the peer is not a root that this version knows");
	if (err)
		return fail(why, err, "the root refused: %.*s",
			    (int)strnlen(w.text, sizeof(w.text)), w.text);
	c->partition_id = w.partition_id;
	c->features = w.features;
	return 0;
}

static int map_memory(struct hv_child *c, int ram, int irq)
{
	void *page;
	int err;

	err = hv_memfd_check(ram, c->memory);
	if (!err)
		err = hv_memfd_check(irq, sizeof(*c->irq));
	if (!err)
		err = hv_gpa_create(&c->gpa);
	if (!err)
		err = hv_gpa_add_ram(c->gpa, 0, c->memory, ram, 0);
	if (err)
		return err;
	c->base = hv_gpa_ptr(c->gpa, 0, c->memory);
	page = mmap(NULL, sizeof(*c->irq), PROT_READ | PROT_WRITE, MAP_SHARED, irq, 0);
	if (page == MAP_FAILED)
		return -errno;
	c->irq = page;
	return child_mem_init(c);
}

static int handshake(struct hv_child *c, const struct hv_child_config *cfg,
		     const struct reason *why)
{
	int fds[PROC_MAX_FDS], err;

	for (int i = 0; i < PROC_MAX_FDS; i++)
		fds[i] = -1;
	err = say_hello(c, cfg);
	if (err)
		return fail(why, err == -EPIPE ? -EPROTO : err, "the peer hung up at once");
	err = await_welcome(c, fds, why);
	if (!err) {
		err = map_memory(c, fds[0], fds[1]);
		if (err)
			fail(why, err, "the memory from the root cannot be used: %s",
			     strerror(-err));
	}
	for (int i = 0; i < PROC_MAX_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return err;
}

static int enable_synic(struct hv_child *c, uint32_t vp)
{
	const uint32_t sint = HV_MSR_SINT0 + HV_VMBUS_SINT;
	uint64_t messages, events;
	int err;

	err = hv_child_alloc_pages(c, 1, &messages);
	if (!err)
		err = hv_child_alloc_pages(c, 1, &events);
	if (err)
		return err;
	c->vp[vp].messages = hv_child_ptr(c, messages);
	c->vp[vp].events = hv_child_ptr(c, events);
	err = child_wrmsr(c, vp, HV_MSR_SIMP, messages | HV_SYNIC_PAGE_ENABLE);
	if (!err)
		err = child_wrmsr(c, vp, HV_MSR_SIEFP, events | HV_SYNIC_PAGE_ENABLE);
	if (!err)
		err = child_wrmsr(c, vp, sint, VMBUS_VECTOR);
	if (!err)
		err = child_wrmsr(c, vp, HV_MSR_SCONTROL, HV_SCONTROL_ENABLE);
	return err;
}

static int bring_up(struct hv_child *c, const char *path, const struct hv_child_config *cfg,
		    const struct reason *why)
{
	int err;

	err = dial(c, path, cfg->timeout_ms ? cfg->timeout_ms : DEFAULT_TIMEOUT_MS, why);
	if (err)
		return err;
	c->hangup_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->hangup_fd < 0)
		return fail(why, -errno, "eventfd: %s", strerror(errno));
	err = handshake(c, cfg, why);
	if (err)
		return err;
	err = start_watcher(c);
	if (err)
		return fail(why, err, "the root cannot be watched: %s", strerror(-err));
	for (uint32_t i = 0; !err && i < c->nr_vps; i++)
		err = enable_synic(c, i);
	if (err)
		fail(why, err, "the virtual processors could not be set up: %s", strerror(-err));
	return err;
}

int hv_child_connect(struct hv_child **out, const char *path, const struct hv_child_config *cfg,
		     char *why, size_t whylen)
{
	static const struct hv_child_config defaults;
	const struct reason reason = { why, whylen };
	struct hv_child *c;
	int err;

	if (!cfg)
		cfg = &defaults;
	if (cfg->nr_vps > CHILD_MAX_VPS)
		return fail(&reason, -EINVAL, "at most %u virtual processors", CHILD_MAX_VPS);
	if (cfg->wishes && strlen(cfg->wishes) > HV_PROC_WISHES)
		return fail(&reason, -E2BIG, "wishes have at most %u bytes", HV_PROC_WISHES);
	c = calloc(1, sizeof(*c));
	if (!c)
		return fail(&reason, -ENOMEM, "out of memory");
	c->sock = c->hangup_fd = c->watch_fd = -1;
	c->memory = cfg->memory ? cfg->memory : DEFAULT_MEMORY;
	c->nr_vps = cfg->nr_vps ? cfg->nr_vps : 1;
	memset(c->bell, 0xff, sizeof(c->bell));
	child_poll_init(c);
	pthread_mutex_init(&c->pages_lock, NULL);
	pthread_mutex_init(&c->call_lock, NULL);
	err = bring_up(c, path, cfg, &reason);
	if (err) {
		hv_child_destroy(c);
		return err;
	}
	*out = c;
	return 0;
}

void hv_child_destroy(struct hv_child *c)
{
	if (!c)
		return;
	if (c->watching) {
		shutdown(c->sock, SHUT_RDWR);
		pthread_join(c->watcher, NULL);
	}
	if (c->watch_fd >= 0)
		close(c->watch_fd);
	child_close_bells(c);
	child_poll_fini(c);
	child_mem_fini(c);
	if (c->irq)
		munmap(c->irq, sizeof(*c->irq));
	hv_gpa_put(c->gpa);
	if (c->hangup_fd >= 0)
		close(c->hangup_fd);
	if (c->sock >= 0)
		close(c->sock);
	pthread_mutex_destroy(&c->call_lock);
	pthread_mutex_destroy(&c->pages_lock);
	free(c);
}

uint32_t hv_child_partition_id(const struct hv_child *c)
{
	return c->partition_id;
}

uint32_t hv_child_nr_vps(const struct hv_child *c)
{
	return c->nr_vps;
}

/* ---- interrupts ----------------------------------------------------------------------- */

static int wait_until(uint32_t *state, uint64_t timeout_ns)
{
	struct timespec deadline;
	uint64_t at;

	if (timeout_ns == 0)
		return proc_irq_take(state);
	if (__builtin_add_overflow(clock_ns(), timeout_ns, &at) || at > INT64_MAX)
		return proc_irq_wait(state, NULL);
	deadline.tv_sec = (time_t)(at / 1000000000u);
	deadline.tv_nsec = (long)(at % 1000000000u);
	return proc_irq_wait(state, &deadline);
}

int hv_child_vp_wait(struct hv_child *c, uint32_t vp, uint64_t timeout_ns)
{
	uint32_t *state;
	int n;

	if (vp >= c->nr_vps)
		return -EINVAL;
	if (load_acquire(&c->dead))
		return -ECONNRESET;
	state = &c->irq->vp[vp].state;
	n = timeout_ns == UINT64_MAX ? proc_irq_wait(state, NULL) : wait_until(state, timeout_ns);
	return load_acquire(&c->dead) ? -ECONNRESET : n;
}

void hv_child_kick_vp(struct hv_child *c, uint32_t vp)
{
	if (vp < c->nr_vps)
		child_raise(c, vp);
}

bool hv_child_take_message(struct hv_child *c, uint32_t vp, struct hv_message *out)
{
	bool taken, eom;

	if (vp >= c->nr_vps)
		return false;
	taken = hv_guest_take_message(&c->vp[vp].messages->slot[HV_VMBUS_SINT], out, &eom);
	if (eom)
		child_eom(c, vp);
	return taken;
}

void hv_child_take_events(struct hv_child *c, uint32_t vp, void (*fn)(void *ctx, uint32_t flag),
			  void *ctx)
{
	if (vp < c->nr_vps)
		hv_guest_take_events(c->vp[vp].events->flags[HV_VMBUS_SINT], fn, ctx);
}
