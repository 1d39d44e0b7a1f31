#include "daemon/supervisor/histogram.h"

const uint64_t histogram_ms_bounds[HISTOGRAM_BUCKETS - 1] = { 1,      10,      100,
							      1000,   10000,   60000,
							      600000, 3600000, 36000000 };
const uint64_t histogram_bytes_bounds[HISTOGRAM_BUCKETS - 1] = {
	1 << 10,           16 << 10,           256 << 10,          1 << 20, 16 << 20, 256 << 20,
	UINT64_C(1) << 30, UINT64_C(16) << 30, UINT64_C(256) << 30
};

void
histogram_add(struct histogram *h, const uint64_t bounds[HISTOGRAM_BUCKETS - 1], uint64_t value)
{
	unsigned i = 0;

	while (i < HISTOGRAM_BUCKETS - 1 && value > bounds[i])
		i++;
	h->bucket[i]++;
	h->count++;
	h->sum += value;
}
