/* SPDX-License-Identifier: MIT */
/*
 * Helpers of the subcommands.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "vmwp/root.h"

static const char *command_name = "";
static bool progress_shown;

void cli_set_command(const char *name)
{
	command_name = name;
}

void cli_die(int status, const char *fmt, ...)
{
	va_list ap;

	cli_progress("%s", "");
	fflush(stdout);
	fprintf(stderr, "hvbus%s%s: ", *command_name ? " " : "", command_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(status);
}

static void print_help(const struct cli_option *o, const char *usage, const char *examples)
{
	char left[64];

	printf("%s", usage);
	if (o->name)
		printf("\nOptions:\n");
	for (; o->name; o++) {
		snprintf(left, sizeof(left), "--%s%s%s", o->name, o->arg ? " " : "",
			 o->arg ? o->arg : "");
		printf("  %-26s %s\n", left, o->help);
	}
	if (examples)
		printf("\nExamples:\n%s", examples);
	exit(CLI_OK);
}

static const struct cli_option *find_option(const struct cli_option *o, const char *name,
					    size_t len)
{
	const struct cli_option *socket = NULL;

	for (; o->name; o++) {
		if (strlen(o->name) == len && !strncmp(o->name, name, len))
			return o;
		if (!strcmp(o->name, "socket"))
			socket = o;
	}
	/* What `hvbus run` calls it. */
	return len == strlen("control") && !strncmp(name, "control", len) ? socket : NULL;
}

int cli_parse(int argc, char **argv, const struct cli_option *options, const char *usage,
	      const char *examples, void *ctx)
{
	int i;

	for (i = 1; i < argc && !strncmp(argv[i], "-", 1) && argv[i][1]; i++) {
		const char *name = argv[i] + 2, *value = NULL;
		const struct cli_option *o;
		size_t len;

		if (!strcmp(argv[i], "--"))
			return i + 1;
		if (!strcmp(argv[i], "-h") || !strcmp(argv[i], "--help"))
			print_help(options, usage, examples);
		len = strcspn(name, "=");
		o = strncmp(argv[i], "--", 2) ? NULL : find_option(options, name, len);
		if (!o)
			cli_die(CLI_USAGE, "unknown option '%s'; `hvbus %s --help` lists them",
				argv[i], command_name);
		if (name[len] == '=')
			value = name + len + 1;
		if (!o->arg && value)
			cli_die(CLI_USAGE, "--%s takes no value", o->name);
		if (o->arg && !value) {
			if (++i >= argc)
				cli_die(CLI_USAGE, "--%s needs a value: %s", o->name, o->arg);
			value = argv[i];
		}
		o->set(ctx, value);
	}
	return i;
}

uint64_t cli_size(const char *option, const char *value)
{
	uint64_t v;

	if (root_parse_size(value, &v))
		cli_die(CLI_USAGE, "--%s=%s: a size such as 4096, 64K or 1G is needed", option,
			value);
	return v;
}

uint64_t cli_number(const char *option, const char *value, uint64_t min, uint64_t max)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(value, &end, 10);
	if (errno || *end || !isdigit((unsigned char)*value) || v < min || v > max)
		cli_die(CLI_USAGE, "--%s=%s: a number from %llu to %llu is needed", option, value,
			(unsigned long long)min, (unsigned long long)max);
	return v;
}

double cli_seconds(const char *option, const char *value)
{
	char *end;
	double v = strtod(value, &end);

	if (end == value || (*end && strcmp(end, "s")) || !(v > 0 && v <= 86400))
		cli_die(CLI_USAGE, "--%s=%s: seconds are needed, such as 5 or 0.5", option, value);
	return v;
}

int cli_choice(const char *option, const char *value, const char *const *allowed)
{
	char list[256];
	size_t at = 0;
	int i;

	for (i = 0; allowed[i]; i++) {
		if (!strcmp(allowed[i], value))
			return i;
		if (at < sizeof(list))
			at += (size_t)snprintf(list + at, sizeof(list) - at, " %s", allowed[i]);
	}
	cli_die(CLI_USAGE, "--%s=%s: allowed are%s", option, value, list);
}

void cli_progress(const char *fmt, ...)
{
	va_list ap;

	if (!isatty(STDERR_FILENO))
		return;
	if (!progress_shown && !strcmp(fmt, "%s")) /* clearing nothing */
		return;
	va_start(ap, fmt);
	fprintf(stderr, "\r\033[K");
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fflush(stderr);
	progress_shown = strcmp(fmt, "%s") != 0;
}

static const char *scaled(double v, double base, const char *const *unit)
{
	static char buf[8][24];
	static unsigned next;
	char *b = buf[next++ % 8];
	int i = 0;

	while (v >= base && unit[i + 1]) {
		v /= base;
		i++;
	}
	snprintf(b, sizeof(buf[0]),
		 v < 10 && i	? "%.2f%s"
		 : v < 100 && i ? "%.1f%s"
				: "%.0f%s",
		 v, unit[i]);
	return b;
}

const char *cli_human(double v)
{
	static const char *const unit[] = { "", "k", "M", "G", NULL };

	return scaled(v, 1000, unit);
}

const char *cli_human_bytes(double v)
{
	static const char *const unit[] = { " B", " KiB", " MiB", " GiB", " TiB", NULL };

	return scaled(v, 1024, unit);
}
