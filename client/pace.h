/* Keeps to a rate on this end: whoever moves bytes waits here until they are allowed, threads that
 * share a rate one after the other. */
#pragma once

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct pace {
	uint64_t rate; /* bytes a second, NUM_UNLIMITED */
	pthread_mutex_t lock;
	uint64_t ahead_usec; /* monotonic time up to which the rate is used up */
};

void pace_init(struct pace *p, uint64_t rate);

/* The most bytes that should be moved at one go: about a quarter of a second, between 16 KiB and
 * max. */
size_t pace_chunk(const struct pace *p, size_t max);

/* n bytes were moved: waits until that was allowed. 0, or -EINTR when the user wants to stop. */
int pace_spend(struct pace *p, uint64_t n);
