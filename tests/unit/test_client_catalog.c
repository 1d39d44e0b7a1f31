#include "client/catalog.h"

#include <stdio.h>
#include <string.h>

#include "lib/own.h"
#include "tests/unit/unit.h"

static const struct message_str none;

static void
has_what_was_added_and_nothing_else(void **state)
{
	struct catalog c = { .n = 0 };
	struct catalog_facts facts = { .type = ENTRY_FILE };
	char path[32];

	(void)state;
	assert_null(catalog_find(&c, ""));
	for (uint64_t i = 0; i < 1000; i++) {
		(void)snprintf(path, sizeof(path), "dir/%u", (unsigned)i);
		facts.size = i;
		assert_int_equal(catalog_add(&c, path, &facts, &none), 0);
	}
	catalog_sort(&c);
	for (uint64_t i = 0; i < 1000; i++) {
		(void)snprintf(path, sizeof(path), "dir/%u", (unsigned)i);
		assert_non_null(catalog_find(&c, path));
		assert_int_equal(catalog_find(&c, path)->facts.size, i);
	}
	assert_null(catalog_find(&c, "dir"));
	assert_null(catalog_find(&c, "dir/1000"));
	catalog_done(&c);
}

static void
takes_only_a_digest_that_is_one(void **state)
{
	static const char *const wrong[] = { "xxh3", "xxh3:00", "sha256", "md5:00",
					     "blocks:000102030405060708090a0b0c0d0e0f" };
	static const char right[] = "xxh3:000102030405060708090a0b0c0d0e0f";
	struct catalog_item item = { .has_digest = false };
	struct message_str text = none;

	(void)state;
	catalog_take_digest(&item, &text);
	assert_false(item.has_digest);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		text = (struct message_str){ .data = wrong[i], .len = strlen(wrong[i]) };
		catalog_take_digest(&item, &text);
		assert_false(item.has_digest);
	}
	text = (struct message_str){ .data = right, .len = strlen(right) };
	catalog_take_digest(&item, &text);
	assert_true(item.has_digest);
	assert_int_equal(item.digest[15], 15);
}

static void
reads_what_a_file_is(void **state)
{
	struct stat st = { .st_mode = S_IFREG | 04755, .st_size = 7 };
	struct catalog_facts facts;

	(void)state;
	st.st_mtim = (struct timespec){ .tv_sec = -1, .tv_nsec = 500000000 };
	facts = catalog_stat_facts(&st);
	assert_int_equal(facts.type, ENTRY_FILE);
	assert_int_equal(facts.mode, 0755);
	assert_int_equal(facts.size, 7);
	assert_int_equal(facts.mtime_ns, -500000000);
	st.st_mode = S_IFLNK | 0777;
	assert_int_equal(catalog_stat_facts(&st).type, ENTRY_LINK);
	st.st_mode = S_IFIFO;
	assert_int_equal(catalog_stat_facts(&st).type, ENTRY_OTHER);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_what_was_added_and_nothing_else),
		cmocka_unit_test(takes_only_a_digest_that_is_one),
		cmocka_unit_test(reads_what_a_file_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
