#include "lib/clock.h"

#include <string.h>
#include <time.h>

#include "tests/unit/unit.h"

static void
format(void **state)
{
	char buf[CLOCK_TEXT_MAX];

	(void)state;
	assert_string_equal(clock_format_rfc3339(0, buf), "1970-01-01T00:00:00.000Z");
	assert_string_equal(clock_format_rfc3339(INT64_C(1795349380123999999), buf),
			    "2026-11-22T12:09:40.123Z");
	assert_string_equal(clock_format_rfc3339(-1, buf), "1969-12-31T23:59:59.999Z");
	assert_string_equal(clock_format_rfc3339(-INT64_C(1000000000), buf),
			    "1969-12-31T23:59:59.000Z");
	assert_string_equal(clock_format_rfc3339(INT64_MAX, buf), "2262-04-11T23:47:16.854Z");
	assert_string_equal(clock_format_rfc3339(INT64_MIN, buf), "1677-09-21T00:12:43.145Z");
}

static void
clocks_have_their_units(void **state)
{
	uint64_t before = clock_usec(), took;
	const struct timespec nap = { .tv_nsec = 20000000 };

	(void)state;
	(void)nanosleep(&nap, NULL);
	took = clock_usec() - before;
	assert_true(took >= 20 * USEC_PER_MSEC && took < 20 * USEC_PER_SEC);
	assert_true(clock_real_ns() / (int64_t)NSEC_PER_SEC - (int64_t)time(NULL) <= 1);
	assert_true((int64_t)time(NULL) - clock_real_ns() / (int64_t)NSEC_PER_SEC <= 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(format),
		cmocka_unit_test(clocks_have_their_units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
