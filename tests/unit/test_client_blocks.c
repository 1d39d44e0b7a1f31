#include "client/blocks.h"

#include <string.h>

#include "lib/own.h"
#include "tests/unit/unit.h"

enum { BLOCK = 10, SIZE = 95 }; /* nine blocks and a short one */

static struct blocks
made(void)
{
	struct blocks b;

	assert_int_equal(blocks_init(&b, SIZE, BLOCK), 0);
	assert_int_equal(b.n, 10);
	return b;
}

static void
expect_next(struct blocks *b, uint64_t max, uint64_t first, uint64_t end)
{
	struct blocks_run run;

	assert_int_equal(blocks_take(b, max, &run), 1);
	assert_int_equal(run.first, first);
	assert_int_equal(run.end, end);
}

static void
expect_nothing(struct blocks *b)
{
	struct blocks_run run;

	assert_int_equal(blocks_take(b, UINT64_MAX, &run), 0);
	assert_int_equal(b->left, 0);
}

static void
an_empty_file_has_nothing_to_do(void **state)
{
	struct blocks b;

	(void)state;
	assert_int_equal(blocks_init(&b, 0, BLOCK), 0);
	assert_int_equal(blocks_plan(&b, NULL, 0), 0);
	expect_nothing(&b);
	blocks_done(&b);
}

static void
all_is_taken_once_up_to_ends_of_blocks(void **state)
{
	struct blocks b = made();

	(void)state;
	assert_int_equal(blocks_plan(&b, NULL, 0), 0);
	assert_int_equal(b.left, SIZE);
	expect_next(&b, 4 * BLOCK, 0, 40);
	expect_next(&b, BLOCK, 40, 50);
	assert_int_equal(b.left, 45);
	expect_next(&b, UINT64_MAX, 50, SIZE);
	expect_nothing(&b);
	blocks_done(&b);
}

static void
what_is_missing_of_a_block_is_to_be_done(void **state)
{
	static const struct blocks_run held[] = { { 3, 5 }, { 7, 12 }, { 33, 95 } };
	struct blocks b = made();

	(void)state;
	for (uint64_t i = 4; i < b.n; i++)
		b.flags[i] = BLOCKS_RIGHT;
	assert_false(blocks_unsure(&b, held, ARRAY_SIZE(held)));
	assert_int_equal(blocks_plan(&b, held, ARRAY_SIZE(held)), 0);
	expect_next(&b, UINT64_MAX, 0, 3);
	expect_next(&b, UINT64_MAX, 5, 7);
	expect_next(&b, BLOCK, 12, 20);
	expect_next(&b, UINT64_MAX, 20, 33);
	expect_nothing(&b);
	blocks_done(&b);
}

static void
held_blocks_count_only_when_they_are_right(void **state)
{
	static const struct blocks_run held[] = { { 0, 60 }, { 90, 95 } };
	struct blocks b = made();

	(void)state;
	assert_true(blocks_unsure(&b, held, ARRAY_SIZE(held)));
	b.flags[0] = b.flags[1] = b.flags[4] = b.flags[9] = BLOCKS_RIGHT;
	assert_true(blocks_unsure(&b, held, ARRAY_SIZE(held)));
	assert_int_equal(blocks_plan(&b, held, ARRAY_SIZE(held)), 0);
	assert_true(b.flags[2] & BLOCKS_WRONG);
	assert_false(b.flags[6] & BLOCKS_WRONG); /* nothing was there */
	expect_next(&b, UINT64_MAX, 20, 40);
	expect_next(&b, UINT64_MAX, 50, 90);
	expect_nothing(&b);
	/* what has come through for certain is right */
	blocks_taken(&b, (struct blocks_run){ 20, 35 });
	assert_int_equal(b.flags[2], BLOCKS_RIGHT);
	assert_true(b.flags[3] & BLOCKS_WRONG);
	blocks_forget(&b, BLOCKS_RIGHT);
	assert_int_equal(b.flags[0], 0);
	blocks_done(&b);
}

static void
the_digest_is_that_of_the_digests(void **state)
{
	struct blocks b = made();
	struct digest_value value, direct;
	struct digest *d;

	(void)state;
	for (uint64_t i = 0; i < b.n; i++)
		memset(b.digests[i], (int)i, BLOCKS_DIGEST);
	assert_int_equal(blocks_digest(&b, &value), 0);
	assert_int_equal(value.algorithm, DIGEST_BLOCKS);
	assert_int_equal(digest_new(DIGEST_XXH3, &d), 0);
	digest_update(d, b.digests, b.n * BLOCKS_DIGEST);
	digest_final(d, &direct);
	assert_memory_equal(value.bytes, direct.bytes, BLOCKS_DIGEST);
	(void)digest_free(d);
	blocks_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_file_has_nothing_to_do),
		cmocka_unit_test(all_is_taken_once_up_to_ends_of_blocks),
		cmocka_unit_test(what_is_missing_of_a_block_is_to_be_done),
		cmocka_unit_test(held_blocks_count_only_when_they_are_right),
		cmocka_unit_test(the_digest_is_that_of_the_digests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
