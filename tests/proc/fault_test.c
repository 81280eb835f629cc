/* SPDX-License-Identifier: MIT */
/*
 * Disks that fail under a guest: a child process with the client library against a root
 * process, with faults on purpose and with real ones (a full file system, a file size limit, an
 * image cut off or removed). What the guest is told, that nothing acknowledged is lost, and
 * that the root and its other disks go on. Names carry the ids of the hostile cases.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "hv-core/proc/proc_wire.h"
#include "vmwp/root_priv.h"
#include "vsc/storvsc.h"

#define MIB	    (1u << 20)
#define DISK	    (8u * MIB)
#define MEMORY	    (24u * MIB)
#define MS	    1000000ull

#define SENSE_WRITE 0x030c00u
#define SENSE_READ  0x031100u
#define SENSE_SPACE 0x072707u
#define SENSE_DEAD  0x044400u
#define SENSE_RO    0x072700u

enum { LUN_OTHER, LUN_BAD };

static char dir[64], sock[96], image[96];
static pid_t root_pid;
static struct storvsc *s;
static uint8_t *buf; /* guest memory */

/* ---- a root in a process of its own -------------------------------------------------- */

struct scene {
	const char *keys; /* of the disk at LUN_BAD, behind its path */
	uint64_t space;	  /* of a file system of the root's own for the image; 0 = none */
	uint32_t stuck_ms;
	uint32_t io_threads;
};

static struct root *the_root;

static void on_term(int sig)
{
	(void)sig;
	if (!the_root) /* the scene could not be had */
		_exit(0);
	root_stop(the_root);
}

/* SIGUSR1: the disks come back. SIGUSR2: enough. */
static void *heal(void *set)
{
	int sig;

	while (!sigwait(set, &sig) && sig == SIGUSR1)
		for (uint32_t i = 0; i < the_root->cfg.nr_disks; i++)
			blk_dev_fault_remove(the_root->disk[i].dev, 0);
	return NULL;
}

static sigset_t for_healer;

/* Before any other thread is there, which would take them. */
static void block_signals(void)
{
	sigemptyset(&for_healer);
	sigaddset(&for_healer, SIGUSR1);
	sigaddset(&for_healer, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &for_healer, NULL);
}

static pthread_t start_healer(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, heal, &for_healer))
		_exit(1);
	return t;
}

/* False: this user may not, or there is none. */
static bool own_file_system(uint64_t space)
{
	char size[32];
	int fd;

	snprintf(size, sizeof(size), "size=%llu", (unsigned long long)space);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", image, "tmpfs", 0, size))
		return false;
	strcat(image, "/full");
	fd = open(image, O_CREAT | O_RDWR, 0600);
	return fd >= 0 && !ftruncate(fd, DISK) && !close(fd);
}

static void prepare(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGTERM, on_term);
	log_set_fd(open("/dev/null", O_WRONLY));
	block_signals();
}

static void root_main(const struct scene *sc, int ready)
{
	static struct root_config cfg;
	char arg[300], why[256];
	pthread_t healer;

	prepare();
	if (sc->space && !own_file_system(sc->space))
		exit(write(ready, "?", 1) != 1);
	cfg = (struct root_config){
		.socket = sock,
		.nr_disks = 2,
		.cpu = -1,
		.stuck_ms = sc->stuck_ms,
		.io_threads = sc->io_threads,
	};
	cfg.disk[0] = (struct root_disk){ .blk = { .engine = BLK_ENGINE_MEMORY, .size = DISK },
					  .lun = LUN_OTHER };
	snprintf(arg, sizeof(arg), "path=%s,lun=1%s", image, sc->keys);
	if (root_parse_disk(&cfg.disk[1], arg, why, sizeof(why)) ||
	    root_create(&the_root, &cfg, why, sizeof(why))) {
		fprintf(stderr, "root: %s\n", why);
		_exit(1);
	}
	healer = start_healer();
	if (write(ready, "!", 1) != 1 || root_run(the_root))
		_exit(1);
	pthread_kill(healer, SIGUSR2);
	pthread_join(healer, NULL);
	root_destroy(the_root);
	exit(0); /* with the leak check of a sanitizer */
}

/* Afterwards a guest is attached. False: the scene cannot be had here. */
static bool begin(const struct scene *sc)
{
	struct storvsc_config cfg = { .depth = 64, .spin_us = 20 };
	char why[256], c = 0;
	int ready[2];

	ck_assert_int_eq(pipe(ready), 0);
	if (sc->space) {
		unlink(image);
		ck_assert_int_eq(mkdir(image, 0700), 0);
	}
	root_pid = fork();
	ck_assert_int_ge(root_pid, 0);
	if (!root_pid)
		root_main(sc, ready[1]);
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	close(ready[0]);
	if (c == '?')
		return false;
	ck_assert_msg(!storvsc_attach(&s, sock, 0, MEMORY, &cfg, why, sizeof(why)), "%s", why);
	buf = storvsc_alloc(s, 4 * MIB);
	ck_assert_ptr_nonnull(buf);
	return true;
}

static void setup(void)
{
	int fd;

	snprintf(dir, sizeof(dir), "/tmp/hvbus-fault-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(sock, sizeof(sock), "%s/s", dir);
	snprintf(image, sizeof(image), "%s/image", dir);
	fd = open(image, O_CREAT | O_RDWR, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, DISK), 0);
	close(fd);
}

static void check_other(void);

static void teardown(void)
{
	int status;

	if (s) {
		check_other(); /* U3: whatever happened, the other disk is fine */
		storvsc_detach(s);
	}
	s = NULL;
	kill(root_pid, SIGTERM);
	ck_assert_int_eq(waitpid(root_pid, &status, 0), root_pid);
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "root ended with %x",
		      (unsigned int)status);
	unlink(image);
	rmdir(image);
	unlink(sock);
	rmdir(dir);
}

/* ---- the guest --------------------------------------------------------------------------- */

static struct storvsc_io ios[64];
static struct iovec iovs[64];

static void post(uint32_t i, uint8_t op, uint8_t lun, uint64_t offset, uint32_t len)
{
	bool data = op == STORVSC_READ || op == STORVSC_WRITE;

	iovs[i] = (struct iovec){ buf + i * 65536, len };
	ios[i] = (struct storvsc_io){ .op = op, .lun = lun, .offset = offset, .len = len };
	if (data) {
		ios[i].iov = &iovs[i];
		ios[i].niov = 1;
	}
	ck_assert_int_eq(storvsc_submit(s, 0, &ios[i]), 0);
	storvsc_kick(s, 0);
}

/* How many came back in @ms. */
static int reap(int want, uint64_t ms)
{
	struct storvsc_io *out[64];

	return storvsc_reap(s, 0, out, 64, want, ms * MS);
}

/* Sense of one request, 0 when it succeeded. */
static uint32_t one(uint8_t op, uint8_t lun, uint64_t offset, uint32_t len)
{
	post(0, op, lun, offset, len);
	ck_assert_int_eq(reap(1, 20000), 1);
	ck_assert_msg(!ios[0].result == !ios[0].sense, "op %u lun %u at %llu: %d, sense %x", op,
		      lun, (unsigned long long)offset, ios[0].result, ios[0].sense);
	return ios[0].sense;
}

static void check_other(void)
{
	uint64_t start = clock_ns();

	memset(buf, 0x42, 4096);
	ck_assert_uint_eq(one(STORVSC_WRITE, LUN_OTHER, 4096, 4096), 0);
	memset(buf, 0, 4096);
	ck_assert_uint_eq(one(STORVSC_READ, LUN_OTHER, 4096, 4096), 0);
	ck_assert_uint_eq(buf[4095], 0x42);
	ck_assert_uint_lt(clock_ns() - start, 5000 * MS);
}

/* What the root says to `hvbus inspect`. */
static const char *inspect(void)
{
	static char answer[65536];
	struct hv_proc_hello hello = {
		.magic = HV_PROC_MAGIC,
		.version = HV_PROC_VERSION,
		.role = HV_PROC_CONTROL,
	};
	static const char ask[] = "{\"do\": \"inspect\"}";
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	ssize_t n;

	strcpy(sa.sun_path, sock);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_gt(send(fd, &hello, sizeof(hello), MSG_NOSIGNAL), 0);
	ck_assert_int_eq(send(fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL), sizeof(ask) - 1);
	n = recv(fd, answer, sizeof(answer) - 1, 0);
	answer[n > 0 ? n : 0] = '\0';
	close(fd);
	return answer;
}

static void expect_inspect(const char *what)
{
	const char *text = inspect();

	ck_assert_msg(strstr(text, what) != NULL, "no %s in %s", what, text);
}

/* ---- no space ------------------------------------------------------------------------------ */

/* F10: a sparse image on a file system that is full; and goes on when there is room again. */
START_TEST(f10_full_file_system)
{
	uint64_t at;
	uint32_t sense = 0;

	if (!begin(&(struct scene){ .keys = "", .space = 2 * MIB })) {
		puts("SKIPPED f10_full_file_system: may not mount a file system");
		return;
	}
	for (at = 0; at < DISK && !sense; at += 65536) {
		memset(buf, (int)(at / 65536) + 1, 65536);
		sense = one(STORVSC_WRITE, LUN_BAD, at, 65536);
	}
	ck_assert_uint_eq(sense, SENSE_SPACE);
	at -= 65536; /* the one that failed */
	ck_assert_uint_ge(at, MIB);
	for (uint64_t i = 0; i < at; i += 65536) {
		ck_assert_uint_eq(one(STORVSC_READ, LUN_BAD, i, 65536), 0);
		ck_assert_uint_eq(buf[0], i / 65536 + 1);
		ck_assert_uint_eq(buf[65535], i / 65536 + 1);
	}
	ck_assert_uint_eq(one(STORVSC_FLUSH, LUN_BAD, 0, 0), 0);
	ck_assert_int_eq(storvsc_discard(s, 0, LUN_BAD, 0, 65536 * 4), 0);
	ck_assert_uint_eq(one(STORVSC_WRITE, LUN_BAD, at, 65536), 0);
}
END_TEST

/* F10 and F14: the write that crosses the limit is short first and then refused. */
START_TEST(f14_short_write_is_no_success)
{
	const struct rlimit lim = { 4 * MIB + 8192, RLIM_INFINITY };

	ck_assert(begin(&(struct scene){ .keys = "" }));
	ck_assert_int_eq(prlimit(root_pid, RLIMIT_FSIZE, &lim, NULL), 0);
	memset(buf, 0x5a, 65536);
	ck_assert_uint_eq(one(STORVSC_WRITE, LUN_BAD, 4 * MIB, 65536), SENSE_SPACE);
	ck_assert_uint_eq(one(STORVSC_WRITE, LUN_BAD, 4 * MIB, 8192), 0);
	ck_assert_uint_eq(one(STORVSC_WRITE, LUN_BAD, 6 * MIB, 4096), SENSE_SPACE);
	ck_assert_uint_eq(one(STORVSC_READ, LUN_BAD, 4 * MIB, 65536), 0);
	ck_assert_uint_eq(buf[8191], 0x5a);
	ck_assert_uint_eq(one(STORVSC_FLUSH, LUN_BAD, 0, 0), 0);
}
END_TEST

/* ---- errors ---------------------------------------------------------------------------------- */

START_TEST(f12_errors_of_the_medium)
{
	uint8_t cdb[16] = { 0x28, 0, 0, 0, 0, 100, 0, 0, 8 }, sense[18];

	ck_assert(begin(&(struct scene){ .keys = ",fault=read:100-107:eio+write:200-207:eio" }));
	ck_assert_uint_eq(one(STORVSC_READ, LUN_BAD, 100 * 512, 4096), SENSE_READ);
	ck_assert_uint_eq(one(STORVSC_WRITE, LUN_BAD, 200 * 512, 4096), SENSE_WRITE);
	ck_assert_uint_eq(one(STORVSC_WRITE, LUN_BAD, 100 * 512, 4096), 0);
	ck_assert_uint_eq(one(STORVSC_READ, LUN_BAD, 200 * 512, 4096), 0);
	ck_assert_int_eq(storvsc_scsi(s, 0, LUN_BAD, cdb, 1, buf, 4096, NULL, sense), -EIO);
	ck_assert_uint_eq(sense[0], 0xf0); /* with the LBA */
	ck_assert_uint_eq(sense[6], 100);
	expect_inspect("\"error\":\"EIO\"");
	kill(root_pid, SIGUSR1);
	for (int i = 0; i < 1000 && one(STORVSC_READ, LUN_BAD, 100 * 512, 4096); i++)
		usleep(1000);
	ck_assert_uint_eq(one(STORVSC_WRITE, LUN_BAD, 200 * 512, 4096), 0);
}
END_TEST

/* F13: after one failed flush nobody may believe the next. */
START_TEST(f13_failed_flush_stays_failed)
{
	ck_assert(begin(&(struct scene){ .keys = ",fault=flush:eio:times=1" }));
	ck_assert_uint_eq(one(STORVSC_WRITE, LUN_BAD, 0, 4096), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(one(STORVSC_FLUSH, LUN_BAD, 0, 0), SENSE_DEAD);
	ck_assert_int_ne(storvsc_write(s, 0, LUN_BAD, buf, 0, 4096, STORVSC_FUA), 0);
	ck_assert_uint_eq(one(STORVSC_READ, LUN_BAD, 0, 4096), 0);
	expect_inspect("\"flush_failed\":true");
}
END_TEST

/* ---- time -------------------------------------------------------------------------------------
 */

/* F17: a disk that hangs is told about while the guest still waits, and comes back. */
START_TEST(f17_disk_hangs_and_comes_back)
{
	ck_assert(begin(&(struct scene){ .keys = ",fault=write:stuck", .stuck_ms = 50 }));
	memset(buf, 0x17, MIB);
	for (uint32_t i = 1; i < 16; i++)
		post(i, STORVSC_WRITE, LUN_BAD, i * 4096, 4096);
	ck_assert_int_eq(reap(15, 200), 0);
	check_other();
	ck_assert_uint_eq(one(STORVSC_READ, LUN_BAD, 0, 4096), 0);
	expect_inspect("\"command\":\"WRITE(10)\"");
	expect_inspect("\"where\":\"fault\"");
	expect_inspect("\"stuck_ever\":15");
	kill(root_pid, SIGUSR1);
	ck_assert_int_eq(reap(15, 20000), 15);
	for (uint32_t i = 1; i < 16; i++) {
		ck_assert_int_eq(ios[i].result, 0);
		memset(buf, 0, 4096);
		ck_assert_uint_eq(one(STORVSC_READ, LUN_BAD, i * 4096, 4096), 0);
		ck_assert_uint_eq(buf[4095], 0x17);
	}
	expect_inspect("\"stuck\":[]");
}
END_TEST

/* A guest that goes while its disk hangs does not keep the root waiting. */
START_TEST(f17_guest_leaves_a_disk_that_hangs)
{
	struct storvsc_config cfg = { .depth = 64 };
	char why[256];

	ck_assert(begin(&(struct scene){ .keys = ",fault=all:stuck" }));
	for (uint32_t i = 1; i < 16; i++)
		post(i, STORVSC_WRITE, LUN_BAD, i * 4096, 4096);
	ck_assert_int_eq(reap(1, 50), 0);
	storvsc_detach(s);
	ck_assert_msg(!storvsc_attach(&s, sock, 0, MEMORY, &cfg, why, sizeof(why)), "%s", why);
	buf = storvsc_alloc(s, 4 * MIB);
	check_other();
}
END_TEST

/* F18: quick and slow by turns: everything comes back, and the quick ones do not wait. */
START_TEST(f18_latency_that_jumps)
{
	int done = 0;

	ck_assert(begin(&(struct scene){ .keys = ",fault=all:30%:delay=100ms" }));
	for (int round = 0; round < 10; round++) {
		for (uint32_t i = 0; i < 32; i++)
			post(i, i & 1 ? STORVSC_READ : STORVSC_WRITE, LUN_BAD, i * 4096, 4096);
		done += reap(32, 20000);
		for (uint32_t i = 0; i < 32; i++)
			ck_assert_int_eq(ios[i].result, 0);
	}
	ck_assert_int_eq(done, 320);
}
END_TEST

/* Limits as a guest sees them. */
START_TEST(limits_hold_for_a_guest)
{
	uint64_t start, ns;

	ck_assert(begin(&(struct scene){ .keys = ",iops=200,burst=1" }));
	start = clock_ns();
	for (uint32_t i = 1; i < 62; i++)
		post(i, STORVSC_READ, LUN_BAD, i * 4096, 4096);
	while (reap(1, 20000) > 0)
		;
	ns = clock_ns() - start;
	ck_assert_uint_ge(ns, 280 * MS);
	expect_inspect("\"iops\":200");
}
END_TEST

/* ---- the image
 * ----------------------------------------------------------------------------------- */

/* F19: removed, or another one put in its place: the open one is the disk. */
START_TEST(f19_image_is_removed_or_replaced)
{
	char other[128];
	int fd;

	ck_assert(begin(&(struct scene){ .keys = "" }));
	memset(buf, 0x19, 4096);
	ck_assert_uint_eq(one(STORVSC_WRITE, LUN_BAD, 0, 4096), 0);
	snprintf(other, sizeof(other), "%s/other", dir);
	fd = open(other, O_CREAT | O_RDWR, 0600);
	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	close(fd);
	ck_assert_int_eq(_i ? rename(other, image) : unlink(image) | unlink(other), 0);
	memset(buf, 0, 4096);
	ck_assert_uint_eq(one(STORVSC_READ, LUN_BAD, 0, 4096), 0);
	ck_assert_uint_eq(buf[0], 0x19);
	ck_assert_uint_eq(one(STORVSC_WRITE, LUN_BAD, 4 * MIB, 4096), 0);
	ck_assert_uint_eq(one(STORVSC_FLUSH, LUN_BAD, 0, 0), 0);
}
END_TEST

/* In the mount namespace of the root; its errno. */
static int remount(bool away)
{
	char at[64];
	int ns, err, status;
	pid_t pid = fork();

	if (!pid) {
		snprintf(at, sizeof(at), "/proc/%d/ns/mnt", root_pid);
		ns = open(at, O_RDONLY | O_CLOEXEC);
		if (ns < 0 || setns(ns, CLONE_NEWNS))
			_exit(255);
		/* @image is the mount point: the root's copy has the file's name behind it */
		err = away ? umount2(image, MNT_DETACH)
			   : mount(NULL, image, NULL, MS_REMOUNT | MS_RDONLY, NULL);
		_exit(err ? errno : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/*
 * Somebody wants the file system read-only, or away: the kernel does not let him while the image
 * is open, or lets the image stay; so the guest hears nothing of it.
 */
START_TEST(f19_read_only_remount)
{
	if (!begin(&(struct scene){ .keys = "", .space = 2 * DISK })) {
		puts("SKIPPED f19_read_only_remount: may not mount a file system");
		return;
	}
	memset(buf, 0x51, 4096);
	ck_assert_uint_eq(one(STORVSC_WRITE, LUN_BAD, 0, 4096), 0);
	ck_assert_int_eq(remount(false), EBUSY);
	ck_assert_uint_eq(one(STORVSC_WRITE, LUN_BAD, 4096, 4096), 0);
	ck_assert_int_eq(remount(true), 0);
	ck_assert_uint_eq(one(STORVSC_WRITE, LUN_BAD, 8192, 4096), 0);
	ck_assert_uint_eq(one(STORVSC_FLUSH, LUN_BAD, 0, 0), 0);
	for (int i = 0; i < 3; i++) {
		memset(buf, 0, 4096);
		ck_assert_uint_eq(one(STORVSC_READ, LUN_BAD, i * 4096, 4096), 0);
		ck_assert_uint_eq(buf[4095], 0x51);
	}
}
END_TEST

/* The other kind, which a file system does to itself after an error: under the open image. */
START_TEST(f19_file_system_turns_read_only)
{
	ck_assert(begin(&(struct scene){
		.keys = ",fault=write/discard/zero:2048-16383:erofs+flush:erofs" }));
	memset(buf, 0x52, 4096);
	ck_assert_uint_eq(one(STORVSC_WRITE, LUN_BAD, 0, 4096), 0);
	ck_assert_uint_eq(one(STORVSC_WRITE, LUN_BAD, MIB, 4096), SENSE_RO);
	ck_assert_int_ne(storvsc_discard(s, 0, LUN_BAD, MIB, MIB), 0);
	ck_assert_int_ne(storvsc_zero(s, 0, LUN_BAD, MIB, 4096), 0);
	memset(buf, 0, 4096);
	ck_assert_uint_eq(one(STORVSC_READ, LUN_BAD, 0, 4096), 0);
	ck_assert_uint_eq(buf[4095], 0x52);
	/* What was written before may never get there, and no later flush may say it did. */
	ck_assert_uint_eq(one(STORVSC_FLUSH, LUN_BAD, 0, 0), SENSE_DEAD);
	kill(root_pid, SIGUSR1);
	for (int i = 0; i < 1000 && one(STORVSC_WRITE, LUN_BAD, MIB, 4096); i++)
		usleep(1000);
	ck_assert_uint_eq(one(STORVSC_FLUSH, LUN_BAD, 0, 0), SENSE_DEAD);
}
END_TEST

/* ---- a neighbour on the same disk
 * ----------------------------------------------------------------------------------- */

#define KEY_MINE   0x11u
#define KEY_THEIRS 0x22u

enum { PR_REGISTER, PR_RESERVE, PR_CLEAR = 3, PR_PREEMPT_AND_ABORT = 5 };

static uint8_t *other_list; /* its memory */

static int pr_out(struct storvsc *who, uint8_t action, uint8_t key, uint8_t sa_key)
{
	uint8_t cdb[16] = { 0x5f, action, action ? 1 : 0, [8] = 24 }, sense[18];
	uint8_t *list = who == s ? buf : other_list;
	int err = -EAGAIN;

	memset(list, 0, 24);
	list[7] = key;
	list[15] = sa_key;
	for (int i = 0; i < 4 && err; i++) /* unit attentions */
		err = storvsc_scsi(who, 0, LUN_BAD, cdb, 0, list, 24, NULL, sense);
	return err;
}

static struct storvsc *attach_other(void)
{
	struct storvsc_config cfg = { .depth = 64 };
	struct storvsc *other;
	char why[256];

	ck_assert_msg(!storvsc_attach(&other, sock, 0, MEMORY, &cfg, why, sizeof(why)), "%s", why);
	other_list = storvsc_alloc(other, 4096);
	ck_assert_ptr_nonnull(other_list);
	return other;
}

/*
 * What a fencing agent relies on: behind the GOOD of PREEMPT AND ABORT nothing of the guest that
 * it removed reaches the medium, not even what its disk had been holding back.
 */
START_TEST(preempt_and_abort_keeps_old_writes_out)
{
	uint8_t mine[512] = { 1 };
	struct storvsc *other;

	ck_assert(begin(&(struct scene){ .keys = ",fault=write:stuck", .io_threads = 2 }));
	other = attach_other();
	ck_assert_int_eq(pr_out(s, PR_REGISTER, 0, KEY_MINE), 0);
	ck_assert_int_eq(pr_out(other, PR_REGISTER, 0, KEY_THEIRS), 0);
	ck_assert_int_eq(pr_out(s, PR_RESERVE, KEY_MINE, 0), 0);
	memset(buf, 0x99, MIB);
	for (uint32_t i = 1; i < 16; i++)
		post(i, STORVSC_WRITE, LUN_BAD, i * 4096, 4096);
	while (!strstr(inspect(), "\"held\":15"))
		usleep(1000);
	ck_assert_int_eq(pr_out(other, PR_PREEMPT_AND_ABORT, KEY_THEIRS, KEY_MINE), 0);
	ck_assert_int_eq(reap(15, 20000), 15);
	for (uint32_t i = 1; i < 16; i++)
		ck_assert_int_ne(ios[i].result, 0);
	kill(root_pid, SIGUSR1);
	for (uint32_t i = 1; i < 16; i++) {
		ck_assert_uint_eq(one(STORVSC_READ, LUN_BAD, i * 4096, 4096), 0);
		ck_assert_uint_eq(buf[0], 0);
	}
	ck_assert_int_ne(storvsc_write(s, 0, LUN_BAD, buf, 0, 4096, 0), 0);
	ck_assert_int_eq(storvsc_write(other, 0, LUN_BAD, mine, 0, 512, 0), 0);
	storvsc_detach(other);
}
END_TEST

#define BURST 60u

/* The same with a disk that does as it is told: writes that the kernel has are waited for. */
START_TEST(preempt_and_abort_races_with_writes)
{
	static uint8_t mark[65536], back[65536];
	struct storvsc *other;

	ck_assert(begin(&(struct scene){ .keys = "", .io_threads = 2 }));
	other = attach_other();
	memset(mark, 0xb0, sizeof(mark));
	for (int round = 0; round < 10; round++) {
		ck_assert_int_eq(pr_out(s, PR_REGISTER, 0, KEY_MINE), 0);
		ck_assert_int_eq(pr_out(other, PR_REGISTER, 0, KEY_THEIRS), 0);
		memset(buf, 0xa0, BURST * 65536);
		for (uint32_t i = 0; i < BURST; i++)
			post(i, STORVSC_WRITE, LUN_BAD, i * 65536, 65536);
		ck_assert_int_eq(pr_out(other, PR_RESERVE, KEY_THEIRS, 0), 0);
		ck_assert_int_eq(pr_out(other, PR_PREEMPT_AND_ABORT, KEY_THEIRS, KEY_MINE), 0);
		for (uint32_t i = 0; i < BURST; i++)
			ck_assert_int_eq(
				storvsc_write(other, 0, LUN_BAD, mark, i * 65536, 65536, 0), 0);
		ck_assert_int_eq(reap(BURST, 20000), BURST);
		for (uint32_t i = 0; i < BURST; i++) {
			ck_assert_int_eq(storvsc_read(other, 0, LUN_BAD, back, i * 65536, 65536),
					 0);
			ck_assert(!memcmp(back, mark, sizeof(mark)));
		}
		ck_assert_int_eq(pr_out(other, PR_CLEAR, KEY_THEIRS, 0), 0);
	}
	storvsc_detach(other);
}
END_TEST

/* Cut off underneath: an error where it ended, not zeroes; what is left stays readable. */
START_TEST(f19_image_is_truncated)
{
	ck_assert(begin(&(struct scene){ .keys = "" }));
	memset(buf, 0x77, 4096);
	ck_assert_uint_eq(one(STORVSC_WRITE, LUN_BAD, 0, 4096), 0);
	ck_assert_int_eq(truncate(image, MIB), 0);
	ck_assert_uint_eq(one(STORVSC_READ, LUN_BAD, 2 * MIB, 4096), SENSE_READ);
	ck_assert_uint_eq(one(STORVSC_READ, LUN_BAD, MIB - 4096, 8192), SENSE_READ);
	memset(buf, 0, 4096);
	ck_assert_uint_eq(one(STORVSC_READ, LUN_BAD, 0, 4096), 0);
	ck_assert_uint_eq(buf[0], 0x77);
	ck_assert_uint_eq(one(STORVSC_WRITE, LUN_BAD, 4096, 4096), 0);
}
END_TEST

/* The device is gone: an error that initiators do not repeat for ever. */
START_TEST(f19_device_disappears)
{
	ck_assert(begin(&(struct scene){ .keys = ",fault=all:enodev" }));
	ck_assert_uint_eq(one(STORVSC_READ, LUN_BAD, 0, 4096), SENSE_DEAD);
	ck_assert_uint_eq(one(STORVSC_WRITE, LUN_BAD, 0, 4096), SENSE_DEAD);
	ck_assert_uint_eq(one(STORVSC_FLUSH, LUN_BAD, 0, 0), SENSE_DEAD);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("faults of disks");
	TCase *tc = tcase_create("faults");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, f10_full_file_system);
	tcase_add_test(tc, f14_short_write_is_no_success);
	tcase_add_test(tc, f12_errors_of_the_medium);
	tcase_add_test(tc, f13_failed_flush_stays_failed);
	tcase_add_test(tc, f17_disk_hangs_and_comes_back);
	tcase_add_test(tc, f17_guest_leaves_a_disk_that_hangs);
	tcase_add_test(tc, f18_latency_that_jumps);
	tcase_add_test(tc, limits_hold_for_a_guest);
	tcase_add_loop_test(tc, f19_image_is_removed_or_replaced, 0, 2);
	tcase_add_test(tc, f19_image_is_truncated);
	tcase_add_test(tc, f19_device_disappears);
	tcase_add_test(tc, f19_read_only_remount);
	tcase_add_test(tc, f19_file_system_turns_read_only);
	tcase_add_test(tc, preempt_and_abort_keeps_old_writes_out);
	tcase_add_test(tc, preempt_and_abort_races_with_writes);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
