#include "client/url.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/hosts.h"
#include "lib/err.h"
#include "lib/own.h"
#include "tests/unit/unit.h"

struct row {
	const char *text, *host;
	uint16_t port;
	const char *path;
	bool directory;
};

static void
reads_addresses(void **state)
{
	static const struct row rows[] = {
		{ "ft://h", "h", 8001, "", true },
		{ "ft://h/", "h", 8001, "", true },
		{ "FT://h:9/a", "h", 9, "a", false },
		{ "ft://h/a/b/", "h", 8001, "a/b", true },
		{ "ft://h//a//b", "h", 8001, "a/b", false },
		{ "ft://[::1]:12/x", "::1", 12, "x", false },
		{ "ft://[fe80::1]/x", "fe80::1", 8001, "x", false },
		{ "ft://h/a%20b%ff", "h", 8001, "a b\xff", false },
		{ "ft://h/a%2Fb", "h", 8001, "a/b", false },
		{ "ft://h/a:b?c#d", "h", 8001, "a:b?c#d", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *why = "";
		struct url u;

		if (url_parse(rows[i].text, &u, &why) < 0)
			fail_msg("%s: %s", rows[i].text, why);
		assert_string_equal(u.host, rows[i].host);
		assert_int_equal(u.port, rows[i].port);
		assert_string_equal(u.path, rows[i].path);
		assert_int_equal(u.directory, rows[i].directory);
	}
}

static void
refuses_what_is_no_address(void **state)
{
	static const char *const bad[] = {
		"",
		"h/a",
		"http://h/a",
		"ft://",
		"ft:///a",
		"ft://:8001/",
		"ft://h:0/",
		"ft://h:65536/",
		"ft://h:x/",
		"ft://h:/",
		"ft://@h/",
		"ft://user:secret@h/",
		"ft://user:@h/",
		"ft://:secret@h/",
		"ft://User@h/",
		"ft://-user@h/",
		"ft://us er@h/",
		"ft://us%20er@h/",
		"ft://a@b@h/",
		"ft://user@/",
		"ft://user@",
		"ft://user1234567890123456789012345678x@h/",
		"ft://[::1/",
		"ft://[::1]x/",
		"ft://[]/",
		"ft://h/..",
		"ft://h/a/../b",
		"ft://h/.",
		"ft://h/%2e%2e/x",
		"ft://h/a%00",
		"ft://h/%",
		"ft://h/%1",
		"ft://h/%zz",
		"ft://h/.ftd",
		"ft://h/a/.ftd-x",
		"ft://a b/",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct url u = { .port = 4711 };
		const char *why = NULL;

		if (url_parse(bad[i], &u, &why) != -EINVAL || why == NULL || u.port != 4711)
			fail_msg("\"%s\" was taken", bad[i]);
	}
}

static void
reads_users(void **state)
{
	static const struct {
		const char *text, *user, *host;
		uint16_t port;
	} rows[] = {
		{ "ft://h/a@b", "", "h", 8001 },
		{ "ft://alice@h/", "alice", "h", 8001 },
		{ "ft://alice@h:7/a@b", "alice", "h", 7 },
		{ "ft://_a.b-9@[::1]:12/x", "_a.b-9", "::1", 12 },
		{ "ft://user123456789012345678901234567x@h", "user123456789012345678901234567x",
		  "h", 8001 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *why = "";
		struct url u;

		if (url_parse(rows[i].text, &u, &why) < 0)
			fail_msg("%s: %s", rows[i].text, why);
		assert_string_equal(u.user, rows[i].user);
		assert_string_equal(u.host, rows[i].host);
		assert_int_equal(u.port, rows[i].port);
	}
}

static void
one_connection_is_for_one_user(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{ "ft://h/a", "ft://H:8001/b", true },
		{ "ft://alice@h/a", "ft://alice@h/b", true },
		{ "ft://alice@h", "ft://bob@h", false },
		{ "ft://alice@h", "ft://h", false },
		{ "ft://h:1", "ft://h:2", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *why;
		struct url a, b;

		assert_int_equal(url_parse(rows[i].a, &a, &why), 0);
		assert_int_equal(url_parse(rows[i].b, &b, &why), 0);
		assert_int_equal(url_same_server(&a, &b), rows[i].same);
	}
}

static void
a_password_is_not_to_be_shown(void **state)
{
	(void)state;
	assert_true(url_has_password("ft://alice:secret@h/"));
	assert_true(url_has_password("ft://alice:sec/ret@h/"));
	assert_true(url_has_password("alice:secret@h"));
	assert_false(url_has_password("ft://alice@h:7/x"));
	assert_false(url_has_password("nas:photos"));
}

static void
bounds_lengths(void **state)
{
	char text[3 * PATH_BYTES_MAX];
	const char *why;
	struct url u, joined;

	(void)state;
	memset(text, 'h', sizeof(text));
	memcpy(text, "ft://", 5);
	text[5 + URL_HOST_MAX + 1] = '\0';
	assert_int_equal(url_parse(text, &u, &why), -EINVAL);
	text[5 + URL_HOST_MAX] = '\0';
	assert_int_equal(url_parse(text, &u, &why), 0);

	memset(text, 'x', sizeof(text));
	memcpy(text, "ft://h/", 7);
	for (size_t i = 7 + 200; i < sizeof(text); i += 200)
		text[i] = '/';
	text[7 + PATH_BYTES_MAX + 1] = '\0';
	assert_int_equal(url_parse(text, &u, &why), -EINVAL);
	text[7 + 4000] = '\0';
	assert_int_equal(url_parse(text, &u, &why), 0);
	text[300] = '\0';
	assert_int_equal(url_join(&u, text + 8, &joined), -FTD_E_bad_name);
	assert_int_equal(url_join(&u, "short", &joined), 0);
	assert_string_equal(url_leaf(&joined), "short");
}

static void
tells_loopback_by_name(void **state)
{
	static const struct {
		const char *text;
		bool loopback;
	} rows[] = {
		{ "ft://localhost", true },
		{ "ft://127.0.0.1", true },
		{ "ft://127.9.9.9", true },
		{ "ft://[::1]", true },
		{ "ft://[::ffff:127.0.0.1]", true },
		{ "ft://192.0.2.1", false },
		{ "ft://localhost.example.org", false },
		{ "ft://[::2]", false },
		{ "ft://127.0.0.1.example.org", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *why;
		struct url u;

		assert_int_equal(url_parse(rows[i].text, &u, &why), 0);
		if (url_is_loopback(&u) != rows[i].loopback)
			fail_msg("%s", rows[i].text);
	}
}

static void
finds_hosts_of_the_configuration(void **state)
{
	static const char text[] = "# mine\n[one]\nurl = ft://one.example\n\n"
				   " [ two ] \n plain=yes\nurl=ft://bob@two.example:7/home\n";
	char copy[sizeof(text)];
	unsigned line;
	struct url u;

	(void)state;
	memcpy(copy, text, sizeof(text));
	assert_int_equal(hosts_find(copy, "one", &u, &line), 0);
	assert_string_equal(u.host, "one.example");
	assert_false(u.plain);
	memcpy(copy, text, sizeof(text));
	assert_int_equal(hosts_find(copy, "two", &u, &line), 0);
	assert_int_equal(u.port, 7);
	assert_string_equal(u.path, "home");
	assert_string_equal(u.user, "bob");
	assert_true(u.plain);
	memcpy(copy, text, sizeof(text));
	assert_int_equal(hosts_find(copy, "three", &u, &line), -ENOENT);
}

static void
tells_the_line_that_is_wrong(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
	} rows[] = {
		{ "[a]\nurl = http://x\n", 2 },
		{ "[a]\nurl = ft://x\n\nplain = maybe\n", 4 },
		{ "nonsense\n", 1 },
		{ "[b]\ncolour = blue\n[a]\nurl = ft://x\n", 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char copy[64];
		unsigned line = 0;
		struct url u;

		(void)snprintf(copy, sizeof(copy), "%s", rows[i].text);
		assert_int_equal(hosts_find(copy, "a", &u, &line), -EINVAL);
		assert_int_equal(line, rows[i].line);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_addresses),
		cmocka_unit_test(refuses_what_is_no_address),
		cmocka_unit_test(reads_users),
		cmocka_unit_test(one_connection_is_for_one_user),
		cmocka_unit_test(a_password_is_not_to_be_shown),
		cmocka_unit_test(bounds_lengths),
		cmocka_unit_test(tells_loopback_by_name),
		cmocka_unit_test(finds_hosts_of_the_configuration),
		cmocka_unit_test(tells_the_line_that_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
