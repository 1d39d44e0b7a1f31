#include "client/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/io.h"
#include "lib/own.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

static void
a_password_is_one_line_of_text(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		const char *password; /* NULL: none */
	} rows[] = {
		{ "secret", 6, "secret" },
		{ "secret\n", 7, "secret" },
		{ "secret\r\nurl: example\n", 21, "secret" },
		{ " a b \n", 6, " a b " },
		{ "\xc3\xa4\n", 3, "\xc3\xa4" },
		{ "", 0, NULL },
		{ "\nsecret", 7, NULL },
		{ "\r\n", 2, NULL },
		{ "a\0b\n", 4, NULL },
		{ "\xff\n", 2, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_secret struct secret s = { .text = NULL };
		int r;

		assert_int_equal(secret_set(&s, rows[i].text, rows[i].len), 0);
		r = secret_first_line(&s);
		if (r != (rows[i].password != NULL ? 0 : -EINVAL))
			fail_msg("row %zu: %d", i, r);
		if (r == 0)
			assert_string_equal(s.text, rows[i].password);
	}
}

static void
a_password_has_a_limit(void **state)
{
	auto_secret struct secret s = { .text = NULL };
	char text[SECRET_PASSWORD_MAX + 1];

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(secret_set(&s, text, sizeof(text)), 0);
	assert_int_equal(secret_first_line(&s), -EINVAL);
	assert_int_equal(secret_set(&s, text, sizeof(text) - 1), 0);
	assert_int_equal(secret_first_line(&s), 0);
	assert_int_equal(s.len, SECRET_PASSWORD_MAX);
}

static void
a_file_that_others_can_read_is_none(void **state)
{
	static const struct {
		mode_t mode;
		int r;
	} rows[] = {
		{ 0600, 0 }, { 0400, 0 }, { 0640, -EPERM }, { 0604, -EPERM }, { 0620, -EPERM }
	};
	auto_close int dir = scratch_make();

	(void)state;
	assert_int_equal(io_replace_file(dir, "secret", "words\n", 6, 0600), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_secret struct secret s = { .text = NULL };

		assert_int_equal(fchmodat(dir, "secret", rows[i].mode, 0), 0);
		assert_int_equal(secret_read_file(dir, "secret", &s), rows[i].r);
		if (rows[i].r == 0)
			assert_string_equal(s.text, "words\n");
	}
	scratch_remove();
}

static void
files_have_a_limit(void **state)
{
	static char text[SECRET_FILE_MAX + 1];
	auto_secret struct secret s = { .text = NULL };
	auto_close int dir = scratch_make();

	(void)state;
	assert_int_equal(io_replace_file(dir, "large", text, sizeof(text), 0600), 0);
	assert_int_equal(secret_read_file(dir, "large", &s), -EFBIG);
	assert_int_equal(io_replace_file(dir, "large", text, sizeof(text) - 1, 0600), 0);
	assert_int_equal(secret_read_file(dir, "large", &s), 0);
	assert_int_equal(s.len, SECRET_FILE_MAX);
	assert_int_equal(secret_read_file(dir, ".", &s), -EINVAL);
	assert_int_equal(secret_read_file(dir, "none", &s), -ENOENT);
	assert_int_equal(s.len, SECRET_FILE_MAX);
	scratch_remove();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_password_is_one_line_of_text),
		cmocka_unit_test(a_password_has_a_limit),
		cmocka_unit_test(a_file_that_others_can_read_is_none),
		cmocka_unit_test(files_have_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
