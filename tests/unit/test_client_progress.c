#include "client/progress.h"

#include <string.h>

#include "client/screen.h"
#include "lib/clock.h"
#include "tests/unit/unit.h"

static const struct progress_facts plain = { .name = "backup.tar", .rate = 1 << 20 };

static void
shows_how_far_how_fast_how_long(void **state)
{
	struct progress_item item = { .done = 60 << 20, .all = 100 << 20 };
	char line[PROGRESS_LINE_MAX];

	(void)state;
	(void)progress_format(line, sizeof(line), 79, &item, &plain);
	assert_int_equal(strlen(line), 79);
	assert_ptr_equal(strstr(line, "backup.tar "), line);
	assert_non_null(strstr(line, " 60%  60.0 MiB of 100.0 MiB  1.0 MiB/s  ETA 0:40"));
}

static void
percentage_never_falls(void **state)
{
	struct progress_item item = { .done = 90, .all = 100 };
	char line[PROGRESS_LINE_MAX];

	(void)state;
	(void)progress_format(line, sizeof(line), 79, &item, &plain);
	item.all = 1000; /* the file grew, or something is sent again */
	(void)progress_format(line, sizeof(line), 79, &item, &plain);
	assert_non_null(strstr(line, " 90%"));
	item.done = 5000;
	(void)progress_format(line, sizeof(line), 79, &item, &plain);
	assert_non_null(strstr(line, "100%"));
}

static void
tells_that_nothing_moves_instead_of_an_end(void **state)
{
	struct progress_item item = { .done = 1, .all = 100 };
	struct progress_facts facts = plain;
	char line[PROGRESS_LINE_MAX];

	(void)state;
	facts.stalled_s = PROGRESS_STALLED_S - 1;
	(void)progress_format(line, sizeof(line), 79, &item, &facts);
	assert_null(strstr(line, "stalled"));
	facts.stalled_s = 12;
	(void)progress_format(line, sizeof(line), 79, &item, &facts);
	assert_non_null(strstr(line, "stalled 12 s"));
	assert_null(strstr(line, "ETA"));
	facts.phase = "checking blocks";
	(void)progress_format(line, sizeof(line), 79, &item, &facts);
	assert_non_null(strstr(line, "checking blocks"));
}

static void
an_unknown_total_has_no_percentage(void **state)
{
	struct progress_item item = { .done = 5 << 20, .all = PROGRESS_UNKNOWN };
	char line[PROGRESS_LINE_MAX];

	(void)state;
	(void)progress_format(line, sizeof(line), 79, &item, &plain);
	assert_null(strchr(line, '%'));
	assert_non_null(strstr(line, "5.0 MiB  1.0 MiB/s"));
}

static void
fits_every_width(void **state)
{
	struct progress_item item = { .done = 1 << 20, .all = 100 << 20 };
	struct progress_facts facts = plain;
	char line[PROGRESS_LINE_MAX], name[PROGRESS_NAME_MAX];

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	facts.name = name;
	for (unsigned width = 19; width < 250; width++) {
		(void)progress_format(line, sizeof(line), width, &item, &facts);
		assert_in_range(strlen(line), 1, width);
	}
}

static void
cuts_text_to_columns(void **state)
{
	char text[] = "abcdef";

	(void)state;
	assert_int_equal(screen_cut(text, 10), 6);
	assert_int_equal(screen_cut(text, 4), 4);
	assert_string_equal(text, "abcd");
	assert_int_equal(screen_cut(text, 0), 0);
	assert_string_equal(text, "");
}

static void
rate_is_that_of_the_last_15_seconds(void **state)
{
	struct rate r;
	uint64_t now = 1000 * USEC_PER_SEC;

	(void)state;
	rate_init(&r, now);
	assert_int_equal(rate_get(&r, now), 0);
	rate_add(&r, now + USEC_PER_SEC / 2, 1000);
	assert_int_equal(rate_get(&r, now + USEC_PER_SEC / 2), 2000);
	for (unsigned s = 1; s < 60; s++)
		rate_add(&r, now + s * USEC_PER_SEC, 300);
	assert_in_range(rate_get(&r, now + 60 * USEC_PER_SEC - 1), 299, 301);
	assert_in_range(rate_get(&r, now + 65 * USEC_PER_SEC - 1), 199, 201);
	assert_int_equal(rate_get(&r, now + 500 * USEC_PER_SEC), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_how_far_how_fast_how_long),
		cmocka_unit_test(percentage_never_falls),
		cmocka_unit_test(tells_that_nothing_moves_instead_of_an_end),
		cmocka_unit_test(an_unknown_total_has_no_percentage),
		cmocka_unit_test(fits_every_width),
		cmocka_unit_test(cuts_text_to_columns),
		cmocka_unit_test(rate_is_that_of_the_last_15_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
