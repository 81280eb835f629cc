/* SPDX-License-Identifier: MIT */
/*
 * Integration services over the whole stack: a root in a process of its own, partitions that
 * answer, refuse, say nothing, hang, or die at the wrong moment; asked over the control socket.
 */
#include <check.h>
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/log.h"
#include "hv-core/proc/proc_wire.h"
#include "tests/proc/root_rig.h"
#include "vsc/ic_client.h"
#include "vsp/ic/ic_services.h"

#define BEAT_MS 20
#define LIMIT_S 10
#define REBOOT	", \"kind\": \"reboot\""

static uint32_t io_threads; /* of roots to come */

static uint32_t integration_off; /* of roots to come */

static void configure(struct root_config *cfg)
{
	cfg->io_threads = io_threads;
	cfg->integration_off = integration_off;
	cfg->heartbeat_ms = BEAT_MS;
	cfg->nr_disks = 1;
	cfg->disk[0].blk = (struct blk_config){ .engine = BLK_ENGINE_MEMORY, .size = 1u << 20 };
}

static void start_root(uint32_t off)
{
	integration_off = off;
	rig_dir();
	rig_start(&(struct rig_root){ configure, NULL });
}

static void setup(void)
{
	start_root(0);
}

static void teardown(void)
{
	rig_stop();
	rmdir(dir);
}

/* ---- a guest in a process of its own ---------------------------------------------------- */

enum manner {
	OBEYS,
	REFUSES,
	STAYS,	 /* agrees, and is still there */
	MUTE,	 /* its thread hangs when it is asked */
	CRASHES, /* when it is asked */
	NO_DRIVER,
};

struct guest {
	pid_t pid;
	enum manner manner;
	int ended[2];
};

static uint32_t on_shutdown(void *ctx, const struct ic_client_shutdown *r)
{
	struct guest *g = ctx;

	(void)r;
	if (g->manner == REFUSES)
		return IC_MACHINE_LOCKED;
	if (g->manner == CRASHES)
		_exit(7);
	if (g->manner == MUTE)
		sleep(3 * LIMIT_S);
	if (g->manner == OBEYS && write(g->ended[1], "", 1) != 1)
		return IC_FAIL;
	return IC_OK;
}

static enum ic_application healthy(void *ctx)
{
	(void)ctx;
	return IC_APP_HEALTHY;
}

static void guest_main(struct guest *g, int ready)
{
	struct ic_client_config cfg = {
		.vp = 1, .shutdown = on_shutdown, .health = healthy, .ctx = g
	};
	struct hv_child_config hc = { .name = "guest", .memory = 1u << 20, .nr_vps = 2 };
	struct vmbus_client *bus;
	struct ic_client *ic = NULL;
	struct hv_child *hv;
	char why[256], c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	log_set_level(LOG_ERROR);
	if (hv_child_connect(&hv, sock, &hc, why, sizeof(why)) ||
	    vmbus_client_connect(&bus, hv, NULL))
		_exit(2);
	if (g->manner != NO_DRIVER && (ic_client_open(&ic, bus, &cfg) || ic_client_start(ic)))
		_exit(3);
	if (write(ready, "", 1) != 1 || read(g->ended[0], &c, 1) != 1)
		_exit(4);
	ic_client_close(ic);
	vmbus_client_destroy(bus);
	hv_child_destroy(hv);
	exit(0);
}

static void start_guest(struct guest *g, enum manner manner)
{
	int ready[2];
	char c;

	g->manner = manner;
	ck_assert_int_eq(pipe(ready), 0);
	ck_assert_int_eq(pipe(g->ended), 0);
	g->pid = fork();
	ck_assert_int_ge(g->pid, 0);
	if (!g->pid)
		guest_main(g, ready[1]);
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	close(ready[0]);
}

/* Its exit status; or the signal, negative. */
static int reap(struct guest *g)
{
	int status;

	ck_assert_int_eq(waitpid(g->pid, &status, 0), g->pid);
	close(g->ended[0]);
	close(g->ended[1]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void kill_guest(struct guest *g)
{
	kill(g->pid, SIGKILL);
	ck_assert_int_eq(reap(g), -SIGKILL);
}

/* ---- the control socket ---------------------------------------------------------------------- */

static int send_request(const char *request)
{
	struct hv_proc_hello hello = {
		.magic = HV_PROC_MAGIC,
		.version = HV_PROC_VERSION,
		.role = HV_PROC_CONTROL,
	};
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(sa.sun_path, sock);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_eq(send(fd, &hello, sizeof(hello), MSG_NOSIGNAL), sizeof(hello));
	ck_assert_int_gt(send(fd, request, strlen(request), MSG_NOSIGNAL), 0);
	return fd;
}

static json_t *receive(int fd)
{
	static char buf[1u << 18];
	size_t len = 0;
	ssize_t n;
	json_t *o;

	while ((n = recv(fd, buf + len, sizeof(buf) - len, 0)) > 0)
		len += (size_t)n;
	close(fd);
	o = json_loadb(buf, len, 0, NULL);
	ck_assert_ptr_nonnull(o);
	return o;
}

static json_t *ask(const char *request)
{
	return receive(send_request(request));
}

/* Error number of the answer, 0 = done; its sentence in @why. */
static int ask_shutdown(const char *more, char why[256])
{
	char request[256];
	json_t *o;
	int err;

	snprintf(request, sizeof(request), "{\"do\": \"guest-shutdown\"%s}", more);
	o = ask(request);
	err = (int)json_integer_value(json_object_get(o, "errno"));
	snprintf(why, 256, "%s",
		 json_string_value(json_object_get(o, err ? "error" : "result")) ?: "");
	json_decref(o);
	return err;
}

/* Waits until the only partition's heartbeat is "KEY": VALUE. */
static void await_heartbeat(const char *key, const char *value)
{
	uint64_t end = clock_ns() + LIMIT_S * 1000000000ull;
	const char *is = NULL;
	json_t *o, *p;

	do {
		usleep(5000);
		o = ask("{\"do\": \"inspect\"}");
		p = json_array_get(json_object_get(o, "partitions"), 0);
		is = json_string_value(json_object_get(json_object_get(p, "heartbeat"), key));
		if (is && !strcmp(is, value)) {
			json_decref(o);
			return;
		}
		ck_assert_msg(clock_ns() < end, "heartbeat %s is %s, not %s", key,
			      is ?: "not there", value);
		json_decref(o);
	} while (true);
}

/* ---- heartbeats --------------------------------------------------------------------------------
 */

/* A guest that is stopped as if it hung, goes on, and leaves. */
START_TEST(heartbeat_of_a_process)
{
	struct guest g;
	json_t *o;

	start_guest(&g, OBEYS);
	await_heartbeat("contact", "ok");
	await_heartbeat("application", "healthy");
	kill(g.pid, SIGSTOP);
	await_heartbeat("contact", "lost");
	await_heartbeat("application", "unknown");
	o = ask("{\"do\": \"inspect\"}");
	ck_assert_str_eq(json_string_value(json_object_get(
				 json_array_get(json_object_get(o, "faults"), 0), "why")),
			 "heartbeats are not answered any more");
	json_decref(o);
	kill(g.pid, SIGCONT);
	await_heartbeat("contact", "ok");
	kill_guest(&g);
}
END_TEST

START_TEST(no_driver)
{
	struct guest g;
	char why[256];

	start_guest(&g, NO_DRIVER);
	usleep(10 * BEAT_MS * 1000);
	await_heartbeat("contact", "no contact");
	ck_assert_int_eq(ask_shutdown("", why), ENOTCONN);
	ck_assert_ptr_nonnull(strstr(why, "has not opened the shutdown channel"));
	kill_guest(&g);
}
END_TEST

/* ---- shutdown ----------------------------------------------------------------------------------
 */

static void shut_down(int times)
{
	struct guest g;
	char why[256];

	for (int i = 0; i < times; i++) {
		start_guest(&g, OBEYS);
		await_heartbeat("contact", "ok");
		ck_assert_msg(!ask_shutdown(", \"guest\": \"guest\"", why), "%s", why);
		ck_assert_str_eq(why, "ended");
		ck_assert_int_eq(reap(&g), 0);
	}
}

START_TEST(obeys)
{
	shut_down(10); /* its answer and its end race */
}
END_TEST

/* Services stay on the main loop, wherever other channels go. */
START_TEST(obeys_with_io_threads)
{
	io_threads = 2;
	setup();
	shut_down(3);
	teardown();
}
END_TEST

START_TEST(i06_refuses)
{
	struct guest g;
	char why[256];

	start_guest(&g, REFUSES);
	await_heartbeat("contact", "ok");
	ck_assert_int_eq(ask_shutdown("", why), EPERM);
	ck_assert_ptr_nonnull(strstr(why, "locked"));
	ck_assert_int_eq(ask_shutdown(", \"kind\": \"reboot\"", why), EPERM);
	ck_assert_int_eq(ask_shutdown(", \"kind\": \"sleep\"", why), EINVAL);
	ck_assert_int_eq(ask_shutdown(", \"guest\": \"other\"", why), ENOENT);
	kill_guest(&g);
}
END_TEST

/* The time is over; then it is cut off, which needs nothing of it. */
START_TEST(i06_stays_and_is_cut_off)
{
	struct guest g;
	char why[256];

	start_guest(&g, STAYS);
	await_heartbeat("contact", "ok");
	ck_assert_int_eq(ask_shutdown(", \"kind\": \"reboot\"", why), 0);
	ck_assert_str_eq(why, "agreed");
	ck_assert_int_eq(ask_shutdown(", \"wait_ms\": 100", why), ETIMEDOUT);
	ck_assert_ptr_nonnull(strstr(why, "agreed, but is still there"));
	await_heartbeat("contact", "ok");
	ck_assert_int_eq(ask_shutdown(", \"cut\": true", why), 0);
	ck_assert_str_eq(why, "ended");
	kill(g.pid, SIGKILL);
	reap(&g);
}
END_TEST

/* Heartbeats of such a guest are missed too: one thread answers both. */
START_TEST(i06_mute)
{
	struct guest g;
	char why[256];

	start_guest(&g, MUTE);
	await_heartbeat("contact", "ok");
	ck_assert_int_eq(ask_shutdown(", \"wait_ms\": 100", why), ETIMEDOUT);
	ck_assert_ptr_nonnull(strstr(why, "does not answer"));
	await_heartbeat("contact", "lost");
	ck_assert_int_eq(ask_shutdown(", \"wait_ms\": 100", why), EBUSY);
	ck_assert_int_eq(ask_shutdown(", \"cut\": true", why), 0);
	kill_guest(&g);
}
END_TEST

/* It is gone, which is what was wanted. */
START_TEST(i06_crashes)
{
	struct guest g;
	char why[256];

	start_guest(&g, CRASHES);
	await_heartbeat("contact", "ok");
	ck_assert_msg(!ask_shutdown("", why), "%s", why);
	ck_assert_int_eq(reap(&g), 7);
}
END_TEST

/* Who asked hangs up; another one asks meanwhile; the root ends with one that waits. */
START_TEST(askers)
{
	struct guest g;
	char why[256];
	json_t *o;
	int fd;

	start_guest(&g, STAYS);
	await_heartbeat("contact", "ok");
	fd = send_request("{\"do\": \"guest-shutdown\"}");
	while (ask_shutdown(REBOOT, why) != EBUSY)
		;
	close(fd);
	while (ask_shutdown(REBOOT, why) == EBUSY)
		;
	fd = send_request("{\"do\": \"guest-shutdown\"}");
	while (ask_shutdown(REBOOT, why) != EBUSY)
		;
	ck_assert_int_eq(ask_shutdown(", \"cut\": true", why), 0);
	ck_assert_str_eq(why, "cut off");
	o = receive(fd);
	ck_assert_str_eq(json_string_value(json_object_get(o, "result")), "ended");
	json_decref(o);
	kill(g.pid, SIGKILL);
	reap(&g);

	start_guest(&g, STAYS);
	await_heartbeat("contact", "ok");
	fd = send_request("{\"do\": \"guest-shutdown\"}");
	while (ask_shutdown(REBOOT, why) != EBUSY)
		;
	kill(root_pid, SIGTERM); /* the teardown looks how it ends */
	kill_guest(&g);
	close(fd);
}
END_TEST

START_TEST(several_guests)
{
	struct guest a, b;
	char why[256];

	start_guest(&a, OBEYS);
	start_guest(&b, OBEYS);
	ck_assert_int_eq(ask_shutdown("", why), ENOENT);
	ck_assert_int_eq(ask_shutdown(", \"guest\": \"guest\"", why), ENOENT);
	ck_assert_ptr_nonnull(strstr(why, "several"));
	await_heartbeat("contact", "ok");
	while (ask_shutdown(", \"guest\": \"2\"", why) == EAGAIN)
		;
	ck_assert_str_eq(why, "ended");
	ck_assert_int_eq(reap(&b), 0);
	ck_assert_int_eq(waitpid(a.pid, NULL, WNOHANG), 0);
	kill_guest(&a);
}
END_TEST

/* A root that offers nothing of this. */
START_TEST(switched_off)
{
	struct guest g;
	char why[256];
	json_t *o, *p;

	start_root(IC_SERVICES_ALL);
	start_guest(&g, NO_DRIVER);
	o = ask("{\"do\": \"inspect\"}");
	p = json_array_get(json_object_get(o, "partitions"), 0);
	ck_assert(json_is_null(json_object_get(p, "heartbeat")));
	ck_assert_uint_eq(json_array_size(json_object_get(p, "integration")), 0);
	json_decref(o);
	ck_assert_int_eq(ask_shutdown("", why), EOPNOTSUPP);
	ck_assert_int_eq(ask_shutdown(", \"cut\": true", why), 0);
	kill(g.pid, SIGKILL);
	reap(&g);
	start_guest(&g, NO_DRIVER);
	kill_guest(&g);
	teardown();
}
END_TEST

START_TEST(lists)
{
	static const struct {
		const char *list;
		int err;
		uint32_t off;
	} t[] = {
		{ "all", 0, 0 },
		{ "none", 0, IC_SERVICES_ALL },
		{ "heartbeat", 0, IC_HAS(IC_SHUTDOWN) },
		{ "shutdown,heartbeat", 0, 0 },
		{ "shutdown,", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
		{ "heartbeat,kvp", -EINVAL, 0 },
		{ "heartbeatheartbeatheartbeatheartbeatheartbeat", -EINVAL, 0 },
	};
	char why[256];

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		uint32_t off = 0;

		ck_assert_int_eq(root_parse_integration(&off, t[i].list, why, sizeof(why)),
				 t[i].err);
		ck_assert(t[i].err || off == t[i].off);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ic");
	TCase *tc = tcase_create("ic"), *own = tcase_create("own");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_set_timeout(own, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, heartbeat_of_a_process);
	tcase_add_test(tc, no_driver);
	tcase_add_test(tc, obeys);
	tcase_add_test(tc, i06_refuses);
	tcase_add_test(tc, i06_stays_and_is_cut_off);
	tcase_add_test(tc, i06_mute);
	tcase_add_test(tc, i06_crashes);
	tcase_add_test(tc, askers);
	tcase_add_test(tc, several_guests);
	tcase_add_test(own, obeys_with_io_threads);
	tcase_add_test(own, switched_off);
	tcase_add_test(own, lists);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, own);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
