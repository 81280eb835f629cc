/* SPDX-License-Identifier: MIT */
/* Captures: read back block by block, and by tcpdump, which also looks at the checksums. */
#include <fcntl.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "tests/ut/vsp/vsw_rig.h"
#include "vsp/netvsp/pcapng.h"

#define NS 1000000000ull

static char dir[] = "/tmp/pcapng-ut-XXXXXX";
static char path[128];
static struct packet k;

static void setup(void)
{
	strcpy(dir, "/tmp/pcapng-ut-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/port.pcapng", dir);
}

static void teardown(void)
{
	unlink(path);
	rmdir(dir);
}

static struct vsw_mirror *open_mirror(int fd, uint32_t snaplen, uint32_t buffer)
{
	struct vsw_mirror_config cfg = {
		.fd = fd,
		.interface = "lan/web1",
		.path = path,
		.snaplen = snaplen,
		.buffer = buffer,
	};
	struct vsw_mirror *m;

	ck_assert_int_eq(vsw_mirror_open(&m, &cfg), 0);
	return m;
}

static struct vsw_mirror *open_file(uint32_t snaplen, uint32_t buffer)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	return open_mirror(fd, snaplen, buffer);
}

static struct vsw_mirror_stats stats_of(const struct vsw_mirror *m)
{
	struct vsw_mirror_stats s;

	vsw_mirror_stats(m, &s);
	return s;
}

/* ---- frames -------------------------------------------------------------------------------- */

static uint64_t sum_of(uint64_t sum, const uint8_t *p, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		sum += (uint64_t)p[i] << (i % 2 ? 0 : 8);
	return sum;
}

static uint16_t folded(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* TCP or UDP over IPv4 with a partial checksum; the payload's first bytes are @n. */
static void make(uint32_t n, uint8_t protocol, uint32_t payload)
{
	const uint8_t mac[2][NET_MAC_LEN] = { { 2, 0, 0, 0, 0, 2 }, { 2, 0, 0, 0, 0, 1 } };
	uint32_t header = protocol == 6 ? 20 : 8, len = header + payload;
	uint16_t field = protocol == 6 ? 16 : 6;
	uint8_t ip[20] = {
		0x45, 0, 0, 0, 0, 7, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2
	};
	uint8_t l4[20] = { 0x04, 0xd2, 0x13, 0x89, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff };

	be16_put(ip + 2, (uint16_t)(20 + len));
	be16_put(ip + 10, (uint16_t)~folded(sum_of(0, ip, 20)));
	if (protocol == 17)
		be16_put(l4 + 4, (uint16_t)len);
	be16_put(l4 + field, folded(sum_of(protocol + len, ip + 12, 8)));
	pkt_begin(&k, mac[0], mac[1], NET_ETHERTYPE_IP4);
	pkt_put(&k, ip, sizeof(ip));
	k.meta.csum = NET_CSUM_PARTIAL;
	k.meta.csum_start = (uint16_t)k.len;
	k.meta.csum_offset = field;
	pkt_put(&k, l4, header);
	for (uint32_t i = 0; i < payload; i++)
		k.b[k.len++] = (uint8_t)(i < 4 ? n >> 8 * i : i * 31 + n);
}

static void make_large(uint32_t payload, uint16_t mss)
{
	make(0, 6, payload);
	k.meta.gso = NET_GSO_TCP4;
	k.meta.gso_size = mss;
	k.meta.header_len = 54;
}

static void capture(struct vsw_mirror *m, bool outbound)
{
	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN], before[NET_HEAD_MAX];
	struct iovec iov = { k.b, k.len }, rest[1];
	struct net_frame f;

	ck_assert_int_eq(net_frame_init(&f, head, NET_HEAD_FIRST, &iov, 1, rest), 0);
	f.meta = k.meta;
	memcpy(before, head, f.head_len);
	vsw_mirror_frame(m, &f, &k.meta, outbound);
	ck_assert_mem_eq(before, head, f.head_len); /* what is captured is a copy */
}

/* ---- reading the file ---------------------------------------------------------------------- */

struct seen {
	uint32_t sections, interfaces, packets, statistics, outbound, inbound;
	uint64_t dropcount, received, lost;
	uint64_t first_ns, last_ns;
	uint32_t captured, original, snaplen;
	char interface[64];
	const uint8_t *frame; /* of the last packet */
	void (*each)(struct seen *s);
	uint32_t next;
};

static uint32_t u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static uint64_t u64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

static void read_option(struct seen *s, uint32_t block, uint16_t code, const uint8_t *v,
			uint16_t len)
{
	if (block == 1 && code == 2)
		memcpy(s->interface, v, len);
	if (block == 1 && code == 9)
		ck_assert_uint_eq(*v, 9);
	if (block == 6 && code == 2)
		*((u32(v) & 3) == 2 ? &s->outbound : &s->inbound) += 1;
	if (block == 6 && code == 4)
		s->dropcount += u64(v);
	if (block == 5 && code == 4)
		s->received = u64(v);
	if (block == 5 && code == 5)
		s->lost = u64(v);
}

static void read_options(struct seen *s, uint32_t block, const uint8_t *p, const uint8_t *end)
{
	while (p + 4 <= end && u32(p)) {
		uint16_t code = (uint16_t)u32(p), len = (uint16_t)(u32(p) >> 16);

		read_option(s, block, code, p + 4, len);
		p += 4 + (len + 3u) / 4 * 4;
	}
	ck_assert_ptr_eq(p + 4, end); /* the end of the options is the end of the block */
}

static void read_packet(struct seen *s, const uint8_t *b)
{
	s->packets++;
	s->last_ns = (uint64_t)u32(b + 12) << 32 | u32(b + 16);
	if (!s->first_ns)
		s->first_ns = s->last_ns;
	s->captured = u32(b + 20);
	s->original = u32(b + 24);
	s->frame = b + 28;
	if (s->each)
		s->each(s);
}

static uint32_t fixed_part(struct seen *s, const uint8_t *b)
{
	switch (u32(b)) {
	case 0x0a0d0d0a:
		s->sections++;
		ck_assert_uint_eq(u32(b + 8), 0x1a2b3c4d);
		return 24;
	case 1:
		s->interfaces++;
		ck_assert_uint_eq(b[8], 1);
		s->snaplen = u32(b + 12);
		return 16;
	case 5:
		s->statistics++;
		return 20;
	default:
		ck_assert_uint_eq(u32(b), 6);
		read_packet(s, b);
		return 28 + (s->captured + 3) / 4 * 4;
	}
}

static void read_blocks(struct seen *s, const uint8_t *p, size_t len)
{
	while (len) {
		uint32_t n = u32(p + 4), fixed;

		ck_assert_uint_le(12, n);
		ck_assert_uint_le(n, len);
		ck_assert_uint_eq(u32(p + n - 4), n);
		fixed = fixed_part(s, p);
		read_options(s, u32(p), p + fixed, p + n - 4);
		p += n;
		len -= n;
	}
	ck_assert_uint_eq(s->sections, 1);
	ck_assert_uint_eq(s->interfaces, 1);
	ck_assert_str_eq(s->interface, "lan/web1");
}

static uint8_t *file_bytes;

static void read_file(struct seen *s)
{
	FILE *f = fopen(path, "re");
	size_t n;

	free(file_bytes);
	file_bytes = malloc(64u << 20);
	ck_assert_ptr_nonnull(f);
	n = fread(file_bytes, 1, 64u << 20, f);
	fclose(f);
	read_blocks(s, file_bytes, n);
}

/* How many lines of what tcpdump says of the file contain @text. */
static uint32_t tcpdump_says(const char *text)
{
	char command[256], line[4096];
	uint32_t n = 0;
	FILE *f;

	snprintf(command, sizeof(command), "tcpdump -nn -e -vv -r %s 2>&1", path);
	f = popen(command, "re");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, text) != NULL;
	ck_assert_int_eq(pclose(f), 0);
	return n;
}

/* ---- tests ---------------------------------------------------------------------------------- */

START_TEST(frames_with_time_and_direction)
{
	struct vsw_mirror *m = open_file(0, 0);
	struct seen s = { 0 };
	struct timespec t;
	uint64_t before, after;

	clock_gettime(CLOCK_REALTIME, &t);
	before = (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
	for (uint32_t i = 0; i < 5; i++) {
		make(i, 17, 100 + i); /* every kind of padding */
		capture(m, i < 3);
	}
	clock_gettime(CLOCK_REALTIME, &t);
	after = (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
	ck_assert_uint_eq(stats_of(m).frames, 5);
	ck_assert_uint_eq(stats_of(m).bytes, 5 * 142 + 10);
	ck_assert_uint_eq(stats_of(m).dropped, 0);
	ck_assert_str_eq(stats_of(m).path, path);
	vsw_mirror_close(m);
	read_file(&s);
	ck_assert_uint_eq(s.packets, 5);
	ck_assert_uint_eq(s.outbound, 3);
	ck_assert_uint_eq(s.inbound, 2);
	ck_assert_uint_ge(s.first_ns, before);
	ck_assert_uint_ge(s.last_ns, s.first_ns);
	ck_assert_uint_le(s.last_ns, after);
	ck_assert_uint_eq(s.captured, 146);
	ck_assert_mem_eq(s.frame + 42, k.b + 42, 104);
	ck_assert_uint_eq(s.statistics, 0);
}
END_TEST

START_TEST(tcpdump_finds_every_checksum_right)
{
	struct vsw_mirror *m = open_file(0, 0);

	for (uint32_t i = 0; i < 20; i++) {
		make(i, i % 2 ? 6 : 17, i * 73);
		if (i % 4 < 2)
			pkt_tag(&k, 0x6064);
		capture(m, i % 3);
	}
	make_large(60000, 1460);
	capture(m, true);
	vsw_mirror_close(m);
	ck_assert_uint_eq(tcpdump_says("udp sum ok"), 10);
	ck_assert_uint_eq(tcpdump_says("(correct)"), 11);
	ck_assert_uint_eq(tcpdump_says("incorrect"), 0);
	ck_assert_uint_eq(tcpdump_says("bad"), 0);
	ck_assert_uint_eq(tcpdump_says("vlan 100, p 3"), 10);
	ck_assert_uint_eq(tcpdump_says("length 60054"), 1);
}
END_TEST

START_TEST(no_more_of_a_frame_than_asked_for)
{
	struct vsw_mirror *m = open_file(60, 0);
	struct seen s = { 0 };

	make(1, 17, 1000);
	pkt_tag(&k, 100);
	capture(m, true);
	make(1, 17, 1); /* shorter than that */
	capture(m, true);
	vsw_mirror_close(m);
	read_file(&s);
	ck_assert_uint_eq(s.snaplen, 60);
	ck_assert_uint_eq(s.packets, 2);
	ck_assert_uint_eq(s.captured, 43);
	ck_assert_uint_eq(tcpdump_says("length 1046"), 1);
}
END_TEST

static void check_order(struct seen *s)
{
	uint32_t n = u32(s->frame + 42), wrong = 0;

	ck_assert_uint_eq(s->captured, s->original);
	ck_assert_uint_ge(n, s->next); /* in order; some are lost */
	s->next = n + 1;
	for (uint32_t i = 4; i < s->captured - 42; i++)
		wrong += s->frame[42 + i] != (uint8_t)(i * 31 + n);
	ck_assert_uint_eq(wrong, 0);
}

/* A buffer for a few frames only: the writer and we meet all the time. */
START_TEST(a_small_buffer_loses_whole_frames_only)
{
	const uint32_t count = 5000;
	struct vsw_mirror *m = open_file(0, 8192);
	struct seen s = { .each = check_order };
	struct vsw_mirror_stats st;

	for (uint32_t i = 0; i < count; i++) {
		make(i, 17, 4 + i * 17 % 1400);
		capture(m, true);
	}
	st = stats_of(m);
	ck_assert_uint_eq(st.frames + st.dropped, count);
	ck_assert_int_eq(st.error, 0);
	vsw_mirror_close(m);
	read_file(&s);
	ck_assert_uint_eq(s.packets, st.frames);
	ck_assert_uint_eq(s.statistics, st.dropped > 0);
	ck_assert_uint_eq(s.lost, st.dropped);
	ck_assert_uint_le(s.dropcount, st.dropped);
}
END_TEST

struct reader {
	int fd;
	size_t len;
	uint8_t *bytes;
};

static void *read_all(void *arg)
{
	struct reader *r = arg;
	ssize_t n;

	while ((n = read(r->fd, r->bytes + r->len, 65536)) > 0)
		r->len += (size_t)n;
	return NULL;
}

START_TEST(what_a_slow_reader_loses_is_said)
{
	struct reader r = { .bytes = malloc(16u << 20) };
	struct vsw_mirror_stats st;
	struct vsw_mirror *m;
	struct seen s = { 0 };
	pthread_t thread;
	int fd[2];

	ck_assert_int_eq(pipe2(fd, O_CLOEXEC), 0);
	ck_assert_int_ge(fcntl(fd[1], F_SETPIPE_SZ, 4096), 0);
	m = open_mirror(fd[1], 0, 16384);
	r.fd = fd[0];
	for (uint32_t i = 0; stats_of(m).dropped < 10; i++) {
		make(i, 17, 1000);
		capture(m, true);
	}
	ck_assert_int_eq(pthread_create(&thread, NULL, read_all, &r), 0);
	st = stats_of(m);
	while (stats_of(m).frames == st.frames) { /* the first that finds room again */
		make(0, 17, 10);
		capture(m, true);
		usleep(100);
	}
	st = stats_of(m);
	vsw_mirror_close(m);
	pthread_join(thread, NULL);
	close(fd[0]);
	read_blocks(&s, r.bytes, r.len);
	ck_assert_uint_eq(s.packets, st.frames);
	ck_assert_uint_ge(st.dropped, 10);
	ck_assert_uint_eq(s.dropcount, st.dropped);
	ck_assert_uint_eq(s.statistics, 1);
	ck_assert_uint_eq(s.lost, st.dropped);
	ck_assert_uint_eq(s.received, st.frames + st.dropped);
	free(r.bytes);
}
END_TEST

static void wait_for_error(struct vsw_mirror *m, int error)
{
	for (uint32_t i = 0; i < 10000 && !stats_of(m).error; i++) {
		make(i, 17, 1000);
		capture(m, true);
		usleep(100);
	}
	ck_assert_int_eq(stats_of(m).error, error);
	make(0, 17, 1000);
	capture(m, true);
	ck_assert_uint_gt(stats_of(m).dropped, 0);
	vsw_mirror_close(m);
}

START_TEST(a_full_disk_and_a_reader_that_went)
{
	int fd[2];

	wait_for_error(open_mirror(open("/dev/full", O_WRONLY | O_CLOEXEC), 0, 0), ENOSPC);
	ck_assert_int_eq(pipe2(fd, O_CLOEXEC), 0);
	close(fd[0]);
	wait_for_error(open_mirror(fd[1], 0, 0), EPIPE); /* and no signal */
}
END_TEST

START_TEST(a_reader_that_does_not_read_is_given_up)
{
	struct timespec t0, t1;
	struct vsw_mirror *m;
	int fd[2];

	ck_assert_int_eq(pipe2(fd, O_CLOEXEC), 0);
	ck_assert_int_ge(fcntl(fd[1], F_SETPIPE_SZ, 4096), 0);
	m = open_mirror(fd[1], 0, 0);
	for (uint32_t i = 0; i < 100; i++) {
		make(i, 17, 1000);
		capture(m, true);
	}
	clock_gettime(CLOCK_MONOTONIC, &t0);
	vsw_mirror_close(m);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	ck_assert_int_lt(t1.tv_sec - t0.tv_sec, 10);
	close(fd[0]);
}
END_TEST

START_TEST(mirrors_that_cannot_be)
{
	struct vsw_mirror_config cfg = { .fd = -1, .interface = "x" };
	struct vsw_mirror *m;

	ck_assert_int_eq(vsw_mirror_open(&m, &cfg), -EBADF);
	cfg.interface = NULL;
	ck_assert_int_eq(vsw_mirror_open(&m, &cfg), -EINVAL);
	cfg.interface = "x";
	cfg.fd = 0;
	cfg.buffer = UINT32_MAX;
	ck_assert_int_eq(vsw_mirror_open(&m, &cfg), -EINVAL);
	vsw_mirror_close(NULL);
}
END_TEST

/* ---- on a port ------------------------------------------------------------------------------- */

START_TEST(a_port_as_it_sees_itself)
{
	struct vsw_policy access = { .vlan_mode = VSW_ACCESS, .vlan = 10 };
	struct vsw_mirror *m = open_file(0, 0);
	struct rig_port a, b, up;
	struct seen s = { 0 };

	rig_switch(false);
	rig_guest(&a, "a", 1);
	rig_guest(&b, "b", 2);
	rig_uplink(&up);
	rig_set(&a, &access);
	rig_set(&b, &access);
	vsw_port_set_caps(b.p, 0, 0);
	vsw_port_set_mirror(b.p, m);
	rig_send_plain(&b, a.mac, b.mac);
	rig_send_plain(&b, a.mac, a.mac); /* dropped at ingress */
	make_large(5000, 1000);
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED); /* five segments for b */
	b.take = 0;
	make(0, 17, 10);
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_NO_BUFFER);
	vsw_port_set_mirror(b.p, NULL);
	rig_send_plain(&b, a.mac, b.mac);
	vsw_mirror_close(m);
	read_file(&s);
	ck_assert_uint_eq(s.outbound, 1);
	ck_assert_uint_eq(s.inbound, 5);
	ck_assert_uint_eq(s.captured, 1054);
	ck_assert_uint_eq(tcpdump_says("(correct)"), 5);
	ck_assert_uint_eq(tcpdump_says("vlan"), 0);
	rig_disconnect(&a);
	rig_disconnect(&b);
	rig_disconnect(&up);
	rig_end();
}
END_TEST

START_TEST(the_uplink_with_tags)
{
	struct vsw_policy access = { .vlan_mode = VSW_ACCESS, .vlan = 10 };
	struct vsw_mirror *m = open_file(0, 0);
	struct rig_port a, up;

	rig_switch(false);
	rig_guest(&a, "a", 1);
	rig_uplink(&up);
	rig_set(&a, &access);
	vsw_port_set_mirror(up.p, m);
	rig_send_plain(&a, rig_broadcast, a.mac);
	vsw_port_set_caps(up.p, 0, 0); /* the same when the switch puts the tag in */
	rig_send_plain(&a, rig_broadcast, a.mac);
	vsw_mirror_close(m);
	vsw_port_set_mirror(up.p, NULL);
	ck_assert_uint_eq(tcpdump_says("vlan 10,"), 2);
	ck_assert_uint_eq(tcpdump_says("length 64"), 2);
	rig_disconnect(&a);
	rig_disconnect(&up);
	rig_end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vsp/pcapng");
	TCase *tc = tcase_create("pcapng");
	int status;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 20);
	tcase_add_test(tc, frames_with_time_and_direction);
	tcase_add_test(tc, tcpdump_finds_every_checksum_right);
	tcase_add_test(tc, no_more_of_a_frame_than_asked_for);
	tcase_add_test(tc, a_small_buffer_loses_whole_frames_only);
	tcase_add_test(tc, what_a_slow_reader_loses_is_said);
	tcase_add_test(tc, a_full_disk_and_a_reader_that_went);
	tcase_add_test(tc, a_reader_that_does_not_read_is_given_up);
	tcase_add_test(tc, mirrors_that_cannot_be);
	tcase_add_test(tc, a_port_as_it_sees_itself);
	tcase_add_test(tc, the_uplink_with_tags);
	suite_add_tcase(s, tc);
	status = rig_main(s);
	free(file_bytes);
	return status;
}
