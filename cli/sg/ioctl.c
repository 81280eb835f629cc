/* SPDX-License-Identifier: MIT */
/*
 * The requests of Linux's sg driver, version 3 of its interface, answered as the driver
 * answers them: SG_IO succeeds whenever the command got somewhere, and the header says
 * what became of it. What the driver does not do here either: version 4 headers (ENOSYS,
 * which is how programs find out), commands through write(2) and read(2).
 */
#include <errno.h>
#include <limits.h>
#include <linux/fs.h>
#include <scsi/scsi.h>
#include <scsi/sg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "cli/sg/sg.h"
#include "vmbus/wire/vstor.h"

#define VERSION		    30536
#define NO_TIMEOUT	    UINT_MAX
#define TABLE_SIZE	    255 /* elements of a scatter list */
#define DEFAULT_TIMEOUT	    60	/* seconds */
#define SG_FLAG_MMAP_IO	    0x4
#define RESET_TARGET	    4
#define RESET_NO_ESCALATION 0x100

#define STATUS_CHECK	    0x02
#define DRIVER_SENSE	    0x08

enum host_status { /* Linux's DID_* */
		   HOST_OK = 0,
		   HOST_NO_CONNECT = 1,
		   HOST_TIMED_OUT = 3,
		   HOST_ABORTED = 5,
		   HOST_ERROR = 7,
		   HOST_RESET = 8,
};

/* ---- data ---------------------------------------------------------------------------- */

struct data {			 /* of one command, in one piece */
	const struct iovec *iov; /* NULL: the program's is in one piece already */
	int niov;
	uint8_t *buf;
	uint32_t len;
};

/* struct sg_iovec is struct iovec under another name. */
_Static_assert(sizeof(struct sg_iovec) == sizeof(struct iovec), "sg_iovec");

/* Between the scatter list and the piece: the first @len bytes, in or out. */
static void scatter(const struct data *d, uint32_t len, bool to_program)
{
	uint8_t *at = d->buf;

	for (int i = 0; i < d->niov && len; i++) {
		uint32_t n = d->iov[i].iov_len < len ? (uint32_t)d->iov[i].iov_len : len;

		if (to_program)
			memcpy(d->iov[i].iov_base, at, n);
		else
			memcpy(at, d->iov[i].iov_base, n);
		at += n;
		len -= n;
	}
}

/* The length is the header's or the list's, the smaller one. */
static int gather(struct data *d, const struct sg_io_hdr *h)
{
	size_t total = 0;

	d->iov = h->dxferp;
	d->niov = h->iovec_count;
	for (int i = 0; i < d->niov && total < h->dxfer_len; i++)
		total += d->iov[i].iov_len < h->dxfer_len ? d->iov[i].iov_len : h->dxfer_len;
	d->len = total < h->dxfer_len ? (uint32_t)total : h->dxfer_len;
	if (!d->len)
		return -EINVAL;
	d->buf = malloc(d->len);
	if (!d->buf)
		return -ENOMEM;
	if (h->dxfer_direction != SG_DXFER_FROM_DEV)
		scatter(d, d->len, false);
	return 0;
}

static int data_open(struct data *d, const struct sg_io_hdr *h)
{
	*d = (struct data){ .buf = h->dxferp, .len = h->dxfer_len };
	if (h->dxfer_direction == SG_DXFER_NONE)
		d->len = 0;
	if (!d->len)
		return 0;
	if (h->dxfer_direction != SG_DXFER_TO_DEV && h->dxfer_direction != SG_DXFER_FROM_DEV &&
	    h->dxfer_direction != SG_DXFER_TO_FROM_DEV)
		return -EINVAL;
	if (!h->dxferp)
		return -EFAULT;
	return h->iovec_count ? gather(d, h) : 0;
}

static void data_close(struct data *d, uint32_t arrived)
{
	if (!d->iov)
		return;
	scatter(d, arrived, true);
	free(d->buf);
}

/* ---- SG_IO ------------------------------------------------------------------------------- */

static enum host_status host_status(const struct storvsc_raw *r)
{
	if (r->scsi_status) /* it got to the disk: the rest is between disk and program */
		return HOST_OK;
	switch (r->srb_status) {
	case VSTOR_SRB_SUCCESS:
	case VSTOR_SRB_DATA_OVERRUN:
		return HOST_OK;
	case VSTOR_SRB_INVALID_LUN:
	case VSTOR_SRB_NO_DEVICE:
		return HOST_NO_CONNECT;
	case VSTOR_SRB_TIMEOUT:
		return HOST_TIMED_OUT;
	case VSTOR_SRB_ABORTED:
		return HOST_ABORTED;
	case 0x0e: /* bus reset */
		return HOST_RESET;
	default:
		return HOST_ERROR;
	}
}

static void report_sense(struct sg_io_hdr *h, const struct storvsc_raw *r)
{
	if (r->scsi_status != STATUS_CHECK || !r->sense_len)
		return;
	h->driver_status = DRIVER_SENSE;
	if (!h->sbp)
		return;
	h->sb_len_wr = r->sense_len < h->mx_sb_len ? r->sense_len : h->mx_sb_len;
	memcpy(h->sbp, r->sense, h->sb_len_wr);
}

static void report(struct sg_io_hdr *h, const struct storvsc_raw *r, uint32_t len, uint64_t start)
{
	h->status = r->scsi_status;
	h->masked_status = r->scsi_status >> 1 & 0x7f;
	h->msg_status = 0;
	h->sb_len_wr = 0;
	h->driver_status = 0;
	report_sense(h, r);
	h->resid = (int)(len - r->transferred);
	h->duration = (unsigned)((clock_ns() - start) / 1000000);
	h->info = h->masked_status || h->host_status || h->driver_status ? SG_INFO_CHECK
									 : SG_INFO_OK;
}

static int check_header(const struct sg_io_hdr *h)
{
	struct sg_device_info info;

	if (h->interface_id != 'S')
		return -ENOSYS;
	if (!h->cmdp || h->cmd_len < 6 || h->cmd_len > VSTOR_CDB_LEN)
		return -EMSGSIZE;
	if (h->flags & SG_FLAG_MMAP_IO)
		return -EINVAL;
	/* Not ENOMEM: sg_dd takes that for "less at a time" and drops what it has read already. */
	sg_device_info(&info);
	return info.max_transfer && h->dxfer_len > info.max_transfer ? -EINVAL : 0;
}

static uint8_t direction(const struct sg_io_hdr *h, uint32_t len)
{
	if (!len)
		return VSTOR_DATA_NONE;
	return h->dxfer_direction == SG_DXFER_TO_DEV ? VSTOR_DATA_OUT : VSTOR_DATA_IN;
}

static int sg_io(void *arg)
{
	struct sg_io_hdr *h = arg;
	struct storvsc_raw r = { .cdb_len = h->cmd_len };
	uint64_t start = clock_ns();
	struct data data;
	int err = check_header(h);

	if (!err)
		err = data_open(&data, h);
	if (err)
		return err;
	memcpy(r.cdb, h->cmdp, h->cmd_len);
	r.dir = direction(h, data.len);
	r.data = data.buf;
	r.len = data.len;
	r.timeout_ms = h->timeout == NO_TIMEOUT ? INT_MAX : h->timeout;
	err = sg_device_command(&r);
	data_close(&data, r.dir == VSTOR_DATA_IN ? r.transferred : 0);
	if (err && err != -ETIMEDOUT)
		return err;
	h->host_status = err ? HOST_TIMED_OUT : host_status(&r);
	report(h, &r, data.len, start);
	return 0;
}

/* ---- the small ones -------------------------------------------------------------------------- */

/* The driver keeps both for each open; here one disk of one program has one. */
static int timeout_ticks, reserved_size = SG_SCATTER_SZ;

static int get_version(void *arg)
{
	*(int *)arg = VERSION;
	return 0;
}

static int get_scsi_id(void *arg)
{
	struct sg_device_info info;

	sg_device_info(&info);
	*(struct sg_scsi_id *)arg = (struct sg_scsi_id){
		.host_no = (int)info.controller,
		.lun = (int)info.lun,
		.h_cmd_per_lun = 1,
		.d_queue_depth = 1,
	};
	return 0;
}

static int get_idlun(void *arg)
{
	struct sg_device_info info;
	uint32_t *out = arg;

	sg_device_info(&info);
	out[0] = info.lun << 8 | info.controller << 24; /* target 0 of channel 0 */
	out[1] = info.controller;
	return 0;
}

static int get_bus(void *arg)
{
	struct sg_device_info info;

	sg_device_info(&info);
	*(int *)arg = (int)info.controller;
	return 0;
}

static int set_timeout(void *arg)
{
	int ticks = *(int *)arg;

	if (ticks < 0)
		return -EIO;
	__atomic_store_n(&timeout_ticks, ticks, __ATOMIC_RELAXED);
	return 0;
}

static int get_timeout(void *arg) /* the one that returns its value */
{
	int ticks = __atomic_load_n(&timeout_ticks, __ATOMIC_RELAXED);

	(void)arg;
	return ticks ? ticks : DEFAULT_TIMEOUT * (int)sysconf(_SC_CLK_TCK);
}

static int set_reserved(void *arg)
{
	struct sg_device_info info;
	int bytes = *(int *)arg;

	if (bytes < 0)
		return -EINVAL;
	sg_device_info(&info);
	if ((uint32_t)bytes > info.max_transfer)
		bytes = (int)info.max_transfer;
	__atomic_store_n(&reserved_size, bytes, __ATOMIC_RELAXED);
	return 0;
}

static int get_reserved(void *arg)
{
	*(int *)arg = __atomic_load_n(&reserved_size, __ATOMIC_RELAXED);
	return 0;
}

static int get_emulated(void *arg)
{
	*(int *)arg = 0;
	return 0;
}

static int get_table_size(void *arg)
{
	*(int *)arg = TABLE_SIZE;
	return 0;
}

/* In bytes, as an int: what sg says, unlike block devices. */
static int get_max_transfer(void *arg)
{
	struct sg_device_info info;

	sg_device_info(&info);
	*(int *)arg = (int)info.max_transfer;
	return 0;
}

static int reset(void *arg)
{
	switch (*(int *)arg & ~RESET_NO_ESCALATION) {
	case SG_SCSI_RESET_NOTHING:
		return 0;
	case SG_SCSI_RESET_DEVICE:
		return sg_device_reset(false);
	case RESET_TARGET: /* there is one on the bus, and one bus on the host */
	case SG_SCSI_RESET_BUS:
	case SG_SCSI_RESET_HOST:
		return sg_device_reset(true);
	default:
		return -EINVAL;
	}
}

static const struct {
	unsigned request;
	bool no_argument;
	int (*answer)(void *arg);
} requests[] = {
	{ SG_IO, false, sg_io },
	{ SG_GET_VERSION_NUM, false, get_version },
	{ SG_GET_SCSI_ID, false, get_scsi_id },
	{ SCSI_IOCTL_GET_IDLUN, false, get_idlun },
	{ SCSI_IOCTL_GET_BUS_NUMBER, false, get_bus },
	{ SG_SET_TIMEOUT, false, set_timeout },
	{ SG_GET_TIMEOUT, true, get_timeout },
	{ SG_SET_RESERVED_SIZE, false, set_reserved },
	{ SG_GET_RESERVED_SIZE, false, get_reserved },
	{ SG_EMULATED_HOST, false, get_emulated },
	{ SG_GET_SG_TABLESIZE, false, get_table_size },
	{ BLKSECTGET, false, get_max_transfer },
	{ SG_SCSI_RESET, false, reset },
};

int sg_ioctl(unsigned long request, void *arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		if (requests[i].request != (unsigned)request)
			continue;
		return arg || requests[i].no_argument ? requests[i].answer(arg) : -EFAULT;
	}
	return -ENOTTY;
}
