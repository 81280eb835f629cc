/* SPDX-License-Identifier: MIT */
/* Pages that the host cannot provide when they are touched (F25). */
#include "tests/ut/hv-core/hv_rig.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "hv-core/gpa_priv.h"

#define PG 4096ull

static struct hv_gpa *guarded(int sock)
{
	struct hv_gpa *g;
	int fd = hv_memfd_create("guard-ut", 16 * PG);

	ck_assert_int_eq(hv_gpa_create(&g), 0);
	ck_assert_int_eq(hv_gpa_add_ram(g, 0, 16 * PG, fd, 0), 0);
	close(fd);
	*(uint8_t *)hv_gpa_ptr(g, 0, 1) = 1;
	hv_gpa_guard(g, sock);
	return g;
}

/* A mapping whose file lost its pages, which a sealed file cannot: stands for exhausted memory. */
static uint8_t *broken_mapping(void)
{
	int fd = memfd_create("guard-ut", 0);
	uint8_t *p;

	ck_assert_int_eq(ftruncate(fd, 2 * PG), 0);
	p = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(p, MAP_FAILED);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	close(fd);
	return p;
}

START_TEST(missing_pages_fail_their_partition_only)
{
	struct hv_gpa *g, *other = guarded(-1);
	uint8_t *p = broken_mapping();
	int sv[2];
	char byte;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	g = guarded(sv[0]);
	hv_gpa_guard_add(g, p, 2 * PG);
	ck_assert_int_eq(recv(sv[0], &byte, 1, MSG_DONTWAIT), -1);
	errno = 0;
	store_relaxed(&p[5], 7);
	ck_assert_int_eq(errno, 0);
	ck_assert_uint_eq(load_relaxed(&p[5]), 7);
	ck_assert_uint_eq(load_relaxed(&p[6]), 0);
	ck_assert_uint_eq(load_relaxed(&p[2 * PG - 1]), 0);
	ck_assert(hv_gpa_failed(g));
	ck_assert(!hv_gpa_failed(other));
	ck_assert_int_eq(recv(sv[0], &byte, 1, MSG_DONTWAIT), 0); /* shut down */
	ck_assert_uint_eq(*(uint8_t *)hv_gpa_ptr(g, 0, 1), 1);
	hv_gpa_guard_remove(p);
	munmap(p, 2 * PG);
	hv_gpa_put(g);
	hv_gpa_put(other);
	close(sv[0]);
	close(sv[1]);
}
END_TEST

START_TEST(what_is_left_of_a_freed_map_is_guarded)
{
	struct hv_gpa *g = guarded(-1);
	uint8_t *p = broken_mapping();

	hv_gpa_guard_add(g, p, 2 * PG);
	hv_gpa_put(g);
	ck_assert_uint_eq(load_relaxed(&p[PG]), 0);
	hv_gpa_guard_remove(p);
	munmap(p, 2 * PG);
}
END_TEST

START_TEST(views_are_guarded)
{
	static const uint64_t pfn[3] = { 1, 2, 3 };
	struct hv_gpa *g = guarded(-1);
	struct hv_gpa_view v;
	uint8_t *p = broken_mapping();

	ck_assert_int_eq(hv_gpa_map_wrapped(g, &v, pfn, 3), 0);
	/* The broken page moves into the view. */
	ck_assert_ptr_eq(mremap(p, PG, PG, MREMAP_MAYMOVE | MREMAP_FIXED, v.data), v.data);
	ck_assert_uint_eq(load_relaxed(&v.data[0]), 0);
	ck_assert(hv_gpa_failed(g));
	hv_gpa_unmap_view(&v);
	munmap(p + PG, PG);
	hv_gpa_put(g);
}
END_TEST

START_TEST(pages_in_a_row_are_guarded)
{
	static const uint64_t pfn[2] = { 1, 3 };
	struct hv_gpa *g = guarded(-1);
	struct hv_gpa_pages p;
	uint8_t *broken = broken_mapping();

	ck_assert_int_eq(hv_gpa_map_pages(g, &p, pfn, 2), 0);
	ck_assert_ptr_eq(mremap(broken, PG, PG, MREMAP_MAYMOVE | MREMAP_FIXED, p.data + PG),
			 p.data + PG);
	ck_assert_uint_eq(load_relaxed(&p.data[PG]), 0);
	ck_assert(hv_gpa_failed(g));
	hv_gpa_unmap_pages(&p);
	munmap(broken + PG, PG);
	hv_gpa_put(g);
}
END_TEST

/* What is not guest memory still ends the process, and so does kill(2). */
START_TEST(other_bus_errors_are_fatal)
{
	struct sigaction plain = { .sa_handler = SIG_DFL };
	struct hv_gpa *g;
	int status;
	pid_t pid;

	sigaction(SIGBUS, &plain, NULL); /* a sanitizer's handler would report what we want */
	g = guarded(-1);
	for (int from_kill = 0; from_kill < 2; from_kill++) {
		pid = fork();
		if (!pid) {
			if (from_kill)
				raise(SIGBUS);
			else
				store_relaxed(broken_mapping(), 1);
			_exit(0);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	}
	hv_gpa_put(g);
}
END_TEST

/* Ranges come and go on several threads while pages fail on another. */
static uint32_t done;

static void *map_and_unmap(void *arg)
{
	static const uint64_t pfn[3] = { 1, 2, 3 };
	struct hv_gpa_view v;

	while (!load_acquire(&done)) {
		ck_assert_int_eq(hv_gpa_map_wrapped(arg, &v, pfn, 3), 0);
		hv_gpa_unmap_view(&v);
	}
	return NULL;
}

START_TEST(table_changes_while_pages_fail)
{
	struct hv_gpa *g = guarded(-1);
	pthread_t t[2];

	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, map_and_unmap, g), 0);
	for (uint32_t i = 0; i < 50 * RIG_EFFORT; i++) {
		uint8_t *p = broken_mapping();

		hv_gpa_guard_add(g, p, 2 * PG);
		ck_assert_uint_eq(load_relaxed(&p[i % (2 * PG)]), 0);
		hv_gpa_guard_remove(p);
		munmap(p, 2 * PG);
	}
	store_release(&done, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	hv_gpa_put(g);
}
END_TEST

RIG_MAIN("hv-core/gpa_guard", missing_pages_fail_their_partition_only,
	 what_is_left_of_a_freed_map_is_guarded, views_are_guarded, pages_in_a_row_are_guarded,
	 other_bus_errors_are_fatal, table_changes_while_pages_fail)
