/* SPDX-License-Identifier: MIT */
/*
 * nbdkit plugin: becomes a child partition and exports a synthetic disk to NBD clients.
 *
 *   nbdkit ./nbdkit-hvbus-plugin.so socket=/tmp/s disk=0:1
 *
 * Every nbdkit thread that serves a request borrows one of the queues (a channel with its
 * own VP) for the time of the request, so requests run in parallel and share nothing.
 */
#define NBDKIT_API_VERSION 2
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nbdkit-plugin.h>

#include "base/atomic.h"
#include "vsc/disk_place.h"
#include "vsc/storvsc.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL
#define MAX_QUEUES   16
#define MAX_PIECE    (128u * 1024)

static char *socket_path;
static uint8_t controller, lun;
static unsigned want_queues = 4;

static struct storvsc *ctl;
static struct storvsc_disk disk;
static pthread_t watcher;
static bool watching, root_gone;
static int stop_pipe[2] = { -1, -1 };

/* Queues nobody uses; guarded by pool_lock. */
static uint32_t pool[MAX_QUEUES], pool_free;
static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t pool_more = PTHREAD_COND_INITIALIZER;

/* Writes of whole blocks share it; a read-modify-write has it alone. */
static pthread_rwlock_t rmw_lock = PTHREAD_RWLOCK_INITIALIZER;

static uint32_t take_queue(void)
{
	uint32_t q;

	pthread_mutex_lock(&pool_lock);
	while (!pool_free)
		pthread_cond_wait(&pool_more, &pool_lock);
	q = pool[--pool_free];
	pthread_mutex_unlock(&pool_lock);
	return q;
}

/* Queue 0, which the calls that name none use. */
static void take_first_queue(void)
{
	uint32_t i;

	pthread_mutex_lock(&pool_lock);
	for (;;) {
		for (i = 0; i < pool_free && pool[i]; i++)
			;
		if (i < pool_free)
			break;
		pthread_cond_wait(&pool_more, &pool_lock);
	}
	pool[i] = pool[--pool_free];
	pthread_mutex_unlock(&pool_lock);
}

static void give_queue(uint32_t q)
{
	pthread_mutex_lock(&pool_lock);
	pool[pool_free++] = q;
	pthread_cond_broadcast(&pool_more); /* one may want a certain queue */
	pthread_mutex_unlock(&pool_lock);
}

/* ---- configuration ---------------------------------------------------------------- */

static int parse_disk(const char *v)
{
	if (!disk_place_parse(v, &controller, &lun)) {
		nbdkit_error("disk=%s: CONTROLLER:LUN is needed, such as 0:1", v);
		return -1;
	}
	return 0;
}

static int hvbus_config(const char *key, const char *value)
{
	if (!strcmp(key, "socket")) {
		free(socket_path);
		socket_path = nbdkit_absolute_path(value);
		return socket_path ? 0 : -1;
	}
	if (!strcmp(key, "disk"))
		return parse_disk(value);
	if (!strcmp(key, "queues")) {
		if (nbdkit_parse_unsigned("queues", value, &want_queues) < 0)
			return -1;
		if (want_queues >= 1 && want_queues <= MAX_QUEUES)
			return 0;
		nbdkit_error("queues=%s: 1 to %d are possible", value, MAX_QUEUES);
		return -1;
	}
	nbdkit_error("unknown parameter '%s' (there are socket, disk, queues)", key);
	return -1;
}

static int hvbus_config_complete(void)
{
	if (socket_path)
		return 0;
	nbdkit_error("socket=PATH of a root (hvbus serve) is missing");
	return -1;
}

/* ---- life ----------------------------------------------------------------------------- */

/* Without its root the export is worth nothing: say so once and end the server. */
static void *watch_root(void *arg)
{
	struct pollfd p[2] = { { hv_child_hangup_fd(storvsc_child(ctl)), POLLIN, 0 },
			       { stop_pipe[0], POLLIN, 0 } };

	(void)arg;
	while (poll(p, 2, -1) < 0 && errno == EINTR)
		;
	if (!p[1].revents) {
		nbdkit_error("the root partition at %s is gone; the export ends", socket_path);
		__atomic_store_n(&root_gone, true, __ATOMIC_RELAXED);
		nbdkit_shutdown();
	}
	return NULL;
}

/* The partition's end is the server's, and clients see it as any end of a server. */
static uint32_t on_shutdown(void *ctx, const struct ic_client_shutdown *r)
{
	(void)ctx;
	if (r->flags & ~IC_SHUTDOWN_FORCE) /* it does not come up again by itself */
		return IC_NOT_SUPPORTED;
	nbdkit_debug("the root asks to shut down");
	nbdkit_shutdown();
	return IC_OK;
}

static int hvbus_after_fork(void)
{
	static const struct ic_client_config ic = { .shutdown = on_shutdown };
	struct storvsc_config cfg = {
		.queues = want_queues, .depth = 16, .spin_us = 50, .integration = &ic
	};
	char why[256] = "";
	int err = storvsc_attach(&ctl, socket_path, controller, 64u << 20, &cfg, why, sizeof(why));

	if (err) {
		nbdkit_error("%s: %s", socket_path, *why ? why : strerror(-err));
		return -1;
	}
	err = storvsc_disk_info(ctl, (uint8_t)lun, &disk);
	if (err) {
		nbdkit_error("disk %u:%u: %s", controller, lun,
			     err == -ENXIO ? "there is no such LUN" : strerror(-err));
		return -1;
	}
	for (pool_free = 0; pool_free < storvsc_queues(ctl); pool_free++)
		pool[pool_free] = pool_free;
	if (pipe2(stop_pipe, O_CLOEXEC) || pthread_create(&watcher, NULL, watch_root, NULL)) {
		nbdkit_error("no thread to watch the root: %m");
		return -1;
	}
	watching = true;
	return 0;
}

static void hvbus_unload(void)
{
	if (watching) {
		if (write(stop_pipe[1], "", 1) != 1)
			nbdkit_debug("the watcher has ended already");
		pthread_join(watcher, NULL);
	}
	if (ctl)
		storvsc_detach(ctl);
	free(socket_path);
	/* nbdkit itself would report success. */
	if (root_gone)
		_exit(EXIT_FAILURE);
}

/* ---- the export -------------------------------------------------------------------------- */

/* NBD tells a client the size once, when it connects: who comes after a resize gets the new. */
static void *hvbus_open(int readonly)
{
	struct storvsc_disk now;
	int err;

	(void)readonly;
	take_first_queue();
	err = storvsc_disk_info(ctl, (uint8_t)lun, &now);
	give_queue(0);
	if (err) {
		nbdkit_error("disk %u:%u: %s", controller, lun,
			     err == -ENXIO ? "it has been removed" : strerror(-err));
		return NULL;
	}
	if (now.block_size == disk.block_size)
		store_relaxed(&disk.size, now.size);
	return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t hvbus_get_size(void *h)
{
	(void)h;
	return (int64_t)load_relaxed(&disk.size);
}

static int hvbus_block_size(void *h, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
	(void)h;
	*minimum = disk.block_size;
	*preferred = disk.physical_block > 4096 ? disk.physical_block : 4096;
	*maximum = 32u << 20;
	return 0;
}

static int can_write(void *h)
{
	(void)h;
	return !disk.readonly;
}

static int can_trim(void *h)
{
	(void)h;
	return disk.discard && !disk.readonly;
}

static int can_fua(void *h)
{
	(void)h;
	return disk.fua ? NBDKIT_FUA_NATIVE : NBDKIT_FUA_EMULATE;
}

static int yes(void *h)
{
	(void)h;
	return 1;
}

static int is_rotational(void *h)
{
	(void)h;
	return 0;
}

static int fail(uint32_t q, int err, const char *what, uint64_t offset)
{
	nbdkit_error("%s at %llu: %s", what, (unsigned long long)offset,
		     storvsc_last_error(ctl, q));
	nbdkit_set_error(err == -ENOSPC || err == -EROFS ? -err : EIO);
	return -1;
}

static bool whole_blocks(uint64_t offset, uint64_t len)
{
	return !((offset | len) & (disk.block_size - 1));
}

/* Reads of any bytes: the ends that are not whole blocks go through a block of our own. */
static int read_bytes(uint32_t q, uint8_t *buf, uint64_t offset, uint32_t len)
{
	uint32_t bs = disk.block_size;
	uint8_t block[4096];

	while (len) {
		uint32_t in = (uint32_t)(offset & (bs - 1)), n;
		int err;

		if (in || len < bs) {
			n = bs - in < len ? bs - in : len;
			err = storvsc_read(ctl, q, (uint8_t)lun, block, offset - in, bs);
			memcpy(buf, block + in, n);
		} else {
			n = len / bs * bs < MAX_PIECE ? len / bs * bs : MAX_PIECE;
			err = storvsc_read(ctl, q, (uint8_t)lun, buf, offset, n);
		}
		if (err)
			return err;
		buf += n;
		offset += n;
		len -= n;
	}
	return 0;
}

static int write_bytes(uint32_t q, const uint8_t *buf, uint64_t offset, uint32_t len,
		       unsigned flags)
{
	uint32_t bs = disk.block_size;
	uint8_t block[4096];

	while (len) {
		uint32_t in = (uint32_t)(offset & (bs - 1)), n;
		int err;

		if (in || len < bs) {
			n = bs - in < len ? bs - in : len;
			err = storvsc_read(ctl, q, (uint8_t)lun, block, offset - in, bs);
			memcpy(block + in, buf, n);
			if (!err)
				err = storvsc_write(ctl, q, (uint8_t)lun, block, offset - in, bs,
						    flags);
		} else {
			n = len / bs * bs < MAX_PIECE ? len / bs * bs : MAX_PIECE;
			err = storvsc_write(ctl, q, (uint8_t)lun, buf, offset, n, flags);
		}
		if (err)
			return err;
		buf += n;
		offset += n;
		len -= n;
	}
	return 0;
}

static int hvbus_pread(void *h, void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	uint32_t q = take_queue();
	int err = read_bytes(q, buf, offset, count), rc = err ? fail(q, err, "read", offset) : 0;

	(void)h, (void)flags;
	give_queue(q);
	return rc;
}

static int hvbus_pwrite(void *h, const void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	bool shared = whole_blocks(offset, count);
	uint32_t q;
	int err, rc;

	(void)h;
	if (shared)
		pthread_rwlock_rdlock(&rmw_lock);
	else
		pthread_rwlock_wrlock(&rmw_lock);
	q = take_queue();
	err = write_bytes(q, buf, offset, count, flags & NBDKIT_FLAG_FUA ? STORVSC_FUA : 0);
	rc = err ? fail(q, err, "write", offset) : 0;
	give_queue(q);
	pthread_rwlock_unlock(&rmw_lock);
	return rc;
}

static int hvbus_flush(void *h, uint32_t flags)
{
	uint32_t q = take_queue();
	int err = storvsc_flush(ctl, q, (uint8_t)lun), rc = err ? fail(q, err, "flush", 0) : 0;

	(void)h, (void)flags;
	give_queue(q);
	return rc;
}

/* A hint: blocks that are covered only in part are left alone. */
static int hvbus_trim(void *h, uint32_t count, uint64_t offset, uint32_t flags)
{
	uint64_t bs = disk.block_size, at = (offset + bs - 1) / bs * bs,
		 end = (offset + count) / bs * bs;
	uint32_t q = take_queue();
	int err = at < end ? storvsc_discard(ctl, q, (uint8_t)lun, at, end - at) : 0, rc;

	(void)h;
	if (!err && flags & NBDKIT_FLAG_FUA)
		err = storvsc_flush(ctl, q, (uint8_t)lun);
	rc = err ? fail(q, err, "trim", offset) : 0;
	give_queue(q);
	return rc;
}

static int hvbus_zero(void *h, uint32_t count, uint64_t offset, uint32_t flags)
{
	uint32_t q;
	int err, rc;

	(void)h;
	if (!whole_blocks(offset, count)) {
		nbdkit_set_error(EOPNOTSUPP); /* nbdkit then writes zeroes */
		return -1;
	}
	q = take_queue();
	if (flags & NBDKIT_FLAG_MAY_TRIM && disk.discard)
		err = storvsc_discard(ctl, q, (uint8_t)lun, offset, count);
	else
		err = storvsc_zero(ctl, q, (uint8_t)lun, offset, count);
	if (!err && flags & NBDKIT_FLAG_FUA)
		err = storvsc_flush(ctl, q, (uint8_t)lun);
	rc = err ? fail(q, err, "zero", offset) : 0;
	give_queue(q);
	return rc;
}

static struct nbdkit_plugin plugin = {
	.name = "hvbus",
	.version = HVBUS_VERSION,
	.description = "synthetic SCSI disk of an hvbus root partition",
	.longname = "hvbus child partition",
	.config = hvbus_config,
	.config_complete = hvbus_config_complete,
	.config_help = "socket=<PATH>     (required) Unix socket of the root (hvbus serve)\n"
		       "disk=<CTL>:<LUN>  which disk (default 0:0)\n"
		       "queues=<N>        channels, 1 to 16 (default 4)",
	.magic_config_key = "socket",
	.after_fork = hvbus_after_fork,
	.unload = hvbus_unload,
	.open = hvbus_open,
	.get_size = hvbus_get_size,
	.block_size = hvbus_block_size,
	.can_write = can_write,
	.can_flush = yes,
	.can_trim = can_trim,
	.can_zero = can_write,
	.can_fua = can_fua,
	.can_multi_conn = yes,
	.is_rotational = is_rotational,
	.pread = hvbus_pread,
	.pwrite = hvbus_pwrite,
	.flush = hvbus_flush,
	.trim = hvbus_trim,
	.zero = hvbus_zero,
	.errno_is_preserved = 0,
};

#pragma GCC visibility push(default)
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
NBDKIT_REGISTER_PLUGIN(plugin)
#pragma GCC visibility pop
