/* ftd.conf: what is taken, what is refused and with which words. */
#include "daemon/config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/num.h"
#include "lib/own.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

/* Parses and prints the problems into memory; *ret may stay NULL. The caller frees both. */
static char *
problems_of(const char *text, struct config **ret)
{
	struct config_problems problems = { 0 };
	char *printed = NULL;
	size_t len;
	FILE *to = open_memstream(&printed, &len);
	int r = config_parse(text, "f", ret, &problems);

	assert_non_null(to);
	config_problems_print(&problems, to);
	assert_int_equal(fclose(to), 0);
	assert_int_equal(r, config_problems_fatal(&problems) ? -EINVAL : 0);
	config_problems_done(&problems);
	return printed;
}

static struct config *
right(const char *text)
{
	struct config *c = NULL;
	auto_free char *printed = problems_of(text, &c);

	assert_string_equal(printed, "");
	assert_non_null(c);
	return c;
}

static void
defaults(void **state)
{
	auto_free struct config *c = right("");

	(void)state;
	assert_int_equal(c->size, sizeof(*c));
	assert_string_equal(c->run_as, "ftd");
	assert_int_equal(c->sandbox, CONFIG_SANDBOX_REQUIRE);
	assert_int_equal(c->n_listen, 1);
	assert_string_equal(c->listen[0].address, "::");
	assert_int_equal(c->listen[0].port, 8001);
	assert_int_equal(c->plaintext, CONFIG_LOOPBACK);
	assert_string_equal(c->tls_certificate, "");
	assert_string_equal(c->tls_key, "");
	assert_string_equal(c->tls_client_ca, "");
	assert_int_equal(c->tls_min_version, CONFIG_TLS_1_3);
	assert_string_equal(c->status_address, "127.0.0.1");
	assert_int_equal(c->status_port, 8001);
	assert_int_equal(c->status_allow.n, 2);
	assert_string_equal(c->control_path, "/run/ftd/control");
	assert_string_equal(c->control_group, "ftd");
	assert_string_equal(c->control_operator_group, "root");
	assert_int_equal(c->access_allow.n, 2);
	assert_int_equal(c->access_deny.n, 0);
	assert_int_equal(c->sessions, 1024);
	assert_int_equal(c->logins, 64);
	assert_int_equal(c->sessions_per_address, 64);
	assert_int_equal(c->sessions_per_user, 64);
	assert_int_equal(c->login_timeout, 10 * USEC_PER_SEC);
	assert_int_equal(c->idle_timeout, 15 * 60 * USEC_PER_SEC);
	assert_int_equal(c->stall_timeout, 5 * 60 * USEC_PER_SEC);
	assert_int_equal(c->shutdown_grace, 30 * USEC_PER_SEC);
	assert_true(c->file_size == NUM_UNLIMITED);
	assert_int_equal(c->free_space, 1 << 30);
	assert_int_equal(c->log_target, CONFIG_LOG_AUTO);
	assert_int_equal(c->log_level, CONFIG_LOG_INFO);
	assert_int_equal(c->n_shares, 1);
	assert_string_equal(c->shares[0].path, "");
	assert_string_equal(c->shares[0].root, "/srv/ftd");
	assert_int_equal(c->shares[0].anonymous, CONFIG_LOOPBACK);
	assert_int_equal(c->shares[0].rights, RIGHT_ALL);
	assert_int_equal(c->shares[0].durability, CONFIG_DURABILITY_FULL);
	assert_int_equal(c->shares[0].links, CONFIG_LINKS_DENY);
	for (size_t i = 0; i < CONFIG_OPTIONS; i++)
		assert_int_equal(c->line[i], 0);
}

static void
values(void **state)
{
	auto_free struct config *c = right(
	    "run_as = \"root\"; sandbox = \"best-effort\"; // comment\n"
	    "listen = ( { address = \"192.0.2.1\"; port = 0; }, { port = 9000L; } ); # comment\n"
	    "plaintext : \"anywhere\";\n"
	    "status = { address = \"\"; port = 0x10; allow = [ \"192.0.2.0/255.255.255.0\" ]; };\n"
	    "control = { path = \"/r/\" \"c\"; group = \"a\"; operator_group = \"b\" };\n"
	    "access = { allow = ( \"192.0.2.7\",\n \"2001:db8::/32\" ); deny = [ ]; };\n"
	    "limits = { sessions = 16384; login_timeout = \"1m30s\"; shutdown_grace = \"0\";\n"
	    " idle_timeout = \"7d\"; file_size = \"1.5G\"; free_space = \"0\"; };\n"
	    "/* shares\n */ log = { target = \"stderr\"; level = \"debug\"; };\n"
	    "shares = (\n"
	    " { path = \"/\"; root = \"/a\"; anonymous = \"anywhere\"; rights = \"readonly\"; },\n"
	    " { path = \"/in/box\"; root = \"/b\"; rights = \"dropbox\"; links = \"inside\"; },\n"
	    " { path = \"/x\"; root = \"/c\"; rights = \"read, mkdir ,rename\"; durability = "
	    "\"none\"; },\n"
	    " { path = \"/y\"; root = \"/c\"; rights = \"full\"; durability = \"file\"; } );");

	(void)state;
	assert_string_equal(c->run_as, "root");
	assert_int_equal(c->sandbox, CONFIG_SANDBOX_BEST_EFFORT);
	assert_int_equal(c->n_listen, 2);
	assert_int_equal(c->listen[0].port, 0);
	assert_string_equal(c->listen[1].address, "::");
	assert_int_equal(c->listen[1].port, 9000);
	assert_int_equal(c->listen[1].line, 2);
	assert_string_equal(c->status_address, "");
	assert_int_equal(c->status_port, 16);
	assert_int_equal(c->status_allow.n, 1);
	assert_int_equal(c->status_allow.list[0].bits, 24);
	assert_string_equal(c->control_path, "/r/c");
	assert_int_equal(c->access_allow.n, 2);
	assert_int_equal(c->access_allow.list[0].bits, 32);
	assert_int_equal(c->access_allow.line[0], 6);
	assert_int_equal(c->access_allow.line[1], 7);
	assert_int_equal(c->sessions, 16384);
	assert_int_equal(c->logins, 64);
	assert_int_equal(c->login_timeout, 90 * USEC_PER_SEC);
	assert_int_equal(c->shutdown_grace, 0);
	assert_int_equal(c->file_size, 3u << 29);
	assert_int_equal(c->free_space, 0);
	assert_int_equal(c->log_target, CONFIG_LOG_STDERR);
	assert_int_equal(c->log_level, CONFIG_LOG_DEBUG);
	assert_int_equal(c->n_shares, 4);
	assert_int_equal(c->shares[0].rights, RIGHT_READ | RIGHT_LIST);
	assert_string_equal(c->shares[1].path, "in/box");
	assert_int_equal(c->shares[1].rights, RIGHT_CREATE);
	assert_int_equal(c->shares[1].links, CONFIG_LINKS_INSIDE);
	assert_int_equal(c->shares[1].line, 14);
	assert_int_equal(c->shares[2].rights, RIGHT_READ | RIGHT_MKDIR | RIGHT_RENAME);
	assert_int_equal(c->shares[2].durability, CONFIG_DURABILITY_NONE);
	assert_int_equal(c->shares[3].rights, RIGHT_ALL);
	assert_int_equal(c->line[CONFIG_AT_plaintext], 3);
	assert_int_equal(c->line[CONFIG_AT_login_timeout], 8);
	assert_int_equal(c->line[CONFIG_AT_logins], 0);
	assert_int_equal(c->line[CONFIG_AT_shares], 12);
}

struct refusal {
	const char *text, *problems;
};

static void
expect_refusals(const struct refusal *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct config *c = NULL;
		auto_free char *printed = problems_of(rows[i].text, &c);

		assert_string_equal(printed, rows[i].problems);
		assert_null(c);
	}
}

static void
unknown_keys(void **state)
{
	static const struct refusal rows[] = {
		{ "limits = {\n idle_tiemout = \"1s\"; };",
		  "f:2: limits.idle_tiemout: unknown option; did you mean idle_timeout?\n" },
		{ "\nlimit = { };", "f:2: limit: unknown option; did you mean limits?\n" },
		{ "idle_timeout = \"1s\";",
		  "f:1: idle_timeout: unknown option; did you mean limits.idle_timeout?\n" },
		{ "limits = { allow = ( ); };",
		  "f:1: limits.allow: unknown option; did you mean status.allow?\n" },
		{ "wheelbarrow = 1;",
		  "f:1: wheelbarrow: unknown option; ftd.conf(5) lists them all\n" },
		{ "shares = ( { path = \"/\"; root = \"/a\";\n right = \"full\"; } );",
		  "f:2: shares[0].right: unknown option; did you mean rights?\n" },
		{ "listen = ( { adress = \"::\"; } );",
		  "f:1: listen[0].adress: unknown option; did you mean address?\n" },
		{ "limits = { deep = { deeper = 1; }; };",
		  "f:1: limits.deep: unknown option; ftd.conf(5) lists them all\n" },
		{ "Plaintext = \"loopback\";",
		  "f:1: Plaintext: unknown option; did you mean plaintext?\n" },
	};

	(void)state;
	expect_refusals(rows, ARRAY_SIZE(rows));
}

/* Every type of option with every kind of wrong value. */
static void
wrong_values(void **state)
{
#define COUNT "an integer from 1 to 16384"
#define DURATION "a duration from \"1s\" to \"7d\""
#define UNITS " (sizes, rates and durations are strings with units)"
#define RATE "a rate such as \"512K\" or \"40M\", or \"unlimited\""
#define SIZE "a size such as \"512K\" or \"1.5G\""
#define ADDRESS "an address such as \"0.0.0.0\" or \"::1\", or \"\" for none"
	static const struct {
		const char *option, *value, *shown, *wanted;
	} rows[] = {
		{ "limits.sessions", "0", "0", COUNT },
		{ "limits.sessions", "16385", "16385", COUNT },
		{ "limits.sessions", "-1", "-1", COUNT },
		{ "limits.sessions", "5000000000L", NULL, NULL },
		{ "limits.sessions", "1.5", "1.5", COUNT },
		{ "limits.sessions", "\"1024\"", "\"1024\"", COUNT },
		{ "limits.sessions", "true", "true", COUNT },
		{ "limits.sessions", "( )", "an empty list", COUNT },
		{ "limits.sessions", "[ 1 ]", "a list", COUNT },
		{ "limits.sessions", "{ }", "a group { }", COUNT },
		{ "limits.logins", "1025", "1025", "an integer from 1 to 1024" },
		{ "limits.sessions_per_address", "0", "0", COUNT },
		{ "limits.sessions_per_user", "0", "0", COUNT },
		{ "status.port", "65536", "65536", "an integer from 0 to 65535" },
		{ "limits.idle_timeout", "30", "30", DURATION UNITS },
		{ "limits.idle_timeout", "30.5", "30.5", DURATION UNITS },
		{ "limits.idle_timeout", "\"30\"", "\"30\"", DURATION },
		{ "limits.idle_timeout", "\"30 s\"", "\"30 s\"", DURATION },
		{ "limits.idle_timeout", "\"999ms\"", "\"999ms\"", DURATION },
		{ "limits.idle_timeout", "\"8d\"", "\"8d\"", DURATION },
		{ "limits.idle_timeout", "\"\"", "\"\"", DURATION },
		{ "limits.idle_timeout", "\"-5s\"", "\"-5s\"", DURATION },
		{ "limits.idle_timeout", "false", "false", DURATION },
		{ "limits.stall_timeout", "\"0\"", "\"0\"", DURATION },
		{ "limits.login_timeout", "\"2h\"", "\"2h\"", "a duration from \"1s\" to \"1h\"" },
		{ "limits.shutdown_grace", "\"8d\"", "\"8d\"", "a duration from \"0\" to \"7d\"" },
		{ "limits.file_size", "1048576", "1048576", SIZE ", or \"unlimited\"" UNITS },
		{ "limits.file_size", "\"1X\"", "\"1X\"", SIZE ", or \"unlimited\"" },
		{ "limits.free_space", "\"unlimited\"", "\"unlimited\"", SIZE },
		{ "limits.free_space", "\"9000000T\"", "\"9000000T\"", SIZE },
		{ "limits.session_rate", "\"1023\"", "\"1023\"", RATE },
		{ "limits.session_rate", "\"40M/h\"", "\"40M/h\"", RATE },
		{ "limits.total_rate", "40", "40", RATE UNITS },
		{ "run_as", "\"\"", "\"\"", "a user or group name" },
		{ "run_as", "\"a b\"", "\"a b\"", "a user or group name" },
		{ "run_as", "1000", "1000", "a user or group name" },
		{ "control.group", "\"a:b\"", "\"a:b\"", "a user or group name" },
		{ "control.operator_group", "( \"root\" )", "a list", "a user or group name" },
		{ "control.path", "\"run/control\"", "\"run/control\"",
		  "an absolute path of at most 107 bytes" },
		{ "control.path", "\"\"", "\"\"", "an absolute path of at most 107 bytes" },
		{ "sandbox", "\"off\"", "\"off\"", "one of \"require\", \"best-effort\"" },
		{ "sandbox", "true", "true", "one of \"require\", \"best-effort\"" },
		{ "plaintext", "\"Loopback\"", "\"Loopback\"",
		  "one of \"never\", \"loopback\", \"anywhere\"" },
		{ "log.target", "\"syslog\"", "\"syslog\"",
		  "one of \"auto\", \"journal\", \"stderr\"" },
		{ "log.level", "6", "6",
		  "one of \"error\", \"warning\", \"notice\", \"info\", \"debug\"" },
		{ "status.address", "\"localhost\"", "\"localhost\"", ADDRESS },
		{ "status.address", "\"127.0.0.1:8001\"", "\"127.0.0.1:8001\"", ADDRESS },
		{ "status.address", "\"a\\x1b[31m\\xff\"", "\"a\\x1b[31m\\xff\"", ADDRESS },
		{ "access.allow", "\"0.0.0.0/0\"", "\"0.0.0.0/0\"",
		  "a list of networks such as ( \"192.0.2.0/24\", \"2001:db8::/32\" )" },
		{ "listen", "{ port = 1; }", "a group { }", "a list of groups ( { }, { } )" },
		{ "shares", "\"/srv/ftd\"", "\"/srv/ftd\"", "a list of groups ( { }, { } )" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *dot = strchr(rows[i].option, '.');
		auto_free char *printed = NULL, *text = NULL, *wanted = NULL;
		struct config *c = NULL;
		int n;

		if (dot == NULL)
			n = asprintf(&text, "%s = %s;", rows[i].option, rows[i].value);
		else
			n = asprintf(&text, "%.*s = { %s = %s; };", (int)(dot - rows[i].option),
				     rows[i].option, dot + 1, rows[i].value);
		assert_true(n > 0);
		if (rows[i].wanted == NULL)
			n = asprintf(&wanted, "f:1: the number is too large\n");
		else
			n = asprintf(&wanted, "f:1: %s: %s is not %s\n", rows[i].option,
				     rows[i].shown, rows[i].wanted);
		assert_true(n > 0);
		printed = problems_of(text, &c);
		assert_string_equal(printed, wanted);
		assert_null(c);
	}
#undef COUNT
#undef DURATION
#undef UNITS
#undef SIZE
#undef ADDRESS
}

static void
wrong_lists(void **state)
{
#define GROUP "f:1: shares[0]: "
#define WHERE "one of \"never\", \"loopback\", \"anywhere\""
#define SHARE(rest) "shares = ( { path = \"/\"; root = \"/a\"; " rest " } );"
	static const struct refusal rows[] = {
		{ "access = { deny = ( \"172.16.10.1/24\" ); };",
		  "f:1: access.deny[0]: \"172.16.10.1/24\" has host bits set; probably "
		  "\"172.16.10.0/24\" is meant\n" },
		{ "access = { deny = (\n \"10.0.0.0/8\",\n 5 ); };",
		  "f:3: access.deny[1]: 5 is not a network such as \"192.0.2.0/24\" or "
		  "\"2001:db8::/32\"\n" },
		{ "status = { allow = ( \"10.0.0.0/33\" ); };",
		  "f:1: status.allow[0]: \"10.0.0.0/33\" is not a network such as \"192.0.2.0/24\" "
		  "or "
		  "\"2001:db8::/32\"\n" },
		{ "listen = ( );", "f:1: listen: the list is empty: nothing to listen on\n" },
		{ "listen = ( 8001 );", "f:1: listen[0]: 8001 is not a group { }\n" },
		{ "listen = ( { port = 65536; } );",
		  "f:1: listen[0].port: 65536 is not an integer from 0 to 65535\n" },
		{ "listen = ( { address = \"\"; } );", "f:1: listen[0].address: \"\" is not an "
						       "address such as \"0.0.0.0\" or \"::1\"\n" },
		{ "shares = ( );", "f:1: shares: the list is empty: nothing to serve\n" },
		{ "shares = ( { } );", GROUP "path is missing\n" GROUP "root is missing\n" },
		{ "shares = ( { path = \"/\"; root = \"srv\"; } );",
		  "f:1: shares[0].root: \"srv\" is not an absolute path of at most 4095 bytes\n" },
		{ "shares = ( { path = \"pub\"; root = \"/a\"; } );",
		  "f:1: shares[0].path: \"pub\" is not a path such as \"/\" or \"/pub\"\n" },
		{ "shares = ( { path = \"/a/../b\"; root = \"/a\"; } );",
		  "f:1: shares[0].path: \"/a/../b\" is not a path such as \"/\" or \"/pub\"\n" },
		{ "shares = ( { path = \"/.ftd\"; root = \"/a\"; } );",
		  "f:1: shares[0].path: \"/.ftd\" is not a path such as \"/\" or \"/pub\"\n" },
		{ SHARE("anonymous = true;"), "f:1: shares[0].anonymous: true is not " WHERE "\n" },
		{ SHARE("durability = \"\";"),
		  "f:1: shares[0].durability: \"\" is not one of \"full\", \"file\", \"none\"\n" },
		{ SHARE("links = \"follow\";"),
		  "f:1: shares[0].links: \"follow\" is not one of \"deny\", \"inside\"\n" },
		{ "shares = ( { path = \"/\"; root = \"/a\"; },\n { path = \"/\"; root = \"/b\"; } "
		  ");",
		  "f:2: shares: the path \"/\" is taken by the share of line 1\n" },
		{ "shares = ( { path = \"/\\x1b\"; root = \"/a\"; },\n { path = \"/\\x1b\"; root = "
		  "\"/b\"; } );",
		  "f:2: shares: the path \"/\\x1b\" is taken by the share of line 1\n" },
		{ "limits = 5;", "f:1: limits: 5 is not a group { }\n" },
		{ "limits = ( );", "f:1: limits: an empty list is not a group { }\n" },
	};

	(void)state;
	expect_refusals(rows, ARRAY_SIZE(rows));
#undef GROUP
#undef WHERE
}

static void
wrong_rights(void **state)
{
	static const char *const rows[] = { "",          "write",     "read,",
					    ",read",     "read list", "read,,list",
					    "read;list", "Read",      "all" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *text = NULL, *printed = NULL, *wanted = NULL;
		struct config *c = NULL;

		assert_true(
		    asprintf(&text,
			     "shares = ( { path = \"/\"; root = \"/a\"; rights = \"%s\"; } );",
			     rows[i]) > 0);
		assert_true(asprintf(&wanted,
				     "f:1: shares[0].rights: \"%s\" is not \"full\", \"readonly\", "
				     "\"dropbox\", \"none\" or "
				     "some of \"read,list,create,replace,delete,mkdir,rename\"\n",
				     rows[i]) > 0);
		printed = problems_of(text, &c);
		assert_string_equal(printed, wanted);
	}
}

static void
rules(void **state)
{
	auto_free struct config *c =
	    right("shares = ( { path = \"/\"; root = \"/a\"; rules = (\n"
		  "{ users = ( \"alice\", \"bob\" ); path = \"/in/box\"; rights = \"dropbox\"; },\n"
		  "{ users = [ \"*\" ]; rights = \"none\"; },\n"
		  "{ rights = \"readonly,create\"; } ); },\n"
		  "{ path = \"/b\"; root = \"/b\"; rules = ( { rights = \"full\"; } ); },\n"
		  "{ path = \"/c\"; root = \"/c\"; rules = ( ); } );");
	const struct config_rule *r = c->rules;

	(void)state;
	assert_int_equal(c->n_rules, 4);
	assert_int_equal(c->n_rule_users, 3);
	assert_int_equal(c->shares[0].n_rules, 3);
	assert_int_equal(c->shares[0].rights, 0);
	assert_int_equal(r[0].n_users, 2);
	assert_string_equal(c->rule_users[r[0].first_user], "alice");
	assert_string_equal(c->rule_users[r[0].first_user + 1], "bob");
	assert_string_equal(r[0].path, "in/box");
	assert_int_equal(r[0].rights, RIGHT_CREATE);
	assert_int_equal(r[0].line, 2);
	assert_string_equal(c->rule_users[r[1].first_user], "*");
	assert_string_equal(r[1].path, "");
	assert_int_equal(r[1].rights, 0);
	assert_int_equal(r[2].n_users, 0);
	assert_int_equal(r[2].rights, RIGHT_READ | RIGHT_LIST | RIGHT_CREATE);
	assert_int_equal(c->shares[1].first_rule, 3);
	assert_int_equal(c->shares[1].n_rules, 1);
	assert_int_equal(c->shares[2].rights, RIGHT_ALL);
	assert_int_equal(config_share_rights(c, &c->shares[0]),
			 RIGHT_READ | RIGHT_LIST | RIGHT_CREATE);
	assert_int_equal(config_share_rights(c, &c->shares[2]), RIGHT_ALL);
}

#define RULES(rules) "shares = ( { path = \"/\"; root = \"/a\"; rules = (\n" rules " ); } );"

static void
wrong_rules(void **state)
{
	static const struct refusal rows[] = {
		{ RULES("{ users = ( ); rights = \"full\"; }"),
		  "f:2: shares[0].rules[0].users: the list is empty: a rule for nobody; leave it "
		  "out\n" },
		{ RULES("{ users = ( \"Bob\" ); rights = \"full\"; }"),
		  "f:2: shares[0].rules[0].users[0]: \"Bob\" is no user: at most 32 of a-z, 0-9, "
		  "_, "
		  ". and -, or \"*\" for all users\n" },
		{ RULES("{ users = ( \"a\", 5 ); rights = \"full\"; }"),
		  "f:2: shares[0].rules[0].users[1]: 5 is no user: at most 32 of a-z, 0-9, _, . "
		  "and "
		  "-, or \"*\" for all users\n" },
		{ RULES("{ users = \"bob\"; rights = \"full\"; }"),
		  "f:2: shares[0].rules[0].users: \"bob\" is not a list of users such as ( "
		  "\"alice\", \"bob\" ) or ( \"*\" )\n" },
		{ RULES("{ path = \"/a\"; }"), "f:2: shares[0].rules[0]: rights is missing\n" },
		{ RULES("{ path = \"a\"; rights = \"full\"; }"),
		  "f:2: shares[0].rules[0].path: \"a\" is not a path such as \"/\" or \"/pub\"\n" },
		{ RULES("{ path = \"/../a\"; rights = \"full\"; }"),
		  "f:2: shares[0].rules[0].path: \"/../a\" is not a path such as \"/\" or "
		  "\"/pub\"\n" },
		{ RULES("{ user = ( \"a\" ); rights = \"full\"; }"),
		  "f:2: shares[0].rules[0].user: unknown option; did you mean users?\n" },
		{ RULES("\"full\""), "f:2: shares[0].rules[0]: \"full\" is not a group { }\n" },
		{ RULES("{ rights = \"full\"; } );\nrights = (\"full\""),
		  "f:3: shares[0].rights: a list is not \"full\", \"readonly\", \"dropbox\", "
		  "\"none\" or some of \"read,list,create,replace,delete,mkdir,rename\"\n" },
		{ "shares = ( { path = \"/\"; root = \"/a\";\n rights = \"full\";\n"
		  "rules = ( { rights = \"readonly\"; } ); } );",
		  "f:2: shares[0]: rights cannot stand beside rules; make it the last of them: { "
		  "rights = ... }\n" },
		{ "shares = ( { path = \"/\"; root = \"/a\"; links = \"inside\"; rules = (\n"
		  "{ rights = \"readonly\"; path = \"/pub\"; } ); } );",
		  "f:2: shares: a rule with a path needs links = \"deny\": a link would lead "
		  "around "
		  "it\n" },
	};

	(void)state;
	expect_refusals(rows, ARRAY_SIZE(rows));
}

static void
a_rule_that_is_never_reached_is_a_warning(void **state)
{
	static const char *const unreached[] = {
		RULES("{ rights = \"readonly\"; },\n{ users = ( \"a\" ); rights = \"full\"; }"),
		RULES("{ users = ( \"*\" ); path = \"/x\"; rights = \"none\"; },\n{ users = ( "
		      "\"a\" ); path = \"/x/y\"; rights = \"full\"; }"),
		RULES("{ users = ( \"b\", \"a\" ); rights = \"none\"; },\n{ users = ( \"a\" ); "
		      "rights = \"full\"; }"),
	};
	static const char *const reached[] = {
		RULES("{ path = \"/x\"; rights = \"none\"; },\n{ path = \"/xy\"; rights = "
		      "\"full\"; }"),
		RULES("{ users = ( \"*\" ); rights = \"full\"; },\n{ rights = \"readonly\"; }"),
		RULES("{ users = ( \"a\" ); rights = \"none\"; },\n{ users = ( \"a\", \"b\" ); "
		      "rights = \"full\"; }"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(unreached); i++) {
		auto_free struct config *c = NULL;
		auto_free char *printed = problems_of(unreached[i], &c);

		assert_string_equal(printed,
				    "f:3: warning: shares: this rule is never reached: that of "
				    "line 2 decides before it; the first that fits does\n");
	}
	for (size_t i = 0; i < ARRAY_SIZE(reached); i++)
		free(right(reached[i]));
}

/* The pools are of all shares together: one more is an error, whoever has it. */
static void
too_many_rules(void **state)
{
	auto_free char *text = NULL, *printed = NULL;
	struct config *c = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	(void)state;
	(void)fputs("shares = ( { path = \"/\"; root = \"/a\"; rules = ( { path = \"/0\"; rights = "
		    "\"full\"; }",
		    to);
	for (int i = 1; i < CONFIG_RULES_MAX; i++)
		(void)fprintf(to, ", { path = \"/%d\"; rights = \"full\"; }", i);
	(void)fputs(
	    " ); },\n{ path = \"/b\"; root = \"/b\";\nrules = ( { rights = \"full\"; } ); } );",
	    to);
	(void)fclose(to);
	printed = problems_of(text, &c);
	assert_string_equal(printed,
			    "f:3: shares[1].rules: all shares together may have 256 rules\n");
}

/* Options of later versions: the default passes, everything else says what does. */
static void
reserved(void **state)
{
	static const struct {
		const char *before, *value, *other, *after, *name;
	} rows[] = {
		{ "log = { transfers = ", "\"\"", "\"/var/log/x\"", "; };", "log.transfers" },
		{ "hooks = ", "( )", "\"\"", ";", "hooks" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *good = NULL, *bad = NULL, *wanted = NULL, *printed = NULL;
		struct config *c = NULL;

		assert_true(
		    asprintf(&good, "%s%s%s", rows[i].before, rows[i].value, rows[i].after) > 0);
		free(right(good));
		assert_true(asprintf(&bad, "%s%s%s", rows[i].before, rows[i].other, rows[i].after) >
			    0);
		assert_true(
		    asprintf(&wanted, "f:1: %s: %s is not supported by this version (only %s)\n",
			     rows[i].name, rows[i].other[0] == '(' ? "a list" : rows[i].other,
			     rows[i].value) > 0);
		printed = problems_of(bad, &c);
		assert_string_equal(printed, wanted);
	}
}

/* What libconfig cannot read, or would read as something else. */
static void
wrong_texts(void **state)
{
	static const struct refusal rows[] = {
		{ "\n\na = = 1;", "f:3: a value is missing before =\n" },
		{ "True = 1;", "f:1: true and false cannot be names\n" },
		{ "a 1;", "f:1: = is missing before 1\n" },
		{ "a", "f:1: = is missing before the end\n" },
		{ "a =\n", "f:2: a value is missing before the end\n" },
		{ "a = 1;;", "f:1: the name of an option is missing before ;\n" },
		{ "a = 1;\n}", "f:2: the name of an option is missing before }\n" },
		{ "a = {\n b = 1;\n\n",
		  "f:4: } for the bracket of line 1 is missing before the end\n" },
		{ "a = { 5 }", "f:1: the name of an option or } is missing before 5\n" },
		{ "a = (\n 1, 2\n\n",
		  "f:4: ) for the bracket of line 1 is missing before the end\n" },
		{ "a = ( 1 2 );", "f:1: , or ) is missing before 2\n" },
		{ "a = ( 1, );", "f:1: a value is missing before )\n" },
		{ "a = [ ( ) ];", "f:1: a value is missing before (\n" },
		{ "a = [ 1, \"1\" ];",
		  "f:1: the entries of [ ] must be of one type; ( ) takes any\n" },
		{ "a = \x1b[31m;", "f:1: a value is missing before \\x1b\n" },
		{ "limits = { idle_timeout = 30s; };",
		  "f:1: this is no number; texts, sizes and durations stand in quotes\n" },
		{ "a = 1.5.2;",
		  "f:1: this is no number; texts, sizes and durations stand in quotes\n" },
		{ "a = 0x;",
		  "f:1: this is no number; texts, sizes and durations stand in quotes\n" },
		{ "a = +;",
		  "f:1: this is no number; texts, sizes and durations stand in quotes\n" },
		{ "run_as = root;", "f:1: texts stand in quotes\n" },
		{ "plaintext = \"loopback\";\nplaintext = \"loopback\";",
		  "f:2: duplicate setting name\n" },
		{ "\n@include \"/etc/passwd\"",
		  "f:2: @include is not supported: the configuration is one file\n" },
		{ "a =\n@include \"/etc/passwd\"",
		  "f:2: @include is not supported: the configuration is one file\n" },
		{ "\n/* never ends", "f:2: a comment begins here and has no end\n" },
		{ "\nrun_as = \"never ends;\n\n", "f:2: a text begins here and has no end\n" },
		{ "run_as = \"ends in a backslash\\", "f:1: a text begins here and has no end\n" },
		{ "a = 4294968296;", "f:1: the number is too large\n" },
		{ "a = 1000000000L;", "f:1: the number is too large\n" },
		{ "a = 0x10000000;", "f:1: the number is too large\n" },
		{ "run_as = \"root\\x00x\";", "f:1: \\x00 cannot be part of a text\n" },
		{ "a = ((((((((( 1 )))))))));", "f:1: too many brackets within brackets\n" },
	};

	(void)state;
	expect_refusals(rows, ARRAY_SIZE(rows));
}

static void
comment_may_end_the_file(void **state)
{
	(void)state;
	free(right("#"));
	free(right("log = { } // nothing"));
}

static void
scanning_knows_strings_and_comments(void **state)
{
	auto_free struct config *c =
	    right("# \" { @include 12345678901\n"
		  "// ' \" ((((((((((((\n"
		  "/* \" @ */ control = { path = \"/@{[(\\\"//#/*\n@include \\\"x\\\"\"; };\n");

	(void)state;
	assert_string_equal(c->control_path, "/@{[(\"//#/*\n@include \"x\"");
	assert_int_equal(c->line[CONFIG_AT_control_path], 3);
}

static void
cross_checks(void **state)
{
#define OVERLAP(a, b) \
	"f:2: listen: " a " and " b " are the same or one includes the other; leave one out\n"
#define LISTEN(a, b) \
	"listen = ( { address = \"" a "\"; port = 1; },\n { address = \"" b "\"; port = 1; } );"
	static const struct refusal rows[] = {
		{ "\ntls = { certificate = \"/c.pem\"; };",
		  "f:2: tls.certificate: name its key in tls.key, too\n" },
		{ "\ntls = { key = \"/k.pem\"; };",
		  "f:2: tls.key: name its certificate in tls.certificate, too\n" },
		{ "tls = { certificate = \"/p\";\nkey = \"/p\"; };",
		  "f:2: tls.key: the key needs a file of its own, which only the daemon can "
		  "read\n" },
		{ "\ntls = { min_version = \"1.1\"; };",
		  "f:2: tls.min_version: \"1.1\" is not one of \"1.2\", \"1.3\"\n" },
		{ "\ntls = { client_ca = \"ca.pem\"; };",
		  "f:2: tls.client_ca: \"ca.pem\" is not an absolute path of at most 4095 bytes, "
		  "or "
		  "\"\" for none\n" },
		{ LISTEN("::", "0.0.0.0"), OVERLAP("[::]:1", "0.0.0.0:1") },
		{ LISTEN("192.0.2.1", "0.0.0.0"), OVERLAP("192.0.2.1:1", "0.0.0.0:1") },
		{ LISTEN("::1", "0::1"), OVERLAP("[::1]:1", "[::1]:1") },
		{ LISTEN("127.0.0.1", "::ffff:127.0.0.1"), OVERLAP("127.0.0.1:1", "127.0.0.1:1") },
	};

	(void)state;
	expect_refusals(rows, ARRAY_SIZE(rows));
	free(right("plaintext = \"never\";"));
	free(right("tls = { certificate = \"/c.pem\"; key = \"/k.pem\"; };"));
	free(right(LISTEN("0.0.0.0", "::1")));
	free(right("listen = ( { port = 0; }, { port = 0; } );"));
#undef OVERLAP
#undef LISTEN
}

static void
warnings(void **state)
{
	static const struct refusal rows[] = {
		{ "\ntls = { client_certificate = \"optional\"; };",
		  "f:2: warning: tls.client_certificate: nobody is asked for one before "
		  "tls.client_ca names who signs them\n" },
		{ "\nplaintext = \"anywhere\";", "f:2: warning: plaintext: other machines may "
						 "connect, but no share has anonymous = "
						 "\"anywhere\"\n" },
		{ "trusted_proxies = ( \"10.0.0.0/8\",\n\"::/0\" );",
		  "f:2: warning: trusted_proxies: everybody may choose the address that rules and "
		  "limits are about\n" },
		{ "access = { allow = ( ); };",
		  "f:1: warning: access.allow: the list is empty: nobody is served\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free struct config *c = NULL;
		auto_free char *printed = problems_of(rows[i].text, &c);

		assert_string_equal(printed, rows[i].problems);
		assert_non_null(c);
	}
}

static void
all_problems_in_the_order_of_the_file(void **state)
{
	struct config *c = NULL;
	auto_free char *printed = problems_of("shares = (\n { path = \"/\";\n  root = 5; },\n"
					      " { path = \"/\"; root = \"/b\"; } );\n"
					      "tls = { key = \"/k\"; };\n"
					      "sessions = 5;\n"
					      "limits = { logins = 0;\n sessions = 0; };\n",
					      &c);

	(void)state;
	assert_null(c);
	assert_string_equal(printed,
			    "f:3: shares[0].root: 5 is not an absolute path of at most 4095 bytes\n"
			    "f:5: tls.key: name its certificate in tls.certificate, too\n"
			    "f:6: sessions: unknown option; did you mean limits.sessions?\n"
			    "f:7: limits.logins: 0 is not an integer from 1 to 1024\n"
			    "f:8: limits.sessions: 0 is not an integer from 1 to 16384\n");
}

/* A list of n times the entry. */
static char *
list_of(const char *head, const char *entry, unsigned n, const char *tail)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	assert_non_null(to);
	(void)fputs(head, to);
	for (unsigned i = 0; i < n; i++)
		(void)fprintf(to, "%s%s", i > 0 ? ", " : "", entry);
	(void)fputs(tail, to);
	assert_int_equal(fclose(to), 0);
	return text;
}

static void
lists_have_a_maximum(void **state)
{
	static const struct {
		const char *head, *entry, *tail, *name;
		unsigned max;
	} rows[] = {
		{ "access = { allow = ( ", "\"::1\"", " ); };", "access.allow",
		  CONFIG_SUBNETS_MAX },
		{ "access = { deny = ( ", "\"::1\"", " ); };", "access.deny", CONFIG_SUBNETS_MAX },
		{ "status = { allow = ( ", "\"::1\"", " ); };", "status.allow",
		  CONFIG_SUBNETS_MAX },
		{ "listen = ( ", "{ port = 0; }", " );", "listen", CONFIG_LISTENERS_MAX },
		{ "shares = ( ", "{ }", " );", "shares", CONFIG_SHARES_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *full =
		    list_of(rows[i].head, rows[i].entry, rows[i].max, rows[i].tail);
		auto_free char *more =
		    list_of(rows[i].head, rows[i].entry, rows[i].max + 1, rows[i].tail);
		auto_free char *printed = NULL, *wanted = NULL;
		struct config *c = NULL;

		assert_true(asprintf(&wanted, "f:1: %s: %u entries, at most %u are possible\n",
				     rows[i].name, rows[i].max + 1, rows[i].max) > 0);
		printed = problems_of(more, &c);
		assert_string_equal(printed, wanted);
		if (rows[i].entry[1] != ' ' || rows[i].max == CONFIG_LISTENERS_MAX)
			free(right(full));
	}
}

static void
settings_have_a_maximum(void **state)
{
	auto_free char *text = list_of("", "a = 1", 4097, ";");
	struct config *c = NULL;
	auto_free char *printed = problems_of(text, &c);

	(void)state;
	assert_string_equal(printed, "f:1: there are too many settings in this file\n");
}

static void
longest_texts(void **state)
{
	char path[200];
	auto_free struct config *c = NULL;

	(void)state;
	for (size_t len = 107; len <= 108; len++) {
		auto_free char *text = NULL, *printed = NULL;

		memset(path, 'a', len);
		path[0] = '/';
		path[len] = '\0';
		assert_true(asprintf(&text, "control = { path = \"%s\"; };", path) > 0);
		free(c);
		c = NULL;
		printed = problems_of(text, &c);
		assert_int_equal(c != NULL, len == 107);
	}
}

static void
problems_have_a_maximum(void **state)
{
	auto_free char *text = list_of("access = { deny = ( ", "0", 200, " ); };");
	struct config_problems problems = { 0 };
	struct config *c = NULL;

	(void)state;
	for (int i = 0; i < CONFIG_PROBLEMS_MAX; i++)
		config_problem_add(&problems, false, 1, "a warning");
	assert_false(config_problems_fatal(&problems));
	assert_int_equal(config_parse(text, "f", &c, &problems), -EINVAL);
	assert_int_equal(problems.n, CONFIG_PROBLEMS_MAX);
	assert_true(config_problems_fatal(&problems));
	config_problems_done(&problems);
	assert_int_equal(problems.n, 0);
}

static int
load(const char *name, const void *data, size_t len, struct config **ret,
     struct config_problems *problems)
{
	auto_free char *path = NULL;
	auto_close int dir = scratch_make(), fd = -1;
	int r;

	fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	assert_true(asprintf(&path, "%s/%s", scratch_path(), name) > 0);
	r = config_load(path, ret, problems);
	scratch_remove();
	return r;
}

static void
load_file(void **state)
{
	struct config_problems problems = { 0 };
	auto_free struct config *c = NULL;

	(void)state;
	assert_int_equal(load("a.conf", "limits = { sessions = 7; };", 27, &c, &problems), 0);
	assert_int_equal(c->sessions, 7);
	assert_int_equal(c->file[0], '/');
	assert_string_equal(strrchr(c->file, '/'), "/a.conf");
	assert_int_equal(problems.n, 0);
}

static void
load_refuses(void **state)
{
	static char large[CONFIG_FILE_MAX + 1];
	struct config_problems problems = { 0 };
	struct config *c = NULL;

	(void)state;
	memset(large, '\n', sizeof(large));
	assert_int_equal(load("l", large, sizeof(large), &c, &problems), -EFBIG);
	assert_string_equal(problems.list[0].text, "larger than 1048576 bytes");
	config_problems_done(&problems);

	assert_int_equal(load("n", "log = { };\0log", 14, &c, &problems), -EINVAL);
	assert_string_equal(problems.list[0].text, "contains a NUL byte");
	config_problems_done(&problems);

	assert_int_equal(config_load("/nonexistent/ftd.conf", &c, &problems), -ENOENT);
	assert_string_equal(problems.list[0].text, "cannot be read: No such file or directory");
	assert_string_equal(problems.file, "/nonexistent/ftd.conf");
	config_problems_done(&problems);

	assert_int_equal(config_load("/dev/zero", &c, &problems), -EINVAL);
	assert_string_equal(problems.list[0].text, "cannot be read: not a regular file");
	config_problems_done(&problems);
	assert_null(c);
}

static void
share_of(void **state)
{
	static const struct {
		const char *name;
		int share; /* index, -1: none */
		const char *rest;
	} rows[] = {
		{ "", -1, "" },          { "x", -1, "" },
		{ "pub", 0, "" },        { "pub/a/b", 0, "a/b" },
		{ "public", -1, "" },    { "pub/iso", 1, "" },
		{ "pub/iso/a", 1, "a" }, { "pub/isolated", 0, "isolated" },
		{ "pu", -1, "" },
	};
	auto_free struct config *c = right("shares = ( { path = \"/pub\"; root = \"/a\"; }, { path "
					   "= \"/pub/iso\"; root = \"/b\"; } );");
	auto_free struct config *whole = right("");
	const char *rest = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct config_share *s = config_share_of(c, rows[i].name, &rest);

		assert_ptr_equal(s, rows[i].share < 0 ? NULL : &c->shares[rows[i].share]);
		if (s != NULL)
			assert_string_equal(rest, rows[i].rest);
	}
	assert_ptr_equal(config_share_of(whole, "a/b", &rest), &whole->shares[0]);
	assert_string_equal(rest, "a/b");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(values),
		cmocka_unit_test(unknown_keys),
		cmocka_unit_test(wrong_values),
		cmocka_unit_test(wrong_lists),
		cmocka_unit_test(wrong_rights),
		cmocka_unit_test(rules),
		cmocka_unit_test(wrong_rules),
		cmocka_unit_test(a_rule_that_is_never_reached_is_a_warning),
		cmocka_unit_test(too_many_rules),
		cmocka_unit_test(reserved),
		cmocka_unit_test(wrong_texts),
		cmocka_unit_test(comment_may_end_the_file),
		cmocka_unit_test(scanning_knows_strings_and_comments),
		cmocka_unit_test(cross_checks),
		cmocka_unit_test(warnings),
		cmocka_unit_test(all_problems_in_the_order_of_the_file),
		cmocka_unit_test(lists_have_a_maximum),
		cmocka_unit_test(settings_have_a_maximum),
		cmocka_unit_test(longest_texts),
		cmocka_unit_test(problems_have_a_maximum),
		cmocka_unit_test(load_file),
		cmocka_unit_test(load_refuses),
		cmocka_unit_test(share_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
