/* SPDX-License-Identifier: MIT */
/*
 * Integration services of a guest: which it is offered, and what becomes of what they find out.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "vmwp/root_priv.h"

int root_parse_integration(uint32_t *off, const char *list, char *why, size_t n)
{
	uint32_t on = 0, bit;
	char name[32];
	size_t len;

	if (!strcmp(list, "all") || !strcmp(list, "none")) {
		*off = *list == 'a' ? 0 : IC_SERVICES_ALL;
		return 0;
	}
	for (;; list++) {
		len = strcspn(list, ",");
		snprintf(name, sizeof(name), "%.*s", (int)(len < sizeof(name) ? len : 0), list);
		bit = ic_services_named(name);
		if (!bit) {
			snprintf(why, n, "'%.*s' is no service; there are %s, all, none",
				 (int)(len < 64 ? len : 64), list, IC_SERVICES_LIST);
			return -EINVAL;
		}
		on |= bit;
		list += len;
		if (!*list)
			break;
	}
	*off = IC_SERVICES_ALL & ~on;
	return 0;
}

/* A guest that hangs is worth a line, and one in inspect that outlasts it. */
static void on_heartbeat(void *ctx, const struct ic_heartbeat_status *now)
{
	struct guest *g = ctx;
	uint32_t id = hv_partition_id(g->partition);
	const char *name = hv_partition_name(g->partition);

	if (g->ending)
		return;
	if (now->contact == IC_CONTACT_LOST) {
		log_ratelimited(LOG_WARN, "partition %u (%s) does not answer heartbeats any more",
				id, name);
		root_note_fault(g->root, id, name, "heartbeats are not answered any more");
	} else if (now->contact == IC_CONTACT_OK && now->lost) {
		log_ratelimited(LOG_INFO, "partition %u (%s) answers heartbeats: %s", id, name,
				ic_application_name(now->application));
	}
}

int integration_add(struct guest *g)
{
	struct root *r = g->root;
	struct ic_services_config cfg = {
		.loop = r->loop,
		.off = r->cfg.integration_off,
		.heartbeat = { .period_ms = r->cfg.heartbeat_ms,
			       .changed = on_heartbeat,
			       .ctx = g },
	};

	return ic_services_create(&g->ic, g->bus, &cfg);
}
