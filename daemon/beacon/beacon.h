/* UDP status: answers whoever asks, any number at once, and never more than it was asked where the
 * asker could be somebody else's forged address. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/addr.h"

enum { BEACON_ANSWERS_A_SECOND = 10, BEACON_BUCKETS = 4096 };

/* May this source, which is not trusted, be answered now? Token buckets by a hash of the source:
 * sources that share one share its rate. */
struct beacon_limiter {
	struct {
		uint64_t filled_usec;
		uint32_t tokens;
	} bucket[BEACON_BUCKETS];
};
bool beacon_may_answer(struct beacon_limiter *l, const union addr *peer, uint64_t now_usec);
