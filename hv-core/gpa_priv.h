/* SPDX-License-Identifier: MIT */
/* The region table of guest memory. Only for gpa*.c. */
#ifndef HVBUS_HV_CORE_GPA_PRIV_H
#define HVBUS_HV_CORE_GPA_PRIV_H

#include "hv-core/gpa.h"

struct hv_gpa_region {
	uint64_t gpa, len;
	uint8_t *host;
	uint64_t offset; /* of the region in @fd */
	int fd;
};

struct hv_gpa {
	uint32_t refs; /* any thread */
	uint32_t nr;
	bool guarded;	 /* ranges and views are in the table of gpa_guard.c */
	int guard_sock;	 /* shut down when a page fails; -1 = none. Any thread */
	uint32_t failed; /* any thread */
	struct hv_gpa_region region[HV_GPA_MAX_REGIONS + 1]; /* the one after the last is empty */
};

/* The region that holds all of [gpa, gpa + len), or NULL. */
const struct hv_gpa_region *hv_gpa_find(const struct hv_gpa *g, uint64_t gpa, uint64_t len);

/*
 * gpa_guard.c: [start, start + len) belongs to @g; no longer; @g is about to be freed
 * though views of it may live on.
 */
void hv_gpa_guard_add(struct hv_gpa *g, void *start, size_t len);
void hv_gpa_guard_remove(const void *start);
void hv_gpa_guard_forget(const struct hv_gpa *g);

#endif
