/* Counts in buckets with fixed bounds, for the metrics. */
#pragma once

#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 10 };
struct histogram {
	uint64_t bucket[HISTOGRAM_BUCKETS]; /* not cumulative; the last one is +Inf */
	uint64_t count, sum;
};

/* Upper bounds of all buckets but the last, in milliseconds and in bytes. */
extern const uint64_t histogram_ms_bounds[HISTOGRAM_BUCKETS - 1];
extern const uint64_t histogram_bytes_bounds[HISTOGRAM_BUCKETS - 1];

void
histogram_add(struct histogram *h, const uint64_t bounds[HISTOGRAM_BUCKETS - 1], uint64_t value);
