/* Bytes a second over about two seconds, from samples taken four times a second. */
#pragma once

#include <stdint.h>

enum { RATE_SAMPLES = 8 };
struct rate {
	uint64_t usec[RATE_SAMPLES];
	uint64_t bytes[RATE_SAMPLES];
	unsigned n, next;
};

/* Begins anew. */
void rate_reset(struct rate *r);
/* bytes is a running total. Returns bytes a second since the oldest sample kept. */
uint64_t rate_sample(struct rate *r, uint64_t now_usec, uint64_t bytes);
