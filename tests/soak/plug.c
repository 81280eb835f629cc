/* SPDX-License-Identifier: MIT */
/*
 * Disks that come, grow and go while guests use them, and the programs of the release build
 * that do it: as an administrator would.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/soak/soak.h"
#include "vsc/storvsc.h"

#define PROGRAM "build/release/hvbus"
#define MEMORY	(8u << 20)
#define SIZE	(SOAK_PLUG_BLOCKS * SOAK_BLOCK)

/* ---- programs -------------------------------------------------------------------- */

static void become(const char *const argv[])
{
	const char *program = getenv("HVBUS_RELEASE");

	execv(program ? program : PROGRAM, (char *const *)argv);
	fprintf(stderr, "soak: %s: %s; type make\n", program ? program : PROGRAM, strerror(errno));
	_exit(127);
}

/* What it prints goes nowhere; its errors are everybody's. */
int soak_hvbus(const char *const argv[])
{
	int status = -1, null;
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		dup2(null, 1);
		become(argv);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void soak_nbd_path(char *path, size_t n)
{
	snprintf(path, n, "%s/nbd%llu", soak->dir,
		 (unsigned long long)load_relaxed(&soak->attaches));
}

void soak_attach_log(char *path, size_t n)
{
	snprintf(path, n, "%s/attach.log", soak->dir);
}

static void log_to_file(void)
{
	char path[96];
	int fd;

	soak_attach_log(path, sizeof(path));
	fd = open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
	if (fd >= 0)
		dup2(fd, 2);
}

int soak_become_attach(uint32_t unused, uint64_t seed)
{
	char nbd[96], lun[16];

	(void)unused, (void)seed;
	soak_nbd_path(nbd, sizeof(nbd));
	unlink(nbd); /* of one that was killed */
	SOAK_BUMP(soak->attaches);
	soak_nbd_path(nbd, sizeof(nbd));
	snprintf(lun, sizeof(lun), "0:%d", LUN_FILE);
	log_to_file();
	become((const char *const[]){ "hvbus", "attach", "--socket", hostile_path(), "--disk", lun,
				      "--nbd", nbd, NULL });
	return 1;
}

/* ---- disks that come and go ------------------------------------------------------------ */

static int make_image(const char *path, uint32_t lun)
{
	static uint8_t buf[SOAK_BLOCK];
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600), err = fd < 0;

	for (uint32_t i = 0; i < SOAK_PLUG_BLOCKS && !err; i++) {
		soak_fill(buf, i, lun);
		err = write(fd, buf, sizeof(buf)) != sizeof(buf);
	}
	if (fd >= 0)
		close(fd);
	return err;
}

static void pause_ms(uint64_t *seed, uint32_t most)
{
	usleep((useconds_t)(1000 * (soak_random(seed) % most)));
}

/* In, larger, out. */
static int cycle(uint32_t lun, uint64_t *seed)
{
	char path[96], disk[160], at[16], size[16];
	const char *socket = hostile_path();

	snprintf(path, sizeof(path), "%s/plug%u", soak->dir, lun);
	snprintf(disk, sizeof(disk), "path=%s,lun=%u", path, lun);
	snprintf(at, sizeof(at), "0:%u", lun);
	snprintf(size, sizeof(size), "%u", 2 * SIZE);
	if (make_image(path, lun) ||
	    soak_hvbus((const char *const[]){ "hvbus", "disk", "add", "--socket", socket, "--disk",
					      disk, NULL }))
		return 1;
	pause_ms(seed, 200);
	if (soak_random(seed) % 2 &&
	    soak_hvbus((const char *const[]){ "hvbus", "disk", "resize", "--socket", socket,
					      "--disk", at, "--size", size, NULL }))
		return 1;
	pause_ms(seed, 200);
	if (soak_hvbus((const char *const[]){ "hvbus", "disk", "remove", "--socket", socket,
					      "--disk", at, "--wait", "60", NULL }))
		return 1;
	return unlink(path);
}

int soak_play_plugs(uint32_t unused, uint64_t seed)
{
	int err = 0;

	(void)unused;
	while (!err && !load_acquire(&soak->stop)) {
		err = cycle(SOAK_PLUG_LUN + (uint32_t)(soak_random(&seed) % SOAK_PLUGS), &seed);
		SOAK_BUMP(soak->plugs);
		pause_ms(&seed, 100);
	}
	if (err)
		fprintf(stderr, "soak: a disk could not come and go\n");
	return err != 0;
}

/* ---- who uses them ------------------------------------------------------------------------ */

/* A disk may leave at any moment; as long as it answers, it answers right. */
static bool read_some(struct storvsc *s, uint8_t lun, uint64_t *seed)
{
	static uint8_t buf[SOAK_BLOCK];
	uint32_t generation;

	for (int i = 0; i < 20; i++) {
		uint32_t block = (uint32_t)(soak_random(seed) % SOAK_PLUG_BLOCKS);

		memset(buf, 0, sizeof(buf));
		if (storvsc_read(s, 0, lun, buf, (uint64_t)block * SOAK_BLOCK, SOAK_BLOCK))
			return true;
		if (!soak_whole(buf, block, &generation) || generation != lun) {
			fprintf(stderr, "soak: LUN %u, block %u: wrong data\n", lun, block);
			return false;
		}
		SOAK_BUMP(soak->plug_reads);
	}
	return true;
}

int soak_play_plug_reader(uint32_t unused, uint64_t seed)
{
	struct storvsc_config cfg = { .depth = 16, .spin_us = 20 };
	struct storvsc_disk disk;
	struct storvsc *s;
	bool good = true;

	(void)unused;
	if (storvsc_attach(&s, hostile_path(), 0, MEMORY, &cfg, NULL, 0))
		return 1;
	while (good) {
		uint8_t lun = (uint8_t)(SOAK_PLUG_LUN + soak_random(&seed) % SOAK_PLUGS);
		int err = storvsc_disk_info(s, lun, &disk);

		if (!err)
			good = read_some(s, lun, &seed);
		else if (err == -ECONNRESET)
			good = false;
		storvsc_changed(s);
		pause_ms(&seed, 5);
	}
	storvsc_detach(s);
	return 1;
}
