#include "client/blocks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/own.h"

int
blocks_init(struct blocks *b, uint64_t size, uint64_t block)
{
	uint64_t n = size / block + (size % block > 0);

	*b = (struct blocks){ .size = size, .block = block, .n = n };
	b->digests = calloc(n > 0 ? n : 1, sizeof(*b->digests));
	b->flags = calloc(n > 0 ? n : 1, sizeof(*b->flags));
	if (b->digests != NULL && b->flags != NULL)
		return 0;
	blocks_done(b);
	return -ENOMEM;
}

void
blocks_done(struct blocks *b)
{
	free(b->digests);
	free(b->flags);
	free(b->missing);
	*b = (struct blocks){ .size = 0 };
}

struct blocks_run
blocks_at(const struct blocks *b, uint64_t i)
{
	uint64_t first = i * b->block;

	return (struct blocks_run){
		.first = first,
		.end = b->size - first < b->block ? b->size : first + b->block,
	};
}

void
blocks_forget(struct blocks *b, uint8_t flags)
{
	for (uint64_t i = 0; i < b->n; i++)
		b->flags[i] &= (uint8_t)~flags;
}

/* The first run of held from *next on that ends behind at. */
static const struct blocks_run *
run_behind(const struct blocks_run *held, size_t n, size_t *next, uint64_t at)
{
	while (*next < n && held[*next].end <= at)
		++*next;
	return *next < n ? &held[*next] : NULL;
}

static bool
covers(const struct blocks_run *held, struct blocks_run block)
{
	return held != NULL && held->first <= block.first && held->end >= block.end;
}

bool
blocks_unsure(const struct blocks *b, const struct blocks_run *held, size_t n)
{
	size_t next = 0;

	for (uint64_t i = 0; i < b->n; i++) {
		struct blocks_run block = blocks_at(b, i);

		if (covers(run_behind(held, n, &next, block.first), block) &&
		    (b->flags[i] & BLOCKS_RIGHT) == 0)
			return true;
	}
	return false;
}

static int
add(struct blocks *b, uint64_t first, uint64_t end)
{
	struct blocks_run *last = b->n_missing > 0 ? &b->missing[b->n_missing - 1] : NULL, *more;
	size_t room;

	b->left += end - first;
	if (last != NULL && last->end == first) {
		last->end = end;
		return 0;
	}
	if (b->n_missing == b->room) {
		room = b->room > 0 ? 2 * b->room : 64;
		more = reallocarray(b->missing, room, sizeof(*more));
		if (more == NULL)
			return -ENOMEM;
		b->missing = more;
		b->room = room;
	}
	b->missing[b->n_missing++] = (struct blocks_run){ .first = first, .end = end };
	return 0;
}

/* What is missing of one block. */
static int
plan_block(struct blocks *b, struct blocks_run block, const struct blocks_run *held, size_t n)
{
	uint64_t at = block.first;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n && held[i].first < block.end; i++) {
		if (held[i].first > at)
			r = add(b, at, held[i].first);
		at = held[i].end;
	}
	return r == 0 && at < block.end ? add(b, at, block.end) : r;
}

int
blocks_plan(struct blocks *b, const struct blocks_run *held, size_t n)
{
	size_t next = 0;
	int r = 0;

	b->n_missing = b->next = 0;
	b->left = 0;
	for (uint64_t i = 0; r == 0 && i < b->n; i++) {
		struct blocks_run block = blocks_at(b, i);

		b->flags[i] &= (uint8_t)~BLOCKS_WRONG;
		if (!covers(run_behind(held, n, &next, block.first), block)) {
			r = plan_block(b, block, held + next, n - next);
		} else if ((b->flags[i] & BLOCKS_RIGHT) == 0) {
			b->flags[i] |= BLOCKS_WRONG;
			r = add(b, block.first, block.end);
		}
	}
	return r;
}

int
blocks_take(struct blocks *b, uint64_t max, struct blocks_run *ret)
{
	struct blocks_run *run = &b->missing[b->next];
	uint64_t end;

	if (b->next == b->n_missing)
		return 0;
	end = run->first - run->first % b->block;
	end = max < run->end - end ? end + max : run->end;
	*ret = (struct blocks_run){ .first = run->first, .end = end };
	b->left -= end - run->first;
	run->first = end;
	if (run->first == run->end)
		b->next++;
	return 1;
}

void
blocks_taken(struct blocks *b, struct blocks_run run)
{
	for (uint64_t i = run.first / b->block; i < b->n && blocks_at(b, i).end <= run.end; i++)
		b->flags[i] = (uint8_t)((b->flags[i] & ~BLOCKS_WRONG) | BLOCKS_RIGHT);
}

int
blocks_digest(const struct blocks *b, struct digest_value *ret)
{
	struct digest *d;
	int r;

	r = digest_new(DIGEST_XXH3, &d);
	if (r < 0)
		return r;
	digest_update(d, b->digests, b->n * sizeof(*b->digests));
	digest_final(d, ret);
	(void)digest_free(d);
	ret->algorithm = DIGEST_BLOCKS;
	return 0;
}
