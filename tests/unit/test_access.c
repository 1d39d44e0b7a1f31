/* Who may do what, as tables of what an administrator expects. */
#include "daemon/common/access.h"

#include <string.h>

#include "lib/own.h"
#include "tests/unit/unit.h"

static struct config *
configuration(const char *text)
{
	struct config_problems problems = { 0 };
	struct config *c = NULL;
	int r = config_parse(text, "test.conf", &c, &problems);

	if (r < 0)
		config_problems_print(&problems, stderr);
	assert_int_equal(r, 0);
	config_problems_done(&problems);
	return c;
}

static union addr
peer(const char *text)
{
	union addr a;
	socklen_t len;

	assert_int_equal(addr_parse(text, 40000, &a, &len), 0);
	return a;
}

static void
expect(struct access_verdict v, const char *code, int line)
{
	assert_int_equal(v.allowed, code == NULL);
	if (code == NULL)
		assert_null(v.code);
	else
		assert_string_equal(v.code, code);
	assert_int_equal(v.line, line);
}

static void
test_address(void **state)
{
	static const char text[] = "access = {\n"
				   " allow = ( \"10.0.0.0/8\",\n"
				   "  \"2001:db8::/32\" );\n"
				   " deny = ( \"10.9.0.0/16\",\n"
				   "  \"2001:db8:bad::/48\" );\n"
				   "};\n";
	static const struct {
		const char *address, *code;
		int line;
	} rows[] = {
		{ "10.0.0.1", NULL, 2 },
		{ "10.9.0.1", "address_refused", 4 },
		{ "10.10.0.1", NULL, 2 },
		{ "::ffff:10.0.0.1", NULL, 2 },
		{ "::ffff:10.9.1.1", "address_refused", 4 },
		{ "11.0.0.1", "address_refused", 2 },
		{ "2001:db8::1", NULL, 3 },
		{ "2001:db8:bad::1", "address_refused", 5 },
		{ "2001:db9::1", "address_refused", 2 },
		{ "::1", "address_refused", 2 },
	};
	auto_free struct config *c = configuration(text);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		union addr a = peer(rows[i].address);

		expect(access_address(c, &a), rows[i].code, rows[i].line);
	}
}

static void
test_address_default_serves_all(void **state)
{
	auto_free struct config *c = configuration("");
	union addr v4 = peer("203.0.113.7"), v6 = peer("2001:db8::7");
	union addr unix_peer = { .sa = { .sa_family = AF_UNIX } };

	(void)state;
	assert_true(access_address(c, &v4).allowed);
	assert_true(access_address(c, &v6).allowed);
	expect(access_address(c, &unix_peer), "address_refused", 0);
}

/* An address as a client of a dual-stack listener has it. */
static union addr
mapped(const char *text)
{
	union addr v4 = peer(text), a = { .in6 = { .sin6_family = AF_INET6 } };

	a.in6.sin6_addr.s6_addr[10] = a.in6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(a.in6.sin6_addr.s6_addr + 12, &v4.in.sin_addr, 4);
	return a;
}

static void
test_mapped_addresses_are_ipv4(void **state)
{
	auto_free struct config *c = configuration("access = { deny = ( \"192.0.2.0/24\" ); };");
	union addr denied = mapped("192.0.2.9"), other = mapped("192.0.3.9"),
		   local = mapped("127.0.0.1");

	(void)state;
	expect(access_address(c, &denied), "address_refused", 1);
	assert_true(access_address(c, &other).allowed);
	assert_true(access_plaintext(c, &local).allowed);
}

static void
test_plaintext(void **state)
{
	static const struct {
		const char *text, *address, *code;
	} rows[] = {
		{ "", "127.0.0.1", NULL },
		{ "", "127.8.8.8", NULL },
		{ "", "::1", NULL },
		{ "", "192.0.2.1", "tls_required" },
		{ "", "2001:db8::1", "tls_required" },
		{ "plaintext = \"anywhere\";", "192.0.2.1", NULL },
		{ "plaintext = \"anywhere\";", "::1", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free struct config *c = configuration(rows[i].text);
		union addr a = peer(rows[i].address);

		expect(access_plaintext(c, &a), rows[i].code, rows[i].text[0] != '\0');
	}
}

static void
test_plaintext_never(void **state)
{
	auto_free struct config *c = configuration("");
	union addr a = peer("127.0.0.1");

	(void)state;
	c->plaintext = CONFIG_NEVER;
	expect(access_plaintext(c, &a), "tls_required", 0);
}

static void
test_share(void **state)
{
	static const unsigned some = RIGHT_READ | RIGHT_LIST;
	static const struct {
		enum config_where anonymous;
		bool loopback;
		const char *user;
		unsigned rights; /* of the share */
		unsigned need;
		unsigned granted;
		const char *code;
	} rows[] = {
		{ CONFIG_NEVER, true, "", RIGHT_ALL, RIGHT_READ, 0, "permission" },
		{ CONFIG_NEVER, true, "", RIGHT_ALL, 0, 0, "permission" },
		{ CONFIG_LOOPBACK, true, "", some, RIGHT_READ, some, NULL },
		{ CONFIG_LOOPBACK, true, "", some, some, some, NULL },
		{ CONFIG_LOOPBACK, true, "", some, 0, some, NULL },
		{ CONFIG_LOOPBACK, true, "", some, RIGHT_READ | RIGHT_CREATE, some, "permission" },
		{ CONFIG_LOOPBACK, true, "", some, RIGHT_DELETE, some, "permission" },
		{ CONFIG_LOOPBACK, false, "", RIGHT_ALL, RIGHT_READ, 0, "permission" },
		{ CONFIG_ANYWHERE, false, "", RIGHT_CREATE, RIGHT_CREATE, RIGHT_CREATE, NULL },
		{ CONFIG_ANYWHERE, false, "", RIGHT_CREATE, RIGHT_LIST, RIGHT_CREATE,
		  "permission" },
		{ CONFIG_ANYWHERE, true, "", RIGHT_ALL, RIGHT_ALL, RIGHT_ALL, NULL },
		{ CONFIG_NEVER, false, "alice", some, RIGHT_READ, some, NULL },
		{ CONFIG_LOOPBACK, false, "alice", some, RIGHT_CREATE, some, "permission" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		static struct config_share share;
		static struct config c;
		struct access_subject who = { .loopback = rows[i].loopback };

		(void)snprintf(who.user, sizeof(who.user), "%s", rows[i].user);
		share.anonymous = rows[i].anonymous;
		share.rights = rows[i].rights;
		share.line = (int)i + 1;
		assert_int_equal(access_rights(&c, &share, &who, ""), rows[i].granted);
		expect(access_share(&c, &share, &who, rows[i].need), rows[i].code, (int)i + 1);
	}
}

static void
test_anonymous(void **state)
{
	static const struct {
		const char *second;
		bool loopback;
		const char *code;
		int line;
	} rows[] = {
		{ "anywhere", true, NULL, 3 },
		{ "anywhere", false, NULL, 4 },
		{ "loopback", false, "auth_required", 2 },
		{ "never", false, "auth_required", 2 },
		{ "never", true, NULL, 3 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct access_subject who = { .loopback = rows[i].loopback };
		auto_free struct config *c = NULL;
		char filled[512];

		(void)snprintf(filled, sizeof(filled),
			       "plaintext = \"anywhere\";\nshares = (\n"
			       " { path = \"/\"; root = \"/a\"; },\n"
			       " { path = \"/pub\"; root = \"/b\"; anonymous = \"%s\"; } );\n",
			       rows[i].second);
		c = configuration(filled);
		expect(access_anonymous(c, &who), rows[i].code, rows[i].line);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address),
		cmocka_unit_test(test_address_default_serves_all),
		cmocka_unit_test(test_mapped_addresses_are_ipv4),
		cmocka_unit_test(test_plaintext),
		cmocka_unit_test(test_plaintext_never),
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_anonymous),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
