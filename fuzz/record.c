/* SPDX-License-Identifier: MIT */
/*
 * Records seeds from a real exchange: a root and a child partition in two processes, the
 * child doing what children do. Everything the root takes in is written in the form that the
 * fuzz targets read. Linked with --wrap, so that the code under test has no hook in it.
 *
 * usage: record CORPUS_DIRECTORY        (make seeds)
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "vmbus/server_sm.h"
#include "vmwp/root.h"
#include "vsc/storvsc.h"

static FILE *sm_file, *stor_file, *scsi_file;
static const char *packet_dir;
static unsigned packets;

int __real_vmbus_sm_message(struct vmbus_sm *sm, uint32_t conn, const void *msg, uint32_t len);
int __wrap_vmbus_sm_message(struct vmbus_sm *sm, uint32_t conn, const void *msg, uint32_t len);
int __real_vmbus_chan_recv(struct vmbus_chan *c, struct vmpkt *pkt);
int __wrap_vmbus_chan_recv(struct vmbus_chan *c, struct vmpkt *pkt);

/* fuzz_server_sm: the message, then an answer to whatever it caused, then the sends. */
int __wrap_vmbus_sm_message(struct vmbus_sm *sm, uint32_t conn, const void *msg, uint32_t len)
{
	static const uint8_t then[] = { 4, 0, 4, 0, 7, 7 };
	uint8_t head[4] = { 8, 0, (uint8_t)len, (uint8_t)(*(const uint8_t *)msg & 31) };

	if (conn == 1)
		head[3] |= 0x40;
	fwrite(head, sizeof(head), 1, sm_file);
	if (len > 8)
		fwrite((const uint8_t *)msg + 8, len - 8, 1, sm_file);
	fwrite(then, sizeof(then), 1, sm_file);
	return __real_vmbus_sm_message(sm, conn, msg, len);
}

/* fuzz_packet: the packet as it was in the ring; the decoder sets lengths from the size. */
static void record_packet(const struct vmpkt *p)
{
	uint32_t hdr = 16 + (p->range_count ? 8 + p->ranges_len : 0);
	struct vmpkt_desc d = { p->type, (uint16_t)(hdr / 8),
				(uint16_t)((hdr + p->payload_len) / 8), p->flags, p->trans_id };
	uint32_t counts[2] = { 0, p->range_count };
	char path[512];
	FILE *f;

	if (packets >= 40)
		return;
	snprintf(path, sizeof(path), "%s/recorded-%02u", packet_dir, packets++);
	f = fopen(path, "wb");
	if (!f)
		return;
	fwrite(&d, sizeof(d), 1, f);
	if (p->range_count) {
		fwrite(counts, sizeof(counts), 1, f);
		fwrite(p->ranges, p->ranges_len, 1, f);
	}
	fwrite(p->payload, p->payload_len, 1, f);
	fclose(f);
}

/* fuzz_storvsp: an SRB in its own form, anything else as raw bytes; then run and drain. */
static void record_stor(const struct vmpkt *p)
{
	const uint8_t *v = p->payload;
	uint16_t len, offset = 0;
	uint32_t n;

	if (p->payload_len >= 64 && v[0] == 3) {
		memcpy(&n, v + 24, 4);
		len = (uint16_t)(n < 0x7fff ? n : 0x7000);
		fputc(8, stor_file);
		fputc(0x80 | (v[22] & 3) | (v[19] ? 16 : 0), stor_file);
		fwrite(&len, 2, 1, stor_file);
		fwrite(&offset, 2, 1, stor_file);
		if (v[19])
			fputc(v[19], stor_file);
		fwrite(v + 28, 16, 1, stor_file);
	} else {
		fputc(5, stor_file);
		fputc((int)p->payload_len, stor_file);
		fwrite(v, p->payload_len, 1, stor_file);
		fputc(p->flags & 1, stor_file);
		fwrite(&p->trans_id, 8, 1, stor_file);
	}
	fputc(2, stor_file);
	fputc(3, stor_file);
}

/* fuzz_scsi: the CDB as it stands, on its own disk, and a buffer of that length. */
static void record_scsi(const struct vmpkt *p)
{
	static const uint8_t dirs[] = { 3, 1, 2 }; /* out, in, none */
	const uint8_t *v = p->payload, *cdb = v + 28;
	uint8_t head[4] = { 4, v[19] ? 8 : 0x80, 0xa8, cdb[0] };
	uint16_t len;

	if (p->payload_len < 64 || v[0] != 3)
		return;
	memcpy(&len, v + 24, 2);
	head[2] |= dirs[v[22] % 3];
	fwrite(head, sizeof(head), 1, scsi_file);
	if (cdb[0] == 0x9e || cdb[0] == 0xa3 || cdb[0] == 0x5e || cdb[0] == 0x5f)
		fputc(0, scsi_file); /* the action is in the CDB */
	fwrite(cdb + 1, 15, 1, scsi_file);
	fwrite(&len, 2, 1, scsi_file);
	for (int i = 0; v[22] == 0 && i < 48 && i < len; i++)
		fputc(0, scsi_file);
}

int __wrap_vmbus_chan_recv(struct vmbus_chan *c, struct vmpkt *pkt)
{
	int n = __real_vmbus_chan_recv(c, pkt);

	if (n > 0 && sm_file) {
		record_packet(pkt);
		record_stor(pkt);
		record_scsi(pkt);
	}
	return n;
}

static int exchange(const char *socket)
{
	struct storvsc_config cfg = { .queues = 2, .depth = 16 };
	static uint8_t buf[65536];
	struct storvsc *s;
	struct storvsc_disk d;
	uint8_t luns[8];
	int i;

	if (storvsc_attach(&s, socket, 0, 16u << 20, &cfg, NULL, 0))
		return 1;
	if (storvsc_luns(s, luns, 8) != 2 || storvsc_disk_info(s, 0, &d))
		return 1;
	for (i = 0; i < 6; i++) {
		storvsc_write(s, 0, 0, buf, (uint64_t)i * 65536, 4096u << i % 3,
			      i & 1 ? STORVSC_FUA : 0);
		storvsc_read(s, i & 1, 0, buf, (uint64_t)i * 32768, 65536);
	}
	storvsc_flush(s, 0, 0);
	storvsc_discard(s, 0, 0, 0, 131072);
	storvsc_zero(s, 0, 0, 65536, 65536);
	storvsc_write(s, 0, 1, buf, 0, 4096, 0);	/* read-only */
	storvsc_read(s, 0, 0, buf, d.size - 512, 4096); /* out of range */
	storvsc_read(s, 0, 9, buf, 0, 512);		/* absent */
	storvsc_detach(s);
	return 0;
}

static FILE *open_seed(const char *dir, const char *target)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/recorded", dir, target);
	f = fopen(path, "wb");
	if (!f) {
		perror(path);
		exit(1);
	}
	return f;
}

static struct root *root;

static void on_child(int sig)
{
	(void)sig;
	root_stop(root);
}

int main(int argc, char **argv)
{
	static struct root_config cfg;
	char socket[] = "/tmp/hvbus-record-XXXXXX", why[256], dir[512];
	int fd = mkstemp(socket), status = 1;
	pid_t child;

	if (argc != 2 || fd < 0) {
		fprintf(stderr, "usage: record CORPUS_DIRECTORY\n");
		return 2;
	}
	close(fd);
	unlink(socket);
	snprintf(dir, sizeof(dir), "%s/packet", argv[1]);
	packet_dir = dir;
	log_set_level(LOG_ERROR);
	cfg = (struct root_config){ .socket = socket, .nr_disks = 2, .cpu = -1 };
	cfg.disk[0].blk =
		(struct blk_config){ .engine = BLK_ENGINE_MEMORY, .size = 1 << 20, .direct = -1 };
	cfg.disk[1].blk = (struct blk_config){
		.engine = BLK_ENGINE_MEMORY, .size = 1 << 20, .direct = -1, .readonly = true
	};
	cfg.disk[1].lun = 1;
	if (root_create(&root, &cfg, why, sizeof(why))) {
		fprintf(stderr, "record: %s\n", why);
		return 1;
	}
	signal(SIGCHLD, on_child);
	child = fork();
	if (child == 0)
		_exit(exchange(socket));
	sm_file = open_seed(argv[1], "server_sm");
	stor_file = open_seed(argv[1], "storvsp");
	scsi_file = open_seed(argv[1], "scsi");
	fputc(0, stor_file); /* the handshake is in the recording */
	root_run(root);
	waitpid(child, &status, 0);
	fclose(sm_file);
	fclose(stor_file);
	fclose(scsi_file);
	sm_file = NULL;
	root_destroy(root);
	printf("%s: %u packets\n", argv[1], packets);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
