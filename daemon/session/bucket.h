/* A token bucket: how many bytes may move now. It holds 20 ms of the rate, so that content flows
 * and does not come in gushes. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct bucket { /* all zero: full */
	double tokens;
	uint64_t at_usec; /* when tokens was right */
};

enum {
	BUCKET_PER_SEC = 50, /* its depth is this part of a second */
	BUCKET_LEAST = 256   /* but never less: bytes */
};

/* How many of want bytes may move at the rate (bytes a second, not 0). 0: none yet, *ret_wait_usec
 * is when to look again. Steps are half of the depth where want is not less. */
size_t bucket_look(struct bucket *b, uint64_t rate, uint64_t now_usec, size_t want,
		   uint64_t *ret_wait_usec);
/* So many have moved, at most what was allowed. */
void bucket_spend(struct bucket *b, size_t n);
