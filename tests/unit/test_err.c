#include "lib/err.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "lib/own.h"
#include "tests/unit/unit.h"

static void
every_code_finds_itself(void **state)
{
	(void)state;
#define CODE(name, exit_status, text)                          \
	assert_string_equal(err_code(-FTD_E_##name), #name);   \
	assert_string_equal(err_text(-FTD_E_##name), text);    \
	assert_int_equal(err_from_code(#name), -FTD_E_##name); \
	assert_int_equal(err_exit_status(#name), exit_status); \
	assert_true(err_known(#name));
#include "lib/codes.def"
#undef CODE
}

static void
errnos_have_a_code(void **state)
{
	static const struct {
		int e;
		const char *code;
	} rows[] = {
		{ ENOENT, "not_found" },      { EACCES, "permission" },
		{ EPERM, "permission" },      { EROFS, "io_error" },
		{ ENOSPC, "disk_full" },      { EDQUOT, "quota_exceeded" },
		{ ELOOP, "link_refused" },    { EXDEV, "link_refused" },
		{ EEXIST, "exists" },         { ENOTEMPTY, "not_empty" },
		{ EISDIR, "not_a_file" },     { ENOTDIR, "not_a_directory" },
		{ ENAMETOOLONG, "bad_name" }, { EFBIG, "file_too_large" },
		{ EIO, "io_error" },          { EBUSY, "busy" },
		{ EAGAIN, "busy" },           { EMFILE, "busy" },
		{ ENFILE, "busy" },           { ENOMEM, "busy" },
		{ ETIMEDOUT, "timeout" },     { ECANCELED, "cancelled" },
		{ ENODEV, "io_error" },       { ENOTCONN, "io_error" },
		{ EREMOTEIO, "io_error" },    { ESTALE, "io_error" },
		{ EUCLEAN, "io_error" },      { EINTR, "busy" },
		{ ENOBUFS, "busy" },          { ENOLCK, "busy" },
		{ EINVAL, "internal" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_string_equal(err_code(-rows[i].e), rows[i].code);
		assert_string_equal(err_text(-rows[i].e), strerror(rows[i].e));
	}
}

static void
nothing_is_out_of_range(void **state)
{
	static const int rows[] = { -FTD_E_BASE, -FTD_E_END, -FTD_E_END - 1, -4095, INT_MIN,
				    0,           1,          INT_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(err_code(rows[i]), "internal");
	assert_string_equal(err_text(INT_MIN), "internal error");
	assert_string_equal(err_text(-4095), "internal error");
	assert_int_equal(err_from_code("no_such_code"), -FTD_E_internal);
	assert_int_equal(err_from_code(""), -FTD_E_internal);
	assert_int_equal(err_exit_status("no_such_code"), 1);
	assert_false(err_known("not_foun"));
	assert_false(err_known("not_found "));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_finds_itself),
		cmocka_unit_test(errnos_have_a_code),
		cmocka_unit_test(nothing_is_out_of_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
