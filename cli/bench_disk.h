/* SPDX-License-Identifier: MIT */
/*
 * What `bench disk` and its report share, also for the demo.
 */
#ifndef HVBUS_CLI_BENCH_DISK_H
#define HVBUS_CLI_BENCH_DISK_H

#include "cli/load.h"

#define BENCH_MAX_JOBS	 16
#define BENCH_MAX_ROUNDS 256

struct bench_options {
	const char *socket, *filename, *plot, *engine_name;
	const char *rw_name;
	uint8_t controller, lun;
	enum blk_engine_choice {
		ENGINE_IO_URING,
		ENGINE_LIBAIO,
		ENGINE_MEMORY,
		ENGINE_NULL,
		ENGINE_NOOP
	} engine;
	enum load_rw rw;
	uint32_t bs, iodepth, numjobs, rounds, mix_read;
	double runtime;
	uint64_t size;
	bool direct, verify, json, compare, quiet;
	int32_t spin_us;
	int cpu_child, cpu_root; /* -1: not pinned */
	int io_threads;
};

/* What one side did in one round. */
struct bench_side {
	struct hist hist;
	uint64_t ios, bytes, errors, mismatches, elapsed_ns, cpu_child_ns, cpu_root_ns;
};

struct bench_result {
	struct bench_side ours, raw; /* all rounds together */
	uint32_t rounds;
	double iops_ratio[BENCH_MAX_ROUNDS], p50_ratio[BENCH_MAX_ROUNDS],
		cpu_ratio[BENCH_MAX_ROUNDS];
	uint64_t signals_child, signals_root, signals_suppressed;
	char engine[16];
};

/* Runs the benchmark (dies with a sentence when it cannot). 0, or 1 when requests failed. */
int bench_disk_run(const struct bench_options *o, struct bench_result *r);

/* bench_report.c */
void bench_print(const struct bench_options *o, const struct bench_result *r);
void bench_print_json(const struct bench_options *o, const struct bench_result *r);
double bench_median(const double *v, uint32_t n);

/* plot.c: cumulative latency distributions as a picture. 0 or -errno. */
int bench_plot(const char *path, const struct bench_options *o, const struct bench_result *r);

#endif
