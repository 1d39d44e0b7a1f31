#include "client/retry.h"

#include <errno.h>

#include "lib/clock.h"
#include "tests/unit/unit.h"

static void
waits_longer_each_time_up_to_a_minute(void **state)
{
	static const uint64_t seconds[] = { 1, 2, 4, 8, 16, 32, 60, 60, 60 };
	uint64_t now = USEC_PER_SEC;
	struct retry t;

	(void)state;
	retry_init(&t, 3600 * USEC_PER_SEC);
	for (unsigned i = 0; i < 9; i++) {
		int64_t wait = retry_next(&t, now, 0, (uint64_t)i * 7919 * 65537);

		assert_in_range(wait, seconds[i] * USEC_PER_SEC / 2, seconds[i] * USEC_PER_SEC);
		now += (uint64_t)wait;
	}
}

static void
jitter_spreads_over_half_of_it(void **state)
{
	struct retry t;

	(void)state;
	retry_init(&t, 60 * USEC_PER_SEC);
	assert_int_equal(retry_next(&t, 1, 0, 0), USEC_PER_SEC / 2);
	retry_reset(&t);
	assert_int_equal(retry_next(&t, 1, 0, USEC_PER_SEC / 2), USEC_PER_SEC);
}

static void
ends_when_the_time_is_used_up(void **state)
{
	struct retry t;

	(void)state;
	retry_init(&t, 0);
	assert_int_equal(retry_next(&t, 1, 0, 0), -ETIMEDOUT);
	retry_init(&t, 10 * USEC_PER_SEC);
	assert_true(retry_next(&t, 1, 0, 0) > 0);
	assert_int_equal(retry_next(&t, 1 + 10 * USEC_PER_SEC, 0, 0), -ETIMEDOUT);
	retry_reset(&t);
	assert_true(retry_next(&t, 1 + 10 * USEC_PER_SEC, 0, 0) > 0);
}

static void
the_last_wait_is_cut_to_what_is_left(void **state)
{
	struct retry t;

	(void)state;
	retry_init(&t, 100 * USEC_PER_MSEC);
	assert_int_equal(retry_next(&t, 1, 0, 0), 100 * USEC_PER_MSEC);
}

static void
the_server_says_how_long_at_least(void **state)
{
	struct retry t;

	(void)state;
	retry_init(&t, 60 * USEC_PER_SEC);
	assert_int_equal(retry_next(&t, 1, 20 * USEC_PER_SEC, 0), 20 * USEC_PER_SEC);
	assert_int_equal(retry_next(&t, 1, 61 * USEC_PER_SEC, 0), -ETIMEDOUT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_longer_each_time_up_to_a_minute),
		cmocka_unit_test(jitter_spreads_over_half_of_it),
		cmocka_unit_test(ends_when_the_time_is_used_up),
		cmocka_unit_test(the_last_wait_is_cut_to_what_is_left),
		cmocka_unit_test(the_server_says_how_long_at_least),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
