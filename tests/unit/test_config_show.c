/* The table of options against everything that is written by hand or shown: "config show" and
 * "config diff", ftd.conf.5, the samples. */
#include "daemon/config/option.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>

#include "lib/io.h"
#include "lib/own.h"
#include "tests/unit/unit.h"

static struct config *
parsed(const char *text)
{
	struct config_problems problems = { 0 };
	struct config *c = NULL;
	int r = config_parse(text, "f", &c, &problems);

	config_problems_print(&problems, stderr);
	assert_int_equal(r, 0);
	assert_int_equal(problems.n, 0);
	config_problems_done(&problems);
	return c;
}

static char *
source(const char *name)
{
	const char *top = getenv("FTD_SOURCE");
	char path[PATH_MAX];
	char *text = NULL;
	size_t len;

	(void)snprintf(path, sizeof(path), "%s/%s", top != NULL ? top : ".", name);
	assert_int_equal(io_read_file(AT_FDCWD, path, CONFIG_FILE_MAX, &text, &len), 0);
	return text;
}

static int
compare_default(void *userdata, const char *path, const char *value, enum config_live live)
{
	const struct option *o = option_find(&option_main, path);

	assert_non_null(o);
	assert_string_equal(value, o->fallback);
	assert_int_equal(live, o->live);
	(*(unsigned *)userdata)++;
	return 0;
}

static void
each_shows_defaults_as_the_table_has_them(void **state)
{
	auto_free struct config *c = parsed("");
	unsigned n = 0;

	(void)state;
	assert_int_equal(config_each(c, compare_default, &n), 0);
	assert_int_equal(n, CONFIG_OPTIONS);
}

static int
stop_at_limits(void *userdata, const char *path, const char *value, enum config_live live)
{
	(void)userdata;
	(void)value;
	(void)live;
	return strncmp(path, "limits.", 7) == 0 ? -7 : 0;
}

static void
each_stops(void **state)
{
	auto_free struct config *c = parsed("");

	(void)state;
	assert_int_equal(config_each(c, stop_at_limits, NULL), -7);
}

/* Writes the rows as a file again: "limits.sessions" becomes a group of one. */
static int
write_row(void *userdata, const char *path, const char *value, enum config_live live)
{
	const char *dot = strchr(path, '.');
	FILE *to = ((FILE **)userdata)[dot != NULL];

	(void)live;
	if (dot == NULL)
		(void)fprintf(to, "%s = %s;\n", path, value);
	else
		(void)fprintf(to, "%.*s %s = %s;\n", (int)(dot - path), path, dot + 1, value);
	return 0;
}

static char *
shown(const struct config *c)
{
	char *top = NULL, *grouped = NULL, *whole = NULL;
	size_t len;
	FILE *to[2] = { open_memstream(&top, &len), open_memstream(&grouped, &len) };
	const char *group = "";

	assert_int_equal(config_each(c, write_row, to), 0);
	(void)fclose(to[0]);
	(void)fclose(to[1]);
	to[0] = open_memstream(&whole, &len);
	(void)fputs(top, to[0]);
	for (char *line = grouped; *line != '\0'; line += strcspn(line, "\n") + 1) {
		size_t word = strcspn(line, " ");

		if (strncmp(group, line, word + 1) != 0)
			(void)fprintf(to[0], "%s%.*s = {\n", *group ? "};\n" : "", (int)word, line);
		(void)fprintf(to[0], "%.*s\n", (int)strcspn(line + word, "\n"), line + word);
		group = line;
	}
	(void)fputs("};\n", to[0]);
	(void)fclose(to[0]);
	free(top);
	free(grouped);
	return whole;
}

static int
no_difference(void *userdata, const char *path, const char *before, const char *after,
	      enum config_live live)
{
	(void)userdata;
	(void)live;
	print_error("%s: %s, %s\n", path, before, after);
	return -1;
}

static void
shown_values_read_back_the_same(void **state)
{
	static const char *const texts[] = {
		"",
		"run_as = \"j\xc3\xb6\"; sandbox = \"best-effort\"; plaintext = \"anywhere\";"
		"listen = ( { address = \"192.0.2.1\"; port = 0; }, { address = \"fe80::1%1\"; "
		"port = 65535; } );"
		"status = { address = \"\"; port = 0; allow = ( ); };"
		"control = { path = \"/a \\\"quoted\\\\ \\x01\\x7f\\xff\\n\"; group = \"x\"; };"
		"access = { allow = ( \"192.0.2.7\", \"2001:db8::/33\" ); deny = ( \"0.0.0.0/1\" "
		"); };"
		"limits = { login_timeout = \"1500ms\"; idle_timeout = \"1h1s\"; file_size = "
		"\"1.5G\";"
		" free_space = \"1000000001\"; shutdown_grace = \"0\"; };"
		"log = { target = \"journal\"; level = \"error\"; };"
		"shares = ( { path = \"/a b/\\\"c\\x80\"; root = \"/\xc3\xa9\"; anonymous = "
		"\"anywhere\";"
		" rights = \"readonly\"; durability = \"file\"; links = \"inside\"; },"
		" { path = \"/z\"; root = \"/\"; rights = \"full\"; } );",
		"shares = ( { path = \"/\"; root = \"/a\"; rules = ("
		" { users = ( \"alice\", \"b_.-0\" ); path = \"/in box/\xc3\xa9\"; rights = "
		"\"dropbox\"; },"
		" { users = [ \"*\" ]; path = \"/private\"; rights = \"none\"; },"
		" { rights = \"readonly\"; } ); },"
		" { path = \"/b\"; root = \"/b\"; rules = ( ); },"
		" { path = \"/c\"; root = \"/c\"; rules = ( { rights = \"full\"; } ); } );",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		auto_free struct config *before = parsed(texts[i]), *after = NULL;
		auto_free char *text = shown(before);

		after = parsed(text);
		assert_int_equal(config_diff(before, after, no_difference, NULL), 0);
		assert_memory_equal(&before->access_deny.list, &after->access_deny.list,
				    sizeof(after->access_deny.list));
		assert_string_equal(before->shares[0].path, after->shares[0].path);
		assert_string_equal(before->shares[0].root, after->shares[0].root);
		assert_string_equal(before->control_path, after->control_path);
	}
}

static int
note_difference(void *userdata, const char *path, const char *before, const char *after,
		enum config_live live)
{
	(void)fprintf(userdata, "%s: %s -> %s (%s)\n", path, before, after, option_live_text(live));
	return 0;
}

static void
diff_tells_what_differs(void **state)
{
	auto_free struct config *a = parsed(""), *b = NULL, *same = NULL;
	auto_free char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	(void)state;
	b = parsed("\n\nrun_as = \"root\"; limits = { sessions = 5; file_size = \"1M\"; };"
		   "access = { deny = ( \"10.0.0.0/8\" ); };");
	same = parsed("\nlimits = { sessions = 1024; idle_timeout = \"900s\"; };");
	assert_int_equal(config_diff(a, b, note_difference, to), 0);
	assert_int_equal(config_diff(a, same, note_difference, to), 0);
	assert_int_equal(fclose(to), 0);
	assert_string_equal(text, "run_as: \"ftd\" -> \"root\" (restart)\n"
				  "access.deny: ( ) -> ( \"10.0.0.0/8\" ) (live)\n"
				  "limits.sessions: 1024 -> 5 (live)\n"
				  "limits.file_size: \"unlimited\" -> \"1M\" (new sessions)\n");
}

/* Runs of blanks and line ends become one blank, up to the next line with a macro. */
static void
copy_paragraph(char *to, size_t size, const char *from)
{
	size_t n = 0;

	for (; *from != '\0' && !(from[0] == '\n' && from[1] == '.') && n + 1 < size; from++) {
		if (*from != '\n' && *from != ' ')
			to[n++] = *from;
		else if (n > 0 && to[n - 1] != ' ')
			to[n++] = ' ';
	}
	to[n] = '\0';
}

static void
expect_in_manual(const char *manual, const char *list, const struct option *o)
{
	char item[OPTION_TEXT_MAX], what[OPTION_TEXT_MAX], wanted[1024], paragraph[1024];
	const char *at;

	(void)snprintf(item, sizeof(item), "\n.It Va %s%s\n", list, o->path);
	at = strstr(manual, item);
	if (at == NULL)
		fail_msg("ftd.conf.5 lacks %s%s", list, o->path);
	if (o->type == OPTION_RESERVED)
		(void)snprintf(wanted, sizeof(wanted), "default %s.", o->fallback);
	else
		(void)snprintf(wanted, sizeof(wanted), "%s; %s%s; %s.", option_describe(o, what),
			       o->fallback == NULL      ? "required"
			       : o->fallback[0] == '\0' ? "optional"
							: "default ",
			       o->fallback != NULL ? o->fallback : "", option_live_text(o->live));
	wanted[0] = (char)toupper((unsigned char)wanted[0]);
	copy_paragraph(paragraph, sizeof(paragraph), at + strlen(item));
	paragraph[strlen(wanted)] = '\0';
	assert_string_equal(paragraph, wanted);
}

static void
manual_has_every_option(void **state)
{
	auto_free char *manual = source("daemon/ftd.conf.5");

	(void)state;
	for (size_t i = 0; i < option_main.n; i++)
		expect_in_manual(manual, "", &option_main.rows[i]);
	for (size_t i = 0; i < option_listen.n; i++)
		expect_in_manual(manual, "listen[].", &option_listen.rows[i]);
	for (size_t i = 0; i < option_share.n; i++)
		expect_in_manual(manual, "shares[].", &option_share.rows[i]);
	for (size_t i = 0; i < option_rule.n; i++)
		expect_in_manual(manual, "shares[].rules[].", &option_rule.rows[i]);
}

static void
manual_has_no_other_option(void **state)
{
	auto_free char *manual = source("daemon/ftd.conf.5");
	size_t n = 0;

	(void)state;
	for (const char *at = manual; (at = strstr(at, "\n.It Va ")) != NULL; at++)
		n++;
	assert_int_equal(n, option_main.n + option_listen.n + option_share.n + option_rule.n);
}

static void
expect_in_sample(const char *sample, const char *list, const struct option *o)
{
	const char *dot = strrchr(o->path, '.');
	char wanted[1024];

	if (o->type == OPTION_RESERVED)
		(void)snprintf(wanted, sizeof(wanted), "\n// %s%s = %s;\n", list, o->path,
			       o->fallback);
	else if (o->fallback == NULL || o->fallback[0] == '\0' || o->type == OPTION_LISTENERS ||
		 o->type == OPTION_SHARES)
		(void)snprintf(wanted, sizeof(wanted), "%s = ", o->path);
	else
		(void)snprintf(wanted, sizeof(wanted), "%s = %s;", dot != NULL ? dot + 1 : o->path,
			       o->fallback);
	if (strstr(sample, wanted) == NULL)
		fail_msg("ftd.conf.full lacks: %s", wanted);
	if (o->text == NULL)
		return;
	(void)snprintf(wanted, sizeof(wanted), " // %s\n", o->text);
	if (strstr(sample, wanted) == NULL)
		fail_msg("ftd.conf.full does not say: %s", wanted);
}

static void
full_sample_is_the_defaults(void **state)
{
	auto_free char *sample = source("conf/ftd.conf.full");
	auto_free struct config *full = parsed(sample), *none = parsed("");

	(void)state;
	assert_int_equal(config_diff(none, full, no_difference, NULL), 0);
	for (size_t i = 0; i < CONFIG_OPTIONS; i++)
		if (full->line[i] == 0)
			fail_msg("ftd.conf.full does not set %s", option_main.rows[i].path);
	for (size_t i = 0; i < option_main.n; i++)
		expect_in_sample(sample, "", &option_main.rows[i]);
	for (size_t i = 0; i < option_listen.n; i++)
		expect_in_sample(sample, "listen[].", &option_listen.rows[i]);
	for (size_t i = 0; i < option_share.n; i++)
		expect_in_sample(sample, "shares[].", &option_share.rows[i]);
	for (size_t i = 0; i < option_rule.n; i++)
		expect_in_sample(sample, "shares[].rules[].", &option_rule.rows[i]);
}

static void
installed_sample_is_the_defaults(void **state)
{
	auto_free char *sample = source("conf/ftd.conf");
	auto_free struct config *c = parsed(sample), *none = parsed("");

	(void)state;
	assert_int_equal(config_diff(none, c, no_difference, NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_shows_defaults_as_the_table_has_them),
		cmocka_unit_test(each_stops),
		cmocka_unit_test(shown_values_read_back_the_same),
		cmocka_unit_test(diff_tells_what_differs),
		cmocka_unit_test(manual_has_every_option),
		cmocka_unit_test(manual_has_no_other_option),
		cmocka_unit_test(full_sample_is_the_defaults),
		cmocka_unit_test(installed_sample_is_the_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
