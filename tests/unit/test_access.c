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

/* ---- rights at a path ---- */

static struct access_subject
subject(const char *user, bool loopback)
{
	struct access_subject who = { .loopback = loopback };

	(void)snprintf(who.user, sizeof(who.user), "%s", user);
	return who;
}

static void
test_who_enters_a_share(void **state)
{
	static const unsigned some = RIGHT_READ | RIGHT_LIST;
	static const struct {
		enum config_where anonymous;
		const char *user;
		bool loopback;
		unsigned granted;
	} rows[] = {
		{ CONFIG_NEVER, "", true, 0 },         { CONFIG_NEVER, "", false, 0 },
		{ CONFIG_NEVER, "alice", true, some }, { CONFIG_NEVER, "alice", false, some },
		{ CONFIG_LOOPBACK, "", true, some },   { CONFIG_LOOPBACK, "", false, 0 },
		{ CONFIG_ANYWHERE, "", false, some },  { CONFIG_ANYWHERE, "alice", false, some },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		static struct config_share share;
		static struct config c;
		struct access_subject who = subject(rows[i].user, rows[i].loopback);

		share.anonymous = rows[i].anonymous;
		share.rights = some;
		assert_int_equal(access_rights(&c, &share, &who, "any/path"), rows[i].granted);
		assert_int_equal(access_union(&c, &share, &who), rows[i].granted);
	}
}

static const char ruled[] =
    "shares = (\n"
    " { path = \"/\"; root = \"/a\"; anonymous = \"anywhere\"; rules = (\n"
    "  { users = ( \"alice\" ); path = \"/in/alice\"; rights = \"full\"; },\n"
    "  { path = \"/in\"; rights = \"dropbox\"; },\n"
    "  { users = ( \"*\" ); path = \"/team\"; rights = \"full\"; },\n"
    "  { users = ( \"bob\", \"alice\" ); path = \"/team/x\"; rights = \"none\"; },\n"
    "  { path = \"/secret\"; rights = \"none\"; },\n"
    "  { users = ( \"bob\" ); rights = \"readonly,rename,delete\"; },\n"
    "  { rights = \"readonly\"; } ); },\n"
    " { path = \"/mine\"; root = \"/b\"; anonymous = \"never\"; rules = (\n"
    "  { users = ( \"alice\" ); path = \"/deep/er\"; rights = \"read\"; } ); },\n"
    " { path = \"/mine/shut\"; root = \"/c\"; anonymous = \"never\";\n"
    "   rules = ( { users = ( \"carol\" ); rights = \"full\"; } ); } );\n"
    "plaintext = \"anywhere\";\n";

/* Without the warnings, which are meant here: a rule that is never reached. */
static struct config *
ruled_configuration(void)
{
	struct config_problems problems = { 0 };
	struct config *c = NULL;

	assert_int_equal(config_parse(ruled, "test.conf", &c, &problems), 0);
	config_problems_done(&problems);
	return c;
}

static void
test_the_first_rule_that_fits_decides(void **state)
{
	static const unsigned readonly = RIGHT_READ | RIGHT_LIST,
			      bobs = RIGHT_READ | RIGHT_LIST | RIGHT_RENAME | RIGHT_DELETE;
	static const struct {
		const char *user, *rest;
		unsigned rights;
	} rows[] = {
		{ "", "", readonly },
		{ "", "in", RIGHT_CREATE },
		{ "", "in/alice/x", RIGHT_CREATE },
		{ "", "inn", readonly },
		{ "", "team", readonly },
		{ "", "secret/x", 0 },
		{ "alice", "in/alice", RIGHT_ALL },
		{ "alice", "in/alice/x/y", RIGHT_ALL },
		{ "alice", "in/alicex", RIGHT_CREATE },
		{ "alice", "team/x", RIGHT_ALL },
		{ "bob", "in/alice", RIGHT_CREATE },
		{ "bob", "any", bobs },
		{ "bob", "secret", 0 },
		{ "carol", "team/y", RIGHT_ALL },
		{ "carol", "any", readonly },
		{ "al", "in/alice", RIGHT_CREATE },
		{ "*", "any", readonly },
	};
	auto_free struct config *c = ruled_configuration();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct access_subject who = subject(rows[i].user, false);

		assert_int_equal(access_rights(c, &c->shares[0], &who, rows[i].rest),
				 rows[i].rights);
	}
}

static void
test_the_union_has_what_is_granted_somewhere(void **state)
{
	auto_free struct config *c = ruled_configuration();
	struct access_subject nobody = subject("", false), alice = subject("alice", false),
			      bob = subject("bob", false);

	(void)state;
	assert_int_equal(access_union(c, &c->shares[0], &nobody),
			 RIGHT_READ | RIGHT_LIST | RIGHT_CREATE);
	assert_int_equal(access_union(c, &c->shares[0], &alice), RIGHT_ALL);
	assert_int_equal(access_union(c, &c->shares[1], &alice), RIGHT_READ);
	assert_int_equal(access_union(c, &c->shares[1], &bob), 0);
	assert_int_equal(access_union(c, &c->shares[1], &nobody), 0);
}

/* ---- decisions ---- */

/* One word for each step, so that the way to a verdict can be told from another. */
static void
collect(void *userdata, int line, const char *text)
{
	int *last = userdata;

	assert_true(text[0] != '\0');
	*last = line;
}

static void
test_decisions(void **state)
{
	static const struct {
		const char *user, *opt, *source, *target;
		bool recursive;
		const char *code;
		int line;
	} rows[] = {
		/* what the row asks */
		{ "", "stat", "f", NULL, false, NULL, 9 },
		{ "", "download", "f", NULL, false, NULL, 9 },
		{ "", "remove", "f", NULL, false, "permission", 9 },
		{ "", "upload", "f", NULL, false, "permission", 9 },
		{ "", "download", "secret/f", NULL, false, "permission", 7 },
		{ "", "space", "f", NULL, false, NULL, 9 },
		{ "", "space", "", NULL, false, NULL, 9 },
		{ "", "space", "secret/f", NULL, false, NULL, 7 },
		{ "", "space", "mine/f", NULL, false, "not_found", 10 },
		{ "", "ping", NULL, NULL, false, NULL, 0 },
		/* a drop box, and what lies in it */
		{ "", "upload", "in/f", NULL, false, NULL, 4 },
		{ "", "stat", "in/f", NULL, false, "permission", 4 },
		{ "", "list", "in", NULL, false, "permission", 4 },
		{ "", "mkdir", "in/d", NULL, false, "permission", 4 },
		{ "", "upload", "in/d/f", NULL, false, "permission", 4 },
		{ "", "upload", "in/alice/f", NULL, false, "permission", 4 },
		{ "alice", "upload", "in/alice/f", NULL, false, NULL, 3 },
		{ "alice", "upload", "in/alice/new/f", NULL, false, NULL, 3 },
		/* source and target */
		{ "bob", "copy", "f", "in/f", false, NULL, 4 },
		{ "bob", "copy", "in/f", "in/g", false, "permission", 4 },
		{ "bob", "copy", "f", "g", false, "permission", 8 },
		{ "bob", "rename", "f", "in/f", false, NULL, 4 },
		{ "", "rename", "f", "in/f", false, "permission", 9 },
		/* what lies beneath */
		{ "bob", "rename", "any", "team/y", false, NULL, 5 },
		{ "bob", "remove", "any", NULL, true, NULL, 8 },
		{ "alice", "remove", "in", NULL, true, "permission", 4 },
		{ "alice", "remove", "in/alice", NULL, true, NULL, 3 },
		{ "alice", "rename", "team", "in/alice/team", false, NULL, 3 },
		/* shares are not theirs to change */
		{ "alice", "remove", "mine", NULL, false, "permission", 0 },
		{ "alice", "set", "", NULL, false, "permission", 9 },
		{ "alice", "rename", "team/x", "mine", false, "permission", 0 },
		{ "", "upload", "", NULL, false, "not_a_file", 9 },
		/* hidden shares */
		{ "", "stat", "mine", NULL, false, "not_found", 10 },
		{ "", "stat", "mine/shut/x", NULL, false, "not_found", 12 },
		{ "bob", "stat", "mine/f", NULL, false, "not_found", 10 },
		{ "alice", "stat", "mine/shut", NULL, false, "permission", 12 },
		{ "alice", "download", "mine/deep/er/f", NULL, false, NULL, 11 },
		{ "alice", "stat", "mine/deep/er/f", NULL, false, "permission", 11 },
		{ "alice", "download", "mine/deep/f", NULL, false, "permission", 10 },
		{ "carol", "list", "mine/shut", NULL, false, NULL, 13 },
		{ "carol", "list", "mine", NULL, false, NULL, 1 },
		{ "carol", "upload", "mine", NULL, false, "not_a_file", 1 },
		{ "carol", "mkdir", "mine/x", NULL, false, "not_found", 10 },
	};
	auto_free struct config *c = ruled_configuration();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct access_subject who = subject(rows[i].user, false);
		const struct access_ask ask = { access_operation(rows[i].opt), rows[i].source,
						rows[i].target, rows[i].recursive };
		struct access_place source, target;
		struct access_view view;
		struct access_verdict a, traced;
		int last = -1;
		const struct access_trace trace = { collect, &last };

		access_view_init(&view, c, &who);
		a = access_decide(&view, &ask, &source, &target, NULL);
		if (a.allowed != (rows[i].code == NULL) ||
		    (rows[i].code != NULL && strcmp(a.code, rows[i].code) != 0) ||
		    (rows[i].line != 0 && a.line != rows[i].line))
			fail_msg("%s %s %s %s: %s, line %d", rows[i].user, rows[i].opt,
				 rows[i].source, rows[i].target, a.code, a.line);
		traced = access_decide(&view, &ask, &source, &target, &trace);
		assert_int_equal(traced.allowed, a.allowed);
		assert_int_equal(traced.line, a.line);
		if (rows[i].source != NULL)
			assert_true(last >= 0);
	}
}

/* No right, no operation: each alone allows what it is for and nothing else. */
static void
test_every_operation_needs_all_its_rights(void **state)
{
	static struct config c;
	struct config_share *share = &c.shares[0];
	struct access_subject who = subject("alice", false);

	(void)state;
	c.n_shares = 1;
	for (size_t i = 0; i < ACCESS_OPERATIONS; i++) {
		const struct access_operation *o = &access_operations[i];
		const struct access_ask ask = { o, "f", "g", true };
		unsigned need = (o->need | o->need_to) & RIGHT_ALL;

		for (unsigned rights = 0; rights <= RIGHT_ALL; rights++) {
			struct access_place source, target;
			struct access_view view;
			bool named = (o->need & ACCESS_UNNAMED) == 0;

			share->rights = rights;
			access_view_init(&view, &c, &who);
			assert_int_equal(access_decide(&view, &ask, &source, &target, NULL).allowed,
					 (need & ~rights) == 0 && (!named || rights != 0));
		}
	}
}

static void
test_commands(void **state)
{
	(void)state;
	for (int role = CONTROL_NOBODY; role <= CONTROL_ADMIN; role++)
		for (int needed = CONTROL_NOBODY; needed <= CONTROL_ADMIN; needed++)
			assert_int_equal(
			    access_command((enum control_role)role, (enum control_role)needed),
			    needed != CONTROL_NOBODY && role >= needed);
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
		cmocka_unit_test(test_who_enters_a_share),
		cmocka_unit_test(test_the_first_rule_that_fits_decides),
		cmocka_unit_test(test_the_union_has_what_is_granted_somewhere),
		cmocka_unit_test(test_decisions),
		cmocka_unit_test(test_every_operation_needs_all_its_rights),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_anonymous),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
