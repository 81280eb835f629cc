/* SPDX-License-Identifier: MIT */
/*
 * Kernels: bzImage (the kernel's Documentation/arch/x86/boot.rst) and ELF. Every size and place
 * in a header is checked against the file and the memory before a byte is copied.
 */
#include "hv-core/kvm/kvm_image.h"

#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "hv-core/kvm/kvm_boot.h"

#define SECTOR		512u
#define BOOT_FLAG	0xaa55u
#define HEADER_MAGIC	0x53726448u /* "HdrS" */
#define HEADER_AT	0x1f1u
#define PROTOCOL_MIN	0x20cu /* the first that tells of the 64-bit entry */
#define DEFAULT_SECTORS 4u
#define ENTRY_64	0x200u
#define MAX_SEGMENTS	64u
#define INITRD_MAX	0x7fffffffu
#define CMDLINE_MAX	2047u
#define ELF_ALIGNMENT	0x1000000u
/* A vmlinux says what it occupies, but not the little that it takes behind that at first. */
#define ELF_HEADROOM	(1ull << 20)

struct source {
	int fd;
	uint64_t size, limit;
	struct hv_gpa *gpa;
	char *why;
	size_t n;
};

static int refuse(const struct source *s, int err, const char *fmt, ...) PRINTF_LIKE(3, 4);
static int refuse(const struct source *s, int err, const char *fmt, ...)
{
	va_list ap;
	int at = snprintf(s->why, s->n, "kernel: ");

	va_start(ap, fmt);
	if (at > 0 && (size_t)at < s->n)
		vsnprintf(s->why + at, s->n - (size_t)at, fmt, ap);
	va_end(ap);
	return err;
}

static int too_big(const struct source *s, uint64_t end)
{
	return refuse(s, -E2BIG, "needs the first %llu MiB of memory, there are %llu; give more",
		      (unsigned long long)((end >> 20) + !!(end & 0xfffff)),
		      (unsigned long long)(s->limit >> 20));
}

static int copy_in(const struct source *s, uint64_t gpa, uint64_t offset, uint64_t len)
{
	void *to = hv_gpa_ptr(s->gpa, gpa, len);
	int err = to ? kvm_image_read(s->fd, offset, to, len) : -EFAULT;

	return err ? refuse(s, err, "%s", strerror(-err)) : 0;
}

/* ---- bzImage ------------------------------------------------------------------------ */

/* The byte at 0x201 is the distance to the header's end. */
static int read_header(const struct source *s, struct setup_header *h)
{
	uint8_t first[SECTOR * 2];
	uint32_t len;
	int err;

	if (s->size < sizeof(first))
		return refuse(s, -EINVAL, "has %llu bytes, a bzImage has more",
			      (unsigned long long)s->size);
	err = kvm_image_read(s->fd, 0, first, sizeof(first));
	if (err)
		return refuse(s, err, "%s", strerror(-err));
	len = 0x202u + first[0x201] - HEADER_AT;
	if (len > sizeof(*h))
		len = sizeof(*h);
	memset(h, 0, sizeof(*h));
	memcpy(h, first + HEADER_AT, len);
	return 0;
}

static int check_header(const struct source *s, const struct setup_header *h)
{
	if (h->boot_flag != BOOT_FLAG || h->header != HEADER_MAGIC)
		return refuse(s, -EINVAL, "is neither a bzImage nor an ELF image");
	if (h->version < PROTOCOL_MIN)
		return refuse(s, -EINVAL, "boot protocol %u.%02u, 2.12 or later is needed (3.8)",
			      h->version >> 8, h->version & 0xff);
	if (!(h->xloadflags & XLF_KERNEL_64))
		return refuse(s, -EINVAL, "is not a 64-bit kernel");
	if (!(h->loadflags & LOADED_HIGH))
		return refuse(s, -EINVAL, "is a zImage; a bzImage is needed");
	return 0;
}

static int load_bzimage(const struct source *s, struct kvm_image *im)
{
	struct setup_header *h = &im->header;
	uint64_t offset, len, room;
	int err = read_header(s, h);

	if (!err)
		err = check_header(s, h);
	if (err)
		return err;
	offset = (h->setup_sects ? h->setup_sects + 1u : DEFAULT_SECTORS + 1u) * SECTOR;
	if (offset >= s->size)
		return refuse(s, -EINVAL, "ends inside of its setup code: it is cut off");
	len = s->size - offset;
	if ((uint64_t)h->syssize * 16 > len + 15)
		return refuse(s, -EINVAL,
			      "has %llu bytes of code, its header says %llu: it is cut off",
			      (unsigned long long)len, (unsigned long long)h->syssize * 16);
	room = h->init_size > len ? h->init_size : len;
	if (h->pref_address < KVM_BOOT_HIGH)
		return refuse(s, -EINVAL, "wants to be at %#llx, below 1 MiB",
			      (unsigned long long)h->pref_address);
	if (h->pref_address > s->limit || room > s->limit - h->pref_address)
		return too_big(s, h->pref_address > UINT64_MAX - room ? UINT64_MAX
								      : h->pref_address + room);
	h->code32_start = (uint32_t)h->pref_address;
	im->entry = h->pref_address + ENTRY_64;
	im->end = h->pref_address + room;
	return copy_in(s, h->pref_address, offset, len);
}

/* ---- ELF ------------------------------------------------------------------------------- */

static int check_elf(const struct source *s, const Elf64_Ehdr *e)
{
	if (e->e_ident[EI_CLASS] != ELFCLASS64 || e->e_ident[EI_DATA] != ELFDATA2LSB ||
	    e->e_machine != EM_X86_64)
		return refuse(s, -EINVAL, "is an ELF image, but not of x86-64");
	if (e->e_type != ET_EXEC && e->e_type != ET_DYN)
		return refuse(s, -EINVAL, "is an ELF image of type %u, not an executable",
			      e->e_type);
	if (e->e_phentsize != sizeof(Elf64_Phdr) || !e->e_phnum || e->e_phnum > MAX_SEGMENTS)
		return refuse(s, -EINVAL, "has %u program headers of %u bytes", e->e_phnum,
			      e->e_phentsize);
	if (e->e_phoff > s->size || e->e_phnum * sizeof(Elf64_Phdr) > s->size - e->e_phoff)
		return refuse(s, -EINVAL, "ends before its program headers: it is cut off");
	return 0;
}

static int check_segment(const struct source *s, const Elf64_Phdr *p)
{
	if (p->p_filesz > p->p_memsz)
		return refuse(s, -EINVAL, "a segment has more bytes in the file than in memory");
	if (p->p_offset > s->size || p->p_filesz > s->size - p->p_offset)
		return refuse(s, -EINVAL, "ends inside of a segment: it is cut off");
	if (p->p_paddr < KVM_BOOT_HIGH)
		return refuse(s, -EINVAL, "wants to be at %#llx, below 1 MiB",
			      (unsigned long long)p->p_paddr);
	if (p->p_paddr > s->limit || p->p_memsz > s->limit - p->p_paddr)
		return too_big(s, p->p_paddr > UINT64_MAX - p->p_memsz ? UINT64_MAX
								       : p->p_paddr + p->p_memsz);
	return 0;
}

static int load_segment(const struct source *s, const Elf64_Phdr *p, struct kvm_image *im)
{
	int err = check_segment(s, p);

	if (err || !p->p_memsz)
		return err;
	memset(hv_gpa_ptr(s->gpa, p->p_paddr, p->p_memsz), 0, p->p_memsz);
	if (p->p_paddr + p->p_memsz > im->end)
		im->end = p->p_paddr + p->p_memsz;
	return p->p_filesz ? copy_in(s, p->p_paddr, p->p_offset, p->p_filesz) : 0;
}

/* What a boot loader of the 64-bit protocol would have found in a bzImage. */
static void elf_header(struct setup_header *h)
{
	*h = (struct setup_header){
		.boot_flag = BOOT_FLAG,
		.header = HEADER_MAGIC,
		.version = PROTOCOL_MIN,
		.loadflags = LOADED_HIGH,
		.kernel_alignment = ELF_ALIGNMENT,
		.initrd_addr_max = INITRD_MAX,
		.cmdline_size = CMDLINE_MAX,
	};
}

static int load_elf(const struct source *s, struct kvm_image *im)
{
	Elf64_Phdr ph[MAX_SEGMENTS];
	bool entered = false;
	Elf64_Ehdr e;
	int err = -EINVAL;

	if (s->size >= sizeof(e))
		err = kvm_image_read(s->fd, 0, &e, sizeof(e));
	if (err)
		return refuse(s, err, "is an ELF image without a header");
	err = check_elf(s, &e);
	if (err)
		return err;
	err = kvm_image_read(s->fd, e.e_phoff, ph, e.e_phnum * sizeof(ph[0]));
	if (err)
		return refuse(s, err, "%s", strerror(-err));
	im->end = 0;
	for (uint32_t i = 0; i < e.e_phnum; i++) {
		if (ph[i].p_type != PT_LOAD)
			continue;
		err = load_segment(s, &ph[i], im);
		if (err)
			return err;
		entered |= e.e_entry - ph[i].p_paddr < ph[i].p_filesz;
	}
	if (!entered)
		return refuse(s, -EINVAL, "begins at %#llx, where it has no code",
			      (unsigned long long)e.e_entry);
	if (im->end > s->limit - ELF_HEADROOM)
		return too_big(s, im->end + ELF_HEADROOM);
	im->end += ELF_HEADROOM;
	im->entry = e.e_entry;
	elf_header(&im->header);
	return 0;
}

int kvm_image_load(struct kvm_image *im, struct hv_gpa *gpa, int fd, uint64_t limit, char *why,
		   size_t n)
{
	struct source s = { .fd = fd, .limit = limit, .gpa = gpa, .why = why, .n = n };
	char magic[SELFMAG];
	int err = kvm_image_size(fd, "kernel", &s.size, why, n);

	memset(im, 0, sizeof(*im));
	if (err)
		return err;
	if (s.size < sizeof(magic))
		return refuse(&s, -EINVAL, "has %llu bytes", (unsigned long long)s.size);
	err = kvm_image_read(fd, 0, magic, sizeof(magic));
	if (err)
		return refuse(&s, err, "%s", strerror(-err));
	return memcmp(magic, ELFMAG, SELFMAG) ? load_bzimage(&s, im) : load_elf(&s, im);
}
