/* SPDX-License-Identifier: MIT */
/* Options of a root; see the header. */
#include "cli/root_options.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* Parsers modify what they get. */
static char *copy_of(const char *v)
{
	char *copy = strdup(v);

	if (!copy)
		cli_die(CLI_FAILED, "out of memory");
	return copy;
}

void root_set_disk(void *ctx, const char *v)
{
	struct root_options *s = ctx;
	struct root_config *c = &s->cfg;
	char why[256];

	if (c->nr_disks == ROOT_MAX_DISKS)
		cli_die(CLI_USAGE, "--disk: %d are the limit", ROOT_MAX_DISKS);
	s->arg[c->nr_disks] = copy_of(v);
	if (root_parse_disk(&c->disk[c->nr_disks], s->arg[c->nr_disks], why, sizeof(why)))
		cli_die(CLI_USAGE, "--disk %s: %s", v, why);
	c->nr_disks++;
}

void root_set_switch(void *ctx, const char *v)
{
	struct root_config *c = &((struct root_options *)ctx)->cfg;
	struct root_switch *sw = &c->sw[c->nr_switches];
	char *copy = copy_of(v), why[512];

	if (c->nr_switches == ROOT_MAX_SWITCHES)
		cli_die(CLI_USAGE, "--switch: %d are the limit", ROOT_MAX_SWITCHES);
	if (root_parse_switch(sw, copy, why, sizeof(why)) ||
	    root_check_switch(c->sw, c->nr_switches, sw, why, sizeof(why)))
		cli_die(CLI_USAGE, "--switch %s: %s", v, why);
	c->nr_switches++;
	free(copy);
}

void root_set_mirror(void *ctx, const char *v)
{
	struct root_config *c = &((struct root_options *)ctx)->cfg;
	char *copy = copy_of(v), why[256];

	if (c->nr_mirrors == ROOT_MAX_MIRRORS)
		cli_die(CLI_USAGE, "--mirror: %d are the limit", ROOT_MAX_MIRRORS);
	if (root_parse_mirror(&c->mirror[c->nr_mirrors], copy, why, sizeof(why)))
		cli_die(CLI_USAGE, "--mirror %s: %s", v, why);
	c->nr_mirrors++;
	free(copy);
}

/* The order of options does not matter. */
void root_check_mirrors(const struct root_config *c)
{
	char why[512];

	for (uint32_t i = 0; i < c->nr_mirrors; i++)
		if (!root_find_switch(c->sw, c->nr_switches, c->mirror[i].switch_name, why,
				      sizeof(why)))
			cli_die(CLI_USAGE, "--mirror: %s", why);
}

void root_set_io_threads(void *ctx, const char *v)
{
	((struct root_options *)ctx)->cfg.io_threads = (uint32_t)cli_number("io-threads", v, 0, 16);
}

void root_set_poll(void *ctx, const char *v)
{
	static const char *const modes[] = { "never", "adaptive", "always", NULL };
	static const int32_t spin[] = { 0, 50, LOOP_SPIN_ALWAYS };

	((struct root_options *)ctx)->cfg.spin_us = spin[cli_choice("poll", v, modes)];
}

void root_set_loop(void *ctx, const char *v)
{
	static const char *const names[] = { "auto", "io_uring", "epoll", NULL };

	((struct root_options *)ctx)->cfg.loop_engine =
		(enum loop_engine)cli_choice("loop", v, names);
}

void root_set_cpu(void *ctx, const char *v)
{
	((struct root_options *)ctx)->cfg.cpu = (int)cli_number("cpu", v, 0, 1023);
}

void root_set_stuck_ms(void *ctx, const char *v)
{
	((struct root_options *)ctx)->cfg.stuck_ms =
		(uint32_t)cli_number("stuck-ms", v, 10, 3600000);
}

void root_set_integration(void *ctx, const char *v)
{
	char why[256];

	if (root_parse_integration(&((struct root_options *)ctx)->cfg.integration_off, v, why,
				   sizeof(why)))
		cli_die(CLI_USAGE, "--integration=%s: %s", v, why);
}

void root_set_heartbeat_ms(void *ctx, const char *v)
{
	((struct root_options *)ctx)->cfg.heartbeat_ms =
		(uint32_t)cli_number("heartbeat-ms", v, 10, 3600000);
}

void root_set_sandbox(void *ctx, const char *v)
{
	static const char *const modes[] = { "off", "log", "on", NULL };

	((struct root_options *)ctx)->cfg.sandbox =
		(enum sandbox_mode)cli_choice("sandbox", v, modes);
}

void root_set_verbose(void *ctx, const char *v)
{
	(void)ctx, (void)v;
	log_set_level(LOG_DEBUG);
}
