#include "client/known.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/io.h"
#include "lib/own.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#define ONE "sha256:1111111111111111111111111111111111111111111111111111111111111111"
#define TWO "sha256:22222222222222222222222222222222222222222222222222222222222222aB"
#define TWO_LOWER "sha256:22222222222222222222222222222222222222222222222222222222222222ab"
#define WHEN "2026-11-23T10:15:00Z"

static void
servers_have_one_spelling(void **state)
{
	static const struct {
		const char *address, *server;
	} rows[] = {
		{ "ft://NAS.Example.org/x", "nas.example.org:8001" },
		{ "ft://192.0.2.1:7", "192.0.2.1:7" },
		{ "ft://[2001:DB8::1]:65535/", "[2001:db8::1]:65535" },
	};
	char server[KNOWN_SERVER_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *why;
		struct url u;

		assert_int_equal(url_parse(rows[i].address, &u, &why), 0);
		assert_string_equal(known_server(&u, server), rows[i].server);
	}
}

static void
finds_servers(void **state)
{
	static const char text[] =
	    "# mine\n\n  a:1\t" ONE "\r\nb:2 " TWO " " WHEN "\n#b:2 x\n[::1]:3 " ONE;
	char fingerprint[FINGERPRINT_MAX];
	unsigned line;

	(void)state;
	assert_int_equal(known_find(text, strlen(text), "a:1", fingerprint, &line), 0);
	assert_string_equal(fingerprint, ONE);
	assert_int_equal(known_find(text, strlen(text), "b:2", fingerprint, &line), 0);
	assert_string_equal(fingerprint, TWO_LOWER);
	assert_int_equal(known_find(text, strlen(text), "[::1]:3", fingerprint, &line), 0);
	assert_int_equal(known_find(text, strlen(text), "a:11", fingerprint, &line), -ENOENT);
	assert_int_equal(known_find(text, strlen(text), "#b:2", fingerprint, &line), -ENOENT);
	assert_int_equal(known_find("", 0, "a:1", fingerprint, &line), -ENOENT);
}

/* Whatever a line that is not understood may have meant, nobody is known by the rest. */
static void
refuses_the_whole_file(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		unsigned line;
	} rows[] = {
#define ROW(text, line) { text, sizeof(text) - 1, line }
		ROW("nonsense\n", 1),
		ROW("a:1 " ONE "\nb:2\n", 2),
		ROW("a:1 " ONE " " WHEN " more\n", 1),
		ROW("a:1 " ONE "\n# twice\na:1 " TWO "\n", 3),
		ROW("a:1 " ONE "1\n", 1),
		ROW("b:1 sha256:11\n", 1),
		ROW("b:1 SHA256:" ONE, 1),
		ROW("a:1 sha256:g111111111111111111111111111111111111111111111111111111111111111\n",
		    1),
		ROW("a:1 " ONE "\n\0", 2),
		ROW("# \0\na:1 " ONE "\n", 1),
		ROW("a:1\x01 " ONE "\n", 1),
		ROW("a:1\x7f " ONE "\n", 1),
#undef ROW
	};
	char fingerprint[FINGERPRINT_MAX] = "untouched";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *changed = NULL;
		unsigned line = 0;

		if (known_find(rows[i].text, rows[i].len, "a:1", fingerprint, &line) != -EINVAL ||
		    line != rows[i].line)
			fail_msg("row %zu: line %u", i, line);
		assert_int_equal(
		    known_change(rows[i].text, rows[i].len, "a:1", ONE, WHEN, &changed, &line),
		    -EINVAL);
		assert_null(changed);
	}
	assert_string_equal(fingerprint, "untouched");
}

static void
changes_one_line(void **state)
{
	static const struct {
		const char *before, *fingerprint, *after;
	} rows[] = {
		{ "", ONE, "b:2 " ONE " " WHEN "\n" },
		{ "# mine", ONE, "# mine\nb:2 " ONE " " WHEN "\n" },
		{ "a:1 " ONE "\n", ONE, "a:1 " ONE "\nb:2 " ONE " " WHEN "\n" },
		{ "b:2 " TWO " x\n \na:1 " ONE, ONE, "b:2 " ONE " " WHEN "\n \na:1 " ONE },
		{ "a:1 " ONE "\nb:2 " TWO, ONE, "a:1 " ONE "\nb:2 " ONE " " WHEN "\n" },
		{ "a:1 " ONE "\n b:2 " TWO "\n# end", NULL, "a:1 " ONE "\n# end" },
		{ "b:2 " TWO, NULL, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *changed = NULL;
		unsigned line;

		assert_int_equal(known_change(rows[i].before, strlen(rows[i].before), "b:2",
					      rows[i].fingerprint, WHEN, &changed, &line),
				 0);
		assert_string_equal(changed, rows[i].after);
	}
}

static void
has_bounds(void **state)
{
	auto_free char *text = malloc(KNOWN_FILE_MAX);
	char *changed = NULL;
	unsigned line;

	(void)state;
	assert_non_null(text);
	memset(text, '#', KNOWN_FILE_MAX);
	assert_int_equal(known_change(text, KNOWN_FILE_MAX, "a:1", ONE, WHEN, &changed, &line),
			 -EFBIG);
	assert_int_equal(known_change("", 0, "a:1", NULL, WHEN, &changed, &line), -ENOENT);
	assert_null(changed);
}

static void
keeps_a_file(void **state)
{
	auto_close int dir = scratch_make();
	char fingerprint[FINGERPRINT_MAX];
	struct stat st;
	unsigned line;

	(void)state;
	assert_true(dir >= 0);
	assert_int_equal(setenv("XDG_CONFIG_HOME", scratch_path(), 1), 0);
	assert_int_equal(known_look_up("a:1", fingerprint, &line), -ENOENT);
	assert_int_equal(known_remember("a:1", NULL, &line), -ENOENT);
	assert_int_equal(known_remember("a:1", ONE, &line), 0);
	assert_int_equal(known_remember("b:2", TWO_LOWER, &line), 0);
	assert_int_equal(known_look_up("a:1", fingerprint, &line), 0);
	assert_string_equal(fingerprint, ONE);
	assert_int_equal(known_remember("a:1", TWO_LOWER, &line), 0);
	assert_int_equal(known_look_up("a:1", fingerprint, &line), 0);
	assert_string_equal(fingerprint, TWO_LOWER);
	assert_int_equal(fstatat(dir, "ft/known_servers", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(known_remember("a:1", NULL, &line), 0);
	assert_int_equal(known_look_up("a:1", fingerprint, &line), -ENOENT);
	assert_int_equal(known_look_up("b:2", fingerprint, &line), 0);
	scratch_remove();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(servers_have_one_spelling),
		cmocka_unit_test(finds_servers),
		cmocka_unit_test(refuses_the_whole_file),
		cmocka_unit_test(changes_one_line),
		cmocka_unit_test(has_bounds),
		cmocka_unit_test(keeps_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
