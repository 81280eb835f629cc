/* SPDX-License-Identifier: MIT */
/* The ACPI tables as a guest finds them: from the RSDP down, each sum, and the code of the DSDT. */
#include "tests/ut/hv-core/hv_rig.h"

#include "hv-core/kvm/kvm_acpi.h"
#include "hv-core/kvm/kvm_aml.h"

static uint8_t area[KVM_ACPI_ROOM];
static const struct kvm_acpi_config config = { .nr_vps = 3,
					       .mmio_low = 0xf8000000,
					       .mmio_low_len = 0x4000000,
					       .mmio_high = 0x400000000,
					       .mmio_high_len = 0x400000000 };

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

static uint8_t sum(const uint8_t *p, uint32_t n)
{
	uint8_t s = 0;

	while (n--)
		s += *p++;
	return s;
}

static const uint8_t *at(uint64_t gpa)
{
	ck_assert_uint_ge(gpa, KVM_ACPI_GPA);
	ck_assert_uint_lt(gpa, KVM_ACPI_GPA + KVM_ACPI_ROOM);
	return area + (gpa - KVM_ACPI_GPA);
}

static const uint8_t *table(uint64_t gpa, const char *signature)
{
	const uint8_t *t = at(gpa);

	ck_assert_msg(!memcmp(t, signature, 4), "%.4s instead of %s", (const char *)t, signature);
	ck_assert_uint_eq(sum(t, get32(t + 4)), 0);
	return t;
}

static void build(uint32_t nr_vps)
{
	struct kvm_acpi_config cfg = config;

	cfg.nr_vps = nr_vps;
	memset(area, 0, sizeof(area));
	ck_assert_uint_gt(kvm_acpi_build(area, sizeof(area), &cfg), 0);
}

static const uint8_t *xsdt(void)
{
	ck_assert(!memcmp(area, "RSD PTR ", 8));
	ck_assert_uint_eq(sum(area, 20), 0);
	ck_assert_uint_eq(sum(area, get32(area + 20)), 0);
	ck_assert_uint_eq(area[15], 2);
	return table(get64(area + 24), "XSDT");
}

START_TEST(fadt)
{
	const uint8_t *f;

	build(1);
	f = table(get64(xsdt() + 36), "FACP");
	ck_assert_uint_eq(get32(f + 4), 276);
	ck_assert_uint_eq(f[8], 6);
	ck_assert_uint_eq(f[46], 9);
	ck_assert_uint_eq(get32(f + 48), 0); /* no handshake to turn ACPI on */
	ck_assert_uint_eq(get32(f + 56), 0x600);
	ck_assert_uint_eq(get32(f + 64), 0x604);
	ck_assert_uint_eq(f[88], 4);
	ck_assert_uint_eq(f[89], 2);
	ck_assert_uint_eq(f[109], 4);			   /* no VGA; no 8042 to probe for */
	ck_assert_uint_eq(get32(f + 112) & (1u << 20), 0); /* not the hardware-reduced model */
	ck_assert_uint_eq(get32(f + 112), 1u | 1u << 2 | 1u << 5 | 1u << 10);
	ck_assert_uint_eq(get64(f + 120), 0x60a);
	ck_assert_uint_eq(f[128], 6);
	ck_assert_uint_eq(get32(f + 40), get64(f + 140));
	ck_assert_uint_eq(get64(f + 152), 0x600);
	ck_assert_uint_eq(get64(f + 176), 0x604);
	table(get64(f + 140), "DSDT");
}
END_TEST

START_TEST(madt)
{
	for (uint32_t n = 1; n <= 64; n += 21) {
		uint32_t lapics = 0, overrides = 0, ioapics = 0, nmis = 0, left;
		const uint8_t *m, *e;

		build(n);
		m = table(get64(xsdt() + 44), "APIC");
		ck_assert_uint_eq(get32(m + 36), 0xfee00000);
		left = get32(m + 4) - 44;
		for (e = m + 44; left; left -= e[1], e += e[1]) {
			ck_assert_uint_ge(e[1], 6);
			ck_assert_uint_le(e[1], left);
			if (e[0] == 0) {
				ck_assert_uint_eq(e[3], lapics);
				ck_assert_uint_eq(get32(e + 4), 1);
				lapics++;
			} else if (e[0] == 1) {
				ck_assert_uint_eq(get32(e + 4), 0xfec00000);
				ioapics++;
			} else if (e[0] == 2) {
				overrides++;
			} else {
				ck_assert_uint_eq(e[0], 4);
				nmis++;
			}
		}
		ck_assert_uint_eq(lapics, n);
		ck_assert_uint_eq(ioapics, 1);
		ck_assert_uint_eq(overrides, 2);
		ck_assert_uint_eq(nmis, 1);
	}
}
END_TEST

/* ---- the code of the DSDT, walked as an interpreter would --------------------------- */

struct walk {
	uint32_t devices, names;
	bool vmbus, memory32, memory64, s5;
};

static uint32_t package_length(const uint8_t *p)
{
	ck_assert_uint_eq(p[0] & 0xf0, 0x40);
	return (p[0] & 0xfu) | (uint32_t)p[1] << 4;
}

static void walk_resources(const uint8_t *p, uint32_t n, struct walk *w)
{
	const uint8_t *end = p + n;

	while (*p != 0x79) {
		uint32_t len = *p & 0x80 ? 3u + p[1] + ((uint32_t)p[2] << 8) : 1u + (*p & 7u);

		ck_assert(p + len < end);
		if (*p == 0x87) {
			w->memory32 = true;
			ck_assert_uint_eq(get32(p + 10), 0xf8000000);
			ck_assert_uint_eq(get32(p + 14), 0xfbffffff);
			ck_assert_uint_eq(get32(p + 22), 0x4000000);
		} else if (*p == 0x8a) {
			w->memory64 = true;
			ck_assert_uint_eq(get64(p + 14), 0x400000000);
			ck_assert_uint_eq(get64(p + 22), 0x7ffffffff);
			ck_assert_uint_eq(get64(p + 38), 0x400000000);
		}
		p += len;
	}
	ck_assert(p + 2 == end);
}

/* The object at @p; returns its bytes. */
static uint32_t walk_object(const uint8_t *p, struct walk *w)
{
	switch (*p) {
	case 0x00:
	case 0x01:
		return 1;
	case 0x0a:
		return 2;
	case 0x0b:
		return 3;
	case 0x0c:
		return 5;
	case 0x0d:
		w->vmbus |= !strcmp((const char *)p + 1, "VMBus");
		return 2 + (uint32_t)strlen((const char *)p + 1);
	case 0x11:
		ck_assert_uint_eq(p[3], 0x0b);
		ck_assert_uint_eq(package_length(p + 1), 5u + p[4] + ((uint32_t)p[5] << 8));
		walk_resources(p + 6, p[4] + ((uint32_t)p[5] << 8), w);
		return 1 + package_length(p + 1);
	case 0x12:
		ck_assert_uint_eq(p[3], 4);
		ck_assert_uint_eq(p[5], 5); /* SLP_TYP */
		w->s5 = true;
		return 1 + package_length(p + 1);
	default:
		ck_abort_msg("object %#x", *p);
	}
}

static void walk_terms(const uint8_t *p, uint32_t n, struct walk *w)
{
	const uint8_t *end = p + n;

	while (p < end) {
		uint32_t skip;

		if (*p == 0x08) {
			skip = p[1] == '\\' ? 6 : 5;
			w->names++;
			p += skip + walk_object(p + skip, w);
		} else if (*p == 0x10) {
			skip = package_length(p + 1);
			walk_terms(p + 8, skip - 7, w);
			p += 1 + skip;
		} else {
			ck_assert_uint_eq(p[0], 0x5b);
			ck_assert_uint_eq(p[1], 0x82);
			w->devices++;
			skip = package_length(p + 2);
			walk_terms(p + 8, skip - 6, w);
			p += 2 + skip;
		}
	}
	ck_assert_ptr_eq(p, end);
}

START_TEST(dsdt)
{
	static uint8_t code[4096];
	uint32_t n = kvm_acpi_dsdt(code, sizeof(code), &config);
	struct walk w = { 0 };

	ck_assert_uint_gt(n, 0);
	walk_terms(code, n, &w);
	ck_assert_uint_eq(w.devices, 3);
	ck_assert_uint_eq(w.names, 3 + 4 + 4 + 1);
	ck_assert(w.vmbus && w.memory32 && w.memory64 && w.s5);
}
END_TEST

/* Whatever the room, nothing is written behind it, and half a table is none. */
START_TEST(no_room)
{
	uint32_t need;

	build(64);
	need = kvm_acpi_build(area, sizeof(area), &config);
	for (uint32_t room = 0; room < need; room++) {
		uint8_t *exact = calloc(1, room + 1);

		ck_assert_uint_eq(kvm_acpi_build(exact, room, &config), 0);
		ck_assert_uint_eq(exact[room], 0);
		free(exact);
	}
	ck_assert_uint_eq(kvm_acpi_build(area, need, &config), need);
}
END_TEST

RIG_MAIN("hv-core/kvm_acpi", fadt, madt, dsdt, no_room)
