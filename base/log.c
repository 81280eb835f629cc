/* SPDX-License-Identifier: MIT */
/* Messages for people: one escaped line, one write(2). */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/log.h"

#define LINE_MAX_BYTES	 1024
#define NOTE_MAX_BYTES	 64
#define LIMIT_PER_SECOND 10
#define SECOND_NS	 1000000000u

static int max_level = LOG_INFO;
static int out_fd = 2;
static pthread_mutex_t name_lock = PTHREAD_MUTEX_INITIALIZER; /* guards out_name */
static char out_name[33];
static pthread_mutex_t out_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the rest */
static uint64_t lost, lost_told;

static const char *const level_text[] = {
	[LOG_ERROR] = "error: ",
	[LOG_WARN] = "warning: ",
	[LOG_INFO] = "",
	[LOG_DEBUG] = "debug: ",
};

void log_set_level(enum log_level level)
{
	store_relaxed(&max_level, (int)level);
}

void log_set_fd(int fd)
{
	store_relaxed(&out_fd, fd);
}

void log_set_name(const char *name)
{
	pthread_mutex_lock(&name_lock);
	snprintf(out_name, sizeof(out_name), "%s", name);
	pthread_mutex_unlock(&name_lock);
}

/*
 * Control characters would let a peer forge lines or drive the reader's terminal: the
 * ASCII ones, and U+0080..U+009F, which terminals take for the same thing in UTF-8.
 */
static bool is_control(const unsigned char *p)
{
	return *p < 0x20 || *p == 0x7f || (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f);
}

/* Appends @text to the line, escaped, as far as there is room; returns the new length. */
static size_t append_escaped(char *line, size_t len, size_t room, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	for (; *p; p++) {
		if (is_control(p)) {
			if (len + 4 > room)
				break;
			len += (size_t)sprintf(line + len, "\\x%02x", *p);
		} else {
			if (len + 1 > room)
				break;
			line[len++] = (char)*p;
		}
	}
	return len;
}

uint64_t log_lost(void)
{
	return load_relaxed(&lost);
}

/*
 * A pipe or a terminal that says it has room takes one line without sleeping: a line is
 * shorter than PIPE_BUF, and the lock keeps our other threads from taking the room first. The
 * descriptor is not made non-blocking for this: whoever started us shares it.
 */
static void put_line(char *line, size_t len)
{
	struct pollfd room = { load_relaxed(&out_fd), POLLOUT, 0 };

	pthread_mutex_lock(&out_lock);
	if (lost > lost_told)
		len += (size_t)snprintf(line + len, NOTE_MAX_BYTES,
					" (%llu lines before were lost)",
					(unsigned long long)(lost - lost_told));
	line[len++] = '\n';
	if (poll(&room, 1, 0) > 0 && write(room.fd, line, len) > 0)
		lost_told = lost;
	else
		store_relaxed(&lost, lost + 1);
	pthread_mutex_unlock(&out_lock);
}

void log_msg(enum log_level level, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES + NOTE_MAX_BYTES];
	int saved_errno = errno;
	size_t len = 0;
	va_list ap;

	if ((int)level > load_relaxed(&max_level))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);

	pthread_mutex_lock(&name_lock);
	if (out_name[0])
		len = append_escaped(line, 0, sizeof(out_name), out_name);
	pthread_mutex_unlock(&name_lock);
	if (len) {
		line[len++] = ':';
		line[len++] = ' ';
	}
	len = append_escaped(line, len, LINE_MAX_BYTES - 1, level_text[level]);
	len = append_escaped(line, len, LINE_MAX_BYTES - 1, text);
	put_line(line, len);
	errno = saved_errno;
}

/*
 * Threads may share a site: whoever moves the window on resets the count. The counters
 * are statistics, nothing is published through them, so relaxed order is enough.
 */
bool log_limit_ok(struct log_limit *l, uint32_t *missed)
{
	uint64_t start = load_relaxed(&l->window_start_ns);
	uint64_t now = clock_ns();

	*missed = 0;
	if (!start || now - start >= SECOND_NS) {
		if (__atomic_compare_exchange_n(&l->window_start_ns, &start, now, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
			store_relaxed(&l->in_window, 1);
			*missed = __atomic_exchange_n(&l->suppressed, 0, __ATOMIC_RELAXED);
			return true;
		}
	}
	if (__atomic_fetch_add(&l->in_window, 1, __ATOMIC_RELAXED) < LIMIT_PER_SECOND)
		return true;
	__atomic_fetch_add(&l->suppressed, 1, __ATOMIC_RELAXED);
	return false;
}
