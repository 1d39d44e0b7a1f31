#include "lib/text.h"

#include <errno.h>
#include <string.h>

#include "lib/own.h"
#include "tests/unit/unit.h"

static void
utf8(void **state)
{
	static const struct {
		const char *text;
		bool valid;
	} rows[] = {
		{ "", true },
		{ "plain", true },
		{ "gr\xc3\xbc\xc3\x9f", true },
		{ "\xe2\x82\xac", true },
		{ "\xf0\x9f\x98\x80", true },
		{ "\xf4\x8f\xbf\xbf", true },
		{ "\xef\xbf\xbf", true },
		{ "\x80", false },
		{ "\xc3", false },
		{ "\xc3(", false },
		{ "\xe2\x82", false },
		{ "\xc0\x80", false },
		{ "\xc1\xbf", false },
		{ "\xe0\x9f\xbf", false },
		{ "\xf0\x8f\xbf\xbf", false },
		{ "\xed\xa0\x80", false },
		{ "\xed\xbf\xbf", false },
		{ "\xf4\x90\x80\x80", false },
		{ "\xf5\x80\x80\x80", false },
		{ "\xff", false },
		{ "\xf8\x88\x80\x80\x80", false },
		{ "good\xe2\x82\xac\xac", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(text_utf8_valid(rows[i].text, strlen(rows[i].text)),
				 rows[i].valid);
	assert_true(text_utf8_valid("a\0b", 3));
	assert_false(text_utf8_valid("\xe2\x82\xac", 2)); /* never looks past len */
}

static void
escape(void **state)
{
	static const struct {
		const char *from, *to;
	} rows[] = {
		{ "plain name.txt", "plain name.txt" },
		{ "gr\xc3\xbc\xc3\x9f \xe2\x82\xac", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac" },
		{ "a\nb\tc", "a\\x0ab\\x09c" },
		{ "\x1b[31m", "\\x1b[31m" },
		{ "\x7f", "\\x7f" },
		{ "\xc2\x9b", "\\xc2\\x9b" }, /* C1 */
		{ "\xc2\xa0", "\xc2\xa0" },   /* the first behind C1 */
		{ "\xff\xc3(", "\\xff\\xc3(" },
		{ "back\\slash", "back\\\\slash" },
		{ "gpj\xe2\x80\xae.exe", "gpj\\xe2\\x80\\xae.exe" }, /* turns the line round */
		{ "\xe2\x80\xa8", "\\xe2\\x80\\xa8" },
	};
	char buf[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(
		    text_escape(buf, sizeof(buf), rows[i].from, strlen(rows[i].from)), rows[i].to);
	assert_string_equal(text_escape(buf, sizeof(buf), "a\0b", 3), "a\\x00b");
}

static void
escape_cuts_between_characters(void **state)
{
	static const struct {
		size_t size;
		const char *to;
	} rows[] = {
		{ 12, "ab\xc3\xbc\\x01cde" },
		{ 11, "ab\xc3\xbc..." },
		{ 10, "ab\xc3\xbc..." },
		{ 8, "ab\xc3\xbc..." },
		{ 7, "ab..." },
		{ 6, "ab..." },
		{ 5, "a..." },
		{ 4, "..." },
		{ 3, ".." },
		{ 2, "." },
		{ 1, "" },
	};
	char buf[16] = "untouched";

	(void)state;
	assert_ptr_equal(text_escape(buf, 0, "abc", 3), buf);
	assert_string_equal(buf, "untouched");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		memset(buf, 'X', sizeof(buf));
		assert_string_equal(text_escape(buf, rows[i].size,
						"ab\xc3\xbc\x01"
						"cde",
						8),
				    rows[i].to);
		assert_int_equal(buf[rows[i].size], 'X');
	}
}

static void
hex(void **state)
{
	static const char bytes[] = { 0, 1, '\x7f', '\x80', '\xff' };
	char buf[11];
	uint8_t back[5];

	(void)state;
	assert_string_equal(text_hex(buf, bytes, sizeof(bytes)), "00017f80ff");
	assert_string_equal(text_hex(buf, "", 0), "");
	assert_int_equal(text_unhex(back, sizeof(back), "00017F80fF", 10), 5);
	assert_memory_equal(back, bytes, 5);
	assert_int_equal(text_unhex(back, 0, "", 0), 0);
	assert_int_equal(text_unhex(back, sizeof(back), "000", 3), -EINVAL);
	assert_int_equal(text_unhex(back, sizeof(back), "0g", 2), -EINVAL);
	assert_int_equal(text_unhex(back, sizeof(back), " 0", 2), -EINVAL);
	assert_int_equal(text_unhex(back, sizeof(back), "0x00", 4), -EINVAL);
	assert_int_equal(text_unhex(back, 4, "00017f80ff", 10), -ENOBUFS);
}

static void
nearest(void **state)
{
	static const char *const names[] = { "listen",  "limits",    "shares",
					     "sandbox", "plaintext", "log" };
	static const struct {
		const char *word, *meant;
	} rows[] = {
		{ "limts", "limits" },
		{ "limit", "limits" },
		{ "lsiten", "listen" },
		{ "lg", "log" },
		{ "share", "shares" },
		{ "sahers", "shares" },
		{ "plain-txt", "plaintext" },
		{ "plaintetx", "plaintext" },
		{ "listen", "listen" },
		{ "certificate", NULL },
		{ "xyz", NULL },
		{ "", NULL },
	};
	char longest[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *found = text_nearest(rows[i].word, names, ARRAY_SIZE(names));

		if (rows[i].meant == NULL)
			assert_null(found);
		else
			assert_string_equal(found, rows[i].meant);
	}
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_null(text_nearest(longest, names, ARRAY_SIZE(names)));
	assert_null(text_nearest("log", names, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(utf8),
		cmocka_unit_test(escape),
		cmocka_unit_test(escape_cuts_between_characters),
		cmocka_unit_test(hex),
		cmocka_unit_test(nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
