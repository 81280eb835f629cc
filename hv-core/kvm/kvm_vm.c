/* SPDX-License-Identifier: MIT */
/*
 * Life of a VM. The partition, with the guest's memory, lives as long as its owner wants; what
 * KVM has of it (the VM, its chips, VPs) from start to ended(): a reset makes a new one, so nothing
 * of the old is forgotten in some register.
 *
 * The end: somebody says kvm_end(); on the loop VPs' threads are told to leave, each says when
 * it has, and the last one's goodbye closes what KVM has and tells the owner.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hv-core/kvm/kvm_priv.h"
#include "hv-core/synic.h"

/* Below the LAPIC's page, in no guest's way; Intel's needs them. */
#define IDENTITY_MAP_GPA 0xfffbc000ull
#define TSS_GPA		 0xfffbd000ul
#define HUGE_BYTES	 (2ull << 20)
#define MEMORY_MAX	 (1ull << 40)

/* ---- the end ------------------------------------------------------------------------ */

static void close_vm(struct hv_kvm *k)
{
	kvm_synic_forget(k);
	for (uint32_t i = 0; i < k->boot.nr_vps; i++)
		kvm_vcpu_close(&k->vcpu[i]);
	if (k->vm >= 0)
		close(k->vm);
	k->vm = -1;
}

/* The last thread is gone, and end_call has run. */
static void ended(struct hv_kvm *k)
{
	char why[sizeof(k->end_why)];
	enum hv_kvm_end how = k->end_how;

	memcpy(why, k->end_why, sizeof(why));
	close_vm(k);
	hv_synic_reset(k->partition);
	k->running = k->stopping = k->end_posted = false;
	k->ops->ended(k->ctx, how, why);
}

static void vcpu_ended(struct loop_call *call)
{
	struct kvm_vcpu *v = container_of(call, struct kvm_vcpu, ended_call);
	struct hv_kvm *k = v->vm;

	pthread_join(v->thread, NULL);
	v->started = false;
	if (--k->alive == 0 && k->stopping)
		ended(k);
}

static void begin_end(struct loop_call *call)
{
	struct hv_kvm *k = container_of(call, struct hv_kvm, end_call);

	k->stopping = true;
	for (uint32_t i = 0; i < k->boot.nr_vps; i++)
		kvm_vcpu_kick(&k->vcpu[i]);
	if (!k->alive)
		ended(k);
}

void kvm_end(struct hv_kvm *k, enum hv_kvm_end how, const char *fmt, ...)
{
	va_list ap;
	bool first;

	pthread_mutex_lock(&k->lock);
	first = !k->end_posted;
	if (first) {
		k->end_posted = true;
		k->end_how = how;
		va_start(ap, fmt);
		vsnprintf(k->end_why, sizeof(k->end_why), fmt, ap);
		va_end(ap);
		store_release(&k->quit, 1); /* pairs with the VPs' threads, before they enter */
		pthread_cond_broadcast(&k->cond);
	}
	pthread_mutex_unlock(&k->lock);
	if (first)
		loop_post(k->loop, &k->end_call);
}

void hv_kvm_stop(struct hv_kvm *k)
{
	if (k->running)
		kvm_end(k, HV_KVM_STOPPED, "stopped");
}

/* ---- start ----------------------------------------------------------------------------- */

static int fail(int err, const char *what, char *why, size_t n)
{
	snprintf(why, n, "%s: %s", what, strerror(-err));
	return err;
}

static int add_slot(const struct hv_kvm *k, uint32_t slot, uint64_t gpa, uint64_t len)
{
	struct kvm_userspace_memory_region r = { .slot = slot,
						 .guest_phys_addr = gpa,
						 .memory_size = len };

	if (!len)
		return 0;
	r.userspace_addr = (uintptr_t)hv_gpa_ptr(k->boot.gpa, gpa, len);
	return ioctl(k->vm, KVM_SET_USER_MEMORY_REGION, &r) ? -errno : 0;
}

static int add_memory(const struct hv_kvm *k, char *why, size_t n)
{
	uint64_t low, high;
	int err;

	kvm_boot_split(k->boot.memory, &low, &high);
	err = add_slot(k, 0, 0, low);
	if (!err)
		err = add_slot(k, 1, KVM_BOOT_ABOVE, high);
	return err ? fail(err, "KVM_SET_USER_MEMORY_REGION", why, n) : 0;
}

/* The order matters to KVM (spec: kvm-guest, section 6). */
static int make_vm(struct hv_kvm *k, char *why, size_t n)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	uint64_t identity = IDENTITY_MAP_GPA;
	int err;

	do
		k->vm = ioctl(k->dev, KVM_CREATE_VM, 0);
	while (k->vm < 0 && errno == EINTR);
	if (k->vm < 0)
		return fail(-errno, "KVM_CREATE_VM", why, n);
	if (ioctl(k->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity))
		return fail(-errno, "KVM_SET_IDENTITY_MAP_ADDR", why, n);
	if (ioctl(k->vm, KVM_SET_TSS_ADDR, TSS_GPA))
		return fail(-errno, "KVM_SET_TSS_ADDR", why, n);
	err = add_memory(k, why, n);
	if (err)
		return err;
	if (ioctl(k->vm, KVM_CREATE_IRQCHIP, 0))
		return fail(-errno, "KVM_CREATE_IRQCHIP", why, n);
	if (ioctl(k->vm, KVM_CREATE_PIT2, &pit))
		return fail(-errno, "KVM_CREATE_PIT2", why, n);
	return 0;
}

static int make_vps(struct hv_kvm *k, const struct kvm_boot_entry *entry, char *why, size_t n)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < k->boot.nr_vps; i++) {
		err = kvm_vcpu_create(&k->vcpu[i], why, n);
		if (!err)
			err = kvm_state_init(&k->vcpu[i], i ? NULL : entry, why, n);
	}
	if (err)
		return err;
	err = kvm_synic_route(k);
	return err ? fail(err, "routing of synthetic interrupts", why, n) : 0;
}

/* A thread that cannot be made ends those that were. */
static int start_vps(struct hv_kvm *k)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < k->boot.nr_vps; i++)
		err = kvm_vcpu_start(&k->vcpu[i]);
	if (err)
		kvm_end(k, HV_KVM_FAILED, "a VP's thread: %s", strerror(-err));
	return 0;
}

static void power_on(struct hv_kvm *k)
{
	pthread_mutex_lock(&k->pio_lock);
	kvm_pio_reset(&k->pio);
	k->uart_line = false;
	pthread_mutex_unlock(&k->pio_lock);
	store_relaxed(&k->quit, 0);
}

int hv_kvm_start(struct hv_kvm *k, char *why, size_t n)
{
	struct kvm_boot_entry entry;
	int err = kvm_boot_load(&k->boot, &entry, why, n);

	if (err)
		return err;
	power_on(k);
	err = make_vm(k, why, n);
	if (!err)
		err = make_vps(k, &entry, why, n);
	if (err) {
		close_vm(k);
		return err;
	}
	k->running = true;
	k->starts++;
	return start_vps(k);
}

/* ---- pause ------------------------------------------------------------------------------- */

static void set_paused(struct hv_kvm *k, uint32_t paused)
{
	pthread_mutex_lock(&k->lock);
	store_release(&k->paused, paused); /* pairs with the VPs' threads, before they enter */
	pthread_cond_broadcast(&k->cond);
	pthread_mutex_unlock(&k->lock);
	for (uint32_t i = 0; i < k->boot.nr_vps; i++)
		kvm_vcpu_kick(&k->vcpu[i]);
}

void hv_kvm_pause(struct hv_kvm *k)
{
	set_paused(k, 1);
}

void hv_kvm_resume(struct hv_kvm *k)
{
	set_paused(k, 0);
}

/* ---- life ---------------------------------------------------------------------------------- */

static void stop(void *backend)
{
	struct hv_kvm *k = backend;

	if (k->guarded)
		hv_gpa_guard(k->boot.gpa, -1);
	close_vm(k);
}

static const struct hv_backend_ops backend_ops = {
	.kind = "kvm",
	.raise = kvm_synic_raise,
	.stop = stop,
	.bind = kvm_synic_bind,
	.await_eom = kvm_synic_await_eom,
};

static void out_of_memory(struct loop_fd *lf, uint32_t events)
{
	struct hv_kvm *k = container_of(lf, struct hv_kvm, guard_fd);

	(void)events;
	loop_fd_del(k->loop, lf);
	k->guarded = false;
	hv_gpa_guard(k->boot.gpa, -1);
	kvm_end(k, HV_KVM_FAILED, "the host has no memory for its pages");
}

static int guard_memory(struct hv_kvm *k)
{
	int err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, k->guard))
		return -errno;
	k->guard_fd.fd = k->guard[0];
	k->guard_fd.ready = out_of_memory;
	err = loop_fd_add(k->loop, &k->guard_fd, POLLIN);
	if (err)
		return err;
	k->guarded = true;
	hv_gpa_guard(k->boot.gpa, k->guard[1]);
	return 0;
}

static int make_memory(struct hv_kvm *k, struct hv_gpa *gpa)
{
	int fd = hv_memfd_create("hvbus-ram", k->boot.memory), err;
	uint64_t low, high;

	if (fd < 0)
		return fd;
	kvm_boot_split(k->boot.memory, &low, &high);
	err = hv_gpa_add_ram(gpa, 0, low, fd, 0);
	if (!err && high)
		err = hv_gpa_add_ram(gpa, KVM_BOOT_ABOVE, high, fd, low);
	close(fd);
	if (!err)
		hv_gpa_advise_huge(gpa);
	return err;
}

static int make_partition(struct hv_kvm *k, const struct hv_kvm_config *cfg)
{
	struct hv_partition_config pc = { .name = cfg->name, .nr_vps = cfg->nr_vps };
	int err = hv_gpa_create(&pc.gpa);

	if (err)
		return err;
	err = make_memory(k, pc.gpa);
	if (!err)
		err = hv_partition_create(&k->partition, k->loop, &pc, &backend_ops, k);
	if (err)
		hv_gpa_put(pc.gpa);
	else
		k->boot.gpa = pc.gpa;
	return err;
}

static int get_host_cpuid(struct hv_kvm *k)
{
	k->host_cpuid.n = KVM_MAX_LEAVES;
	return ioctl(k->dev, KVM_GET_SUPPORTED_CPUID, &k->host_cpuid) ? -errno : 0;
}

static int check_config(const struct hv_kvm *k, const struct hv_kvm_config *cfg, char *why,
			size_t n)
{
	int most = ioctl(k->dev, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);

	if (cfg->memory < KVM_BOOT_MIN_MEMORY || cfg->memory > MEMORY_MAX ||
	    cfg->memory % HUGE_BYTES) {
		snprintf(why, n, "memory: a multiple of 2 MiB from %llu MiB to 1 TiB is needed",
			 (unsigned long long)(KVM_BOOT_MIN_MEMORY >> 20));
		return -EINVAL;
	}
	if (most > HV_MAX_VPS || most <= 0)
		most = HV_MAX_VPS;
	if (!cfg->nr_vps || cfg->nr_vps > (uint32_t)most) {
		snprintf(why, n, "%u VPs: 1 to %d are possible here", cfg->nr_vps, most);
		return -EINVAL;
	}
	return 0;
}

static int open_all(struct hv_kvm *k, const struct hv_kvm_config *cfg, char *why, size_t n)
{
	int err;

	k->dev = kvm_host_open(why, n);
	if (k->dev < 0)
		return k->dev;
	err = check_config(k, cfg, why, n);
	if (err)
		return err;
	err = get_host_cpuid(k);
	if (err)
		return fail(err, "KVM_GET_SUPPORTED_CPUID", why, n);
	err = make_partition(k, cfg);
	if (err)
		return fail(err, "guest memory", why, n);
	err = guard_memory(k);
	if (!err)
		err = kvm_synic_open(k);
	return err ? fail(err, "the VM's descriptors", why, n) : 0;
}

static void init(struct hv_kvm *k, struct loop *loop, const struct hv_kvm_config *cfg,
		 const struct hv_kvm_ops *ops, void *ctx)
{
	k->loop = loop;
	k->ops = ops;
	k->ctx = ctx;
	k->dev = k->vm = k->guard[0] = k->guard[1] = -1;
	k->boot = (struct kvm_boot_config){ .memory = cfg->memory,
					    .nr_vps = cfg->nr_vps,
					    .kernel = cfg->kernel,
					    .initrd = cfg->initrd };
	k->end_call.fn = begin_end;
	pthread_mutex_init(&k->lock, NULL);
	pthread_cond_init(&k->cond, NULL);
	pthread_mutex_init(&k->pio_lock, NULL);
	kvm_console_init(k);
	for (uint32_t i = 0; i < HV_MAX_VPS; i++)
		k->irq[i] = (struct kvm_irq){ .vm = k, .vp = i, .fd = -1, .eom.fd = -1 };
	for (uint32_t i = 0; i < cfg->nr_vps; i++) {
		struct kvm_vcpu *v = &k->vcpu[i];

		v->vm = k;
		v->index = i;
		v->fd = -1;
		pthread_cond_init(&v->answered, NULL);
		v->ended_call.fn = vcpu_ended;
	}
}

int hv_kvm_create(struct hv_kvm **out, struct loop *loop, const struct hv_kvm_config *cfg,
		  const struct hv_kvm_ops *ops, void *ctx, char *why, size_t n)
{
	uint32_t vps = cfg->nr_vps < HV_MAX_VPS ? cfg->nr_vps : HV_MAX_VPS;
	struct hv_kvm *k = calloc(1, sizeof(*k) + vps * sizeof(k->vcpu[0]));
	struct hv_kvm_config fitting = *cfg;
	int err;

	if (!k)
		return fail(-ENOMEM, "the VM", why, n);
	fitting.nr_vps = vps;
	init(k, loop, &fitting, ops, ctx);
	k->cmdline = strdup(cfg->cmdline ? cfg->cmdline : "");
	k->boot.cmdline = k->cmdline;
	err = k->cmdline ? open_all(k, cfg, why, n) : fail(-ENOMEM, "the VM", why, n);
	if (err) {
		hv_kvm_destroy(k);
		return err;
	}
	*out = k;
	return 0;
}

void hv_kvm_destroy(struct hv_kvm *k)
{
	if (!k)
		return;
	if (k->partition)
		hv_partition_destroy(k->partition);
	if (k->guarded)
		loop_fd_del(k->loop, &k->guard_fd);
	kvm_synic_close(k);
	for (int i = 0; i < 2; i++)
		if (k->guard[i] >= 0)
			close(k->guard[i]);
	if (k->dev >= 0)
		close(k->dev);
	for (uint32_t i = 0; i < k->boot.nr_vps; i++)
		pthread_cond_destroy(&k->vcpu[i].answered);
	pthread_mutex_destroy(&k->lock);
	pthread_cond_destroy(&k->cond);
	pthread_mutex_destroy(&k->pio_lock);
	free(k->cmdline);
	free(k);
}

struct hv_partition *hv_kvm_partition(struct hv_kvm *k)
{
	return k->partition;
}

/* ---- inspection ------------------------------------------------------------------------------ */

static enum hv_kvm_state state(const struct hv_kvm *k)
{
	if (!k->running)
		return HV_KVM_OFF;
	if (load_relaxed(&k->quit))
		return HV_KVM_ENDING;
	return load_relaxed(&k->paused) ? HV_KVM_PAUSED : HV_KVM_RUNNING;
}

void hv_kvm_stats(const struct hv_kvm *k, struct hv_kvm_stats *out)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&k->pio_lock;

	pthread_mutex_lock(lock);
	*out = (struct hv_kvm_stats){ .state = state(k),
				      .starts = k->starts,
				      .unknown_ports = k->pio.unknown,
				      .console_bytes = k->console_bytes,
				      .console_lost = k->pio.uart.lost };
	pthread_mutex_unlock(lock);
}

const char *hv_kvm_state_name(enum hv_kvm_state s)
{
	static const char *const names[] = { "off", "running", "paused", "ending" };

	return names[s];
}

void hv_kvm_exits(const struct hv_kvm *k, uint32_t vp,
		  void (*fn)(void *ctx, const char *reason, uint64_t n), void *ctx)
{
	char number[16];

	if (vp >= k->boot.nr_vps)
		return;
	for (uint32_t i = 0; i < KVM_EXIT_REASONS; i++) {
		uint64_t count = load_relaxed(&k->vcpu[vp].exits[i]);
		const char *name = kvm_exit_name(i);

		snprintf(number, sizeof(number), "reason %u", i);
		if (count)
			fn(ctx, name ? name : number, count);
	}
}

/* From start to start; memory and descriptors come before anybody could restrict us. */
const unsigned long *hv_kvm_requests(size_t *n)
{
	static const unsigned long requests[] = {
		KVM_CREATE_VM,	    KVM_SET_IDENTITY_MAP_ADDR,
		KVM_SET_TSS_ADDR,   KVM_SET_USER_MEMORY_REGION,
		KVM_CREATE_IRQCHIP, KVM_CREATE_PIT2,
		KVM_CREATE_VCPU,    KVM_GET_VCPU_MMAP_SIZE,
		KVM_ENABLE_CAP,	    KVM_GET_SUPPORTED_HV_CPUID,
		KVM_SET_CPUID2,	    KVM_GET_SREGS,
		KVM_SET_SREGS,	    KVM_SET_REGS,
		KVM_GET_REGS,	    KVM_GET_MSRS,
		KVM_SET_MSRS,	    KVM_SET_GSI_ROUTING,
		KVM_IRQFD,	    KVM_HYPERV_EVENTFD,
		KVM_IRQ_LINE,	    KVM_RUN,
	};

	*n = ARRAY_SIZE(requests);
	return requests;
}

uint64_t hv_kvm_fds(uint32_t nr_vps)
{
	return 4 + 3 * (uint64_t)nr_vps;
}
