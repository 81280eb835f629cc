/* SPDX-License-Identifier: MIT */
/* Guests that exchange frames with numbers; see the header. */
#include "tests/hostile/net_peer.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/iov.h"
#include "vsc/netvsc.h"

#define MEMORY	   (32ull << 20)
#define WINDOW_MAX 64u
#define SHORTEST   60u
#define LONGEST	   1514u
#define BATCH	   32
#define QUIET_NS   5000000ull /* of a wait while nothing is to be sent */
#define LEAVE_NS   20000000000ull

/* Of a frame between peers; behind it, up to its length, what fill_word() says. */
struct head {
	uint8_t dst[NET_MAC_LEN], src[NET_MAC_LEN];
	uint8_t type[2];
	uint8_t from, to;
	uint64_t seq;  /* of all frames of this pair and direction */
	uint64_t data; /* of those that are acknowledged; 0 = this is an acknowledgement only */
	uint64_t ack;  /* data frames received */
	uint32_t len, reserved;
};
#define HEAD_LEN 48u
WIRE_SIZE(struct head, HEAD_LEN);

struct shared_peer {
	uint32_t up, quiet, faulty;
	uint64_t worst_ns;
	uint64_t got[NET_PEERS]; /* data frames, by sender */
	char fault[320];
};

struct net_peers {
	struct net_peers_config cfg;
	uint32_t go, pause, leave; /* all are up; say no more; go home */
	pid_t pid[NET_PEERS];
	struct shared_peer peer[NET_PEERS];
};

void net_peer_mac(uint32_t index, uint8_t mac[NET_MAC_LEN])
{
	const uint8_t m[NET_MAC_LEN] = { 2, 0, 0, 0, 0x50, (uint8_t)index };

	memcpy(mac, m, NET_MAC_LEN);
}

/* ---- a peer's own ---------------------------------------------------------------------- */

struct other {
	uint64_t seq_out, seq_in; /* the last ones */
	uint64_t data_out, acked; /* ours */
	uint64_t data_in, told;	  /* theirs, and what they know of that */
	uint64_t next_ns;	  /* when another burst is due */
	uint64_t sent_ns[WINDOW_MAX];
};

static struct net_peers *all;
static struct shared_peer *me;
static uint32_t self;
static struct netvsc *nic;
static struct other other[NET_PEERS];

#define FAULT(...)                                                                                 \
	do {                                                                                       \
		if (!me->faulty)                                                                   \
			snprintf(me->fault, sizeof(me->fault), __VA_ARGS__);                       \
		store_release(&me->faulty, 1);                                                     \
	} while (0)

static uint64_t fill_word(uint32_t from, uint32_t to, uint64_t data, uint32_t at)
{
	uint64_t w;

	if (at % 128 == 64)
		memcpy(&w, NET_PEER_MARK, sizeof(w));
	else
		w = (data * 0x9e3779b97f4a7c15ull) ^ ((uint64_t)(from << 8 | to) << 32) ^ at;
	return w;
}

static uint32_t length_of(uint64_t data)
{
	return data ? SHORTEST + (uint32_t)(data * 2654435761u % (LONGEST - SHORTEST + 1))
		    : SHORTEST;
}

static uint32_t make(uint8_t *frame, uint32_t to, uint64_t data)
{
	struct other *o = &other[to];
	struct head h = { .type = { NET_PEER_ETHERTYPE >> 8, NET_PEER_ETHERTYPE & 0xff },
			  .from = (uint8_t)self,
			  .to = (uint8_t)to,
			  .seq = o->seq_out + 1,
			  .data = data,
			  .ack = o->data_in,
			  .len = length_of(data) };

	net_peer_mac(to, h.dst);
	net_peer_mac(self, h.src);
	memcpy(frame, &h, HEAD_LEN);
	for (uint32_t at = HEAD_LEN; at < h.len; at += 8) {
		uint64_t w = fill_word(self, to, data, at);

		memcpy(frame + at, &w, h.len - at < 8 ? h.len - at : 8);
	}
	return h.len;
}

/* False: no room at the moment. */
static bool put(const uint8_t *frame, uint32_t len)
{
	struct netvsc_tx tx;
	int err = netvsc_tx_begin(nic, 0, &tx);

	if (err == -EAGAIN)
		return false;
	if (!err) {
		iov_from_buf(tx.iov, 2, 0, frame, len);
		err = netvsc_tx_commit(nic, 0, &tx, len, NULL);
	}
	if (err)
		FAULT("peer %u cannot send: %d, %s", self, err, netvsc_why(nic));
	return !err;
}

static bool say(uint32_t to, bool data)
{
	static uint8_t frame[LONGEST + 8];
	struct other *o = &other[to];
	uint32_t len = make(frame, to, data ? o->data_out + 1 : 0);

	if (!put(frame, len))
		return false;
	o->seq_out++;
	o->told = o->data_in;
	if (data)
		o->sent_ns[++o->data_out % WINDOW_MAX] = clock_ns();
	return true;
}

/* ---- what comes --------------------------------------------------------------------------- */

static bool is_whole(const uint8_t *frame, const struct head *h)
{
	for (uint32_t at = HEAD_LEN; at < h->len; at += 8) {
		uint64_t w = fill_word(h->from, self, h->data, at);

		if (memcmp(frame + at, &w, h->len - at < 8 ? h->len - at : 8))
			return false;
	}
	return true;
}

static void take_ack(struct other *o, uint32_t from, uint64_t ack)
{
	uint64_t took;

	if (ack < o->acked || ack > o->data_out) {
		FAULT("peer %u: %u acknowledges %llu, of %llu", self, from, (unsigned long long)ack,
		      (unsigned long long)o->data_out);
		return;
	}
	while (o->acked < ack) {
		took = clock_ns() - o->sent_ns[++o->acked % WINDOW_MAX];
		if (took > load_relaxed(&me->worst_ns))
			store_relaxed(&me->worst_ns, took);
	}
}

static void take_numbered(const uint8_t *frame, uint32_t len)
{
	struct head h;
	struct other *o;

	memcpy(&h, frame, HEAD_LEN);
	if (h.from >= all->cfg.n || h.from == self || h.to != self || h.len != len ||
	    len != length_of(h.data)) {
		FAULT("peer %u: a frame of %u bytes from %u to %u that says %u", self, len, h.from,
		      h.to, h.len);
		return;
	}
	o = &other[h.from];
	if (h.seq != o->seq_in + 1)
		FAULT("peer %u: frame %llu of %u came behind %llu: %s", self,
		      (unsigned long long)h.seq, h.from, (unsigned long long)o->seq_in,
		      h.seq > o->seq_in ? "lost" : "overtaken, or twice");
	o->seq_in = h.seq;
	if (!is_whole(frame, &h))
		FAULT("peer %u: frame %llu of %u was changed", self, (unsigned long long)h.seq,
		      h.from);
	take_ack(o, h.from, h.ack);
	if (h.data) {
		o->data_in = h.data;
		store_relaxed(&me->got[h.from], h.data);
	}
}

/* Once a round, so that who floods us with them is not helped. */
static bool answer_ping(uint8_t *frame, uint32_t len)
{
	memcpy(frame, frame + NET_MAC_LEN, NET_MAC_LEN);
	net_peer_mac(self, frame + NET_MAC_LEN);
	return put(frame, len);
}

static void take(const struct netvsc_rx *rx, bool *ping)
{
	static uint8_t frame[LONGEST + 8];
	uint8_t mac[NET_MAC_LEN];
	uint32_t type;

	if (rx->len < SHORTEST || rx->len > LONGEST)
		return; /* of a stranger */
	iov_to_buf(rx->iov, rx->iovcnt, 0, frame, rx->len);
	net_peer_mac(self, mac);
	type = (uint32_t)frame[12] << 8 | frame[13];
	if (memcmp(frame, mac, NET_MAC_LEN))
		return;
	if (type == NET_PING_ETHERTYPE && !*ping)
		*ping = answer_ping(frame, rx->len);
	else if (type == NET_PEER_ETHERTYPE && frame[NET_MAC_LEN + 4] == 0x50)
		take_numbered(frame, rx->len);
}

/* ---- a peer's life --------------------------------------------------------------------------- */

static bool receive(void)
{
	static struct netvsc_rx rx[BATCH];
	bool ping = false;
	int n = netvsc_rx(nic, 0, rx, BATCH);

	if (n < 0)
		FAULT("peer %u: its NIC failed: %d, %s", self, n, netvsc_why(nic));
	for (int i = 0; i < n; i++)
		take(&rx[i], &ping);
	if (n > 0)
		netvsc_rx_done(nic, 0);
	return n > 0;
}

static bool send_to(uint32_t to, uint64_t now, bool quiet)
{
	struct other *o = &other[to];
	uint32_t n = 0;

	if (!quiet && now >= o->next_ns) {
		while (n < all->cfg.burst && o->data_out - o->acked < all->cfg.window &&
		       say(to, true))
			n++;
		if (n)
			o->next_ns = now + all->cfg.gap_us * 1000ull;
	}
	return n || (o->told != o->data_in && say(to, false));
}

static bool all_acked(void)
{
	for (uint32_t i = 0; i < all->cfg.n; i++)
		if (other[i].acked != other[i].data_out || other[i].told != other[i].data_in)
			return false;
	return true;
}

static void round_of(void)
{
	bool quiet = load_acquire(&all->pause) || !load_acquire(&all->go), did = receive();
	uint64_t now = clock_ns();

	for (uint32_t i = 0; i < all->cfg.n; i++)
		if (i != self)
			did |= send_to(i, now, quiet);
	netvsc_tx_flush(nic, 0);
	store_release(&me->quiet, quiet && all_acked());
	if (!did)
		netvsc_wait(nic, 0, quiet ? QUIET_NS : all->cfg.gap_us * 1000ull);
}

static int attach(const char *path, const char *sw, struct hv_child **hv, struct vmbus_client **bus)
{
	struct netvsc_config nc = { .rx_bytes = all->cfg.rx_bytes };
	char wish[128], name[32], why[256] = "";
	struct hv_child_config cc = { .name = name, .memory = MEMORY, .wishes = wish };
	int err;

	snprintf(name, sizeof(name), "peer%u", self);
	snprintf(wish, sizeof(wish), "nic switch=%s,name=peer%u,mac=02:00:00:00:50:%02x,queues=1",
		 sw, self, self);
	err = hv_child_connect(hv, path, &cc, why, sizeof(why));
	if (!err)
		err = vmbus_client_connect(bus, *hv, NULL);
	if (!err)
		err = netvsc_open(&nic, *bus, 0, &nc, why, sizeof(why));
	if (!err)
		err = netvsc_up(nic, true);
	if (err)
		FAULT("peer %u cannot attach: %d, %s", self, err, why);
	return err;
}

static void __attribute__((noreturn)) live(const char *path, const char *sw)
{
	struct vmbus_client *bus = NULL;
	struct hv_child *hv = NULL;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	me = &all->peer[self];
	if (attach(path, sw, &hv, &bus))
		_exit(EXIT_FAILURE);
	store_release(&me->up, 1);
	while (!load_acquire(&all->leave) && !netvsc_failed(nic))
		round_of();
	netvsc_close(nic);
	vmbus_client_destroy(bus);
	hv_child_destroy(hv);
	_exit(me->faulty ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* ---- outside ----------------------------------------------------------------------------------
 */

static bool wait_for(struct net_peers *p, size_t flag, uint64_t ns)
{
	uint64_t limit = clock_ns() + ns;
	uint32_t i = 0;

	while (i < p->cfg.n) {
		if (load_acquire((uint32_t *)((uint8_t *)&p->peer[i] + flag))) {
			i++;
			continue;
		}
		if (clock_ns() > limit || net_peers_fault(p))
			return false;
		usleep(200);
	}
	return true;
}

struct net_peers *net_peers_start(const char *path, const char *sw,
				  const struct net_peers_config *cfg)
{
	struct net_peers *p =
		mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	if (p == MAP_FAILED || cfg->n > NET_PEERS || cfg->window >= WINDOW_MAX)
		return NULL;
	p->cfg = *cfg;
	all = p;
	for (self = 0; self < cfg->n; self++) {
		fflush(NULL);
		pid = fork();
		if (!pid)
			live(path, sw);
		p->pid[self] = pid;
	}
	if (!wait_for(p, offsetof(struct shared_peer, up), LEAVE_NS)) {
		fprintf(stderr, "%s\n", net_peers_fault(p) ?: "the peers do not come up");
		net_peers_stop(p);
		return NULL;
	}
	store_release(&p->go, 1);
	return p;
}

static bool ended(pid_t pid, bool kill_it)
{
	uint64_t limit = clock_ns() + LEAVE_NS;
	int status;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		if (kill_it || clock_ns() > limit) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return false;
		}
		usleep(500);
	}
	return !status;
}

bool net_peers_stop(struct net_peers *p)
{
	bool good = true;

	store_release(&p->leave, 1);
	for (uint32_t i = 0; i < p->cfg.n; i++)
		good &= ended(p->pid[i], false);
	munmap(p, sizeof(*p));
	return good;
}

/* Whoever asks need not be its parent. */
static bool is_running(pid_t pid)
{
	char name[64], state = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/stat", (int)pid);
	f = fopen(name, "r");
	if (f && fscanf(f, "%*d %*s %c", &state) != 1)
		state = 0;
	if (f)
		fclose(f);
	return state && state != 'Z' && state != 'X';
}

const char *net_peers_fault(const struct net_peers *p)
{
	for (uint32_t i = 0; i < p->cfg.n; i++) {
		if (load_acquire(&p->peer[i].faulty))
			return p->peer[i].fault;
		if (!is_running(p->pid[i]))
			return "a peer has ended";
	}
	return NULL;
}

uint64_t net_peers_frames(const struct net_peers *p)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < p->cfg.n; i++)
		for (uint32_t k = 0; k < p->cfg.n; k++)
			n += load_relaxed(&p->peer[i].got[k]);
	return n;
}

uint64_t net_peers_fewest(const struct net_peers *p)
{
	uint64_t fewest = UINT64_MAX, n;

	for (uint32_t i = 0; i < p->cfg.n; i++)
		for (uint32_t k = 0; k < p->cfg.n; k++) {
			n = load_relaxed(&p->peer[i].got[k]);
			if (i != k && n < fewest)
				fewest = n;
		}
	return fewest;
}

uint64_t net_peers_worst_ns(struct net_peers *p, bool reset)
{
	uint64_t worst = 0, ns;

	for (uint32_t i = 0; i < p->cfg.n; i++) {
		ns = load_relaxed(&p->peer[i].worst_ns);
		worst = ns > worst ? ns : worst;
		if (reset)
			store_relaxed(&p->peer[i].worst_ns, 0);
	}
	return worst;
}

uint64_t net_peers_waited_ns(const struct net_peers *p)
{
	unsigned long long waited;
	uint64_t sum = 0;
	char name[64];
	FILE *f;

	for (uint32_t i = 0; i < p->cfg.n; i++) {
		snprintf(name, sizeof(name), "/proc/%d/schedstat", (int)p->pid[i]);
		f = fopen(name, "r");
		if (f && fscanf(f, "%*u %llu", &waited) == 1)
			sum += waited;
		if (f)
			fclose(f);
	}
	return sum;
}

/*
 * Quiet is who has everything acknowledged; a frame may still be on its way to somebody who is
 * not, so all have to be so for a while.
 */
bool net_peers_pause(struct net_peers *p, uint64_t ns)
{
	store_release(&p->pause, 1);
	for (int i = 0; i < 2; i++) {
		if (!wait_for(p, offsetof(struct shared_peer, quiet), ns))
			return false;
		usleep(i ? 0 : QUIET_NS / 500);
	}
	return true;
}

void net_peers_resume(struct net_peers *p)
{
	store_release(&p->pause, 0);
}
