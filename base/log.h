/* SPDX-License-Identifier: MIT */
/*
 * Messages for people. Any thread may call; a message is one write(2) of one
 * line to stderr (or the fd set), so lines of several processes do not mix. Who reads them
 * never holds up who writes: a line there is no room for is lost, and the next one says so.
 *
 * Whatever a peer can trigger goes through log_ratelimited(): at most ten lines
 * a second per site, the rest counted and reported with the next line.
 */
#ifndef HVBUS_BASE_LOG_H
#define HVBUS_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Messages above @level are dropped. Default LOG_INFO. */
void log_set_level(enum log_level level);

/* Where lines go (default 2). The caller keeps ownership of @fd. */
void log_set_fd(int fd);

/* Text in front of each line, e.g. "hvbus serve"; copied, 32 bytes at most. */
void log_set_name(const char *name);

/* Control characters in the formatted text are escaped as \xNN: peers cannot forge lines. */
void log_msg(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_msg(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_msg(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_msg(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(LOG_DEBUG, __VA_ARGS__)

/* Lines that could not be written since the start: nobody reads, or the disk is full. */
uint64_t log_lost(void);

struct log_limit {
	uint64_t window_start_ns;
	uint32_t in_window;
	uint32_t suppressed;
};

/* True when the caller may log now; *@missed is how many were suppressed before. */
bool log_limit_ok(struct log_limit *l, uint32_t *missed);

#define log_ratelimited(level, fmt, ...)                                                           \
	do {                                                                                       \
		static struct log_limit limit__;                                                   \
		uint32_t missed__;                                                                 \
		if (log_limit_ok(&limit__, &missed__)) {                                           \
			if (missed__)                                                              \
				log_msg(level, fmt " (%u similar suppressed)", ##__VA_ARGS__,      \
					missed__);                                                 \
			else                                                                       \
				log_msg(level, fmt, ##__VA_ARGS__);                                \
		}                                                                                  \
	} while (0)

#endif
