#include "lib/users.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/io.h"
#include "lib/own.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#define HASH "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7"
#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY2 "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static int
read_one(const char *text, struct user *ret, char *why)
{
	struct users_reader r = { .at = text, .end = text + strlen(text) };

	return users_next(&r, ret, why);
}

static void
one_user(void **state)
{
	struct user u;
	char why[USERS_WHY_MAX];

	(void)state;
	assert_int_equal(read_one("alice:" HASH ":certificate,key=" KEY
				  "/laptop@home,account=alice_s,key=" KEY2 "\n",
				  &u, why),
			 1);
	assert_string_equal(u.name, "alice");
	assert_string_equal(u.hash, HASH);
	assert_true(u.certificate);
	assert_false(u.disabled);
	assert_string_equal(u.account, "alice_s");
	assert_int_equal(u.n_keys, 2);
	assert_string_equal(u.keys[0].label, "laptop@home");
	assert_int_equal(u.keys[0].bytes[31], 0x1f);
	assert_string_equal(u.keys[1].label, "");
	assert_int_equal(u.keys[1].bytes[0], 0xff);
	assert_int_equal(u.line, 1);
}

static void
kinds_of_password(void **state)
{
	struct user u;
	char why[USERS_WHY_MAX];

	(void)state;
	assert_int_equal(read_one("bob:*", &u, why), 1); /* no end of line at the end of the file */
	assert_string_equal(u.hash, "");
	assert_int_equal(read_one("bob:pam:disabled", &u, why), 1);
	assert_string_equal(u.hash, USER_PAM);
	assert_true(u.disabled);
}

static void
comments_and_numbers(void **state)
{
	static const char text[] = "# who\n\nalice:*\n#bob:*\nbob:*\n";
	struct users_reader r = { .at = text, .end = text + strlen(text) };
	struct user u;
	char why[USERS_WHY_MAX];

	(void)state;
	assert_int_equal(users_next(&r, &u, why), 1);
	assert_int_equal(u.line, 3);
	assert_ptr_equal(r.begin, text + 7);
	assert_int_equal(users_next(&r, &u, why), 1);
	assert_string_equal(u.name, "bob");
	assert_int_equal(r.line, 5);
	assert_int_equal(users_next(&r, &u, why), 0);
	assert_int_equal(users_next(&r, &u, why), 0);
}

static void
refused_lines(void **state)
{
	static const struct {
		const char *line, *says;
	} rows[] = {
		{ "alice", "name:password" },
		{ ":*", "no user name" },
		{ "Alice:*", "no user name" },
		{ ".alice:*", "no user name" },
		{ "-a:*", "no user name" },
		{ " alice:*", "no user name" },
		{ "al\x1b[1mice:*", "al\\x1b[1mice" },
		{ "a12345678901234567890123456789012:*", "no user name" },
		{ "alice:", "neither a hash" },
		{ "alice:secret", "neither a hash" },
		{ "alice:!$y$x", "neither a hash" },
		{ "alice:$y$a b", "neither a hash" },
		{ "alice:*:", "unknown option" },
		{ "alice:*:disabled,", "unknown option" },
		{ "alice:*:disable", "is \"disabled\" meant?" },
		{ "alice:*:disabled,disabled", "twice" },
		{ "alice:*:disabled=yes", "takes no value" },
		{ "alice:*:key", "needs a value" },
		{ "alice:*:Certificate", "is \"certificate\" meant?" },
		{ "alice:*:zebra", "there are disabled, key=" },
		{ "alice:*\r", "neither a hash" },
		{ "alice:*:key=00", "64 hex digits" },
		{ "alice:*:key=" KEY "00", "64 hex digits" },
		{ "alice:*:key=" KEY ",key=" KEY "/b", "twice" },
		{ "alice:*:key=" KEY "/", "no label" },
		{ "alice:*:key=" KEY "/a b", "no label" },
		{ "alice:*:key=" KEY "/a,key=" KEY2 "/a", "two keys" },
		{ "alice:*:account=", "system user" },
		{ "alice:*:account=-x", "system user" },
		{ "alice:*:account=a,account=b", "twice" },
		{ "alice:*:disabled:certificate", "unknown option" },
	};
	struct user u;
	char why[USERS_WHY_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(read_one(rows[i].line, &u, why), -EINVAL);
		if (strstr(why, rows[i].says) == NULL)
			fail_msg("%s: \"%s\" instead of \"%s\"", rows[i].line, why, rows[i].says);
		assert_null(strstr(why, "secret"));
	}
}

/* A line of len bytes with its end. */
static int
read_long(size_t len)
{
	char text[USERS_LINE_MAX + 2], why[USERS_WHY_MAX];
	struct users_reader r = { .at = text, .end = text + len };
	struct user u;

	memset(text, '#', len - 1);
	text[len - 1] = '\n';
	return users_next(&r, &u, why);
}

static void
longest_line(void **state)
{
	(void)state;
	assert_int_equal(read_long(USERS_LINE_MAX), 0);
	assert_int_equal(read_long(USERS_LINE_MAX + 1), -EINVAL);
}

/* The largest user there is, written and read. */
static void
largest_user(void **state)
{
	struct user u = {
		.disabled = true, .certificate = true, .n_keys = USER_KEYS_MAX, .line = 1
	};
	struct user again;
	char line[USERS_LINE_MAX], why[USERS_WHY_MAX];
	int n;

	(void)state;
	memset(u.name, 'a', USER_NAME_MAX);
	memset(u.hash, '$', USER_HASH_MAX);
	memset(u.account, 'b', USER_ACCOUNT_MAX);
	for (unsigned i = 0; i < USER_KEYS_MAX; i++) {
		memset(u.keys[i].bytes, (int)i, USER_KEY_SIZE);
		memset(u.keys[i].label, 'a' + (int)i, USER_LABEL_MAX);
	}
	n = users_format(&u, line);
	assert_int_equal(strlen(line), n);
	assert_int_equal(read_one(line, &again, why), 1);
	assert_memory_equal(&u, &again, sizeof(u));

	memcpy(line + strlen(line), ",key=" KEY, sizeof(",key=" KEY)); /* and one key more */
	assert_int_equal(read_one(line, &again, why), -EINVAL);
	assert_non_null(strstr(why, "more than 16 keys"));
}

static void
plainest_user(void **state)
{
	struct user u = { .name = "bob" };
	char line[USERS_LINE_MAX];

	(void)state;
	assert_int_equal(users_format(&u, line), 5);
	assert_string_equal(line, "bob:*");
}

static int
check(const char *text, int *ret_line, char *why)
{
	return users_check(text, strlen(text), ret_line, why);
}

static void
no_name_twice(void **state)
{
	char why[USERS_WHY_MAX];
	int line = 0;

	(void)state;
	assert_int_equal(check("", &line, why), 0);
	assert_int_equal(check("b:*\na:*\nab:*\naa:*\n", &line, why), 0);
	assert_int_equal(line, 0);
	assert_int_equal(check("b:*\na:*\n# x\nb:*\na:*\na:*\n", &line, why), -EINVAL);
	assert_int_equal(line, 4); /* the first one that is wrong */
	assert_string_equal(why, "b is in the file twice");
	assert_int_equal(check("b:*\nx\nb:*\n", &line, why), -EINVAL);
	assert_int_equal(line, 2);
}

static void
names_and_labels(void **state)
{
	(void)state;
	assert_true(users_name_is_valid("_a.b-c9", 7));
	assert_true(users_name_is_valid("9", 1));
	assert_false(users_name_is_valid("", 0));
	assert_false(users_name_is_valid("a\0", 2));
	assert_false(users_name_is_valid("a/b", 3));
	assert_false(users_name_is_valid("anonymous", 9));
	assert_true(users_name_is_valid("anonymous1", 10));
	assert_true(users_label_is_valid("Alice@home", 10));
	assert_false(users_label_is_valid("a/b", 3));
	assert_false(users_label_is_valid("", 0));
	assert_true(users_account_is_valid("www-data", 8));
	assert_false(users_account_is_valid("a,disabled", 10));
}

/* ---- the file ---- */

static int dir = -1;
static char path[256];

static int
setup(void **state)
{
	(void)state;
	dir = scratch_make();
	(void)snprintf(path, sizeof(path), "%s/users", scratch_path());
	return io_replace_file(dir, "users", "alice:*\n", 8, 0640);
}

static int
teardown(void **state)
{
	(void)state;
	close_fd(&dir);
	scratch_remove();
	return 0;
}

static int
read_file(char *why)
{
	auto_free char *text = NULL;
	size_t len;
	int r = users_read(path, &text, &len, why);

	if (r == 0)
		assert_string_equal(text, "alice:*\n");
	return r;
}

static void
read_only_what_nobody_else_writes(void **state)
{
	char why[USERS_WHY_MAX];

	(void)state;
	assert_int_equal(read_file(why), 0);
	assert_int_equal(fchmodat(dir, "users", 0660, 0), 0);
	assert_int_equal(read_file(why), -EPERM);
	assert_non_null(strstr(why, "may write"));
	assert_int_equal(fchmodat(dir, "users", 0602, 0), 0);
	assert_int_equal(read_file(why), -EPERM);
	assert_int_equal(fchmodat(dir, "users", 0644, 0), 0);
	assert_int_equal(read_file(why), 0);
	if (geteuid() == 0) {
		assert_int_equal(fchownat(dir, "users", 12345, 0, 0), 0);
		assert_int_equal(read_file(why), -EPERM);
		assert_non_null(strstr(why, "belongs"));
	}
}

static void
read_only_files(void **state)
{
	char why[USERS_WHY_MAX];

	(void)state;
	assert_int_equal(unlinkat(dir, "users", 0), 0);
	assert_int_equal(read_file(why), -ENOENT);
	assert_int_equal(mkfifoat(dir, "users", 0600), 0);
	assert_int_equal(read_file(why), -EINVAL);
	assert_string_equal(why, "not a regular file");
}

static void
read_only_so_much(void **state)
{
	auto_close int fd = openat(dir, "users", O_WRONLY);
	char why[USERS_WHY_MAX];

	(void)state;
	assert_int_equal(ftruncate(fd, USERS_FILE_MAX + 1), 0);
	assert_int_equal(read_file(why), -EFBIG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_user),
		cmocka_unit_test(kinds_of_password),
		cmocka_unit_test(comments_and_numbers),
		cmocka_unit_test(refused_lines),
		cmocka_unit_test(longest_line),
		cmocka_unit_test(largest_user),
		cmocka_unit_test(plainest_user),
		cmocka_unit_test(no_name_twice),
		cmocka_unit_test(names_and_labels),
		cmocka_unit_test_setup_teardown(read_only_what_nobody_else_writes, setup, teardown),
		cmocka_unit_test_setup_teardown(read_only_files, setup, teardown),
		cmocka_unit_test_setup_teardown(read_only_so_much, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
