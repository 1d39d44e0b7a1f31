#include "client/netrc.h"

#include <errno.h>
#include <string.h>

#include "lib/own.h"
#include "tests/unit/unit.h"

/* For alice at nas.example.org; password NULL: there is none. */
static void
finds_the_password_of_one_user_at_one_host(void **state)
{
	static const struct {
		const char *text, *password;
	} rows[] = {
		{ "", NULL },
		{ "machine nas.example.org login alice password secret", "secret" },
		{ "machine NAS.Example.ORG\n\tlogin alice\r\n\tpassword secret\r\n", "secret" },
		{ "machine nas.example.org password secret login alice", "secret" },
		{ "machine nas.example.org password secret", "secret" },
		{ "machine nas.example.org login bob password secret", NULL },
		{ "machine nas.example.org login Alice password secret", NULL },
		{ "machine nas.example login alice password secret", NULL },
		{ "machine nas.example.org login alice", NULL },
		{ "login alice password secret", NULL },
		{ "machine nas.example.org login bob password b\n"
		  "machine nas.example.org login alice password a\n"
		  "machine nas.example.org login alice password later\n",
		  "a" },
		{ "machine other login alice password o\ndefault login alice password d\n", "d" },
		{ "machine nas.example.org login alice password a\ndefault password d\n", "a" },
		{ "# machine nas.example.org password no\n", NULL },
		{ "machine nas.example.org # mine\n#\npassword #yes # said\n", "#yes" },
		{ "machine nas.example.org account a login alice password \"a b\\\"c\\\\d\"",
		  "a b\"c\\d" },
		{ "machine nas.example.org password a\\b", "a\\b" },
		{ "machine x macdef init\nmachine nas.example.org password no\n\n"
		  "machine nas.example.org password yes\n",
		  "yes" },
		{ "macdef init\nmachine nas.example.org password no", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_secret struct secret s = { .text = NULL };
		unsigned line = 0;
		int r = netrc_find(rows[i].text, strlen(rows[i].text), "nas.example.org", "alice",
				   &s, &line);

		if (r != (rows[i].password != NULL ? 0 : -ENOENT))
			fail_msg("\"%s\": %d, line %u", rows[i].text, r, line);
		if (r == 0)
			assert_string_equal(s.text, rows[i].password);
		assert_int_equal(s.len, r == 0 ? strlen(rows[i].password) : 0);
	}
}

static void
tells_the_line_that_is_wrong(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
	} rows[] = {
		{ "machine", 1 },
		{ "machine h\nlogin", 2 },
		{ "machine h password p\n\nuser alice\n", 3 },
		{ "machine h\npassword \"open\n\"", 2 },
		{ "machine h\npassword \"open", 2 },
		{ "machine h\npassword \"a\"b", 2 },
		{ "machine nas.example.org password p\nwhatever-this-is\n", 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct secret s = { .text = NULL };
		unsigned line = 0;

		if (netrc_find(rows[i].text, strlen(rows[i].text), "nas.example.org", "alice", &s,
			       &line) != -EINVAL)
			fail_msg("\"%s\" was taken", rows[i].text);
		assert_int_equal(line, rows[i].line);
		assert_null(s.text);
	}
}

static void
words_have_a_limit(void **state)
{
	char text[64 + SECRET_PASSWORD_MAX] = "machine h password ";
	auto_secret struct secret s = { .text = NULL };
	size_t n = strlen(text);
	unsigned line;

	(void)state;
	memset(text + n, 'x', SECRET_PASSWORD_MAX + 1);
	assert_int_equal(netrc_find(text, n + SECRET_PASSWORD_MAX + 1, "h", "u", &s, &line),
			 -EINVAL);
	assert_int_equal(netrc_find(text, n + SECRET_PASSWORD_MAX, "h", "u", &s, &line), 0);
	assert_int_equal(s.len, SECRET_PASSWORD_MAX);
	text[n + 3] = '\0';
	assert_int_equal(netrc_find(text, n + 10, "h", "u", &s, &line), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_password_of_one_user_at_one_host),
		cmocka_unit_test(tells_the_line_that_is_wrong),
		cmocka_unit_test(words_have_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
