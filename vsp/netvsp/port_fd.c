/* SPDX-License-Identifier: MIT */
/* The states of port_fd.h, and its timer: one that waits for bandwidth or for the device. */
#include "vsp/netvsp/port_fd.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/log.h"

#define LOOK_FIRST 100000000ull
#define LOOK_LAST  2000000000ull

/* ---- link ---------------------------------------------------------------------------- */

static void set_link(struct port_fd *p, bool up)
{
	if (vsw_port_link(p->port) == up)
		return;
	p->mine = true;
	vsw_port_set_link(p->port, up);
	p->mine = false;
}

void port_fd_changed(void *ctx)
{
	struct port_fd *p = ctx;

	bool up;

	if (p->mine || !p->port)
		return;
	up = vsw_port_link(p->port);
	if (!p->present) {
		p->wanted |= up;
		set_link(p, false);
	} else if (up != p->wanted) {
		p->wanted = up;
		if (p->ops->link)
			p->ops->link(p, up);
	}
}

/* ---- reading ---------------------------------------------------------------------------- */

static void unwatch(struct port_fd *p)
{
	if (p->watched)
		loop_fd_del(p->loop, &p->lf);
	p->watched = false;
}

static int watch(struct port_fd *p)
{
	int err = p->watched ? 0 : loop_fd_add(p->loop, &p->lf, POLLIN);

	p->watched = !err;
	return err;
}

/* One frame at a time where a limit may stop it at each. */
static int read_burst(struct port_fd *p, uint64_t *wait)
{
	int most = vsw_port_policy(p->port)->bps ? 1 : PORT_BURST, n = 0, got;

	*wait = 0;
	do {
		*wait = vsw_port_wait_ns(p->port);
		if (*wait)
			break;
		got = p->ops->receive(p, most);
		if (got < 0)
			return got;
		n += got;
	} while (got == most && n < PORT_BURST);
	return n;
}

/* What cannot be read but does not end either must not keep the loop turning. */
static int ending(uint32_t events)
{
	return events & (POLLERR | POLLHUP | POLLNVAL) ? -ENODEV : 0;
}

static void burst(struct port_fd *p, uint32_t events)
{
	uint64_t wait;
	int n = read_burst(p, &wait);

	if (!n && !wait)
		n = ending(events);
	vsw_flush(p->sw);
	if (n >= 0 && !wait)
		n = watch(p);
	if (n < 0) {
		port_fd_lost(p, -n);
	} else if (wait) {
		unwatch(p);
		loop_timer_arm(p->loop, &p->timer, wait);
	}
}

static void on_ready(struct loop_fd *lf, uint32_t events)
{
	burst(container_of(lf, struct port_fd, lf), events);
}

/* ---- gone and back ------------------------------------------------------------------------ */

static void look_again(struct port_fd *p)
{
	if (!p->ops->look)
		return;
	loop_timer_arm(p->loop, &p->timer, p->pause);
	p->pause = p->pause * 2 < LOOK_LAST ? p->pause * 2 : LOOK_LAST;
}

void port_fd_lost(struct port_fd *p, int err)
{
	unwatch(p);
	p->n.error = err;
	p->n.state = "gone";
	if (p->present) {
		p->n.gone++;
		p->pause = LOOK_FIRST;
		log_ratelimited(LOG_WARN, "switch %s: port %s: its other end is gone (%s)",
				vsw_name(p->sw), vsw_port_name(p->port), strerror(err));
	}
	p->present = false;
	set_link(p, false);
	look_again(p);
	if (p->ops->gone)
		p->ops->gone(p);
}

int port_fd_present(struct port_fd *p)
{
	int err = watch(p);

	if (err)
		return err;
	p->present = true;
	p->n.state = "up";
	loop_timer_cancel(p->loop, &p->timer);
	set_link(p, p->wanted);
	return 0;
}

static void on_timer(struct loop_timer *t)
{
	struct port_fd *p = container_of(t, struct port_fd, timer);

	if (p->present) {
		burst(p, 0);
	} else if (p->ops->look(p) && !port_fd_present(p)) {
		p->n.returned++;
		log_ratelimited(LOG_INFO, "switch %s: port %s: its other end is back",
				vsw_name(p->sw), vsw_port_name(p->port));
	} else {
		look_again(p);
	}
}

int port_fd_add(struct port_fd *p, struct vsw *sw, const struct vsw_port_config *cfg, char *why,
		size_t n)
{
	int err;

	p->sw = sw;
	p->lf.ready = on_ready;
	p->timer.fire = on_timer;
	p->pause = LOOK_FIRST;
	p->n.state = "gone";
	err = vsw_port_add(&p->port, sw, cfg, why, n);
	if (err)
		return err;
	p->wanted = true;
	set_link(p, false); /* until there is a device */
	return 0;
}

void port_fd_leave(struct port_fd *p)
{
	unwatch(p);
	loop_timer_cancel(p->loop, &p->timer);
	p->present = false;
	p->n.state = "gone";
	set_link(p, false);
}

void port_fd_del(struct port_fd *p)
{
	unwatch(p);
	loop_timer_cancel(p->loop, &p->timer);
	vsw_port_del(p->port);
	p->port = NULL;
}

/* ---- sending -------------------------------------------------------------------------------- */

/* A device that is gone says so by an event as well, which is acted upon outside of deliver(). */
enum vsw_drop port_fd_refused(struct port_fd *p, int err)
{
	p->n.error = err;
	switch (err) {
	case EMSGSIZE:
		p->n.failed++;
		return VSW_DROP_MTU;
	case EAGAIN:
	case ENOBUFS:
	case ENOMEM:
		p->n.full++;
		return VSW_DROP_DEVICE;
	case EIO:
	case ENETDOWN:
	case ENXIO:
		p->n.down++;
		if (p->present)
			p->n.state = "down";
		return VSW_DROP_DEVICE;
	default:
		p->n.failed++;
		return VSW_DROP_DEVICE;
	}
}

int port_fd_gather(struct iovec *out, void *head, size_t headlen, const struct net_frame *f)
{
	int n = 0;

	if (f->iovcnt > PORT_IOV - 2)
		return 0;
	if (headlen)
		out[n++] = (struct iovec){ head, headlen };
	out[n++] = (struct iovec){ f->head, f->head_len };
	if (f->iovcnt > 0)
		memcpy(out + n, f->iov, (size_t)f->iovcnt * sizeof(*out));
	return n + f->iovcnt;
}

void port_fd_stats(const struct port_fd *p, struct port_stats *out)
{
	*out = p->n;
}
