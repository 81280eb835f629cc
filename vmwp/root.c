/* SPDX-License-Identifier: MIT */
/*
 * The only file that knows how a root is put together: loops, disks, socket.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "vmwp/root_priv.h"

#define END_LIMIT_NS 10000000000ull

static void on_stop(struct loop_bell *b)
{
	struct root *r = container_of(b, struct root, stop_bell);

	loop_stop(r->loop);
}

static int add_stop_bell(struct root *r)
{
	int err;

	r->stop_bell.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (r->stop_bell.fd < 0)
		return -errno;
	r->stop_bell.rung = on_stop;
	err = loop_bell_add(r->loop, &r->stop_bell);
	r->bell_added = !err;
	return err;
}

static int pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

/*
 * Of one partition: its socket and memory; and when it opens all channels it may have, each a
 * doorbell and, with libaio, a bell for every disk; integration services have one channel each. Of
 * each VP that polls two ends of a socket pair. A few more for a moment as it connects. Disks and
 * controllers may be added later.
 */
static const uint64_t fds_per_partition =
	2 + 3 + 2 * HV_MAX_VPS + HV_MAX_VPS * ROOT_MAX_CONTROLLERS + HV_MAX_VPS * ROOT_MAX_DISKS +
	NETVSP_MAX_QUEUES * ROOT_MAX_NICS + IC_SERVICES_COUNT;

/* Standard files, loops with their bells, the socket, who has not said its name; disks twice. */
static uint64_t max_fds(const struct root *r)
{
	uint64_t own = 16 + 4 * (uint64_t)r->cfg.io_threads + ROOT_MAX_PENDING + 2 * ROOT_MAX_DISKS;

	if (r->cfg.machine)
		own += fds_per_partition + hv_kvm_fds(r->cfg.machine->nr_vps) + CONSOLE_FDS;
	return own + switches_fds(r) + r->cfg.max_partitions * fds_per_partition;
}

/* The threads between the two: they inherit the first, and their rings come before the second. */
static int start_confined(struct root *r, char *why, size_t n)
{
	struct sandbox_config sc = { .mode = r->cfg.sandbox,
				     .max_fds = max_fds(r),
				     .network = r->nr_switches > 0,
				     .machine = r->machine != NULL };
	int err = sandbox_enter(&sc, &r->sandbox, why, n);

	if (err)
		return err;
	err = io_threads_start(r);
	if (err) {
		snprintf(why, n, "start: %s", strerror(-err));
		return err;
	}
	err = switches_start(r, why, n);
	if (err)
		return err;
	err = sandbox_seal(&sc, &r->sandbox, why, n);
	if (!err && r->sandbox.mode != SANDBOX_OFF && !r->sandbox.landlock_abi)
		log_info("sandbox: without landlock, which is not in this kernel");
	return err;
}

/*
 * Before anything is open that the new process would have to close. Whether it is needed shows
 * when there are disks, and by then nobody here may start a process.
 */
static void start_keeper(struct root *r)
{
	int err = keeper_create(&r->keeper, r->loop, r->cfg.sandbox);

	if (err)
		log_warn("no reservation will outlive this root: %s", strerror(-err));
}

static int start(struct root *r, char *why, size_t n)
{
	struct loop_config lc = {
		.engine = r->cfg.loop_engine,
		.spin_us_max = r->cfg.spin_us,
		.name = "root",
	};
	int err = 0;

	if (r->socket)
		err = sweeper_start(&r->sweeper, r->socket, r->cfg.sandbox, why, n);
	if (err)
		return err;
	err = pin(r->cfg.cpu);
	if (err) {
		snprintf(why, n, "CPU %d cannot be used: %s", r->cfg.cpu, strerror(-err));
		return err;
	}
	err = loop_create(&r->loop, &lc);
	if (err) {
		snprintf(why, n, "event loop: %s", strerror(-err));
		return err;
	}
	start_keeper(r);
	err = switches_open(r, why, n);
	if (err)
		return err;
	disks_init(r);
	err = add_stop_bell(r);
	for (uint32_t i = 0; !err && i < r->cfg.nr_disks; i++) {
		struct disk *k;

		err = disk_open(r, &r->cfg.disk[i], &k, why, n);
		if (err)
			return err;
	}
	if (err) {
		snprintf(why, n, "start: %s", strerror(-err));
		return err;
	}
	inspect_prepare();
	if (r->socket)
		err = listen_start(r, why, n);
	if (!err && r->cfg.machine)
		err = machine_create(&r->machine, r, r->cfg.machine, why, n);
	if (!err)
		err = start_confined(r, why, n);
	if (r->keeper)
		keeper_loops(r->keeper, r->io_loop, r->nr_io);
	if (!err && r->machine)
		err = machine_start(r->machine, why, n);
	return err;
}

int root_create(struct root **out, const struct root_config *cfg, char *why, size_t n)
{
	struct root *r = calloc(1, sizeof(*r));
	int err;

	if (!r) {
		snprintf(why, n, "out of memory");
		return -ENOMEM;
	}
	r->cfg = *cfg;
	if (!r->cfg.max_partitions)
		r->cfg.max_partitions = 1024;
	if (!r->cfg.max_memory)
		r->cfg.max_memory = 1ull << 30;
	if (!r->cfg.stuck_ms)
		r->cfg.stuck_ms = STORVSP_STUCK_MS;
	r->start_ns = clock_ns();
	r->stop_bell.fd = r->sweeper.order = -1;
	if (cfg->socket)
		r->socket = strdup(cfg->socket);
	r->label = cfg->machine ? cfg->machine->name : r->socket;
	err = r->socket || !cfg->socket ? start(r, why, n) : -ENOMEM;
	if (err) {
		root_destroy(r);
		return err;
	}
	*out = r;
	return 0;
}

void root_end_guests(struct root *r)
{
	guest_end_all(r, END_LIMIT_NS);
}

enum machine_result root_result(const struct root *r)
{
	return r->result;
}

int root_run(struct root *r)
{
	return loop_run(r->loop);
}

void root_stop(struct root *r)
{
	uint64_t one = 1;
	ssize_t n = write(r->stop_bell.fd, &one, sizeof(one));

	(void)n; /* a full counter has been rung already */
}

void root_destroy(struct root *r)
{
	if (r->loop) {
		listen_stop(r);
		guest_end_all(r, END_LIMIT_NS);
		io_threads_stop(r);
		switches_close(r);
		disks_close(r);
		keeper_destroy(r->keeper);
		if (r->bell_added)
			loop_bell_del(r->loop, &r->stop_bell);
		loop_destroy(r->loop);
	}
	sweeper_end(&r->sweeper, false); /* unless it has swept already */
	if (r->stop_bell.fd >= 0)
		close(r->stop_bell.fd);
	free(r->socket);
	free(r);
}
