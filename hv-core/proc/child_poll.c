/* SPDX-License-Identifier: MIT */
/*
 * Interrupts of a VP as a descriptor (proc_poll.h). Three of them:
 *
 *   bell   the socket from the root, which writes to it when the word was POLLING
 *   kick   an eventfd for what comes from in here: the end of the root, and other threads
 *   any    an epoll with both in it, which is what the VP's thread polls
 *
 * All are level-triggered and emptied when the thread has waited, so a late write costs a wake-up
 * for nothing and none is lost. Nothing here waits for the root, whatever it has sent: no read
 * blocks, and a bell that cannot be emptied ends the connection.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hv-core/proc/child_priv.h"
#include "hv-core/proc/proc_irq.h"

void child_poll_init(struct hv_child *c)
{
	for (uint32_t i = 0; i < CHILD_MAX_VPS; i++)
		c->vp[i].bell = c->vp[i].kick = c->vp[i].any = -1;
}

static void close_one(int fd)
{
	if (fd >= 0)
		close(fd);
}

void child_poll_fini(struct hv_child *c)
{
	for (uint32_t i = 0; i < c->nr_vps; i++) {
		close_one(c->vp[i].any);
		close_one(c->vp[i].kick);
		close_one(c->vp[i].bell);
	}
}

void hv_child_vp_poke(struct hv_child *c, uint32_t vp)
{
	int fd = vp < c->nr_vps ? load_acquire(&c->vp[vp].kick) : -1; /* P2 */

	if (fd < 0)
		return;
	eventfd_write(fd, 1);
	store_release(&c->vp[vp].kicked, 1); /* in this order the fd is never readable for ever */
}

void child_raise(struct hv_child *c, uint32_t vp)
{
	if (proc_irq_raise(&c->irq->vp[vp].state))
		hv_child_vp_poke(c, vp);
}

/* ---- making them ------------------------------------------------------------------- */

static int ask_for_bell(struct hv_child *c, uint32_t vp, int *fd)
{
	struct hv_proc_call call = { .op = HV_PROC_IRQ_FD, .vp = vp };
	struct hv_proc_result res;
	struct stat st;
	int err;

	if (!(c->features & HV_PROC_HAS_IRQ_FD))
		return load_acquire(&c->dead) ? -ECONNRESET : -EOPNOTSUPP;
	err = child_call(c, &call, &res, fd);
	if (err)
		return err;
	if (*fd < 0) /* the root has none, or our table is full */
		return res.error ? res.error : -EMFILE;
	if (!fstat(*fd, &st) && S_ISSOCK(st.st_mode))
		return 0;
	close(*fd);
	child_die(c);
	return -EPROTO;
}

static int watch(int any, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };

	return epoll_ctl(any, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

/* @bell belongs to the VP on success. */
static int make(struct hv_child *c, uint32_t vp, int bell)
{
	int kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), any, err;

	if (kick < 0)
		return -errno;
	any = epoll_create1(EPOLL_CLOEXEC);
	err = any < 0 ? -errno : watch(any, bell);
	if (!err)
		err = watch(any, kick);
	if (err) {
		close_one(any);
		close(kick);
		return err;
	}
	c->vp[vp].bell = bell;
	c->vp[vp].any = any;
	store_release(&c->vp[vp].kick, kick); /* P2: read by who kicks */
	return 0;
}

int hv_child_vp_fd(struct hv_child *c, uint32_t vp)
{
	int bell, err;

	if (vp >= c->nr_vps)
		return -EINVAL;
	if (c->vp[vp].any >= 0)
		return c->vp[vp].any;
	err = ask_for_bell(c, vp, &bell);
	if (err)
		return err;
	err = make(c, vp, bell);
	if (err) {
		close(bell);
		return err;
	}
	return c->vp[vp].any;
}

/* ---- waiting -------------------------------------------------------------------------- */

bool hv_child_vp_arm(struct hv_child *c, uint32_t vp)
{
	if (vp >= c->nr_vps || c->vp[vp].any < 0 || !proc_irq_poll(&c->irq->vp[vp].state))
		return false;
	c->vp[vp].armed = true;
	/* Behind the word, as the end sets "dead" before the word: one of us sees the other. */
	return !__atomic_load_n(&c->dead, __ATOMIC_SEQ_CST);
}

/* A root that writes without end does not keep us here: a look per disarm. */
static void empty_bell(struct hv_child *c, int bell)
{
	uint8_t bytes[64];
	ssize_t n = recv(bell, bytes, sizeof(bytes), MSG_DONTWAIT);

	/* Its end is closed only together with the connection. */
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		child_die(c);
}

void hv_child_vp_empty(struct hv_child *c, uint32_t vp)
{
	eventfd_t n;

	if (vp >= c->nr_vps || c->vp[vp].any < 0)
		return;
	empty_bell(c, c->vp[vp].bell);
	if (unlikely(load_relaxed(&c->vp[vp].kicked)) &&
	    __atomic_exchange_n(&c->vp[vp].kicked, 0, __ATOMIC_ACQ_REL))
		eventfd_read(c->vp[vp].kick, &n);
}

int hv_child_vp_disarm(struct hv_child *c, uint32_t vp)
{
	bool interrupted;

	if (vp >= c->nr_vps)
		return -EINVAL;
	interrupted = proc_irq_polled(&c->irq->vp[vp].state);
	if (c->vp[vp].armed)
		hv_child_vp_empty(c, vp);
	c->vp[vp].armed = false;
	return load_acquire(&c->dead) ? -ECONNRESET : interrupted;
}
