/* Digests of the blocks of a resumable upload. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/common/partial.h"
#include "lib/io.h"

enum { STEP = 4096 };

static off_t
sum_at(uint64_t block)
{
	return RECORD_SUMS_AT + (off_t)(block * RECORD_SUM);
}

int
partial_sum(const struct partial *p, uint64_t block, uint8_t ret[RECORD_SUM])
{
	static const uint8_t none[RECORD_SUM];

	if (block >= PARTIAL_SUMS_MAX ||
	    io_pread_full(p->record, ret, RECORD_SUM, sum_at(block)) != RECORD_SUM)
		return 0;
	return memcmp(ret, none, sizeof(none)) != 0;
}

void
partial_set_sum(const struct partial *p, uint64_t block, const uint8_t sum[RECORD_SUM])
{
	if (block < PARTIAL_SUMS_MAX) /* what fails is only not known */
		(void)io_pwrite_full(p->record, sum, RECORD_SUM, sum_at(block));
}

/* Zeros in place of n bytes of them. 1: there were others; 0; -errno. */
static int
wipe_sums(const struct partial *p, off_t at, size_t n)
{
	static const uint8_t zeros[STEP];
	uint8_t is[STEP];
	ssize_t got = io_pread_full(p->record, is, n, at);
	int r;

	if (got < 0)
		return (int)got;
	if (memcmp(is, zeros, (size_t)got) == 0)
		return 0;
	r = io_pwrite_full(p->record, zeros, (size_t)got, at);
	return r < 0 ? r : 1;
}

int
partial_forget_sums(const struct partial *p, uint64_t first, uint64_t end)
{
	uint64_t block = first / DIGEST_BLOCK, last = end > 0 ? (end - 1) / DIGEST_BLOCK : 0;
	const uint64_t step = STEP / RECORD_SUM;
	struct stat st;
	uint64_t n;
	int r = 0, any = 0;

	if (fstat(p->record, &st) < 0)
		return -errno;
	if (last >= PARTIAL_SUMS_MAX)
		last = PARTIAL_SUMS_MAX - 1;
	for (; block <= last && sum_at(block) < st.st_size && r >= 0; block += n) {
		n = last - block + 1 < step ? last - block + 1 : step;
		r = wipe_sums(p, sum_at(block), (size_t)n * RECORD_SUM);
		any |= r > 0;
	}
	if (r >= 0 && any && fdatasync(p->record) < 0)
		r = -errno;
	return r < 0 ? r : 0;
}
