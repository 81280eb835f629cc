/* SPDX-License-Identifier: MIT */
/* The tables, each with its checksum; layouts of the ACPI specification 6, chapter 5.2. */
#include "hv-core/kvm/kvm_acpi.h"

#include <string.h>

#include "base/wire.h"
#include "hv-core/kvm/kvm_aml.h"
#include "hv-core/kvm/kvm_pio.h"

#define LAPIC_GPA    0xfee00000u
#define IOAPIC_GPA   0xfec00000u
#define CMOS_CENTURY 0x32u

#define FADT_WBINVD  (1u << 0)
#define FADT_C1	     (1u << 2)
#define FADT_SLP_BTN (1u << 5) /* no such button */
#define FADT_RESET   (1u << 10)
#define BOOT_NO_VGA  (1u << 2) /* and no 8042, which would be probed for */
#define GAS_IO	     1u
#define MADT_PCAT    1u /* a pair of 8259s as well */
#define IRQ_LEVEL_HI 0x0du

struct header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} PACKED;
WIRE_SIZE(struct header, 36);

struct rsdp {
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt, length;
	uint64_t xsdt;
	uint8_t extended_checksum, reserved[3];
} PACKED;
WIRE_SIZE(struct rsdp, 36);

struct gas {
	uint8_t space, bits, offset, access;
	uint64_t address;
} PACKED;

struct fadt {
	struct header h;
	uint32_t facs, dsdt;
	uint8_t int_model, profile;
	uint16_t sci;
	uint32_t smi_cmd;
	uint8_t acpi_enable, acpi_disable, s4bios, pstate;
	uint32_t pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr, gpe0, gpe1;
	uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_len, gpe1_len, gpe1_base;
	uint8_t cst_cnt;
	uint16_t c2_latency, c3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_arch;
	uint8_t reserved;
	uint32_t flags;
	struct gas reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot;
	uint8_t minor;
	uint64_t x_facs, x_dsdt;
	struct gas x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2, x_tmr, x_gpe0, x_gpe1;
	struct gas sleep_control, sleep_status;
	uint64_t hypervisor;
} PACKED;
WIRE_SIZE(struct fadt, 276);
WIRE_OFFSET(struct fadt, flags, 112);
WIRE_OFFSET(struct fadt, x_pm1a_cnt, 172);

struct madt {
	struct header h;
	uint32_t lapic, flags;
} PACKED;
struct madt_lapic {
	uint8_t type, length, acpi_id, apic_id;
	uint32_t flags;
} PACKED;
struct madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t address, gsi_base;
} PACKED;
struct madt_override {
	uint8_t type, length, bus, source;
	uint32_t gsi;
	uint16_t flags;
} PACKED;
struct madt_nmi {
	uint8_t type, length, acpi_id;
	uint16_t flags;
	uint8_t lint;
} PACKED;
WIRE_SIZE(struct madt_override, 10);
WIRE_SIZE(struct madt_nmi, 6);

static uint8_t checksum(const void *data, uint32_t n)
{
	uint8_t sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += ((const uint8_t *)data)[i];
	return (uint8_t)-sum;
}

/* Returns where the table is; its content follows, then finish(). */
static uint32_t begin(struct kvm_aml *a, const char *signature, uint8_t revision)
{
	struct header h = { .revision = revision, .oem_revision = 1, .creator_revision = 1 };
	uint32_t at;

	while (a->len % 8 && !a->full)
		aml_le(a, 0, 1);
	at = a->len;
	memcpy(h.signature, signature, 4);
	memcpy(h.oem_id, "HVBUS ", 6);
	memcpy(h.oem_table_id, "HVBUSVM ", 8);
	memcpy(h.creator_id, "HVBS", 4);
	aml_bytes(a, &h, sizeof(h));
	return at;
}

static void finish(struct kvm_aml *a, uint32_t at)
{
	struct header h;

	if (a->full)
		return;
	memcpy(&h, a->buf + at, sizeof(h));
	h.length = a->len - at;
	memcpy(a->buf + at, &h, sizeof(h));
	h.checksum = checksum(a->buf + at, h.length);
	memcpy(a->buf + at, &h, sizeof(h));
}

/* ---- DSDT ------------------------------------------------------------------------- */

static void vmbus_device(struct kvm_aml *a, const struct kvm_acpi_config *cfg)
{
	uint32_t module = aml_device(a, "VMOD"), bus, res;

	aml_name(a, "_HID");
	aml_string(a, "ACPI0004");
	aml_name(a, "_UID");
	aml_integer(a, 0);
	aml_name(a, "_CRS");
	res = aml_resources(a);
	aml_memory32(a, (uint32_t)cfg->mmio_low, (uint32_t)cfg->mmio_low_len);
	aml_memory64(a, cfg->mmio_high, cfg->mmio_high_len);
	aml_resources_end(a, res);
	bus = aml_device(a, "VMBS");
	aml_name(a, "_HID");
	aml_string(a, "VMBus");
	aml_name(a, "_UID");
	aml_integer(a, 0);
	aml_name(a, "_STA");
	aml_integer(a, 0xf);
	aml_name(a, "_CRS");
	res = aml_resources(a);
	aml_irq(a, 5); /* guests on x86 have a vector of their own for it */
	aml_resources_end(a, res);
	aml_end(a, bus);
	aml_end(a, module);
}

static void serial_device(struct kvm_aml *a)
{
	uint32_t dev = aml_device(a, "COM1"), res;

	aml_name(a, "_HID");
	aml_integer(a, 0x0105d041); /* PNP0501 */
	aml_name(a, "_UID");
	aml_integer(a, 1);
	aml_name(a, "_STA");
	aml_integer(a, 0xf);
	aml_name(a, "_CRS");
	res = aml_resources(a);
	aml_io(a, KVM_PORT_COM1, KVM_UART_PORTS);
	aml_irq(a, KVM_UART_GSI);
	aml_resources_end(a, res);
	aml_end(a, dev);
}

static void put_dsdt(struct kvm_aml *a, const struct kvm_acpi_config *cfg)
{
	uint32_t scope = aml_scope(a, "\\_SB_"), s5;

	vmbus_device(a, cfg);
	serial_device(a);
	aml_end(a, scope);
	aml_name(a, "\\_S5_");
	s5 = aml_package(a, 4);
	aml_integer(a, KVM_SLEEP_S5);
	aml_integer(a, KVM_SLEEP_S5);
	aml_integer(a, 0);
	aml_integer(a, 0);
	aml_end(a, s5);
}

uint32_t kvm_acpi_dsdt(uint8_t *out, uint32_t room, const struct kvm_acpi_config *cfg)
{
	struct kvm_aml a = { .buf = out, .room = room };

	put_dsdt(&a, cfg);
	return a.full ? 0 : a.len;
}

/* ---- the others ---------------------------------------------------------------------- */

static uint64_t put_fadt(struct kvm_aml *a, uint64_t dsdt)
{
	uint32_t at = begin(a, "FACP", 6);
	struct fadt f = {
		.dsdt = (uint32_t)dsdt,
		.x_dsdt = dsdt,
		.sci = KVM_SCI_GSI,
		.pm1a_evt = KVM_PORT_PM1_EVT,
		.pm1a_cnt = KVM_PORT_PM1_CNT,
		.pm1_evt_len = 4,
		.pm1_cnt_len = 2,
		.c2_latency = 0xffff, /* no such states */
		.c3_latency = 0xffff,
		.century = CMOS_CENTURY,
		.boot_arch = BOOT_NO_VGA,
		.flags = FADT_WBINVD | FADT_C1 | FADT_SLP_BTN | FADT_RESET,
		.reset_reg = { GAS_IO, 8, 0, 1, KVM_PORT_RESET },
		.reset_value = KVM_RESET_VALUE,
		.x_pm1a_evt = { GAS_IO, 32, 0, 2, KVM_PORT_PM1_EVT },
		.x_pm1a_cnt = { GAS_IO, 16, 0, 2, KVM_PORT_PM1_CNT },
	};

	aml_bytes(a, (uint8_t *)&f + sizeof(f.h), sizeof(f) - sizeof(f.h));
	finish(a, at);
	return KVM_ACPI_GPA + at;
}

static uint64_t put_madt(struct kvm_aml *a, uint32_t nr_vps)
{
	const uint32_t fixed[2] = { LAPIC_GPA, MADT_PCAT };
	const struct madt_ioapic io = { 1, sizeof(io), 0, 0, IOAPIC_GPA, 0 };
	const struct madt_override timer = { 2, sizeof(timer), 0, 0, 2, 0 };
	const struct madt_override sci = {
		2, sizeof(sci), 0, KVM_SCI_GSI, KVM_SCI_GSI, IRQ_LEVEL_HI
	};
	const struct madt_nmi nmi = { 4, sizeof(nmi), 0xff, 0, 1 };
	uint32_t at = begin(a, "APIC", 5);

	aml_bytes(a, fixed, sizeof(fixed));
	for (uint32_t i = 0; i < nr_vps; i++) {
		struct madt_lapic l = { 0, sizeof(l), (uint8_t)i, (uint8_t)i, 1 };

		aml_bytes(a, &l, sizeof(l));
	}
	aml_bytes(a, &io, sizeof(io));
	aml_bytes(a, &timer, sizeof(timer));
	aml_bytes(a, &sci, sizeof(sci));
	aml_bytes(a, &nmi, sizeof(nmi));
	finish(a, at);
	return KVM_ACPI_GPA + at;
}

static uint64_t put_xsdt(struct kvm_aml *a, const uint64_t tables[2])
{
	uint32_t at = begin(a, "XSDT", 1);

	aml_bytes(a, tables, 2 * sizeof(tables[0]));
	finish(a, at);
	return KVM_ACPI_GPA + at;
}

static void put_rsdp(uint8_t *out, uint64_t xsdt)
{
	struct rsdp r = { .revision = 2, .length = sizeof(r), .xsdt = xsdt };

	memcpy(r.signature, "RSD PTR ", 8);
	memcpy(r.oem_id, "HVBUS ", 6);
	r.checksum = checksum(&r, 20); /* the part that revision 0 had */
	r.extended_checksum = checksum(&r, sizeof(r));
	memcpy(out, &r, sizeof(r));
}

uint32_t kvm_acpi_build(uint8_t *out, uint32_t room, const struct kvm_acpi_config *cfg)
{
	struct kvm_aml a = { .buf = out, .room = room, .len = sizeof(struct rsdp) };
	uint64_t tables[2], xsdt;
	uint32_t dsdt;

	if (room < sizeof(struct rsdp))
		return 0;
	dsdt = begin(&a, "DSDT", 2);
	put_dsdt(&a, cfg);
	finish(&a, dsdt);
	tables[0] = put_fadt(&a, KVM_ACPI_GPA + dsdt);
	tables[1] = put_madt(&a, cfg->nr_vps);
	xsdt = put_xsdt(&a, tables);
	if (a.full)
		return 0;
	put_rsdp(out, xsdt);
	return a.len;
}
