#include "ctl/table.h"

#include <stdlib.h>
#include <string.h>

#include "lib/own.h"
#include "tests/unit/unit.h"

static const struct table_column columns[] = {
	{ "ID" }, { "PATH", false, true }, { "SIZE", true }, { "STATE" }
};

static char *
printed(const struct table *t, size_t width)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	table_print(t, f, width, "<", ">");
	assert_int_equal(fclose(f), 0);
	return text;
}

static struct table *
make(const char *path)
{
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	static const char *const cells[] = { "t1",  NULL, "5 B",      "sending",
					     "t20", "/b", "12.4 GiB", "idle" };

	assert_non_null(t);
	for (size_t i = 0; i < ARRAY_SIZE(cells); i++)
		table_add(t, "%s", cells[i] != NULL ? cells[i] : path);
	return t;
}

static void
test_columns_stand_under_each_other(void **state)
{
	struct table *t = make("/a\xc3\xa4");
	auto_free char *text = printed(t, 0);

	(void)state;
	assert_string_equal(text, "<ID   PATH      SIZE  STATE>\n"
				  "t1   /a\xc3\xa4        5 B  sending\n"
				  "t20  /b    12.4 GiB  idle\n");
	(void)table_free(t);
}

/* A path too long for the line loses its beginning, never below sixteen characters. */
static void
test_a_path_gives_way(void **state)
{
	struct table *t = make("/in/a/very/long/way/to/the/file\xc3\xa4.bin");
	auto_free char *fits = printed(t, 55), *narrow = printed(t, 10);

	(void)state;
	assert_non_null(
	    strstr(fits, "t1   ...ry/long/way/to/the/file\xc3\xa4.bin       5 B  sending\n"));
	assert_non_null(strstr(narrow, "t1   ...the/file\xc3\xa4.bin "));
	(void)table_free(t);
}

static void
test_no_row(void **state)
{
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	auto_free char *text = printed(t, 80);

	(void)state;
	assert_string_equal(text, "<ID  PATH  SIZE  STATE>\n");
	(void)table_free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns_stand_under_each_other),
		cmocka_unit_test(test_a_path_gives_way),
		cmocka_unit_test(test_no_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
