/* SPDX-License-Identifier: MIT */
/* CPUID of a VP from what hosts offer: more than we want, as much, less than a guest needs. */
#include "tests/ut/hv-core/hv_rig.h"

#include "hv-core/kvm/kvm_cpuid.h"

static struct kvm_leaves host, hv, out;
static char why[200];

static void add(struct kvm_leaves *l, struct kvm_leaf leaf)
{
	l->leaf[l->n++] = leaf;
}

/* An AMD host, with KVM's own leaves, and everything of Hyper-V. */
static void hosts(void)
{
	memset(&host, 0, sizeof(host));
	memset(&hv, 0, sizeof(hv));
	add(&host, (struct kvm_leaf){ .function = 0, .eax = 0xd, .ebx = 0x68747541 });
	add(&host, (struct kvm_leaf){ .function = 1, .ebx = 0x07ff0800, .ecx = 1, .edx = 2 });
	add(&host, (struct kvm_leaf){ .function = 4, .flags = 1, .index = 0, .eax = 0xfc004121 });
	add(&host, (struct kvm_leaf){ .function = 4, .flags = 1, .index = 3, .eax = 0xfc03c163 });
	add(&host, (struct kvm_leaf){ .function = 0xb, .flags = 1, .edx = 99 });
	add(&host, (struct kvm_leaf){ .function = 0x40000000, .ebx = 0x4b4d564b });
	add(&host, (struct kvm_leaf){ .function = 0x40000001, .eax = 0x01007efb });
	add(&host, (struct kvm_leaf){ .function = 0x80000008, .eax = 0x3028, .ecx = 0x7007 });
	add(&host, (struct kvm_leaf){ .function = 0x8000001e, .eax = 7, .ebx = 0x107 });
	add(&hv, (struct kvm_leaf){ .function = 0x40000000, .eax = 0x4000000a, .ebx = 1 });
	add(&hv, (struct kvm_leaf){ .function = 0x40000003,
				    .eax = 0xffffffff,
				    .ebx = 0xffffffff,
				    .edx = 0xffffffff });
	add(&hv, (struct kvm_leaf){ .function = 0x40000004, .eax = 0xffffffff });
}

static const struct kvm_leaf *leaf(uint32_t function, uint32_t index)
{
	const struct kvm_leaf *f = kvm_cpuid_find(&out, function, index);

	ck_assert_msg(f != NULL, "no leaf %#x.%u", function, index);
	return f;
}

static void build(uint32_t vp, uint32_t n)
{
	ck_assert_int_eq(kvm_cpuid_build(&out, &host, &hv, vp, n, why, sizeof(why)), 0);
}

static uint32_t count(uint32_t function)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < out.n; i++)
		n += out.leaf[i].function == function;
	return n;
}

START_TEST(hyper_v)
{
	char name[13] = "";

	hosts();
	build(0, 1);
	ck_assert_uint_eq(count(0x40000000), 1); /* KVM's signature is gone, or Linux takes it */
	ck_assert_uint_eq(leaf(0x40000000, 0)->eax, 0x40000005);
	memcpy(name, &leaf(0x40000000, 0)->ebx, 12);
	ck_assert_str_eq(name, "Microsoft Hv");
	ck_assert_uint_eq(leaf(0x40000001, 0)->eax, 0x31237648);
	ck_assert_uint_eq(leaf(0x40000003, 0)->eax, 0xaff);
	ck_assert_uint_eq(leaf(0x40000003, 0)->ebx, 0x30);
	ck_assert_uint_eq(leaf(0x40000003, 0)->edx, 0x80510);
	ck_assert_uint_eq(leaf(0x40000004, 0)->eax, 0xe2c);
	ck_assert_uint_eq(leaf(0x40000004, 0)->ebx, 0xffffffff);
	ck_assert_uint_eq(leaf(0x40000005, 0)->eax, 64);
}
END_TEST

/* What this host's KVM cannot do is not promised. */
START_TEST(less_than_wished)
{
	hosts();
	hv.leaf[1].eax = 0x66;
	hv.leaf[1].ebx = 0x30;
	hv.leaf[1].edx = 0;
	hv.leaf[2].eax = 0x220;
	build(0, 1);
	ck_assert_uint_eq(leaf(0x40000003, 0)->eax, 0x66);
	ck_assert_uint_eq(leaf(0x40000003, 0)->edx, 0);
	ck_assert_uint_eq(leaf(0x40000004, 0)->eax, 0x220);
}
END_TEST

START_TEST(too_little)
{
	static const struct {
		uint32_t eax, ebx;
		const char *word;
	} cases[] = {
		{ 0x62, 0x30, "SynIC" },	 { 0x46, 0x30, "hypercall" },
		{ 0x26, 0x30, "VP index" },	 { 0x64, 0x30, "reference" },
		{ 0x66, 0x20, "HvPostMessage" }, { 0x66, 0x10, "HvSignalEvent" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		hosts();
		hv.leaf[1].eax = cases[i].eax;
		hv.leaf[1].ebx = cases[i].ebx;
		ck_assert_int_eq(kvm_cpuid_build(&out, &host, &hv, 0, 1, why, sizeof(why)),
				 -ENOTSUP);
		ck_assert_msg(strstr(why, cases[i].word) != NULL, "%s", why);
	}
	hosts();
	hv.n = 0;
	ck_assert_int_eq(kvm_cpuid_build(&out, &host, &hv, 0, 1, why, sizeof(why)), -ENOTSUP);
}
END_TEST

START_TEST(topology)
{
	hosts();
	build(5, 6);
	ck_assert_uint_eq(leaf(1, 0)->ebx, 5u << 24 | 6u << 16 | 0x0800);
	ck_assert_uint_eq(leaf(1, 0)->ecx, 1u << 31 | 1u << 24 | 1);
	ck_assert_uint_eq(leaf(1, 0)->edx, 1u << 28 | 2);
	ck_assert_uint_eq(count(0xb), 2);
	ck_assert_uint_eq(leaf(0xb, 0)->edx, 5);
	ck_assert_uint_eq(leaf(0xb, 1)->eax, 3);
	ck_assert_uint_eq(leaf(0xb, 1)->ebx, 6);
	ck_assert_uint_eq(leaf(4, 0)->eax >> 14 & 0xfff, 0); /* nobody shares the first cache */
	ck_assert_uint_eq(leaf(4, 3)->eax >> 14 & 0xfff, 5);
	ck_assert_uint_eq(leaf(4, 3)->eax >> 26, 5);
	ck_assert_uint_eq(leaf(0x80000008, 0)->ecx, 3u << 12 | 5);
	ck_assert_uint_eq(leaf(0x8000001e, 0)->eax, 5);
	ck_assert_uint_eq(leaf(0x8000001e, 0)->ebx, 5);
	build(0, 1);
	ck_assert_uint_eq(leaf(1, 0)->edx, 2);
}
END_TEST

START_TEST(too_many)
{
	hosts();
	while (host.n < KVM_MAX_LEAVES)
		add(&host, (struct kvm_leaf){ .function = 0x1000 + host.n });
	ck_assert_int_eq(kvm_cpuid_build(&out, &host, &hv, 0, 1, why, sizeof(why)), -E2BIG);
	ck_assert_uint_le(out.n, KVM_MAX_LEAVES);
}
END_TEST

RIG_MAIN("hv-core/kvm_cpuid", hyper_v, less_than_wished, too_little, topology, too_many)
