/* SPDX-License-Identifier: MIT */
/*
 * Which lines of /proc/PID/maps a test counts: all, but for a sanitizer's. That one maps and unmaps
 * memory of its own, and how many pieces that is wanders; what a
 * process holds of others (guest memory, rings, files) has an inode.
 */
#ifndef HVBUS_TESTS_PROC_MAP_LINES_H
#define HVBUS_TESTS_PROC_MAP_LINES_H

#include <stdbool.h>
#include <stdio.h>

static inline bool map_line_counts(const char *line)
{
#if defined(HVBUS_TSAN) || defined(__SANITIZE_ADDRESS__)
	unsigned long inode = 0;

	return sscanf(line, "%*s %*s %*s %*s %lu", &inode) == 1 && inode;
#else
	(void)line;
	return true;
#endif
}

#endif
