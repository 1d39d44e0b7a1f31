#include "daemon/supervisor/ids.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/io.h"
#include "lib/num.h"
#include "lib/own.h"

enum { BLOCK = 1000, TEXT_MAX = 32 };

/* 2026-01-01: numbers that begin from the clock are larger than those of earlier starts as long as
 * fewer than a thousand a second were given out. */
#define EPOCH_SEC INT64_C(1767225600)
#define PER_SEC 1000

static int
save(const struct ids *ids, uint64_t number)
{
	char text[TEXT_MAX];
	int n;

	if (ids->dir < 0)
		return 0;
	n = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)number);
	return io_replace_file(ids->dir, "ids", text, (size_t)n, 0600);
}

static int
reserve(struct ids *ids)
{
	ids->reserved = ids->next + BLOCK;
	return save(ids, ids->reserved);
}

static uint64_t
from_clock(void)
{
	int64_t sec = clock_real_ns() / (int64_t)NSEC_PER_SEC - EPOCH_SEC;

	return sec > 0 ? (uint64_t)sec * PER_SEC : 1;
}

int
ids_open(struct ids *ids, int dir)
{
	auto_free char *text = NULL;
	size_t len = 0;
	int r;

	*ids = (struct ids){ .dir = dir, .next = 1 };
	if (dir < 0) {
		ids->next = from_clock();
		return reserve(ids);
	}
	r = io_read_file(dir, "ids", TEXT_MAX, &text, &len);
	if (r == 0) {
		text[strcspn(text, "\n")] = '\0';
		r = num_parse_u64(text, INT64_MAX - BLOCK, &ids->next);
	} else if (r == -ENOENT) {
		r = 0;
	}
	if (r < 0)
		ids->next = from_clock();
	if (r == 0)
		r = reserve(ids);
	return r;
}

void
ids_close(struct ids *ids)
{
	/* an orderly end leaves no gap */
	if (ids->next > 0)
		(void)save(ids, ids->next);
	close_fd(&ids->dir);
}

uint64_t
ids_next(struct ids *ids)
{
	/* a full disk must not stop the daemon: the numbers go on, only unreserved */
	if (ids->next >= ids->reserved)
		(void)reserve(ids);
	return ids->next++;
}

void
ids_pass(struct ids *ids, uint64_t number)
{
	if (number >= ids->next)
		ids->next = number + 1;
}
