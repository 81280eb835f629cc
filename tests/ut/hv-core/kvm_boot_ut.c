/* SPDX-License-Identifier: MIT */
/* The boot protocol: kernels made here, whole and broken, into the memory of a guest. */
#include "tests/ut/hv-core/hv_rig.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hv-core/kvm/kvm_acpi.h"
#include "hv-core/kvm/kvm_boot.h"

#define MEMORY	  (64ull << 20)
#define SETUP	  4u /* sectors */
#define CODE_AT	  ((SETUP + 1) * 512u)
#define CODE_LEN  8192u
#define PREFERRED 0x1000000ull
#define INIT_SIZE 0x800000u

static struct hv_gpa *gpa;
static struct kvm_boot_config cfg;
static struct kvm_boot_entry entry;
static char why[256];

static int file(const void *data, size_t len)
{
	int fd = memfd_create("image", 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, data, len), len);
	return fd;
}

static void up(uint64_t memory)
{
	int fd = hv_memfd_create("ram", memory);
	uint64_t low, high;

	kvm_boot_split(memory, &low, &high);
	ck_assert_int_eq(hv_gpa_create(&gpa), 0);
	ck_assert_int_eq(hv_gpa_add_ram(gpa, 0, low, fd, 0), 0);
	if (high)
		ck_assert_int_eq(hv_gpa_add_ram(gpa, KVM_BOOT_ABOVE, high, fd, low), 0);
	close(fd);
	cfg = (struct kvm_boot_config){ .gpa = gpa,
					.memory = memory,
					.nr_vps = 2,
					.kernel = -1,
					.initrd = -1,
					.cmdline = "quiet" };
}

static void down(void)
{
	hv_gpa_put(gpa);
	close(cfg.kernel);
	if (cfg.initrd >= 0)
		close(cfg.initrd);
}

static int load(void)
{
	return kvm_boot_load(&cfg, &entry, why, sizeof(why));
}

static void *mem(uint64_t at, uint64_t len)
{
	void *p = hv_gpa_ptr(gpa, at, len);

	ck_assert_ptr_nonnull(p);
	return p;
}

/* ---- bzImage ------------------------------------------------------------------------ */

static uint8_t image[CODE_AT + CODE_LEN];
static struct setup_header *header = (struct setup_header *)(image + 0x1f1);

static void make_bzimage(void)
{
	memset(image, 0, sizeof(image));
	image[0x201] = 0x6a; /* the header ends at 0x26c */
	header->setup_sects = SETUP;
	header->boot_flag = 0xaa55;
	header->header = 0x53726448;
	header->version = 0x20f;
	header->loadflags = LOADED_HIGH;
	header->syssize = CODE_LEN / 16;
	header->xloadflags = XLF_KERNEL_64;
	header->initrd_addr_max = 0x7fffffff;
	header->cmdline_size = 2047;
	header->pref_address = PREFERRED;
	header->init_size = INIT_SIZE;
	for (uint32_t i = 0; i < CODE_LEN; i++)
		image[CODE_AT + i] = (uint8_t)(i * 7 + 1);
}

START_TEST(bzimage)
{
	const struct boot_params *bp;
	const uint64_t *table;

	up(MEMORY);
	make_bzimage();
	cfg.kernel = file(image, sizeof(image));
	cfg.initrd = file("initrd!", 7);
	ck_assert_msg(!load(), "%s", why);
	ck_assert_uint_eq(entry.rip, PREFERRED + 0x200);
	ck_assert_uint_eq(entry.rsi, 0x7000);
	ck_assert(!memcmp(mem(PREFERRED, CODE_LEN), image + CODE_AT, CODE_LEN));
	bp = mem(0x7000, sizeof(*bp));
	ck_assert_uint_eq(bp->hdr.type_of_loader, 0xff);
	ck_assert_uint_eq(bp->hdr.loadflags, LOADED_HIGH | CAN_USE_HEAP);
	ck_assert_str_eq(mem(bp->hdr.cmd_line_ptr, 6), "quiet");
	ck_assert_uint_eq(bp->hdr.ramdisk_size, 7);
	ck_assert_uint_eq(bp->hdr.ramdisk_image, MEMORY - 4096);
	ck_assert(!memcmp(mem(bp->hdr.ramdisk_image, 7), "initrd!", 7));
	ck_assert_uint_eq(bp->acpi_rsdp_addr, KVM_ACPI_GPA);
	ck_assert(!memcmp(mem(KVM_ACPI_GPA, 8), "RSD PTR ", 8));
	table = mem(entry.cr3, 4096);
	ck_assert_uint_eq(table[0], 0xa003);
	table = mem(0xb000, 4 * 4096ull);
	ck_assert_uint_eq(table[0], 0x83);
	ck_assert_uint_eq(table[2047], (4ull << 30) - (2 << 20) + 0x83);
	down();
}
END_TEST

static void e820(const struct boot_params *bp, uint32_t i, uint64_t from, uint64_t to,
		 uint32_t type)
{
	ck_assert_uint_eq(bp->e820_table[i].addr, from);
	ck_assert_uint_eq(bp->e820_table[i].addr + bp->e820_table[i].size, to);
	ck_assert_uint_eq(bp->e820_table[i].type, type);
}

/* Memory beyond the hole continues above 4 GiB. Nothing of it is touched here. */
START_TEST(memory_map)
{
	static const uint64_t sizes[] = { MEMORY, 3ull << 30, (3ull << 30) + (2 << 20),
					  5ull << 30 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t low = sizes[i] > 3ull << 30 ? 3ull << 30 : sizes[i];
		const struct boot_params *bp;

		up(sizes[i]);
		make_bzimage();
		cfg.kernel = file(image, sizeof(image));
		ck_assert_msg(!load(), "%s", why);
		bp = mem(0x7000, sizeof(*bp));
		ck_assert_uint_eq(bp->e820_entries, sizes[i] > low ? 4 : 3);
		e820(bp, 0, 0, 0x9fc00, 1);
		e820(bp, 1, 0xe0000, 0x100000, 3);
		e820(bp, 2, 0x100000, low, 1);
		if (sizes[i] > low)
			e820(bp, 3, 4ull << 30, (4ull << 30) + sizes[i] - low, 1);
		down();
	}
}
END_TEST

static void refused(int err, const char *word)
{
	ck_assert_int_eq(load(), err);
	ck_assert_msg(strstr(why, word) != NULL, "'%s' instead of '%s'", why, word);
}

static void broken(size_t len, int err, const char *word)
{
	up(MEMORY);
	cfg.kernel = file(image, len);
	refused(err, word);
	down();
}

START_TEST(broken_bzimages)
{
	make_bzimage();
	header->header = 0;
	broken(sizeof(image), -EINVAL, "neither a bzImage nor an ELF");
	make_bzimage();
	header->boot_flag = 0;
	broken(sizeof(image), -EINVAL, "neither");
	make_bzimage();
	header->version = 0x20b;
	broken(sizeof(image), -EINVAL, "protocol 2.11");
	make_bzimage();
	header->xloadflags = 0;
	broken(sizeof(image), -EINVAL, "not a 64-bit kernel");
	make_bzimage();
	header->loadflags = 0;
	broken(sizeof(image), -EINVAL, "zImage");
	make_bzimage();
	broken(sizeof(image) - 100, -EINVAL, "cut off");
	broken(CODE_AT, -EINVAL, "cut off");
	broken(600, -EINVAL, "a bzImage has more");
	broken(2, -EINVAL, "2 bytes");
	broken(0, -EINVAL, "empty");
	header->setup_sects = 255;
	broken(sizeof(image), -EINVAL, "cut off");
	make_bzimage();
	header->syssize = 0xffffffff;
	broken(sizeof(image), -EINVAL, "cut off");
	make_bzimage();
	header->pref_address = 0x1000;
	broken(sizeof(image), -EINVAL, "below 1 MiB");
	make_bzimage();
	header->pref_address = UINT64_MAX - 0x1000;
	broken(sizeof(image), -E2BIG, "give more");
	make_bzimage();
	header->init_size = 0xfffff000;
	broken(sizeof(image), -E2BIG, "there are 64");
}
END_TEST

START_TEST(setup_sectors_0)
{
	up(MEMORY);
	make_bzimage();
	header->setup_sects = 0; /* means four */
	cfg.kernel = file(image, sizeof(image));
	ck_assert_msg(!load(), "%s", why);
	ck_assert(!memcmp(mem(PREFERRED, CODE_LEN), image + CODE_AT, CODE_LEN));
	down();
}
END_TEST

/* ---- ELF ------------------------------------------------------------------------------- */

static struct {
	Elf64_Ehdr e;
	Elf64_Phdr p[2];
	uint8_t code[512];
} elf;

static void make_elf(void)
{
	memset(&elf, 0, sizeof(elf));
	memcpy(elf.e.e_ident, ELFMAG, SELFMAG);
	elf.e.e_ident[EI_CLASS] = ELFCLASS64;
	elf.e.e_ident[EI_DATA] = ELFDATA2LSB;
	elf.e.e_type = ET_EXEC;
	elf.e.e_machine = EM_X86_64;
	elf.e.e_entry = PREFERRED + 0xb;
	elf.e.e_phoff = sizeof(elf.e);
	elf.e.e_phentsize = sizeof(Elf64_Phdr);
	elf.e.e_phnum = 2;
	elf.p[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
				 .p_offset = offsetof(typeof(elf), code),
				 .p_paddr = PREFERRED,
				 .p_filesz = sizeof(elf.code),
				 .p_memsz = 0x10000 };
	elf.p[1].p_type = PT_NOTE;
	memset(elf.code, 0x90, sizeof(elf.code));
}

START_TEST(vmlinux)
{
	const struct boot_params *bp;

	up(MEMORY);
	make_elf();
	cfg.kernel = file(&elf, sizeof(elf));
	memset(mem(PREFERRED, 0x10000), 0xff, 0x10000); /* of the guest before */
	ck_assert_msg(!load(), "%s", why);
	ck_assert_uint_eq(entry.rip, PREFERRED + 0xb);
	ck_assert_uint_eq(((uint8_t *)mem(PREFERRED, 512))[511], 0x90);
	ck_assert_uint_eq(((uint8_t *)mem(PREFERRED, 0x10000))[512], 0);
	ck_assert_uint_eq(((uint8_t *)mem(PREFERRED, 0x10000))[0xffff], 0);
	bp = mem(0x7000, sizeof(*bp));
	ck_assert_uint_eq(bp->hdr.header, 0x53726448);
	ck_assert_uint_eq(bp->hdr.boot_flag, 0xaa55);
	ck_assert_uint_eq(bp->hdr.version, 0x20c);
	down();
}
END_TEST

static void broken_elf(size_t len, int err, const char *word)
{
	up(MEMORY);
	cfg.kernel = file(&elf, len);
	refused(err, word);
	down();
	make_elf();
}

START_TEST(broken_elfs)
{
	make_elf();
	elf.e.e_ident[EI_CLASS] = ELFCLASS32;
	broken_elf(sizeof(elf), -EINVAL, "not of x86-64");
	elf.e.e_machine = EM_AARCH64;
	broken_elf(sizeof(elf), -EINVAL, "not of x86-64");
	elf.e.e_type = ET_REL;
	broken_elf(sizeof(elf), -EINVAL, "not an executable");
	elf.e.e_phnum = 0;
	broken_elf(sizeof(elf), -EINVAL, "0 program headers");
	elf.e.e_phnum = 0xffff;
	broken_elf(sizeof(elf), -EINVAL, "65535 program headers");
	elf.e.e_phentsize = 8;
	broken_elf(sizeof(elf), -EINVAL, "of 8 bytes");
	elf.e.e_phoff = UINT64_MAX - 8;
	broken_elf(sizeof(elf), -EINVAL, "cut off");
	broken_elf(sizeof(elf.e) + 20, -EINVAL, "cut off");
	broken_elf(20, -EINVAL, "without a header");
	broken_elf(sizeof(elf) - 1, -EINVAL, "inside of a segment");
	elf.p[0].p_offset = UINT64_MAX;
	broken_elf(sizeof(elf), -EINVAL, "inside of a segment");
	elf.p[0].p_filesz = 0x20000;
	broken_elf(sizeof(elf), -EINVAL, "more bytes in the file");
	elf.p[0].p_paddr = 0x7000;
	broken_elf(sizeof(elf), -EINVAL, "below 1 MiB");
	elf.p[0].p_memsz = UINT64_MAX;
	broken_elf(sizeof(elf), -E2BIG, "give more");
	elf.p[0].p_paddr = UINT64_MAX - 100;
	broken_elf(sizeof(elf), -E2BIG, "give more");
	elf.e.e_entry = PREFERRED + 512; /* the first byte that is not in the file */
	broken_elf(sizeof(elf), -EINVAL, "no code");
	elf.p[0].p_type = PT_NOTE;
	broken_elf(sizeof(elf), -EINVAL, "no code");
}
END_TEST

/* ---- what comes with it ------------------------------------------------------------------ */

START_TEST(initrd_too_big)
{
	static uint8_t big[41 << 20];

	up(MEMORY);
	make_bzimage();
	cfg.kernel = file(image, sizeof(image));
	cfg.initrd = file(big, sizeof(big)); /* 24 MiB are the kernel's and before */
	refused(-E2BIG, "initrd: its 41 MiB");
	close(cfg.initrd);
	cfg.initrd = file(big, sizeof(big) - (1 << 20));
	ck_assert_msg(!load(), "%s", why);
	close(cfg.initrd);
	cfg.initrd = file("", 0);
	refused(-EINVAL, "initrd: an ordinary file");
	close(cfg.initrd);
	cfg.initrd = file("x", 1);
	make_bzimage();
	header->initrd_addr_max = 0xfff; /* lies below the kernel: there is no such place */
	close(cfg.kernel);
	cfg.kernel = file(image, sizeof(image));
	refused(-E2BIG, "initrd");
	down();
}
END_TEST

START_TEST(command_line)
{
	static char line[4096];

	up(MEMORY);
	make_bzimage();
	cfg.kernel = file(image, sizeof(image));
	memset(line, 'a', 2047);
	cfg.cmdline = line;
	ck_assert_msg(!load(), "%s", why);
	line[2047] = 'a';
	refused(-E2BIG, "this kernel takes 2047");
	header->cmdline_size = UINT32_MAX; /* not more than we have room for */
	close(cfg.kernel);
	cfg.kernel = file(image, sizeof(image));
	ck_assert_msg(!load(), "%s", why);
	cfg.cmdline = NULL;
	ck_assert_msg(!load(), "%s", why);
	down();
}
END_TEST

START_TEST(no_kernel)
{
	int fds[2];

	up(MEMORY);
	ck_assert_int_eq(pipe(fds), 0);
	cfg.kernel = fds[0];
	refused(-EINVAL, "ordinary file");
	close(fds[1]);
	down();
	up(16 << 20);
	make_bzimage();
	cfg.kernel = file(image, sizeof(image));
	refused(-EINVAL, "32 MiB are the least");
	down();
}
END_TEST

RIG_MAIN("hv-core/kvm_boot", bzimage, memory_map, broken_bzimages, setup_sectors_0, vmlinux,
	 broken_elfs, initrd_too_big, command_line, no_kernel)
