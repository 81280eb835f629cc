/* SPDX-License-Identifier: MIT */
/*
 * Runs a command when the machine is quiet, and says how much CPU others took meanwhile.
 *
 * usage: quiet [-r] [-w SECONDS] COMMAND...
 *   -r  under SCHED_FIFO where permitted: for programs that spin, in short bursts
 *   -w  how long to wait for quiet at most (default 3)
 *
 * The command's last line of output is printed with ",CORES" appended: processor cores
 * that everybody else kept busy while it ran.
 */
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "peer.h"

/* Seconds of non-idle time since boot, all CPUs together. */
static double busy(void)
{
	unsigned long long user, nice, sys, idle, wait, irq, softirq, steal;
	FILE *f = fopen("/proc/stat", "r");

	if (!f || fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &sys,
			 &idle, &wait, &irq, &softirq, &steal) != 8)
		exit(2);
	fclose(f);
	return (double)(user + nice + sys + irq + softirq + steal) / (double)sysconf(_SC_CLK_TCK);
}

static double seconds(void)
{
	return (double)peer_now() / 1e9;
}

static void await_quiet(double most)
{
	double start = seconds();

	while (seconds() - start < most) {
		double b = busy(), t = seconds();

		usleep(200000);
		if ((busy() - b) / (seconds() - t) < 0.15)
			return;
	}
}

static double own_time(void)
{
	struct rusage r;

	getrusage(RUSAGE_CHILDREN, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static void run_command(char **argv, int real_time, int out)
{
	struct sched_param fifo = { .sched_priority = 10 };

	if (real_time)
		sched_setscheduler(0, SCHED_FIFO, &fifo); /* without permission: ordinary */
	dup2(out, 1);
	alarm(60); /* survives exec: nothing here may hang for ever */
	execvp(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

int main(int argc, char **argv)
{
	static char text[1 << 16];
	double most = 3, b, t, others;
	size_t n = 0;
	int real_time = 0, o, p[2], status;
	char *last;
	ssize_t k;
	pid_t pid;

	while ((o = getopt(argc, argv, "+rw:")) != -1) {
		if (o == 'r')
			real_time = 1;
		else if (o == 'w')
			most = atof(optarg);
		else
			return 2;
	}
	if (optind >= argc || pipe(p))
		return 2;
	await_quiet(most);
	b = busy();
	t = seconds();
	pid = fork();
	if (pid == 0) {
		close(p[0]);
		run_command(argv + optind, real_time, p[1]);
	}
	close(p[1]);
	while (n < sizeof(text) - 1 && (k = read(p[0], text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)k;
	waitpid(pid, &status, 0);
	t = seconds() - t;
	others = (busy() - b - own_time()) / t;
	while (n && text[n - 1] == '\n')
		n--;
	text[n] = 0;
	last = strrchr(text, '\n');
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		printf("%s,%.2f\n", last ? last + 1 : text, others < 0 ? 0 : others);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
