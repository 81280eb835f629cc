/* SPDX-License-Identifier: MIT */
/*
 * The switches of a root: made at start, connected to the host by their type, and the captures of
 * their ports.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "vmwp/root_priv.h"

static uint64_t now(void *ctx)
{
	(void)ctx;
	return clock_ns();
}

/* ---- finding ------------------------------------------------------------------------- */

struct netsw *switch_find(struct root *r, const char *name, char *why, size_t n)
{
	const struct root_switch *cfg = root_find_switch(r->cfg.sw, r->nr_switches, name, why, n);

	return cfg ? r->sw[cfg - r->cfg.sw] : NULL;
}

struct vsw_port *switch_port(struct netsw *sw, const char *name, char *why, size_t n)
{
	struct vsw_port *p = vsw_port_find(sw->vsw, name);
	size_t at;

	if (p)
		return p;
	at = (size_t)snprintf(why, n, "%s/%s: there is no such port", sw->cfg.name, name);
	while ((p = vsw_port_next(sw->vsw, p)) && at < n)
		at += (size_t)snprintf(why + at, n - at, "%s %s",
				       p == vsw_port_next(sw->vsw, NULL) ? "; there are" : "",
				       vsw_port_name(p));
	return NULL;
}

/* ---- mirrors ----------------------------------------------------------------------------- */

static struct mirror *mirror_of(struct root *r, const struct vsw_port *p)
{
	for (struct mirror *m = r->mirror; m < r->mirror + ROOT_MAX_MIRRORS; m++)
		if (m->sw && m->port == p)
			return m;
	return NULL;
}

static struct mirror *mirror_named(struct root *r, const struct netsw *sw, const char *port)
{
	for (struct mirror *m = r->mirror; m < r->mirror + ROOT_MAX_MIRRORS; m++)
		if (m->sw == sw && !strcmp(m->at.port, port))
			return m;
	return NULL;
}

static struct mirror *free_mirror(struct root *r, char *why, size_t n)
{
	for (struct mirror *m = r->mirror; m < r->mirror + ROOT_MAX_MIRRORS; m++)
		if (!m->sw)
			return m;
	snprintf(why, n, "%u mirrors are the limit; `hvbus net mirror --off` ends one",
		 ROOT_MAX_MIRRORS);
	return NULL;
}

static void mirror_attach(struct mirror *m, struct vsw_port *p)
{
	if (m->m)
		vsw_port_set_mirror(p, m->m);
	m->port = p;
}

static int mirror_start(struct mirror *m, char *why, size_t n)
{
	char interface[2 * VSW_NAME];
	struct vsw_mirror_config cfg = { .fd = m->fd, .interface = interface, .path = m->at.file };
	int err;

	snprintf(interface, sizeof(interface), "%s/%s", m->sw->cfg.name, m->at.port);
	err = vsw_mirror_open(&m->m, &cfg);
	if (err) {
		snprintf(why, n, "%s: %s", m->at.file, strerror(-err));
		return err;
	}
	m->fd = -1;
	if (m->port)
		vsw_port_set_mirror(m->port, m->m);
	return 0;
}

static void mirror_close(struct mirror *m)
{
	if (m->port)
		vsw_port_set_mirror(m->port, NULL);
	vsw_mirror_close(m->m);
	if (m->fd >= 0)
		close(m->fd);
	*m = (struct mirror){ .fd = -1 };
}

void switch_port_came(struct netsw *sw, struct vsw_port *p)
{
	struct mirror *m = mirror_named(sw->root, sw, vsw_port_name(p));

	if (m)
		mirror_attach(m, p);
}

void switch_port_leaves(struct netsw *sw, struct vsw_port *p)
{
	struct mirror *m = mirror_of(sw->root, p);

	if (!m)
		return;
	vsw_port_set_mirror(p, NULL);
	m->port = NULL;
}

int mirror_add(struct netsw *sw, struct vsw_port *p, int fd, const char *file, char *why, size_t n)
{
	struct root *r = sw->root;
	struct mirror *m = mirror_named(r, sw, vsw_port_name(p));
	int err;

	if (m) {
		snprintf(why, n, "%s/%s: is mirrored to %s already; --off first", sw->cfg.name,
			 vsw_port_name(p), m->at.file);
		return -EBUSY;
	}
	m = free_mirror(r, why, n);
	if (!m)
		return -ENOSPC;
	*m = (struct mirror){ .sw = sw, .fd = fd, .port = p };
	snprintf(m->at.port, sizeof(m->at.port), "%s", vsw_port_name(p));
	snprintf(m->at.file, sizeof(m->at.file), "%s", file);
	if (ftruncate(fd, 0) && errno != EINVAL) { /* a pipe has nothing in it to replace */
		err = -errno;
		snprintf(why, n, "%s: %s", file, strerror(-err));
	} else {
		err = mirror_start(m, why, n);
	}
	if (err)
		*m = (struct mirror){ .fd = -1 };
	return err;
}

int mirror_remove(struct vsw_port *p, struct root *r)
{
	struct mirror *m = mirror_of(r, p);

	if (!m)
		return -ENOENT;
	mirror_close(m);
	return 0;
}

/* Captures are nobody else's business; an old one is replaced, as tcpdump does it. */
static int open_file(const char *file, char *why, size_t n)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);

	if (fd >= 0)
		return fd;
	fd = -errno;
	snprintf(why, n, "mirror: %s: %s", file, strerror(-fd));
	return fd;
}

static int open_mirror(struct root *r, const struct root_mirror *at, struct mirror *m, char *why,
		       size_t n)
{
	struct netsw *sw = switch_find(r, at->switch_name, why, n);

	if (!sw)
		return -ENOENT;
	if (mirror_named(r, sw, at->port)) {
		snprintf(why, n, "mirror: %s/%s: one file per port", at->switch_name, at->port);
		return -EEXIST;
	}
	m->fd = open_file(at->file, why, n);
	if (m->fd < 0)
		return m->fd;
	m->at = *at;
	m->sw = sw;
	m->port = vsw_port_find(sw->vsw, at->port);
	return 0;
}

/* ---- the host's side -------------------------------------------------------------------- */

static int open_switch(struct root *r, const struct root_switch *cfg, char *why, size_t n)
{
	struct vsw_config vc = {
		.name = cfg->name, .type = cfg->type, .bridge = cfg->bridge, .now = now
	};
	struct netsw *sw = calloc(1, sizeof(*sw));
	char reason[400] = "";
	int err;

	if (!sw)
		return -ENOMEM;
	sw->root = r;
	sw->cfg = *cfg;
	err = vsw_create(&sw->vsw, &vc);
	if (err) {
		snprintf(why, n, "switch %s: %s", cfg->name, strerror(-err));
		free(sw);
		return err;
	}
	r->sw[r->nr_switches++] = sw;
	err = host_open(sw, reason, sizeof(reason));
	if (err)
		snprintf(why, n, "switch %s: %s", cfg->name, *reason ? reason : strerror(-err));
	return err;
}

/* Addresses are to be the same after a restart, and not those of another host on the same wire. */
static void find_identity(struct root *r)
{
	char machine[33] = "";
	int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd >= 0 ? read(fd, machine, sizeof(machine) - 1) : 0;

	if (fd >= 0)
		close(fd);
	machine[got > 0 ? got : 0] = '\0';
	snprintf(r->identity, sizeof(r->identity), "%s %s", machine, r->label);
}

/* ---- all of them ------------------------------------------------------------------------- */

int switches_open(struct root *r, char *why, size_t n)
{
	int err = 0;

	*why = '\0';
	find_identity(r);
	for (uint32_t i = 0; i < ROOT_MAX_MIRRORS; i++)
		r->mirror[i].fd = -1;
	for (uint32_t i = 0; !err && i < r->cfg.nr_switches; i++)
		err = open_switch(r, &r->cfg.sw[i], why, n);
	for (uint32_t i = 0; !err && i < r->cfg.nr_mirrors; i++)
		err = open_mirror(r, &r->cfg.mirror[i], &r->mirror[i], why, n);
	if (err && !*why)
		snprintf(why, n, "switches: %s", strerror(-err));
	return err;
}

int switches_start(struct root *r, char *why, size_t n)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < r->cfg.nr_mirrors; i++)
		err = mirror_start(&r->mirror[i], why, n);
	return err;
}

void switches_close(struct root *r)
{
	for (struct mirror *m = r->mirror; m < r->mirror + ROOT_MAX_MIRRORS; m++)
		if (m->sw)
			mirror_close(m);
	while (r->nr_switches) {
		struct netsw *sw = r->sw[--r->nr_switches];

		host_close(sw);
		vsw_destroy(sw->vsw);
		free(sw);
	}
	nat_host_destroy(r->nats);
	r->nats = NULL;
}

uint64_t switches_fds(const struct root *r)
{
	/* Cables of all switches together. A capture has its file and what its writer waits for;
	 * the NATs' starter a socket. */
	return r->cfg.nr_switches * HOST_FDS + ROOT_MAX_JOINED + 2 * ROOT_MAX_MIRRORS + 1;
}
