/* Bytes a second over about two seconds, from samples taken four times a second. */
#pragma once

#include <stdint.h>

enum { RATE_SAMPLES = 8 };
/* Bytes a second: no machine of ours moves more, so whoever says so is not believed. */
#define RATE_MAX (UINT64_C(1) << 40)
struct rate {
	uint64_t usec[RATE_SAMPLES];
	uint64_t bytes[RATE_SAMPLES];
	unsigned n, next;
};

/* Begins anew. */
void rate_reset(struct rate *r);
/* bytes is a running total. Returns bytes a second since the oldest sample kept, at
 * most RATE_MAX. */
uint64_t rate_sample(struct rate *r, uint64_t now_usec, uint64_t bytes);
