/* SPDX-License-Identifier: MIT */
/*
 * For tests over the whole stack: a root in a process of its own.
 */
#ifndef HVBUS_TESTS_PROC_ROOT_RIG_H
#define HVBUS_TESTS_PROC_ROOT_RIG_H

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "vmwp/root.h"

#define RIG __attribute__((unused)) static

RIG char dir[64], sock[96];
RIG pid_t root_pid;
RIG struct root *the_root; /* there */

/* Called in the root's process, where memory is as it was here. */
struct rig_root {
	void (*configure)(struct root_config *cfg); /* the socket is in it, and the sandbox is on */
	void (*created)(void);			    /* or NULL */
};

RIG void rig_on_term(int sig)
{
	(void)sig;
	root_stop(the_root);
}

RIG void rig_root_main(const struct rig_root *rr, int ready)
{
	static struct root_config cfg;
	char why[256];

	cfg = (struct root_config){ .socket = sock, .sandbox = SANDBOX_ON, .cpu = -1 };
	log_set_level(LOG_ERROR);
	rr->configure(&cfg);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of the user would end it */
	if (root_create(&the_root, &cfg, why, sizeof(why))) {
		fprintf(stderr, "root: %s\n", why);
		_exit(1);
	}
	if (rr->created)
		rr->created();
	signal(SIGTERM, rig_on_term);
	if (write(ready, "", 1) != 1)
		_exit(1);
	if (root_run(the_root))
		_exit(1);
	signal(SIGTERM, SIG_IGN); /* one is enough, and a test may have sent it */
	root_destroy(the_root);
	exit(0); /* with the leak check of a sanitizer */
}

/* A directory for the test, with the socket's name in it. */
RIG void rig_dir(void)
{
	snprintf(dir, sizeof(dir), "/tmp/hvbus-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(sock, sizeof(sock), "%s/s", dir);
}

RIG void rig_start(const struct rig_root *rr)
{
	int ready[2];
	char c;

	ck_assert_int_eq(pipe(ready), 0);
	fflush(NULL);
	root_pid = fork();
	ck_assert_int_ge(root_pid, 0);
	if (!root_pid)
		rig_root_main(rr, ready[1]);
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	close(ready[0]);
}

RIG void rig_stop(void)
{
	int status;

	kill(root_pid, SIGTERM);
	ck_assert_int_eq(waitpid(root_pid, &status, 0), root_pid);
	root_pid = 0;
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "root ended with %x",
		      (unsigned int)status);
}

#endif
