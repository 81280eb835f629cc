/* SPDX-License-Identifier: MIT */
/* Sense codes as errno and as words (spec: scsi-target, section 14). */
#include "vsc/storvsc_priv.h"

#define ANY 0xffu

struct sense_row {
	uint8_t key, asc, ascq; /* ANY matches all */
	int err;
	const char *text;
};

/* First match wins: exact codes before those that leave something open. */
static const struct sense_row rows[] = {
	{ 0x0, ANY, ANY, 0, "no sense" },
	{ 0x1, ANY, ANY, 0, "recovered error" },
	{ 0x2, 0x04, 0x01, -EAGAIN, "becoming ready" },
	{ 0x2, 0x3a, ANY, -ENOMEDIUM, "no medium" },
	{ 0x2, ANY, ANY, -EIO, "not ready" },
	{ 0x3, 0x0c, ANY, -EIO, "write error" },
	{ 0x3, 0x11, ANY, -EIO, "unrecovered read error" },
	{ 0x3, ANY, ANY, -EIO, "medium error" },
	{ 0x4, 0x44, ANY, -EIO, "internal target failure" },
	{ 0x4, ANY, ANY, -EIO, "hardware error" },
	{ 0x5, 0x1a, ANY, -EINVAL, "parameter list length error" },
	{ 0x5, 0x20, ANY, -EOPNOTSUPP, "command not supported" },
	{ 0x5, 0x21, ANY, -EINVAL, "LBA out of range" },
	{ 0x5, 0x24, ANY, -EINVAL, "invalid field in CDB" },
	{ 0x5, 0x26, ANY, -EINVAL, "invalid field in parameter list" },
	{ 0x5, 0x39, ANY, -EINVAL, "saving parameters not supported" },
	{ 0x5, 0x53, ANY, -EBUSY, "medium removal prevented" },
	{ 0x5, ANY, ANY, -EINVAL, "illegal request" },
	{ 0x6, 0x28, ANY, -EAGAIN, "medium may have changed" },
	{ 0x6, 0x29, ANY, -EAGAIN, "power on or reset" },
	{ 0x6, 0x2a, 0x09, -EAGAIN, "capacity has changed" },
	{ 0x6, 0x2a, ANY, -EAGAIN, "parameters have changed" },
	{ 0x6, 0x3f, 0x0e, -EAGAIN, "LUNs have changed" },
	{ 0x6, ANY, ANY, -EAGAIN, "unit attention" },
	{ 0x7, 0x27, 0x07, -ENOSPC, "no space left for the write" },
	{ 0x7, ANY, ANY, -EROFS, "write protected" },
	{ 0xb, ANY, ANY, -ECANCELED, "command aborted" },
	{ 0xe, ANY, ANY, -EILSEQ, "miscompare" },
	{ ANY, ANY, ANY, -EIO, "unknown sense key" },
};

static bool matches(uint8_t want, uint32_t have)
{
	return want == ANY || want == have;
}

static const struct sense_row *find(uint32_t sense)
{
	const struct sense_row *r = rows;

	while (!matches(r->key, sense >> 16) || !matches(r->asc, sense >> 8 & 0xff) ||
	       !matches(r->ascq, sense & 0xff))
		r++;
	return r;
}

int storvsc_sense_errno(uint32_t sense)
{
	return find(sense)->err;
}

const char *storvsc_sense_text(uint32_t sense)
{
	return find(sense)->text;
}
