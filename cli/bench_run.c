/* SPDX-License-Identifier: MIT */
/*
 * hvbus bench disk: the run. Every job is a thread with its own channel and, to compare,
 * its own raw io_uring; all of them go through the phases together:
 *
 *   round 1: ours | raw, round 2: ours | raw, ...
 *
 * so that both sides see the same noise.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/bench_disk.h"
#include "cli/cli.h"
#include "cli/spawn.h"

struct bench;

struct job {
	struct bench *b;
	pthread_t thread;
	uint32_t index;
	struct load ours, raw;
	struct load_target *ours_target, *raw_target;
	uint64_t progress;
	int error;
};

struct bench {
	const struct bench_options *o;
	struct bench_result *r;
	struct job job[BENCH_MAX_JOBS];
	pthread_barrier_t barrier;
	struct storvsc *s;
	pid_t root;
	char dir[96], socket[128], file[512];
	bool own_root, own_file;
	uint64_t size, phase_ns;
	bool stop;
};

static bool interrupted;

static void on_interrupt(int sig)
{
	(void)sig;
	store_relaxed(&interrupted, true);
}

/* ---- the disk under test -------------------------------------------------------- */

/* Random bytes, so that nothing below can be clever about zeroes or holes. */
static void make_file(const char *path, uint64_t size)
{
	static uint64_t buf[131072];
	uint64_t x = 88172645463325252ull, at;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		cli_die(CLI_FAILED, "%s: %s", path, strerror(errno));
	for (at = 0; at < size; at += sizeof(buf)) {
		for (size_t i = 0; i < ARRAY_SIZE(buf); i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			buf[i] = x;
		}
		if (write(fd, buf, sizeof(buf)) != (ssize_t)sizeof(buf)) {
			int err = errno;

			unlink(path);
			cli_die(CLI_FAILED, "%s: %s", path, strerror(err));
		}
		cli_progress("preparing %s  %3.0f%%", path, 100.0 * (double)at / (double)size);
	}
	fsync(fd);
	close(fd);
}

static void fill_disk_config(struct bench *b, struct root_disk *d)
{
	static const enum blk_engine engine[] = { BLK_ENGINE_URING, BLK_ENGINE_AIO,
						  BLK_ENGINE_MEMORY, BLK_ENGINE_NULL,
						  BLK_ENGINE_NULL };
	const struct bench_options *o = b->o;
	bool file = o->engine < ENGINE_MEMORY;

	*d = (struct root_disk){ .lun = 0, .blk = { .direct = -1, .engine = engine[o->engine] } };
	if (!file) {
		d->blk.size = o->size ? o->size : 256u << 20;
		return;
	}
	if (o->filename) {
		snprintf(b->file, sizeof(b->file), "%s", o->filename);
	} else {
		snprintf(b->file, sizeof(b->file), "hvbus-bench-%d.img", (int)getpid());
		b->own_file = true;
		make_file(b->file, o->size ? o->size : 256u << 20);
	}
	d->blk.path = b->file;
	d->blk.direct = o->direct;
	d->blk.readonly = o->rw == LOAD_READ || o->rw == LOAD_RANDREAD;
}

static void start_root(struct bench *b)
{
	struct root_config *cfg = calloc(1, sizeof(*cfg));
	char why[256] = "";

	if (!cfg || spawn_tmpdir(b->dir, sizeof(b->dir)))
		cli_die(CLI_FAILED, "no temporary directory: %s", strerror(errno));
	snprintf(b->socket, sizeof(b->socket), "%s/s", b->dir);
	cfg->socket = b->socket;
	cfg->nr_disks = 1;
	cfg->spin_us = b->o->spin_us;
	cfg->cpu = b->o->cpu_root;
	cfg->io_threads = (uint32_t)b->o->io_threads;
	fill_disk_config(b, &cfg->disk[0]);
	b->root = spawn_root(cfg, why, sizeof(why));
	free(cfg);
	if (b->root < 0) {
		rmdir(b->dir);
		if (b->own_file)
			unlink(b->file);
		cli_die(CLI_FAILED, "%s", why);
	}
	b->own_root = true;
}

static void find_root(struct bench *b)
{
	char *answer;
	json_t *o;

	snprintf(b->socket, sizeof(b->socket), "%s", b->o->socket);
	if (b->o->filename)
		snprintf(b->file, sizeof(b->file), "%s", b->o->filename);
	answer = cli_ask_root(b->socket, "inspect");
	o = json_loads(answer, 0, NULL);
	b->root = (pid_t)json_integer_value(json_object_get(json_object_get(o, "root"), "pid"));
	json_decref(o);
	free(answer);
}

static void clean_up(struct bench *b)
{
	if (b->s)
		storvsc_detach(b->s);
	if (b->own_root) {
		spawn_stop(b->root);
		rmdir(b->dir);
	}
	if (b->own_file)
		unlink(b->file);
}

static void attach(struct bench *b)
{
	const struct bench_options *o = b->o;
	struct storvsc_config cfg = {
		.queues = o->numjobs,
		.depth = o->iodepth < 32 ? 32 : o->iodepth,
		.spin_us = o->spin_us,
	};
	uint64_t memory = (16ull << 20) + o->numjobs * ((2ull << 20) + 2ull * o->iodepth * o->bs);
	struct storvsc_disk disk;
	char why[256] = "";
	int err = storvsc_attach(&b->s, b->socket, o->controller, (memory + 4095) & ~4095ull, &cfg,
				 why, sizeof(why));

	if (err) {
		b->s = NULL;
		clean_up(b);
		cli_die(CLI_FAILED, "attach to %s: %s", b->socket, *why ? why : strerror(-err));
	}
	err = storvsc_disk_info(b->s, o->lun, &disk);
	if (err) {
		clean_up(b);
		cli_die(CLI_FAILED, "disk %u:%u: %s", o->controller, o->lun, strerror(-err));
	}
	b->size = o->size && o->size < disk.size ? o->size : disk.size;
}

/* ---- jobs ------------------------------------------------------------------------------ */

static void pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static int open_targets(struct job *j, const struct load_config *lc)
{
	struct bench *b = j->b;
	bool readonly = lc->rw == LOAD_READ || lc->rw == LOAD_RANDREAD;
	int err;

	if (b->o->engine == ENGINE_NOOP)
		err = load_target_none(&j->ours_target, lc);
	else
		err = load_target_disk(&j->ours_target, b->s, j->index % storvsc_queues(b->s), lc);
	if (!err)
		err = load_init(&j->ours, lc, j->ours_target);
	if (err || !b->o->compare)
		return err;
	err = load_target_raw(&j->raw_target, b->file, b->o->direct, readonly, lc);
	return err ? err : load_init(&j->raw, lc, j->raw_target);
}

static void prepare(struct job *j)
{
	const struct bench_options *o = j->b->o;
	uint64_t share = j->b->size / o->numjobs / o->bs * o->bs;
	struct load_config lc = {
		.rw = o->rw,
		.bs = o->bs,
		.depth = o->iodepth,
		.size = share,
		.first = share * j->index,
		.mix_read = o->mix_read,
		.verify = o->verify,
		.lun = o->lun,
		.seed = 0x5eed + j->index * 7919ull,
	};

	j->error = share < (uint64_t)o->bs * o->iodepth ? -ENOSPC : open_targets(j, &lc);
}

static void *job_main(void *arg)
{
	struct job *j = arg;
	struct bench *b = j->b;
	uint32_t i, sides = b->o->compare ? 2 : 1;

	pin(b->o->cpu_child);
	prepare(j);
	pthread_barrier_wait(&b->barrier); /* prepared */
	for (i = 0; i < b->o->rounds * sides; i++) {
		struct load *l = i % sides ? &j->raw : &j->ours;

		pthread_barrier_wait(&b->barrier); /* go */
		if (!j->error && !load_relaxed(&b->stop))
			j->error = load_run(l, b->phase_ns, &j->progress, &interrupted);
		pthread_barrier_wait(&b->barrier); /* done */
	}
	pthread_barrier_wait(&b->barrier); /* collected */
	if (!j->error && b->o->verify) {
		int64_t bad = load_verify_all(&j->ours);

		j->error = bad < 0 ? (int)bad : 0;
	}
	if (j->raw_target)
		j->raw_target->close(j->raw_target);
	return NULL;
}

/* ---- measuring ---------------------------------------------------------------------------- */

static uint64_t own_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct counters {
	uint64_t child, root, suppressed;
};

/* Signals of both sides so far, from the library and from the root's inspection. */
static struct counters count_signals(struct bench *b)
{
	struct counters c = { 0 };
	struct storvsc_stats st;
	size_t i, k;
	json_t *o, *p, *ch;
	char *answer;

	if (!b->s)
		return c;
	for (uint32_t q = 0; q < storvsc_queues(b->s); q++) {
		storvsc_stats(b->s, q, &st);
		c.child += st.signals_sent;
		c.suppressed += st.signals_suppressed;
	}
	answer = cli_ask_root(b->socket, "inspect");
	o = json_loads(answer, 0, NULL);
	free(answer);
	json_array_foreach(json_object_get(o, "partitions"), i, p)
	{
		if (json_integer_value(json_object_get(p, "id")) !=
		    hv_child_partition_id(storvsc_child(b->s)))
			continue;
		json_array_foreach(json_object_get(p, "channels"), k, ch)
			c.root += (uint64_t)json_integer_value(json_object_get(ch, "signals_sent"));
	}
	json_decref(o);
	return c;
}

static void collect(struct bench *b, bool raw, struct bench_side *side, uint64_t child_ns,
		    uint64_t root_ns)
{
	for (uint32_t i = 0; i < b->o->numjobs; i++) {
		struct load *l = raw ? &b->job[i].raw : &b->job[i].ours;

		hist_merge(&side->hist, &l->hist);
		side->ios += l->done;
		side->bytes += l->bytes;
		side->errors += l->errors;
		side->mismatches += l->mismatches;
		if (l->elapsed_ns > side->elapsed_ns)
			side->elapsed_ns = l->elapsed_ns;
		memset(&l->hist, 0, sizeof(l->hist));
		l->done = l->bytes = l->errors = l->mismatches = l->elapsed_ns = 0;
	}
	side->cpu_child_ns = child_ns;
	side->cpu_root_ns = root_ns;
}

static void show_progress(struct bench *b, const char *what, uint32_t round)
{
	uint64_t end = clock_ns() + b->phase_ns, last = 0, t = clock_ns();
	struct timespec nap = { .tv_nsec = 200000000 };

	while (clock_ns() + 250000000ull < end && !load_relaxed(&interrupted)) {
		uint64_t sum = 0, now;

		nanosleep(&nap, NULL);
		for (uint32_t i = 0; i < b->o->numjobs; i++)
			sum += load_relaxed(&b->job[i].progress);
		now = clock_ns();
		cli_progress("%s  round %u/%u  %s IOPS", what, round + 1, b->o->rounds,
			     cli_human((double)(sum - last) * 1e9 / (double)(now - t)));
		last = sum;
		t = now;
	}
}

static void phase(struct bench *b, bool raw, uint32_t round, struct bench_side *side)
{
	uint64_t child = own_cpu_ns(), root = b->root > 0 ? spawn_cpu_ns(b->root) : 0;

	for (uint32_t i = 0; i < b->o->numjobs; i++)
		store_relaxed(&b->job[i].progress, 0);
	pthread_barrier_wait(&b->barrier);
	show_progress(b, raw ? "raw io_uring" : "hvbus", round);
	pthread_barrier_wait(&b->barrier);
	collect(b, raw, side, own_cpu_ns() - child,
		b->root > 0 && !raw ? spawn_cpu_ns(b->root) - root : 0);
}

static double per_io(const struct bench_side *s)
{
	return s->ios ? (double)(s->cpu_child_ns + s->cpu_root_ns) / (double)s->ios : 0;
}

static double rate(const struct bench_side *s)
{
	return s->elapsed_ns ? (double)s->ios * 1e9 / (double)s->elapsed_ns : 0;
}

static void add_side(struct bench_side *to, const struct bench_side *from)
{
	hist_merge(&to->hist, &from->hist);
	to->ios += from->ios;
	to->bytes += from->bytes;
	to->errors += from->errors;
	to->mismatches += from->mismatches;
	to->elapsed_ns += from->elapsed_ns;
	to->cpu_child_ns += from->cpu_child_ns;
	to->cpu_root_ns += from->cpu_root_ns;
}

static void one_round(struct bench *b, uint32_t i)
{
	struct bench_result *r = b->r;
	struct bench_side *ours = calloc(2, sizeof(*ours)), *raw = ours + 1;

	if (!ours)
		cli_die(CLI_FAILED, "out of memory");
	phase(b, false, i, ours);
	add_side(&r->ours, ours);
	if (b->o->compare) {
		double p50 = 0;

		phase(b, true, i, raw);
		add_side(&r->raw, raw);
		p50 = hist_quantile(&raw->hist, 0.5);
		r->iops_ratio[i] = rate(raw) > 0 ? rate(ours) / rate(raw) : 0;
		r->p50_ratio[i] = p50 > 0 ? hist_quantile(&ours->hist, 0.5) / p50 : 0;
		r->cpu_ratio[i] = per_io(raw) > 0 ? per_io(ours) / per_io(raw) : 0;
	}
	free(ours);
}

static void run_rounds(struct bench *b)
{
	struct counters before, after;
	uint32_t i;

	before = count_signals(b);
	for (i = 0; i < b->o->rounds; i++)
		one_round(b, i);
	b->r->rounds = i;
	after = count_signals(b);
	b->r->signals_child = after.child - before.child;
	b->r->signals_root = after.root - before.root;
	b->r->signals_suppressed = after.suppressed - before.suppressed;
}

static int first_error(struct bench *b)
{
	for (uint32_t i = 0; i < b->o->numjobs; i++) {
		if (b->job[i].error)
			return b->job[i].error;
	}
	return 0;
}

static void start_jobs(struct bench *b)
{
	pthread_barrier_init(&b->barrier, NULL, b->o->numjobs + 1);
	for (uint32_t i = 0; i < b->o->numjobs; i++) {
		b->job[i].b = b;
		b->job[i].index = i;
		if (pthread_create(&b->job[i].thread, NULL, job_main, &b->job[i]))
			cli_die(CLI_FAILED, "no thread for job %u", i);
	}
	pthread_barrier_wait(&b->barrier);
	if (first_error(b))
		store_relaxed(&b->stop, true);
}

static void end_jobs(struct bench *b)
{
	for (uint32_t i = 0; i < b->o->numjobs; i++) {
		struct job *j = &b->job[i];

		pthread_join(j->thread, NULL);
		b->r->ours.mismatches += j->ours.mismatches;
		load_fini(&j->ours);
		load_fini(&j->raw);
		if (j->ours_target)
			j->ours_target->close(j->ours_target);
	}
	pthread_barrier_destroy(&b->barrier);
}

int bench_disk_run(const struct bench_options *o, struct bench_result *r)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct sigaction sa = { .sa_handler = on_interrupt }, old;
	int err;

	if (!b)
		cli_die(CLI_FAILED, "out of memory");
	b->o = o;
	b->r = r;
	b->size = o->size ? o->size : 256u << 20;
	b->phase_ns = (uint64_t)(o->runtime * 1e9 / o->rounds);
	snprintf(r->engine, sizeof(r->engine), "%s", o->engine_name);
	if (o->engine != ENGINE_NOOP) {
		if (o->socket)
			find_root(b);
		else
			start_root(b);
		attach(b);
	}
	sigaction(SIGINT, &sa, &old);
	start_jobs(b);
	if (!b->stop)
		run_rounds(b);
	else
		for (uint32_t i = 0; i < 2 * o->rounds * (o->compare ? 2 : 1); i++)
			pthread_barrier_wait(&b->barrier);
	pthread_barrier_wait(&b->barrier);
	end_jobs(b);
	err = first_error(b);
	sigaction(SIGINT, &old, NULL);
	clean_up(b);
	free(b);
	cli_progress("%s", "");
	if (err)
		cli_die(CLI_FAILED, "the run failed: %s", strerror(-err));
	return r->ours.errors || r->ours.mismatches || r->raw.errors ? CLI_FAILED : CLI_OK;
}
