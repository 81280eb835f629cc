/* SPDX-License-Identifier: MIT */
/*
 * hvbus bench disk: the table and the JSON object.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/bench_disk.h"
#include "cli/cli.h"

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double bench_median(const double *v, uint32_t n)
{
	double *copy = malloc(n * sizeof(*copy)), m;

	if (!copy || !n) {
		free(copy);
		return 0;
	}
	for (uint32_t i = 0; i < n; i++)
		copy[i] = v[i];
	qsort(copy, n, sizeof(*copy), by_value);
	m = n % 2 ? copy[n / 2] : (copy[n / 2 - 1] + copy[n / 2]) / 2;
	free(copy);
	return m;
}

static double iops(const struct bench_side *s)
{
	return s->elapsed_ns ? (double)s->ios * 1e9 / (double)s->elapsed_ns : 0;
}

static double bandwidth(const struct bench_side *s)
{
	return s->elapsed_ns ? (double)s->bytes * 1e9 / (double)s->elapsed_ns : 0;
}

static double per_io(uint64_t ns, const struct bench_side *s)
{
	return s->ios ? (double)ns / (double)s->ios : 0;
}

static void row(const char *name, const struct bench_side *s)
{
	printf("%-13s %9s %12s/s %9.1f %9.1f %9.1f %9.0f %8.2f %8.2f\n", name, cli_human(iops(s)),
	       cli_human_bytes(bandwidth(s)), hist_quantile(&s->hist, 0.5) / 1e3,
	       hist_quantile(&s->hist, 0.99) / 1e3, hist_quantile(&s->hist, 0.999) / 1e3,
	       (double)s->hist.max / 1e3, per_io(s->cpu_child_ns, s) / 1e3,
	       per_io(s->cpu_root_ns, s) / 1e3);
}

void bench_print(const struct bench_options *o, const struct bench_result *r)
{
	uint64_t signals = r->signals_child + r->signals_root;

	printf("%s  bs %u  iodepth %u  numjobs %u  engine %s%s\n", o->rw_name, o->bs, o->iodepth,
	       o->numjobs, r->engine, o->direct && o->engine <= ENGINE_LIBAIO ? "  O_DIRECT" : "");
	printf("%-13s %9s %14s %9s %9s %9s %9s %8s %8s\n", "", "IOPS", "bandwidth", "p50 us",
	       "p99 us", "p99.9 us", "max us", "cpu us", "root us");
	row("hvbus", &r->ours);
	if (o->compare)
		row("raw io_uring", &r->raw);
	if (o->compare)
		printf("%-13s %8.2fx %14s %8.2fx %29s cpu %.2fx   median of %u interleaved "
		       "rounds\n",
		       "ratio", bench_median(r->iops_ratio, r->rounds), "",
		       bench_median(r->p50_ratio, r->rounds), "",
		       bench_median(r->cpu_ratio, r->rounds), r->rounds);
	if (r->ours.ios)
		printf("signals per 1000 I/O: %.1f (child %.1f, root %.1f)\n",
		       1000.0 * (double)signals / (double)r->ours.ios,
		       1000.0 * (double)r->signals_child / (double)r->ours.ios,
		       1000.0 * (double)r->signals_root / (double)r->ours.ios);
	if (o->verify)
		printf("verify: %s\n",
		       r->ours.mismatches ? "MISMATCHES" : "every block as written");
	if (r->ours.errors || r->ours.mismatches)
		printf("errors: %llu requests failed, %llu blocks differ\n",
		       (unsigned long long)r->ours.errors, (unsigned long long)r->ours.mismatches);
}

static json_t *side_json(const struct bench_options *o, const struct bench_result *r,
			 const struct bench_side *s)
{
	json_t *j = json_pack(
		"{s:s, s:I, s:I, s:I, s:s, s:f, s:f, s:{s:f, s:f, s:f, s:I}, s:{s:f, s:f}, s:I}",
		"op", o->rw_name, "bs", (json_int_t)o->bs, "iodepth", (json_int_t)o->iodepth,
		"numjobs", (json_int_t)o->numjobs, "engine", r->engine, "iops", iops(s),
		"bytes_per_second", bandwidth(s), "latency_ns", "p50", hist_quantile(&s->hist, 0.5),
		"p99", hist_quantile(&s->hist, 0.99), "p999", hist_quantile(&s->hist, 0.999), "max",
		(json_int_t)s->hist.max, "cpu_ns_per_io", "child", per_io(s->cpu_child_ns, s),
		"root", per_io(s->cpu_root_ns, s), "errors",
		(json_int_t)(s->errors + s->mismatches));

	return j;
}

void bench_print_json(const struct bench_options *o, const struct bench_result *r)
{
	json_t *j = side_json(o, r, &r->ours), *raw;
	uint64_t signals = r->signals_child + r->signals_root;
	char *text;

	json_object_set_new(
		j, "signals_per_1000_io",
		json_real(r->ours.ios ? 1000.0 * (double)signals / (double)r->ours.ios : 0));
	json_object_set_new(j, "verified", json_boolean(o->verify));
	if (o->compare) {
		json_object_set_new(j, "compare",
				    json_pack("{s:f, s:f, s:f, s:I}", "iops_ratio",
					      bench_median(r->iops_ratio, r->rounds), "p50_ratio",
					      bench_median(r->p50_ratio, r->rounds), "cpu_ratio",
					      bench_median(r->cpu_ratio, r->rounds), "rounds",
					      (json_int_t)r->rounds));
		raw = side_json(o, r, &r->raw);
		json_object_set_new(raw, "engine", json_string("raw io_uring"));
		json_object_set_new(j, "raw", raw);
	}
	text = json_dumps(j, JSON_INDENT(2) | JSON_REAL_PRECISION(8));
	printf("%s\n", text ? text : "{}");
	free(text);
	json_decref(j);
}
