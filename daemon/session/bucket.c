#include "daemon/session/bucket.h"

#include "lib/clock.h"

size_t
bucket_look(struct bucket *b, uint64_t rate, uint64_t now_usec, size_t want,
	    uint64_t *ret_wait_usec)
{
	double per_usec = (double)rate / (double)USEC_PER_SEC;
	double depth =
	    (double)(rate > BUCKET_LEAST * BUCKET_PER_SEC ? rate / BUCKET_PER_SEC : BUCKET_LEAST);
	double enough = (double)want < depth / 2 ? (double)want : depth / 2;

	b->tokens += (double)(now_usec - b->at_usec) * per_usec;
	if (b->tokens > depth)
		b->tokens = depth;
	b->at_usec = now_usec;
	if (b->tokens >= enough)
		return b->tokens < (double)want ? (size_t)b->tokens : want;
	*ret_wait_usec = (uint64_t)((enough - b->tokens) / per_usec) + 1;
	return 0;
}

void
bucket_spend(struct bucket *b, size_t n)
{
	b->tokens = b->tokens > (double)n ? b->tokens - (double)n : 0;
}
