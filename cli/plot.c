/* SPDX-License-Identifier: MIT */
/*
 * Latency distributions as an SVG: share of requests (y) finished within a time (x,
 * logarithmic), one curve for each side.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "cli/bench_disk.h"

#define W      860.0
#define H      480.0
#define LEFT   70.0
#define RIGHT  30.0
#define TOP    60.0
#define BOTTOM 60.0

struct axis {
	double lo, hi; /* decades: log10 of ns */
};

static double x_of(const struct axis *a, double ns)
{
	double l = log10(ns < 1 ? 1 : ns);

	return LEFT + (l - a->lo) / (a->hi - a->lo) * (W - LEFT - RIGHT);
}

static double y_of(double share)
{
	return H - BOTTOM - share * (H - TOP - BOTTOM);
}

static void grid(FILE *f, const struct axis *a)
{
	static const char *const unit[] = { "1 ns", "10 ns", "100 ns", "1 us", "10 us", "100 us",
					    "1 ms", "10 ms", "100 ms", "1 s",  "10 s",	"100 s" };

	for (int d = (int)a->lo; d <= (int)a->hi && d < 12; d++) {
		double x = x_of(a, pow(10, d));

		fprintf(f, "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='#ddd'/>\n", x,
			TOP, x, H - BOTTOM);
		fprintf(f, "<text x='%.1f' y='%.1f' text-anchor='middle'>%s</text>\n", x,
			H - BOTTOM + 18, unit[d]);
	}
	for (int p = 0; p <= 100; p += 25) {
		double y = y_of(p / 100.0);

		fprintf(f, "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='#ddd'/>\n", LEFT,
			y, W - RIGHT, y);
		fprintf(f, "<text x='%.1f' y='%.1f' text-anchor='end'>%d%%</text>\n", LEFT - 8,
			y + 4, p);
	}
	fprintf(f, "<text x='%.1f' y='%.1f' text-anchor='middle'>latency of a request</text>\n",
		(LEFT + W - RIGHT) / 2, H - 14);
}

static void curve(FILE *f, const struct axis *a, const struct hist *h, const char *colour)
{
	uint64_t seen = 0;

	fprintf(f, "<polyline fill='none' stroke='%s' stroke-width='2' points='", colour);
	for (uint32_t i = 0; i < HIST_SIZE; i++) {
		if (!h->bucket[i])
			continue;
		fprintf(f, "%.1f,%.1f ", x_of(a, hist_value(i)),
			y_of((double)seen / (double)h->count));
		seen += h->bucket[i];
		fprintf(f, "%.1f,%.1f ", x_of(a, hist_value(i)),
			y_of((double)seen / (double)h->count));
	}
	fprintf(f, "'/>\n");
}

static void legend(FILE *f, int n, const char *name, const struct hist *h, const char *colour)
{
	double y = TOP + 18 + 20 * n;

	fprintf(f, "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='%s' stroke-width='3'/>\n",
		LEFT + 12, y - 4, LEFT + 36, y - 4, colour);
	fprintf(f, "<text x='%.1f' y='%.1f'>%s: p50 %.1f us, p99 %.1f us, p99.9 %.1f us</text>\n",
		LEFT + 44, y, name, hist_quantile(h, 0.5) / 1e3, hist_quantile(h, 0.99) / 1e3,
		hist_quantile(h, 0.999) / 1e3);
}

static void widen(struct axis *a, const struct hist *h)
{
	double lo = floor(log10(fmax(1, hist_quantile(h, 0.0001)))),
	       hi = ceil(log10(fmax(10, (double)h->max)));

	a->lo = fmin(a->lo, lo);
	a->hi = fmax(a->hi, hi);
}

int bench_plot(const char *path, const struct bench_options *o, const struct bench_result *r)
{
	struct axis a = { 12, 0 };
	FILE *f = fopen(path, "w");
	int err;

	if (!f)
		return -errno;
	widen(&a, &r->ours.hist);
	if (o->compare)
		widen(&a, &r->raw.hist);
	fprintf(f,
		"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %.0f %.0f' "
		"font-family='sans-serif' font-size='12'>\n",
		W, H);
	fprintf(f, "<rect width='100%%' height='100%%' fill='white'/>\n");
	fprintf(f,
		"<text x='%.1f' y='30' font-size='16'>%s, %u bytes, iodepth %u, engine %s</text>\n",
		LEFT, o->rw_name, o->bs, o->iodepth, r->engine);
	grid(f, &a);
	curve(f, &a, &r->ours.hist, "#1f6feb");
	legend(f, 0, "hvbus", &r->ours.hist, "#1f6feb");
	if (o->compare) {
		curve(f, &a, &r->raw.hist, "#d1242f");
		legend(f, 1, "raw io_uring", &r->raw.hist, "#d1242f");
	}
	fprintf(f, "</svg>\n");
	err = ferror(f) ? -EIO : 0;
	return fclose(f) ? -errno : err;
}
