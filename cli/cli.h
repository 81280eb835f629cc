/* SPDX-License-Identifier: MIT */
/*
 * What the subcommands share: option parsing with errors that name the culprit,
 * numbers, progress on the terminal, the connection to a running root.
 *
 * Exit status: 0 done, 1 it failed (one line on stderr says why), 2 wrong usage.
 */
#ifndef HVBUS_CLI_CLI_H
#define HVBUS_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

struct cli_option {
	const char *name; /* long name without dashes */
	const char *arg;  /* what the value is called in the help, NULL = a flag */
	const char *help;
	void (*set)(void *ctx, const char *value); /* calls cli_die() on a bad value */
};

struct cli_command {
	const char *name, *summary;
	int (*run)(int argc, char **argv); /* argv[0] is the command's name */
};

int cmd_serve(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_attach(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_shutdown(int argc, char **argv);
int cmd_reboot(int argc, char **argv);
int cmd_disk(int argc, char **argv);
int cmd_net(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_bench_disk(int argc, char **argv);
int cmd_bench_ring(int argc, char **argv);
int cmd_bench_net(int argc, char **argv);
int cmd_demo(int argc, char **argv);

/*
 * Parses "--name value", "--name=value" and flags from argv[1] on; stops at "--" or the
 * first other word and returns its index. --help prints @usage, the options and
 * @examples and exits 0. An unknown option, or a missing value, exits 2 with one line.
 */
int cli_parse(int argc, char **argv, const struct cli_option *options, const char *usage,
	      const char *examples, void *ctx);

/* One line "hvbus CMD: text" on stderr, exit with @status. */
void cli_die(int status, const char *fmt, ...) PRINTF_LIKE(2, 3) __attribute__((noreturn));
void cli_set_command(const char *name); /* for cli_die() */

/* Values of options; they die naming @option when @value is not acceptable. */
uint64_t cli_size(const char *option, const char *value);
uint64_t cli_number(const char *option, const char *value, uint64_t min, uint64_t max);
double cli_seconds(const char *option, const char *value);
int cli_choice(const char *option, const char *value, const char *const *allowed);

/*
 * A live line on stderr when it is a terminal, nothing otherwise. An empty text clears
 * it. Rate-limited by the caller.
 */
void cli_progress(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* "12.3k", "4.56M"; static rotating buffers. */
const char *cli_human(double v);
const char *cli_human_bytes(double v);

/*
 * Asks the root at @socket to do @verb (see vmwp/control.c); returns its whole answer (the
 * caller frees) or dies with a sentence that says what to do.
 */
char *cli_ask_root(const char *socket, const char *verb);
/* The same with a whole JSON object, descriptors, and seconds to wait for the answer. */
char *cli_ask_root_with(const char *socket, const char *request, const int *fds, int nr_fds,
			unsigned wait_s);

#endif
