/* Bytes a second over the last 15 seconds. Pure. */
#pragma once

#include <stdint.h>

enum { RATE_SECONDS = 15 };

struct rate {
	uint64_t bytes[RATE_SECONDS]; /* by second, a ring */
	uint64_t last;                /* the newest second in the ring */
	uint64_t began_usec;
};

void rate_init(struct rate *r, uint64_t now_usec);
void rate_add(struct rate *r, uint64_t now_usec, uint64_t n);
uint64_t rate_get(struct rate *r, uint64_t now_usec);
