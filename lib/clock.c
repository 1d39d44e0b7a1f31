#include "lib/clock.h"

#include <stdio.h>
#include <time.h>

static uint64_t
usec_of(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / NSEC_PER_USEC;
}

uint64_t
clock_usec(void)
{
	return usec_of(CLOCK_MONOTONIC);
}

uint64_t
clock_boot_usec(void)
{
	return usec_of(CLOCK_BOOTTIME);
}

int64_t
clock_real_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * (int64_t)NSEC_PER_SEC + t.tv_nsec;
}

const char *
clock_format_rfc3339(int64_t real_ns, char *buf)
{
	int64_t ns = real_ns % (int64_t)NSEC_PER_SEC;
	time_t seconds = real_ns / (int64_t)NSEC_PER_SEC;
	struct tm tm;
	size_t n;

	if (ns < 0) { /* before 1970: the fraction counts forwards all the same */
		ns += (int64_t)NSEC_PER_SEC;
		seconds--;
	}
	(void)gmtime_r(&seconds, &tm);
	n = strftime(buf, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(buf + n, CLOCK_TEXT_MAX - n, ".%03uZ", (unsigned)(ns / 1000000) % 1000);
	return buf;
}
