/* SPDX-License-Identifier: MIT */
/*
 * Root, canary and invariants; see the header.
 *
 * Times are judged by what the kernel says of the root: how long it ran, and how long it was
 * ready to run but had no processor (schedstat). So a busy machine fails no case.
 */
#include "tests/hostile/fixture.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/log.h"
#include "vmwp/root.h"
#include "vsc/storvsc.h"

#define MS	  1000000ull
#define MARK_FREE 0xa5 /* what the root's freed memory and painted stack are filled with .. */
#define MARK_NEW  0x5a /* .. and what it gets from malloc() */
#define MARK_ASAN 0xbe /* the same by the address sanitizer */
#define MARK_RUN  4    /* so many in a row are no accident */
#define CANARY	  "CANARY\xc3\x3c"
#define STALL_NS  (100 * MS * SLOWER)
#define SETTLE_NS (5000 * MS * SLOWER)
#define LINES_MAX 60 /* ten a second and site, a few sites, a few seconds */
#define IDLE_NS	  (30 * MS)

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SLACK_KB 65536 /* quarantine and shadow */
#else
#define SLACK_KB 3072
#endif

#if defined(__SANITIZE_THREAD__)
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "die_after_fork=0";
}
#endif

/* Between the test, its root and the canary. */
static struct shared {
	uint32_t pause, paused;
	uint32_t errors;
	uint64_t ops, worst_ns;
} * sh;

static char dir[64], sock[96], image[96], logfile[96];
enum log_level hostile_log_level = LOG_INFO;
const char *hostile_switch;
struct net_peers_config hostile_peers = {
	.n = 2, .window = 16, .burst = 2, .gap_us = 1000, .rx_bytes = 2u << 20
};
static struct net_peers *peers;
static pid_t root_pid, canary_pid;
static struct root *the_root;

const char *hostile_path(void)
{
	return sock;
}

pid_t hostile_root(void)
{
	return root_pid;
}

/* ---- the root ---------------------------------------------------------------------- */

static __attribute__((noinline)) void paint_stack(void)
{
	volatile uint8_t deep[65536];

	for (size_t i = 0; i < sizeof(deep); i++)
		deep[i] = MARK_FREE;
}

static void on_term(int sig)
{
	(void)sig;
	root_stop(the_root);
}

static void add_switch(struct root_config *cfg)
{
	static char text[128];
	char why[256];

	if (!hostile_switch)
		return;
	snprintf(text, sizeof(text), "%s", hostile_switch);
	if (root_parse_switch(&cfg->sw[cfg->nr_switches++], text, why, sizeof(why))) {
		fprintf(stderr, "root: %s\n", why);
		_exit(1);
	}
}

static void root_main(int ready)
{
	struct root_config cfg = {
		.socket = sock,
		.nr_disks = 5,
		.cpu = -1,
		.spin_us = 20,
		.disk = {
			{ .blk = { .engine = BLK_ENGINE_MEMORY, .size = HOSTILE_DISK },
			  .lun = LUN_EVIL },
			{ .blk = { .engine = BLK_ENGINE_MEMORY, .size = HOSTILE_DISK },
			  .lun = LUN_CANARY },
			{ .blk = { .path = image, .direct = -1 }, .lun = LUN_FILE },
			{ .blk = { .engine = BLK_ENGINE_MEMORY, .size = HOSTILE_DISK,
				   .readonly = true },
			  .lun = LUN_READONLY },
			{ .blk = { .engine = BLK_ENGINE_MEMORY, .size = HOSTILE_DISK },
			  .lun = LUN_SLOW,
			  .fault = { SLOWER > 1 ? "read:delay=500ms" : "read:delay=100ms" },
			  .nr_faults = 1 },
		},
	};
	int fd = open(logfile, O_CREAT | O_RDWR | O_APPEND, 0600);
	char why[256];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	add_switch(&cfg);
	dup2(fd, 2);
	close(fd);
	mallopt(M_PERTURB, MARK_FREE);
	log_set_level(hostile_log_level);
	if (root_create(&the_root, &cfg, why, sizeof(why))) {
		fprintf(stderr, "root: %s\n", why);
		_exit(1);
	}
	signal(SIGTERM, on_term);
	paint_stack();
	if (write(ready, "", 1) != 1 || close(ready) || root_run(the_root))
		_exit(1);
	root_destroy(the_root);
	exit(0); /* with the leak check of a sanitizer */
}

/* ---- the canary ------------------------------------------------------------------------ */

static void fill(uint8_t *buf, uint64_t n)
{
	for (size_t i = 0; i < 4096; i += 16) {
		memcpy(buf + i, CANARY, 8);
		memcpy(buf + i + 8, &n, 8);
	}
}

static void canary_round(struct storvsc *s, uint64_t n)
{
	uint8_t want[4096], got[4096];
	uint64_t start = clock_ns(), took, at = n % 512 * 4096;
	bool bad;

	fill(want, n);
	bad = storvsc_write(s, 0, LUN_CANARY, want, at, 4096, 0) ||
	      storvsc_read(s, 0, LUN_CANARY, got, at, 4096) || memcmp(want, got, 4096);
	took = clock_ns() - start;
	if (bad)
		__atomic_fetch_add(&sh->errors, 1, __ATOMIC_RELEASE);
	if (took > load_relaxed(&sh->worst_ns))
		store_relaxed(&sh->worst_ns, took);
	__atomic_fetch_add(&sh->ops, 1, __ATOMIC_RELEASE);
}

static void __attribute__((noreturn)) canary_main(void)
{
	struct storvsc_config cfg = { .queues = 1, .depth = 8 };
	struct storvsc *s;
	char why[256];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (storvsc_attach(&s, sock, 0, 8u << 20, &cfg, why, sizeof(why))) {
		fprintf(stderr, "canary: %s\n", why);
		_exit(1);
	}
	for (uint64_t n = 0;; n++) {
		while (load_acquire(&sh->pause)) {
			store_release(&sh->paused, 1);
			usleep(500);
		}
		store_release(&sh->paused, 0);
		canary_round(s, n);
		usleep(300);
	}
}

static void canary_pause(bool on)
{
	uint64_t limit = clock_ns() + SETTLE_NS;

	store_release(&sh->pause, on);
	if (peers && on)
		ck_assert_msg(net_peers_pause(peers, SETTLE_NS), "U3: %s",
			      net_peers_fault(peers) ?: "the peers hang");
	if (peers && !on)
		net_peers_resume(peers);
	while (on && !load_acquire(&sh->paused)) {
		ck_assert_msg(clock_ns() < limit, "U3: the canary hangs");
		usleep(100);
	}
}

void hostile_canary_moves(void)
{
	uint64_t limit = clock_ns() + SETTLE_NS, was = load_acquire(&sh->ops);
	uint64_t frames = peers ? net_peers_fewest(peers) : 0;

	while (load_acquire(&sh->ops) < was + 2) {
		ck_assert_msg(clock_ns() < limit, "U3: the canary got nothing done");
		usleep(100);
	}
	while (peers && net_peers_fewest(peers) < frames + 2) {
		ck_assert_msg(clock_ns() < limit && !net_peers_fault(peers), "U3: %s",
			      net_peers_fault(peers) ?: "the peers' frames do not get through");
		usleep(100);
	}
}

/* ---- start and stop ------------------------------------------------------------------------ */

static void start_root_process(void)
{
	int ready[2];
	char c;

	ck_assert_int_eq(pipe(ready), 0);
	root_pid = fork();
	ck_assert_int_ge(root_pid, 0);
	if (!root_pid) {
		close(ready[0]);
		root_main(ready[1]);
	}
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	close(ready[0]);
}

static void works(struct evil_guest *g)
{
	evil_verified_io(g);
	if (hostile_switch && *evil_wishes)
		evil_nic_works(g);
}

struct net_peers *hostile_net_peers(void)
{
	return peers;
}

void hostile_start(void)
{
	struct evil_guest g;
	int fd;

	snprintf(dir, sizeof(dir), "/tmp/hvbus-hostile-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(sock, sizeof(sock), "%s/s", dir);
	snprintf(image, sizeof(image), "%s/image", dir);
	snprintf(logfile, sizeof(logfile), "%s/log", dir);
	fd = open(image, O_CREAT | O_RDWR, 0600);
	ck_assert_int_eq(ftruncate(fd, HOSTILE_DISK), 0);
	close(fd);
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(sh, MAP_FAILED);
	start_root_process();
	canary_pid = fork();
	if (!canary_pid)
		canary_main();
	if (hostile_switch) {
		peers = net_peers_start(sock, "lan", &hostile_peers);
		ck_assert_ptr_nonnull(peers);
	}
	hostile_canary_moves();
	for (int i = 0; i < 3; i++) { /* allocators and caches have seen everything once */
		evil_reach(&g, sock, EVIL_READY);
		works(&g);
		evil_end(&g);
		free(hostile_inspect());
	}
}

void hostile_stop(void)
{
	int status = 0, peers_status = 0;

	kill(canary_pid, SIGKILL);
	waitpid(canary_pid, NULL, 0);
	if (peers && !net_peers_stop(peers)) {
		fprintf(stderr, "U3: the peers did not leave in peace\n");
		peers_status = EXIT_FAILURE;
	}
	kill(root_pid, SIGTERM);
	waitpid(root_pid, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status)) { /* U1; a leak, too */
		char cmd[128];

		snprintf(cmd, sizeof(cmd), "cat %s", logfile);
		fprintf(stderr, "U1: the root ended with %x\n", (unsigned int)status);
		if (system(cmd))
			perror(cmd);
		exit(EXIT_FAILURE);
	}
	unlink(image);
	unlink(sock);
	unlink(logfile);
	rmdir(dir);
	if (peers_status)
		exit(peers_status);
}

/* ---- looking at the root ------------------------------------------------------------------ */

struct usage {
	long fds, maps, threads, rss_kb;
	uint64_t ran_ns, waited_ns;
};

static long count_fds(void)
{
	char name[64];
	struct dirent *e;
	long n = 0;
	DIR *d;

	snprintf(name, sizeof(name), "/proc/%d/fd", (int)root_pid);
	d = opendir(name);
	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

/* Not the kernel's own: io_uring keeps workers for a while. */
static bool is_own_thread(const char *task)
{
	char name[320], comm[32] = "";
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/task/%s/comm", (int)root_pid, task);
	f = fopen(name, "r");
	if (f && !fgets(comm, sizeof(comm), f))
		comm[0] = 0;
	if (f)
		fclose(f);
	return strncmp(comm, "iou-", 4);
}

/* Mappings of memfds: rings, guest memory, interrupt pages. The heap's come and go. */
static long count_memfd_maps(void)
{
	char name[64], line[512];
	long n = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/maps", (int)root_pid);
	f = fopen(name, "r");
	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, "memfd:") != NULL;
	if (f)
		fclose(f);
	return n;
}

/* Zero where the kernel does not say. */
static void add_schedstat(const char *task, struct usage *u)
{
	unsigned long long ran, waited;
	char name[320];
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/task/%s/schedstat", (int)root_pid, task);
	f = fopen(name, "r");
	if (f && fscanf(f, "%llu %llu", &ran, &waited) == 2) {
		u->ran_ns += ran;
		u->waited_ns += waited;
	}
	if (f)
		fclose(f);
}

static void add_tasks(struct usage *u)
{
	char name[64];
	struct dirent *e;
	DIR *d;

	snprintf(name, sizeof(name), "/proc/%d/task", (int)root_pid);
	d = opendir(name);
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.') {
			add_schedstat(e->d_name, u);
			u->threads += is_own_thread(e->d_name);
		}
	if (d)
		closedir(d);
}

static uint64_t canary_waited_ns(void)
{
	unsigned long long waited = 0;
	char name[64];
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/schedstat", (int)canary_pid);
	f = fopen(name, "r");
	if (f && fscanf(f, "%*u %llu", &waited) != 1)
		waited = 0;
	if (f)
		fclose(f);
	return waited;
}

static struct usage usage_now(void)
{
	struct usage u = { .fds = count_fds(), .maps = count_memfd_maps() };
	char name[64];
	long pages = 0, shared = 0; /* guests' memory is theirs, however much of it was touched */
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/statm", (int)root_pid);
	f = fopen(name, "r");
	if (f && fscanf(f, "%*d %ld %ld", &pages, &shared) == 2)
		u.rss_kb = (pages - shared) * 4;
	if (f)
		fclose(f);
	add_tasks(&u);
	return u;
}

char *hostile_inspect(void)
{
	struct hv_proc_hello h = { .magic = HV_PROC_MAGIC,
				   .version = HV_PROC_VERSION,
				   .role = HV_PROC_CONTROL };
	static const char ask[] = "{\"do\": \"inspect\"}";
	size_t len = 0, room = 1 << 20;
	char *text = malloc(room);
	int s = evil_socket(sock);
	ssize_t n;

	ck_assert_int_eq(send(s, &h, sizeof(h), 0), sizeof(h));
	ck_assert_int_eq(send(s, ask, sizeof(ask) - 1, 0), sizeof(ask) - 1);
	while ((n = recv(s, text + len, room - len - 1, 0)) > 0)
		len += (size_t)n;
	text[len] = 0;
	close(s);
	return text;
}

/* ---- the invariants ---------------------------------------------------------------------------
 */

static struct {
	struct usage usage;
	off_t log;
	uint64_t start_ns, canary_waited_ns, peers_waited_ns;
} before;

static off_t log_size(void)
{
	int fd = open(logfile, O_RDONLY);
	off_t n = lseek(fd, 0, SEEK_END);

	close(fd);
	return n;
}

/* What the root has said since the case began; to be freed. */
static char *log_text(void)
{
	off_t n = log_size() - before.log;
	char *text = calloc(1, (size_t)n + 1);
	int fd = open(logfile, O_RDONLY);

	ck_assert_int_eq(pread(fd, text, (size_t)n, before.log), n);
	close(fd);
	return text;
}

static void u1_alive(void)
{
	char name[64], state = 0, *text = log_text();
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/stat", (int)root_pid);
	f = fopen(name, "r");
	if (f && fscanf(f, "%*d %*s %c", &state) != 1)
		state = 0;
	if (f)
		fclose(f);
	ck_assert_msg(state && state != 'Z' && state != 'X', "U1: the root is dead: %s", text);
	ck_assert_msg(!strstr(text, "Sanitizer") && !strstr(text, "runtime error"), "U1: %s", text);
	free(text);
}

static bool is_mark(uint8_t c)
{
#if defined(__SANITIZE_ADDRESS__)
	return c == MARK_ASAN;
#else
	return c == MARK_FREE || c == MARK_NEW;
#endif
}

__attribute__((no_sanitize("thread", "address"))) static long find_mark(const uint8_t *mem)
{
	const size_t size = EVIL_PAGES * 4096ul;
	const uint64_t *w = (const void *)mem;
	int run = 0;

	for (size_t i = 0; i < size / 8; i++) {
		if (!w[i]) {
			run = 0;
			continue;
		}
		for (size_t k = i * 8; k < i * 8 + 8; k++) {
			run = !is_mark(mem[k]) ? 0 : run && mem[k] == mem[k - 1] ? run + 1 : 1;
			if (run >= MARK_RUN)
				return (long)k;
		}
	}
	return -1;
}

static void u2_nothing_leaked(const struct evil_guest *g)
{
	const uint8_t *at;
	long off = find_mark(g->mem);

	ck_assert_msg(off < 0, "U2: uninitialised memory of the root at %lx", off);
	at = memmem(g->mem, EVIL_PAGES * 4096ul, CANARY, 8);
	ck_assert_msg(!at, "U2: the canary's data at %lx", (long)(at - g->mem));
	at = memmem(g->mem, EVIL_PAGES * 4096ul, NET_PEER_MARK, 8);
	ck_assert_msg(!at, "U2: a frame between peers at %lx", (long)(at - g->mem));
	at = memmem(g->mem, EVIL_PAGES * 4096ul, dir, strlen(dir)); /* X05 */
	ck_assert_msg(!at, "U2: a path of the host at %lx", (long)(at - g->mem));
}

/* How long the root and the canary wanted to run and could not is the machine's doing. */
static void u3_canary(void)
{
	uint64_t waited, worst;

	hostile_canary_moves();
	ck_assert_msg(!load_acquire(&sh->errors), "U3: the canary's I/O failed");
	waited = usage_now().waited_ns - before.usage.waited_ns;
	waited += canary_waited_ns() - before.canary_waited_ns;
	worst = load_relaxed(&sh->worst_ns);
	ck_assert_msg(worst < STALL_NS + 3 * waited, "U3: the canary stalled for %llu ms",
		      (unsigned long long)(worst / MS));
	if (!peers)
		return;
	ck_assert_msg(!net_peers_fault(peers), "U3: %s", net_peers_fault(peers));
	waited += net_peers_waited_ns(peers) - before.peers_waited_ns;
	worst = net_peers_worst_ns(peers, false);
	ck_assert_msg(worst < STALL_NS + 3 * waited, "U3: a frame between peers took %llu ms",
		      (unsigned long long)(worst / MS));
}

/* Under 1 % of a processor within a second, nobody asking for anything. */
static void u4_idle(void)
{
	uint64_t limit = clock_ns() + 1000 * MS * SLOWER, ran, start, took;
	struct usage a, b;

	canary_pause(true);
	do {
		start = clock_ns();
		a = (struct usage){ 0 };
		add_tasks(&a);
		usleep(IDLE_NS / 1000);
		b = (struct usage){ 0 };
		add_tasks(&b);
		took = clock_ns() - start;
		ran = b.ran_ns - a.ran_ns;
	} while (ran > took / 100 && clock_ns() < limit);
	canary_pause(false);
	ck_assert_msg(ran <= took / 100, "U4: the root ran %llu us of %llu",
		      (unsigned long long)ran / 1000, (unsigned long long)took / 1000);
}

static void u5_nothing_kept(void)
{
	const struct usage *was = &before.usage;
	uint64_t limit = clock_ns() + SETTLE_NS;
	struct usage u;

	do {
		u = usage_now();
		if (u.fds <= was->fds && u.maps <= was->maps && u.threads <= was->threads &&
		    u.rss_kb <= was->rss_kb + SLACK_KB)
			return;
		usleep(200);
	} while (clock_ns() < limit);
	ck_abort_msg("U5: %ld fds, %ld mappings, %ld threads, %ld KiB; were %ld %ld %ld %ld", u.fds,
		     u.maps, u.threads, u.rss_kb, was->fds, was->maps, was->threads, was->rss_kb);
}

static void u7_log_is_bounded(void)
{
	uint64_t seconds = (clock_ns() - before.start_ns) / (1000 * MS);
	char *text = log_text(), *c;
	uint64_t lines = 0;

	for (c = text; *c; c++) {
		lines += *c == '\n';
		ck_assert_msg(*c == '\n' || isprint((unsigned char)*c) || *c & 0x80,
			      "U7: raw byte %x in the log", (unsigned char)*c);
	}
	ck_assert_msg(lines <= LINES_MAX + 20 * seconds, "U7: %llu lines: %.800s",
		      (unsigned long long)lines, text);
	free(text);
}

/* ---- U8
 * ------------------------------------------------------------------------------------------- */

static bool contains(const char *text, const char *want)
{
	return text && strstr(text, want);
}

static bool in_faults(const json_t *root, uint32_t partition, const char *want)
{
	const json_t *f, *all = json_object_get(root, "faults");
	size_t i;

	for (i = 0; i < json_array_size(all); i++) {
		f = json_array_get(all, i);
		if (json_integer_value(json_object_get(f, "partition")) == partition &&
		    contains(json_string_value(json_object_get(f, "why")), want))
			return true;
	}
	return false;
}

static const json_t *partition_of(const json_t *root, uint32_t id)
{
	const json_t *p, *all = json_object_get(root, "partitions");
	size_t i;

	for (i = 0; i < json_array_size(all); i++) {
		p = json_array_get(all, i);
		if (json_integer_value(json_object_get(p, "id")) == id)
			return p;
	}
	return NULL;
}

static long number(const json_t *o, const char *key)
{
	return (long)json_integer_value(json_object_get(o, key));
}

/* Of any channel of the partition; NULL: none has one. */
static const char *channel_fault(const json_t *p)
{
	const json_t *c, *all = json_object_get(p, "channels");
	const char *why = NULL;
	size_t i;

	for (i = 0; i < json_array_size(all) && !why; i++) {
		c = json_array_get(all, i);
		why = json_string_value(json_object_get(c, "fault"));
	}
	return why;
}

static const json_t *port_of(const json_t *root, uint32_t id)
{
	const json_t *sw = json_array_get(json_object_get(root, "switches"), 0);
	const json_t *p, *all = json_object_get(sw, "ports");
	size_t i;

	for (i = 0; i < json_array_size(all); i++) {
		p = json_array_get(all, i);
		if (json_is_integer(json_object_get(p, "partition")) &&
		    number(p, "partition") == (long)id)
			return p;
	}
	return NULL;
}

static const char *missing_of_nic(const json_t *root, uint32_t id, const struct proof *want)
{
	const json_t *port = port_of(root, id), *nic = json_object_get(port, "adapter");

	if (want->nic && !number(nic, want->nic))
		return want->nic;
	if (want->nic_failed &&
	    !contains(json_string_value(json_object_get(nic, "failed")), want->nic_failed))
		return want->nic_failed;
	if (want->drop_in && !number(json_object_get(port, "dropped_in"), want->drop_in))
		return want->drop_in;
	if (want->drop_out && !number(json_object_get(port, "dropped_out"), want->drop_out))
		return want->drop_out;
	return NULL;
}

/* What is still missing, or NULL. */
static const char *missing(const json_t *root, uint32_t id, const struct proof *want)
{
	const json_t *p = partition_of(root, id), *bus = json_object_get(p, "bus");
	const char *fault = channel_fault(p);
	const json_t *ctl = json_array_get(json_object_get(p, "controllers"), 0);

	if (want->cut)
		return in_faults(root, id, want->cut) ? NULL : want->cut;
	if (!p)
		return "the partition";
	if (want->fault && !contains(fault, want->fault))
		return want->fault;
	if (want->drop &&
	    (!number(bus, "dropped") ||
	     !contains(json_string_value(json_object_get(bus, "last_drop")), want->drop)))
		return *want->drop ? want->drop : "a dropped message";
	if (want->rejected && !number(ctl, "rejected"))
		return "a rejected request";
	if (want->refused && !number(p, "hypercalls_refused"))
		return "a refused hypercall";
	if (!want->fault && !want->lost && fault)
		return "a channel without fault";
	return missing_of_nic(root, id, want);
}

static void u8_visible(uint32_t id, const struct proof *want)
{
	uint64_t limit = clock_ns() + SETTLE_NS;
	const char *gap;
	json_t *root;
	char *text;

	do {
		text = hostile_inspect();
		root = json_loads(text, 0, NULL);
		ck_assert_msg(root != NULL, "U8: inspect said %.800s", text);
		gap = missing(root, id, want);
		json_decref(root);
		if (gap && clock_ns() > limit)
			ck_abort_msg("U8: inspect does not show %s: %.800s", gap, text);
		free(text);
		usleep(gap ? 1000 : 0);
	} while (gap);
}

bool hostile_shows(const struct evil_guest *g, const struct proof *proof)
{
	char *text = hostile_inspect();
	json_t *root = json_loads(text, 0, NULL);
	bool all = root && !missing(root, g->welcome.partition_id, proof);

	json_decref(root);
	free(text);
	return all;
}

/* ---- a case
 * -------------------------------------------------------------------------------------- */

void hostile_mark(void)
{
	before.log = log_size();
	before.start_ns = clock_ns();
	before.usage = usage_now();
	store_relaxed(&sh->worst_ns, 0);
	before.canary_waited_ns = canary_waited_ns();
	if (peers) {
		before.peers_waited_ns = net_peers_waited_ns(peers);
		net_peers_worst_ns(peers, true);
	}
}

void hostile_settled(void)
{
	u1_alive();
	u3_canary();
	u5_nothing_kept();
	u4_idle();
	u1_alive();
}

void hostile_usage(char *text, size_t n)
{
	struct usage u = usage_now();

	snprintf(text, n, "%ld fds, %ld mappings, %ld threads, %ld KiB", u.fds, u.maps, u.threads,
		 u.rss_kb);
}

void hostile_begin(struct evil_guest *g, enum evil_stage stage)
{
	hostile_mark();
	evil_reach(g, sock, stage);
}

void hostile_end(struct evil_guest *g, const struct proof *proof)
{
	static const struct proof nothing;
	bool there = g->sock >= 0;

	u1_alive();
	if (there || proof) /* who never became a partition is found under 0 */
		u8_visible(there ? g->welcome.partition_id : 0, proof ? proof : &nothing);
	u3_canary();
	if (there)
		u2_nothing_leaked(g);
	if (there && !(proof && proof->cut)) { /* U9: like a new kernel in the same partition */
		evil_restart(g, EVIL_READY);
		works(g);
		u2_nothing_leaked(g);
	}
	evil_end(g);
	evil_reach(g, sock, EVIL_READY); /* U9: another life */
	works(g);
	evil_end(g);
	u5_nothing_kept();
	u4_idle();
	u7_log_is_bounded();
	u1_alive();
}

int hostile_run(const char *name, const TTest *const *cases, size_t n)
{
	Suite *s = suite_create(name);
	TCase *tc = tcase_create("one root");
	SRunner *r;
	int failed;

	log_set_level(LOG_ERROR);
	tcase_add_unchecked_fixture(tc, hostile_start, hostile_stop);
	tcase_set_timeout(tc, 60);
	for (size_t i = 0; i < n; i++)
		tcase_add_test(tc, cases[i]);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
