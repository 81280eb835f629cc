/* SPDX-License-Identifier: MIT */
/* What both kinds of kernel have in common: parameters, initrd, memory map, page tables. */
#include "hv-core/kvm/kvm_boot.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hv-core/kvm/kvm_acpi.h"
#include "hv-core/kvm/kvm_image.h"

#define E820_TYPE_RAM	 1u
#define E820_TYPE_ACPI	 3u
#define LOADER_UNDEFINED 0xffu
#define LARGE_PAGE	 (2ull << 20)
#define PTE_PRESENT_RW	 0x3ull
#define PTE_LARGE	 0x80ull
#define PAGES_PER_TABLE	 512u
#define MMIO_LOW	 0xf8000000ull
#define MMIO_LOW_LEN	 (64ull << 20)
#define MMIO_HIGH_LEN	 (16ull << 30)

_Static_assert(sizeof(struct boot_params) == 4096, "as the kernel reads it");

void kvm_boot_split(uint64_t memory, uint64_t *low, uint64_t *high)
{
	*low = memory < KVM_BOOT_HOLE ? memory : KVM_BOOT_HOLE;
	*high = memory - *low;
}

int kvm_image_read(int fd, uint64_t offset, void *out, uint64_t len)
{
	uint8_t *to = out;

	while (len) {
		ssize_t n = pread(fd, to, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return -EIO; /* it has become shorter */
		to += n;
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

int kvm_image_size(int fd, const char *what, uint64_t *size, char *why, size_t n)
{
	struct stat st;

	if (fstat(fd, &st)) {
		snprintf(why, n, "%s: %s", what, strerror(errno));
		return -errno;
	}
	if (!S_ISREG(st.st_mode) || st.st_size <= 0) {
		snprintf(why, n, "%s: an ordinary file is needed%s", what,
			 S_ISREG(st.st_mode) ? ", this one is empty" : "");
		return -EINVAL;
	}
	*size = (uint64_t)st.st_size;
	return 0;
}

/* ---- initrd ------------------------------------------------------------------------- */

/* As high as it may be, so that the kernel has room to grow. */
static int load_initrd(const struct kvm_boot_config *cfg, const struct kvm_image *im,
		       struct setup_header *h, char *why, size_t n)
{
	uint64_t top, high, size, at;
	void *to;
	int err;

	if (cfg->initrd < 0)
		return 0;
	err = kvm_image_size(cfg->initrd, "initrd", &size, why, n);
	if (err)
		return err;
	kvm_boot_split(cfg->memory, &top, &high);
	if (top > (uint64_t)h->initrd_addr_max + 1)
		top = (uint64_t)h->initrd_addr_max + 1;
	if (size > top || ((top - size) & ~(uint64_t)(HV_PAGE_SIZE - 1)) < im->end) {
		snprintf(why, n,
			 "initrd: its %llu MiB do not fit behind the kernel, which ends at %llu "
			 "MiB; give the guest more memory",
			 (unsigned long long)(size >> 20), (unsigned long long)(im->end >> 20));
		return -E2BIG;
	}
	at = (top - size) & ~(uint64_t)(HV_PAGE_SIZE - 1);
	to = hv_gpa_ptr(cfg->gpa, at, size);
	err = to ? kvm_image_read(cfg->initrd, 0, to, size) : -E2BIG;
	if (err)
		snprintf(why, n, "initrd: %s", strerror(-err));
	h->ramdisk_image = (uint32_t)at;
	h->ramdisk_size = (uint32_t)size;
	return err;
}

/* ---- parameters ------------------------------------------------------------------------ */

static void add_e820(struct boot_params *bp, uint64_t from, uint64_t to, uint32_t type)
{
	if (to > from)
		bp->e820_table[bp->e820_entries++] =
			(struct boot_e820_entry){ from, to - from, type };
}

static void memory_map(struct boot_params *bp, uint64_t memory)
{
	uint64_t low, high;

	kvm_boot_split(memory, &low, &high);
	add_e820(bp, 0, KVM_BOOT_LOW_END, E820_TYPE_RAM);
	add_e820(bp, KVM_ACPI_GPA, KVM_ACPI_GPA + KVM_ACPI_ROOM, E820_TYPE_ACPI);
	add_e820(bp, KVM_BOOT_HIGH, low, E820_TYPE_RAM);
	add_e820(bp, KVM_BOOT_ABOVE, KVM_BOOT_ABOVE + high, E820_TYPE_RAM);
}

static int put_cmdline(const struct kvm_boot_config *cfg, struct setup_header *h, char *why,
		       size_t n)
{
	const char *text = cfg->cmdline ? cfg->cmdline : "";
	uint64_t len = strlen(text), most = KVM_BOOT_LOW_END - KVM_BOOT_CMDLINE - 1;

	if (most > h->cmdline_size)
		most = h->cmdline_size;
	if (len > most) {
		snprintf(why, n, "command line: %llu characters, this kernel takes %llu",
			 (unsigned long long)len, (unsigned long long)most);
		return -E2BIG;
	}
	memcpy(hv_gpa_ptr(cfg->gpa, KVM_BOOT_CMDLINE, len + 1), text, len + 1);
	h->cmd_line_ptr = KVM_BOOT_CMDLINE;
	return 0;
}

static int put_params(const struct kvm_boot_config *cfg, const struct kvm_image *im, char *why,
		      size_t n)
{
	struct boot_params *bp = hv_gpa_ptr(cfg->gpa, KVM_BOOT_PARAMS, sizeof(*bp));
	struct setup_header *h = &bp->hdr;
	int err;

	memset(bp, 0, sizeof(*bp));
	*h = im->header;
	h->type_of_loader = LOADER_UNDEFINED;
	h->loadflags |= CAN_USE_HEAP;
	h->ramdisk_image = h->ramdisk_size = 0;
	h->setup_data = 0;
	bp->acpi_rsdp_addr = KVM_ACPI_GPA;
	memory_map(bp, cfg->memory);
	err = put_cmdline(cfg, h, why, n);
	return err ? err : load_initrd(cfg, im, h, why, n);
}

static int put_acpi(const struct kvm_boot_config *cfg, char *why, size_t n)
{
	uint8_t *at = hv_gpa_ptr(cfg->gpa, KVM_ACPI_GPA, KVM_ACPI_ROOM);
	struct kvm_acpi_config ac = {
		.nr_vps = cfg->nr_vps,
		.mmio_low = MMIO_LOW,
		.mmio_low_len = MMIO_LOW_LEN,
		.mmio_high_len = MMIO_HIGH_LEN,
	};
	uint64_t low, high;

	kvm_boot_split(cfg->memory, &low, &high);
	/* The next multiple of its size, so that no gigabyte is both. */
	ac.mmio_high = (KVM_BOOT_ABOVE + high + MMIO_HIGH_LEN - 1) / MMIO_HIGH_LEN * MMIO_HIGH_LEN;
	memset(at, 0, KVM_ACPI_ROOM);
	if (kvm_acpi_build(at, KVM_ACPI_ROOM, &ac))
		return 0;
	snprintf(why, n, "ACPI tables: no room");
	return -E2BIG;
}

/* ---- the processor's view ----------------------------------------------------------------- */

/* The first 4 GiB where they are, in large pages. */
static void put_page_tables(struct hv_gpa *gpa)
{
	uint64_t *t = hv_gpa_ptr(gpa, KVM_BOOT_PML4, 6 * HV_PAGE_SIZE);
	uint64_t pdpt = KVM_BOOT_PML4 + HV_PAGE_SIZE;

	memset(t, 0, 6 * HV_PAGE_SIZE);
	t[0] = pdpt | PTE_PRESENT_RW;
	for (uint64_t i = 0; i < 4; i++)
		t[PAGES_PER_TABLE + i] = (pdpt + (i + 1) * HV_PAGE_SIZE) | PTE_PRESENT_RW;
	for (uint64_t i = 0; i < 4ull * PAGES_PER_TABLE; i++)
		t[2 * PAGES_PER_TABLE + i] = i * LARGE_PAGE | PTE_PRESENT_RW | PTE_LARGE;
}

static void put_gdt(struct hv_gpa *gpa)
{
	static const uint64_t gdt[] = {
		0,
		0,
		0x00af9b000000ffff, /* KVM_BOOT_CS: 64-bit code */
		0x00cf93000000ffff, /* KVM_BOOT_DS */
		0x00008b0000000067, /* a task state, which must be there */
	};

	memcpy(hv_gpa_ptr(gpa, KVM_BOOT_GDT, sizeof(gdt)), gdt, sizeof(gdt));
}

int kvm_boot_load(const struct kvm_boot_config *cfg, struct kvm_boot_entry *out, char *why,
		  size_t n)
{
	struct kvm_image im;
	uint64_t low, high;
	int err;

	kvm_boot_split(cfg->memory, &low, &high);
	if (low < KVM_BOOT_MIN_MEMORY) {
		snprintf(why, n, "memory: %llu MiB are the least",
			 (unsigned long long)(KVM_BOOT_MIN_MEMORY >> 20));
		return -EINVAL;
	}
	err = kvm_image_load(&im, cfg->gpa, cfg->kernel, low, why, n);
	if (!err)
		err = put_params(cfg, &im, why, n);
	if (!err)
		err = put_acpi(cfg, why, n);
	if (err)
		return err;
	put_page_tables(cfg->gpa);
	put_gdt(cfg->gpa);
	*out = (struct kvm_boot_entry){ .rip = im.entry,
					.rsi = KVM_BOOT_PARAMS,
					.cr3 = KVM_BOOT_PML4 };
	return 0;
}
