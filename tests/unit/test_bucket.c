#include "daemon/session/bucket.h"

#include "lib/clock.h"
#include "lib/own.h"
#include "tests/unit/unit.h"

/* What a session that waits as it is told, a millisecond late each time, moves in a time. */
static uint64_t
moved_in(uint64_t rate, uint64_t usec, size_t chunk)
{
	struct bucket b = { 0 };
	uint64_t now = 1, end = 1 + usec, moved = 0, wait = 0;
	size_t n;

	while (now < end) {
		n = bucket_look(&b, rate, now, chunk, &wait);
		if (n == 0)
			now += wait + USEC_PER_MSEC;
		bucket_spend(&b, n);
		moved += n;
	}
	return moved;
}

static void
the_rate_is_kept(void **state)
{
	static const uint64_t rates[] = { 1 << 10, 10 << 10, 1 << 20, 100 << 20,
					  UINT64_C(10) << 30 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rates); i++)
		assert_in_range(moved_in(rates[i], 10 * USEC_PER_SEC, 256 << 10),
				rates[i] * 97 / 10, rates[i] * 103 / 10);
}

/* A low rate comes in small steps, and often. */
static void
steps_are_small(void **state)
{
	struct bucket b = { 0 };
	uint64_t wait = 0;

	(void)state;
	assert_int_equal(bucket_look(&b, 10 << 10, USEC_PER_SEC, 256 << 10, &wait), BUCKET_LEAST);
	bucket_spend(&b, BUCKET_LEAST);
	assert_int_equal(bucket_look(&b, 10 << 10, USEC_PER_SEC, 256 << 10, &wait), 0);
	assert_in_range(wait, USEC_PER_MSEC, 20 * USEC_PER_MSEC);
	/* the last byte does not wait for others */
	assert_int_equal(bucket_look(&b, 10 << 10, USEC_PER_SEC + USEC_PER_MSEC, 1, &wait), 1);
}

/* Idle time is not saved up, and a lower rate leaves less of what there was. */
static void
nothing_is_hoarded(void **state)
{
	struct bucket b = { 0 };
	uint64_t wait = 0;

	(void)state;
	assert_int_equal(bucket_look(&b, 50 << 20, 3600 * USEC_PER_SEC, SIZE_MAX, &wait), 1 << 20);
	assert_int_equal(bucket_look(&b, 50 << 10, 3600 * USEC_PER_SEC, SIZE_MAX, &wait), 1 << 10);
	bucket_spend(&b, SIZE_MAX);
	assert_int_equal(bucket_look(&b, UINT64_MAX - 1, 3600 * USEC_PER_SEC, 1, &wait), 0);
	assert_int_equal(bucket_look(&b, UINT64_MAX - 1, 3600 * USEC_PER_SEC + 1, 1, &wait), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rate_is_kept),
		cmocka_unit_test(steps_are_small),
		cmocka_unit_test(nothing_is_hoarded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
