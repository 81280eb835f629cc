/* SPDX-License-Identifier: MIT */
/*
 * Faults as people write them: "write:5000-6000:eio:10%:delay=20ms+flush:stuck".
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vsp/storvsp/blk/blk_int.h"
#include "vsp/storvsp/blk/blk_policy.h"

#define TEXT_MAX 1024

struct word {
	const char *text;
	uint32_t value;
};

static const struct word op_words[] = {
	{ "all", BLK_ANY_OP },
	{ "read", 1u << BLK_READ },
	{ "write", 1u << BLK_WRITE },
	{ "flush", 1u << BLK_FLUSH },
	{ "discard", 1u << BLK_DISCARD },
	{ "zero", 1u << BLK_ZERO },
	{ NULL, 0 },
};
static const struct word error_words[] = {
	{ "eio", EIO },	      { "enospc", ENOSPC }, { "etimedout", ETIMEDOUT },
	{ "erofs", EROFS },   { "enodev", ENODEV }, { "enxio", ENXIO },
	{ "edquot", EDQUOT }, { "efbig", EFBIG },   { "eilseq", EILSEQ },
	{ "enomem", ENOMEM }, { NULL, 0 },
};
static const struct word time_words[] = {
	{ "us", 1 }, { "ms", 1000 }, { "s", 1000000 }, { NULL, 0 }
};

static uint32_t find(const struct word *w, const char *text)
{
	while (w->text && strcmp(w->text, text) != 0)
		w++;
	return w->value;
}

/* Digits, and nothing that strtoull() would take besides; *@end behind them. */
static bool number(const char *s, uint64_t *out, char **end)
{
	errno = 0;
	*out = strtoull(s, end, 10);
	return isdigit((unsigned char)*s) && !errno;
}

static bool set_ops(struct blk_fault *f, char *text)
{
	char *save = NULL, *s;

	for (s = strtok_r(text, "/", &save); s; s = strtok_r(NULL, "/", &save)) {
		uint32_t bits = find(op_words, s);

		if (!bits)
			return false;
		f->ops |= bits;
	}
	return f->ops;
}

static bool set_range(struct blk_fault *f, const char *s, uint32_t block)
{
	uint64_t first, last, most = UINT64_MAX / block - 1;
	char *end;

	if (!number(s, &first, &end))
		return false;
	last = first;
	if (*end == '-' && !number(end + 1, &last, &end))
		return false;
	if (*end || last < first || last > most)
		return false;
	f->first = first * block;
	f->end = (last + 1) * block;
	return true;
}

/* "10%", "0.5%": four digits behind the point are one in a million. */
static bool set_percent(struct blk_fault *f, const char *s)
{
	uint64_t whole, part = 0;
	uint32_t unit = 10000;
	char *end;

	if (!number(s, &whole, &end) || whole > 100)
		return false;
	if (*end == '.')
		for (end++; isdigit((unsigned char)*end) && unit > 1; end++) {
			unit /= 10;
			part += (uint64_t)(*end - '0') * unit;
		}
	f->per_million = (uint32_t)(whole * 10000 + part);
	return !strcmp(end, "%") && f->per_million && f->per_million <= 1000000;
}

static bool set_delay(struct blk_fault *f, const char *s)
{
	uint64_t n;
	uint32_t unit;
	char *end;

	if (!number(s, &n, &end))
		return false;
	unit = find(time_words, end);
	f->delay_us = n * unit;
	return unit && n && n <= 86400ull * 1000000 / unit;
}

static bool set_times(struct blk_fault *f, const char *s)
{
	uint64_t n;
	char *end;

	if (!number(s, &n, &end) || *end || !n || n > UINT32_MAX)
		return false;
	f->times = (uint32_t)n;
	return true;
}

static bool set_field(struct blk_fault *f, const char *s, uint32_t block)
{
	uint32_t error = find(error_words, s);

	if (error) {
		f->error = -(int)error;
		return true;
	}
	if (!strcmp(s, "stuck")) {
		f->stuck = true;
		return true;
	}
	if (!strncmp(s, "delay=", 6))
		return set_delay(f, s + 6);
	if (!strncmp(s, "times=", 6))
		return set_times(f, s + 6);
	return *s && s[strlen(s) - 1] == '%' ? set_percent(f, s) : set_range(f, s, block);
}

static int parse_one(char *text, uint32_t block, struct blk_fault *f, char *why, size_t n)
{
	char *save = NULL, *s = strtok_r(text, ":", &save);

	*f = (struct blk_fault){ 0 };
	if (!s || !set_ops(f, s))
		return blk_fail(why, n, -EINVAL,
				"fault: it begins with all, or with read write flush discard zero "
				"joined by '/'");
	while ((s = strtok_r(NULL, ":", &save)))
		if (!set_field(f, s, block))
			return blk_fail(why, n, -EINVAL,
					"fault: '%s' is none of FIRST-LAST, eio enospc etimedout "
					"erofs enodev enxio edquot efbig eilseq enomem, 10%%, "
					"delay=20ms, stuck, times=3",
					s);
	if (!f->error && !f->delay_us && !f->stuck)
		return blk_fail(why, n, -EINVAL,
				"fault: it does nothing; add an error, delay=TIME or stuck");
	return 0;
}

int blk_fault_parse(const char *text, uint32_t block_size, struct blk_fault *out, uint32_t max,
		    char *why, size_t whylen)
{
	char copy[TEXT_MAX], *save = NULL, *s;
	int n = 0, err;

	if (strlen(text) >= sizeof(copy))
		return blk_fail(why, whylen, -EINVAL, "fault: longer than %d characters", TEXT_MAX);
	memcpy(copy, text, strlen(text) + 1);
	for (s = strtok_r(copy, "+", &save); s; s = strtok_r(NULL, "+", &save)) {
		if ((uint32_t)n == max)
			return blk_fail(why, whylen, -ENOSPC, "fault: more than %u of them", max);
		err = parse_one(s, block_size ? block_size : 512, &out[n], why, whylen);
		if (err)
			return err;
		n++;
	}
	return n ? n : blk_fail(why, whylen, -EINVAL, "fault: it is empty");
}

/* ---- and back -------------------------------------------------------------------------- */

static PRINTF_LIKE(4, 5) void add(char *out, size_t len, size_t *at, const char *fmt, ...)
{
	va_list ap;

	if (*at >= len)
		return;
	va_start(ap, fmt);
	*at += (size_t)vsnprintf(out + *at, len - *at, fmt, ap);
	va_end(ap);
}

static void add_ops(const struct blk_fault *f, char *out, size_t len, size_t *at)
{
	uint32_t left = f->ops ? f->ops : BLK_ANY_OP;

	for (const struct word *w = op_words; w->text; w++) {
		if ((left & w->value) != w->value)
			continue;
		add(out, len, at, "%s%s", *at ? "/" : "", w->text);
		left &= ~w->value;
	}
}

static void add_error(int error, char *out, size_t len, size_t *at)
{
	const struct word *w = error_words;

	while (w->text && w->value != (uint32_t)-error)
		w++;
	if (w->text)
		add(out, len, at, ":%s", w->text);
	else if (error)
		add(out, len, at, ":%d", error); /* nobody writes it, so nobody has to read it */
}

static void add_time(uint64_t us, char *out, size_t len, size_t *at)
{
	bool ms = us % 1000 == 0, s = us % 1000000 == 0;

	if (us)
		add(out, len, at, ":delay=%llu%s",
		    (unsigned long long)(s    ? us / 1000000
					 : ms ? us / 1000
					      : us),
		    s	 ? "s"
		    : ms ? "ms"
			 : "us");
}

char *blk_fault_format(const struct blk_fault *f, uint32_t block_size, char *out, size_t len)
{
	uint64_t block = block_size ? block_size : 512;
	size_t at = 0;

	add_ops(f, out, len, &at);
	if (f->end)
		add(out, len, &at, ":%llu-%llu", (unsigned long long)(f->first / block),
		    (unsigned long long)((f->end - 1) / block));
	add_error(f->error, out, len, &at);
	if (f->per_million)
		add(out, len, &at, ":%g%%", f->per_million / 1e4);
	add_time(f->delay_us, out, len, &at);
	if (f->stuck)
		add(out, len, &at, ":stuck");
	if (f->times)
		add(out, len, &at, ":times=%u", f->times);
	return out;
}
