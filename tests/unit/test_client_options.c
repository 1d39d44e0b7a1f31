#include "client/options.h"

#include <errno.h>
#include <string.h>

#include "lib/num.h"
#include "lib/own.h"
#include "tests/unit/unit.h"

enum { WORDS_MAX = 8 };
static const uint64_t all = UINT64_MAX & ~OPTION_BIT(below);

/* Parses words (ended by NULL) behind a command's name. */
static int
parse(const char *const *words, uint64_t allowed, struct options *ret, char *why, char **argv)
{
	static char storage[WORDS_MAX][64];
	int argc = 0;

	argv[argc++] = (char *)(uintptr_t) "put";
	for (; *words != NULL; words++, argc++) {
		(void)strncpy(storage[argc], *words, sizeof(storage[0]) - 1);
		argv[argc] = storage[argc];
	}
	argv[argc] = NULL;
	return options_parse(argc, argv, allowed, ret, why);
}

static void
reads_both_spellings_anywhere(void **state)
{
	static const char *const words[] = { "a", "-rq", "--limit", "2M", "b", "--if-exists=skip",
					     NULL };
	char why[OPTIONS_WHY_MAX], *argv[WORDS_MAX + 1];
	struct options o;
	int first;

	(void)state;
	first = parse(words, all, &o, why, argv);
	assert_int_equal(first, 5);
	assert_string_equal(argv[5], "a");
	assert_string_equal(argv[6], "b");
	assert_true(options_has(&o, OPTION_BIT(recursive)));
	assert_true(options_has(&o, OPTION_BIT(quiet)));
	assert_false(options_has(&o, OPTION_BIT(json)));
	assert_int_equal(o.limit, 2 << 20);
	assert_int_equal(o.if_exists, IF_EXISTS_SKIP);
	assert_string_equal(options_if_exists(&o), "fail");
}

static void
has_defaults(void **state)
{
	static const char *const words[] = { NULL };
	char why[OPTIONS_WHY_MAX], *argv[WORDS_MAX + 1];
	struct options o;

	(void)state;
	assert_int_equal(parse(words, all, &o, why, argv), 1);
	assert_int_equal(o.given, 0);
	assert_true(o.limit == NUM_UNLIMITED);
	assert_int_equal(o.digest, DIGEST_XXH3);
	assert_null(options_if_exists(&o));
}

static void
says_what_is_wrong(void **state)
{
	static const struct {
		const char *word, *value, *says;
	} rows[] = {
		{ "--recursiv3", NULL, "did you mean --recursive?" },
		{ "-Z", NULL, "unknown option -Z" },
		{ "--limit", NULL, "--limit needs a value" },
		{ "--limit", "fast", "\"fast\"" },
		{ "--limit", "0", "\"0\"" },
		{ "--digest", "blocks", "xxh3 (default) or sha256" },
		{ "--digest", "md5", "\"md5\"" },
		{ "--if-exists", "maybe", "replace, fail, keep-both or skip" },
		{ "--retry-for", "30", "\"30\"" },
		{ "--timeout", "0", "\"0\"" },
		{ "--pin", "sha256:12", "\"sha256:12\"" },
		{ "--plain", "--tls", "--plain means no TLS" },
		{ "--plain", "--ca=x", "--plain means no TLS" },
		{ "--key", "x", "--cert is missing" },
		{ "--timeout", "\033[2J", "\"\\x1b[2J\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *const words[] = { rows[i].word, rows[i].value, NULL };
		char why[OPTIONS_WHY_MAX] = "", *argv[WORDS_MAX + 1];
		struct options o;

		assert_int_equal(parse(words, all, &o, why, argv), -EINVAL);
		if (strstr(why, rows[i].says) == NULL)
			fail_msg("%s: %s", rows[i].word, why);
	}
}

static void
takes_only_what_the_command_has(void **state)
{
	static const char *const words[] = { "-r", NULL };
	char why[OPTIONS_WHY_MAX], *argv[WORDS_MAX + 1];
	struct options o;

	(void)state;
	assert_int_equal(parse(words, OPTION_BIT(json), &o, why, argv), -EINVAL);
	assert_int_equal(parse(words, OPTION_BIT(recursive), &o, why, argv), 2);
}

static void
excludes_before_it_includes(void **state)
{
	static const char *const words[] = { "--include", "*.c",   "--exclude", "old",
					     "--exclude", "a/b.c", NULL };
	char why[OPTIONS_WHY_MAX], *argv[WORDS_MAX + 1];
	struct options o;

	(void)state;
	assert_true(parse(words, all, &o, why, argv) > 0);
	assert_true(options_wants(&o, "x.c", false));
	assert_true(options_wants(&o, "deep/below/x.c", false));
	assert_false(options_wants(&o, "x.h", false));
	assert_false(options_wants(&o, "a/b.c", false));
	assert_true(options_wants(&o, "c/b.c", false));
	assert_true(options_wants(&o, "dir", true));
	assert_false(options_wants(&o, "dir/old", true));
}

static void
leaves_out_what_is_below_something_excluded(void **state)
{
	static const char *const words[] = { "--exclude", "old", NULL };
	char why[OPTIONS_WHY_MAX], *argv[WORDS_MAX + 1];
	char below[] = "dir/old/deep/file", beside[] = "dir/older/file";
	struct options o;

	(void)state;
	assert_true(parse(words, all, &o, why, argv) > 0);
	assert_false(options_wants_below(&o, below, false));
	assert_true(options_wants(&o, below, false));
	assert_true(options_wants_below(&o, beside, false));
	assert_string_equal(below, "dir/old/deep/file");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_both_spellings_anywhere),
		cmocka_unit_test(has_defaults),
		cmocka_unit_test(says_what_is_wrong),
		cmocka_unit_test(takes_only_what_the_command_has),
		cmocka_unit_test(excludes_before_it_includes),
		cmocka_unit_test(leaves_out_what_is_below_something_excluded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
