/* Time. Deadlines use the monotonic clock only. */
#pragma once

#include <stdint.h>

#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MSEC UINT64_C(1000)
#define NSEC_PER_SEC UINT64_C(1000000000)
#define NSEC_PER_USEC UINT64_C(1000)

/* CLOCK_MONOTONIC in microseconds. */
uint64_t clock_usec(void);

/* CLOCK_BOOTTIME in microseconds: by this the kernel tells when a process was started. */
uint64_t clock_boot_usec(void);

/* CLOCK_REALTIME in nanoseconds since 1970. */
int64_t clock_real_ns(void);

enum { CLOCK_TEXT_MAX = 40 };

/* RFC 3339 in UTC with milliseconds, "2026-11-22T12:09:40.123Z". Returns buf (CLOCK_TEXT_MAX). */
const char *clock_format_rfc3339(int64_t real_ns, char *buf);
