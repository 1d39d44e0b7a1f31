#include "client/mirror.h"

#include <string.h>

#include "lib/own.h"
#include "tests/unit/unit.h"

#define SECOND INT64_C(1000000000)

static const struct catalog_facts file = { .type = ENTRY_FILE,
					   .size = 5,
					   .mtime_ns = 7 * SECOND + 123456789,
					   .mode = 0644,
					   .has_mtime = true,
					   .has_mode = true };
static const struct catalog_facts directory = {
	.type = ENTRY_DIR, .mtime_ns = SECOND, .mode = 0755, .has_mtime = true, .has_mode = true
};

static void
times_in_coarser_steps_are_the_same(void **state)
{
	static const struct {
		int64_t src, dst;
		bool same;
	} rows[] = {
		{ 0, 0, true },
		{ 7 * SECOND + 123456789, 7 * SECOND + 123456789, true },
		{ 7 * SECOND + 123456789, 7 * SECOND + 123456700, true }, /* 100 ns */
		{ 7 * SECOND + 123456789, 7 * SECOND + 123456000, true }, /* 1 us */
		{ 7 * SECOND + 123456789, 7 * SECOND + 123000000, true }, /* 1 ms */
		{ 7 * SECOND + 123456789, 7 * SECOND + 120000000, true }, /* 10 ms */
		{ 7 * SECOND + 123456789, 7 * SECOND, true },             /* 1 s */
		{ 7 * SECOND + 123456789, 6 * SECOND, true },             /* 2 s */
		{ 8 * SECOND + 1, 6 * SECOND, false },
		{ 9 * SECOND, 7 * SECOND, false },
		{ 7 * SECOND + 123456789, 7 * SECOND + 123456788, false }, /* no step ends there */
		{ 7 * SECOND + 123456789, 7 * SECOND + 123456600, false },
		{ 7 * SECOND, 7 * SECOND + 1, false }, /* rounded down, never up */
		{ -SECOND / 2, -SECOND, true },
		{ -SECOND, -SECOND / 2, false },
		{ INT64_MAX, INT64_MIN, false },
		{ INT64_MIN, INT64_MAX, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(mirror_same_time(rows[i].src, rows[i].dst), rows[i].same);
}

static void
judges_files(void **state)
{
	struct catalog_facts other = file;

	(void)state;
	assert_int_equal(mirror_judge(&file, NULL, false), MIRROR_MOVE);
	assert_int_equal(mirror_judge(&file, &file, false), MIRROR_SAME);
	assert_int_equal(mirror_judge(&file, &file, true), MIRROR_COMPARE);
	assert_int_equal(mirror_judge(&file, &directory, true), MIRROR_BLOCKED);
	other.mode = 0600;
	assert_int_equal(mirror_judge(&file, &other, false), MIRROR_SAME);
	other.mtime_ns++;
	assert_int_equal(mirror_judge(&file, &other, false), MIRROR_MOVE);
	assert_int_equal(mirror_judge(&file, &other, true), MIRROR_COMPARE);
	other.has_mtime = false;
	assert_int_equal(mirror_judge(&file, &other, false), MIRROR_MOVE);
	other = file;
	other.size++;
	assert_int_equal(mirror_judge(&file, &other, true), MIRROR_MOVE);
	other = file;
	other.type = ENTRY_LINK;
	assert_int_equal(mirror_judge(&file, &other, true), MIRROR_MOVE);
}

static void
judges_directories(void **state)
{
	struct catalog_facts other = directory;

	(void)state;
	assert_int_equal(mirror_judge(&directory, NULL, false), MIRROR_MOVE);
	assert_int_equal(mirror_judge(&directory, &directory, true), MIRROR_SAME);
	assert_int_equal(mirror_judge(&directory, &file, false), MIRROR_BLOCKED);
	other.mode = 0700;
	assert_int_equal(mirror_judge(&directory, &other, false), MIRROR_SAME);
	assert_int_equal(mirror_judge(&directory, &other, true), MIRROR_SET);
	other.mtime_ns += 9 * SECOND;
	assert_int_equal(mirror_judge(&directory, &other, false), MIRROR_SET);
	other.type = ENTRY_LINK;
	assert_int_equal(mirror_judge(&directory, &other, false), MIRROR_BLOCKED);
}

static void
sets_what_differs_besides_the_content(void **state)
{
	struct catalog_facts other = file;

	(void)state;
	assert_int_equal(mirror_judge_same(&file, &other), MIRROR_SAME);
	other.mode = 0600;
	assert_int_equal(mirror_judge_same(&file, &other), MIRROR_SET);
	other.has_mode = false; /* it cannot be told */
	assert_int_equal(mirror_judge_same(&file, &other), MIRROR_SAME);
	other.mtime_ns++;
	assert_int_equal(mirror_judge_same(&file, &other), MIRROR_SET);
}

/* ---- what is removed */

static void
expect_left(const struct mirror_sweep *s, const char *const *paths)
{
	size_t n = 0;

	for (; paths[n] != NULL; n++) {
		assert_true(n < s->n);
		assert_string_equal(s->stale[n].path, paths[n]);
	}
	assert_int_equal(s->n, n);
}

static void
removes_what_is_below_first(void **state)
{
	static const char *const left[] = { "b", "a/b/c", "a/b", "a-", "a", NULL };
	struct mirror_sweep s = { .n = 0 };

	(void)state;
	for (size_t i = 5; i > 0; i--)
		assert_int_equal(mirror_sweep_judge(&s, left[i - 1], true, NULL), 0);
	mirror_sweep_sort(&s);
	expect_left(&s, left);
	mirror_sweep_done(&s);
}

static void
keeps_what_holds_something_that_stays(void **state)
{
	static const char *const left[] = { "x", "a/old", NULL };
	struct mirror_sweep s = { .n = 0 };

	(void)state;
	assert_int_equal(mirror_sweep_judge(&s, "a", true, NULL), 0);
	assert_int_equal(mirror_sweep_judge(&s, "a/b", true, NULL), 0);
	assert_int_equal(mirror_sweep_judge(&s, "a/old", false, NULL), 0);
	assert_int_equal(mirror_sweep_judge(&s, "x", true, NULL), 0);
	assert_int_equal(mirror_sweep_keep(&s, "a/b/c/excluded"), 0);
	mirror_sweep_sort(&s);
	expect_left(&s, left);
	mirror_sweep_done(&s);
}

static void
removes_what_is_of_another_kind_than_what_travels(void **state)
{
	static const struct catalog_facts pipe = { .type = ENTRY_OTHER };
	static const char *const left[] = { "was file", "was dir/x", "was dir", NULL };
	struct mirror_sweep s = { .n = 0 };

	(void)state;
	assert_int_equal(mirror_sweep_judge(&s, "same", false, &file), 0);
	assert_int_equal(mirror_sweep_judge(&s, "was dir", true, &file), 0);
	assert_int_equal(mirror_sweep_judge(&s, "was dir/x", false, NULL), 0);
	assert_int_equal(mirror_sweep_judge(&s, "was file", false, &directory), 0);
	assert_int_equal(mirror_sweep_judge(&s, "pipe", true, &pipe), 0);
	assert_int_equal(mirror_sweep_judge(&s, "pipe/x", true, NULL), 0);
	assert_int_equal(mirror_sweep_judge(&s, "pipe/x/y", false, NULL), 0);
	mirror_sweep_sort(&s);
	expect_left(&s, left);
	mirror_sweep_done(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_in_coarser_steps_are_the_same),
		cmocka_unit_test(judges_files),
		cmocka_unit_test(judges_directories),
		cmocka_unit_test(sets_what_differs_besides_the_content),
		cmocka_unit_test(removes_what_is_below_first),
		cmocka_unit_test(keeps_what_holds_something_that_stays),
		cmocka_unit_test(removes_what_is_of_another_kind_than_what_travels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
