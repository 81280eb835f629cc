/* SPDX-License-Identifier: MIT */
/*
 * A root's socket against control clients that mean harm or know no better: whole connections
 * of text, hellos and descriptors, through the listener that the program has. The input is
 * lines of text, so that a dictionary and people can write it:
 *
 *   {..    and anything not below: a request, as it stands, on the newest connection
 *   +      a new connection that says it is a control client      ! one that says nothing
 *   ?x..   a hello with byte x of it changed                      -  hangs up
 *   fxy    the next request carries descriptors of kinds x and y  zx  x tenths of a second pass
 *   e      an empty packet                                        <  reads what has been said
 *
 * What must hold: an answer is one JSON object, and what has "error" has a sentence there and
 * a positive "errno"; silence is cut off in time; no descriptor and no memory stays behind.
 *
 * The listener is bound to a name that is not in the file system, and nothing is opened: disks
 * are memory, or descriptors that a client sent.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "fuzz/input.h"
#include "fuzz/vtime.h"
#include "hv-core/proc/proc_sock.h"
#include "hv-core/proc/proc_wire.h"
#include "vmwp/root_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_bind(int fd, const struct sockaddr *sa, socklen_t len);
int __real_bind(int fd, const struct sockaddr *sa, socklen_t len);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);

#define PEERS	   6
#define FD_TABLE   128
#define LINES	   64
#define LINE_BYTES 2048
#define TURNS	   40

struct peer {
	int fd; /* -1: none */
	char *said;
	size_t len;
	bool over, hello;
};

static struct world {
	struct root *root;
	struct peer peer[PEERS];
	int newest, fds[2];
} w;

static struct sockaddr_un address;
static socklen_t address_len;

/* The kernel chooses an abstract name. */
int __wrap_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	sa_family_t family = AF_UNIX;

	if (!vtime.inside)
		return __real_bind(fd, sa, len);
	address_len = sizeof(address);
	return __real_bind(fd, (const struct sockaddr *)&family, sizeof(family)) ||
	       getsockname(fd, (struct sockaddr *)&address, &address_len);
}

/* Everything happens on this thread: an image is closed where it is. */
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg)
{
	return vtime.inside ? EAGAIN : __real_pthread_create(t, a, fn, arg);
}

static uint32_t open_fds(void)
{
	uint32_t n = 0;

	for (int fd = 0; fd < FD_TABLE; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* ---- peers --------------------------------------------------------------------------------- */

static void turn(int n)
{
	while (n-- && loop_turn(w.root->loop, 0) > 0)
		;
}

static int make_fd(char kind)
{
	int fd, sv[2];

	switch (kind) {
	case 'm':
	case 'M': /* a file that can be an image, of a good and an odd length */
		fd = memfd_create("fuzz", MFD_CLOEXEC);
		INVARIANT(fd >= 0 && !ftruncate(fd, kind == 'm' ? 65536 : 1000));
		return fd;
	case 's':
		return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) || close(sv[0])
			       ? -1
			       : sv[1];
	case 'd':
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	case 'e':
		return eventfd(0, EFD_CLOEXEC);
	default:
		return -1;
	}
}

static void hang_up(struct peer *p)
{
	if (p->fd < 0)
		return;
	close(p->fd);
	free(p->said);
	*p = (struct peer){ .fd = -1 };
}

static void dial(void)
{
	w.newest = (w.newest + 1) % PEERS;
	hang_up(&w.peer[w.newest]);
	w.peer[w.newest].fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	INVARIANT(w.peer[w.newest].fd >= 0);
	if (connect(w.peer[w.newest].fd, (struct sockaddr *)&address, address_len))
		hang_up(&w.peer[w.newest]);
	turn(2);
}

static void hello(const char *spoil, size_t len)
{
	struct hv_proc_hello h = { .magic = HV_PROC_MAGIC,
				   .version = HV_PROC_VERSION,
				   .role = HV_PROC_CONTROL };
	size_t n = sizeof(h);

	if (len > 2 && spoil[1] == 'g') /* a child that comes and goes: disks have viewers */
		h.role = HV_PROC_GUEST, h.memory = 65536, h.nr_vps = 1;
	else if (len > 2)
		((char *)&h)[(uint8_t)spoil[1] % sizeof(h)] ^= spoil[2];
	if (len > 3 && spoil[1] != 'g')
		n = (uint8_t)spoil[3] % (sizeof(h) + 8);
	w.peer[w.newest].hello = h.role == HV_PROC_CONTROL && n == sizeof(h);
	send(w.peer[w.newest].fd, &h, n < sizeof(h) ? n : sizeof(h), MSG_NOSIGNAL);
	turn(2);
}

/* Once more for who sends nothing: proc_sock_send() takes any length, 0 too. */
static void request(const char *text, size_t len)
{
	int n = 0;

	while (n < 2 && w.fds[n] >= 0)
		n++;
	proc_sock_send(w.peer[w.newest].fd, text, len, w.fds, n, MSG_DONTWAIT);
	for (int i = 0; i < 2; i++) {
		if (w.fds[i] >= 0)
			close(w.fds[i]);
		w.fds[i] = -1;
	}
	turn(TURNS);
}

static void check_answer(const struct peer *p)
{
	json_t *o = json_loadb(p->said, p->len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *error = json_object_get(o, "error");

	INVARIANT(json_is_object(o));
	if (error) {
		INVARIANT(json_string_length(error) > 0);
		INVARIANT(json_integer_value(json_object_get(o, "errno")) > 0);
	}
	json_decref(o);
}

static void listen_to(struct peer *p)
{
	int fds[PROC_MAX_FDS], nfds;
	static char piece[65536];
	ssize_t n;

	while (p->fd >= 0 && !p->over) {
		n = proc_sock_recv(p->fd, piece, sizeof(piece), fds, &nfds);
		if (n == -EAGAIN)
			return;
		for (int i = 0; i < nfds; i++)
			close(fds[i]); /* of a child: its memory */
		p->over = n <= 0;
		if (p->over || !p->hello)
			continue;
		p->said = realloc(p->said, p->len + (size_t)n);
		INVARIANT(p->said);
		memcpy(p->said + p->len, piece, (size_t)n);
		p->len += (size_t)n;
	}
	if (p->over && p->len)
		check_answer(p);
}

static void listen_to_all(void)
{
	for (int i = 0; i < PEERS; i++)
		listen_to(&w.peer[i]);
}

/* ---- a run --------------------------------------------------------------------------------------
 */

static void line(const char *text, size_t len)
{
	static const char empty;

	switch (len ? *text : 0) {
	case '+':
		dial();
		hello("", 0);
		return;
	case '!':
		dial();
		return;
	case '?':
		dial();
		hello(text, len);
		return;
	case '-':
		hang_up(&w.peer[w.newest]);
		turn(TURNS);
		return;
	case 'f':
		for (size_t i = 0; i < 2; i++)
			if (w.fds[i] < 0 && i + 1 < len)
				w.fds[i] = make_fd(text[i + 1]);
		return;
	case 'z':
		vtime_pass(len > 1 ? (uint8_t)text[1] * 100000000ull : 0);
		turn(TURNS);
		return;
	case 'e':
		request(&empty, 0);
		return;
	case '<':
		listen_to_all();
		turn(TURNS);
		return;
	default:
		request(text, len < LINE_BYTES ? len : LINE_BYTES);
	}
}

static void up(void)
{
	struct root_config cfg = { .socket = "/nonexistent/fuzz",
				   .nr_disks = 2,
				   .cpu = -1,
				   .loop_engine = LOOP_EPOLL,
				   .sandbox = SANDBOX_OFF,
				   .max_partitions = 2,
				   .max_memory = 65536 };
	char why[256] = "";

	cfg.disk[0].blk = (struct blk_config){ .engine = BLK_ENGINE_MEMORY, .size = 65536 };
	cfg.disk[1].blk = cfg.disk[0].blk;
	cfg.disk[1].blk.readonly = true;
	cfg.disk[1].type = SCSI_DVD;
	cfg.disk[1].lun = 5;
	memset(&w, 0, sizeof(w));
	w.fds[0] = w.fds[1] = -1;
	for (int i = 0; i < PEERS; i++)
		w.peer[i].fd = -1;
	INVARIANT(!root_create(&w.root, &cfg, why, sizeof(why)));
	dial();
	hello("", 0);
}

static void down(void)
{
	turn(TURNS);
	listen_to_all();
	vtime_pass(700000000000ull); /* beyond every deadline */
	turn(TURNS);
	listen_to_all();
	turn(TURNS);
	for (int i = 0; i < PEERS; i++) {
		/* Nobody is kept waiting: answered or cut off, but for children. */
		INVARIANT(w.peer[i].fd < 0 || w.peer[i].over || !w.peer[i].hello);
		hang_up(&w.peer[i]);
	}
	request("", 0); /* gives back what was to be sent next */
	INVARIANT(!w.root->conns && !w.root->nr_pending);
	root_destroy(w.root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data, *end = at + size, *stop;
	static int silence;
	uint32_t before;

	if (!silence) { /* refusals are what we ask for */
		silence = open("/dev/null", O_WRONLY | O_CLOEXEC);
		log_set_fd(silence);
		signal(SIGCHLD, SIG_IGN); /* a root leaves its helpers' last words to init */
	}
	before = open_fds();
	vtime_enter();
	up();
	for (int i = 0; i < LINES && at < end; i++, at = stop + 1) {
		stop = memchr(at, '\n', (size_t)(end - at));
		if (!stop)
			stop = end;
		line(at, (size_t)(stop - at));
	}
	down();
	vtime_leave();
	INVARIANT(open_fds() == before);
	return 0;
}
