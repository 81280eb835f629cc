/* SPDX-License-Identifier: MIT */
/*
 * The only way this project touches memory that another thread, process or
 * machine may touch at the same time. Every use says in a comment which access
 * it pairs with.
 *
 * The helpers work on naturally aligned 8-, 16-, 32- and 64-bit objects.
 */
#ifndef HVBUS_BASE_ATOMIC_H
#define HVBUS_BASE_ATOMIC_H

#include "base/compiler.h"

#define load_relaxed(p)	    __atomic_load_n((p), __ATOMIC_RELAXED)
#define load_acquire(p)	    __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

#if defined(__SANITIZE_THREAD__)
#define HVBUS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HVBUS_TSAN 1
#endif
#endif

/*
 * Orders every earlier load and store before every later one, on all CPUs.
 * ThreadSanitizer does not model stand-alone fences, so under it the fence is a
 * sequentially consistent read-modify-write: as strong on x86.
 */
ALWAYS_INLINE void full_fence(void)
{
#if defined(HVBUS_TSAN) || defined(__x86_64__)
	uint32_t dummy = 0;

	__atomic_fetch_or(&dummy, 0, __ATOMIC_SEQ_CST);
	__asm__ volatile("" ::: "memory");
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* Tells the core that this is a spin loop: cheaper for the sibling and the bus. */
ALWAYS_INLINE void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#endif
}

#endif
