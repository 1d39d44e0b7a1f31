#include "ctl/command.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/own.h"
#include "tests/unit/unit.h"

enum { WORDS_MAX = 8 };

/* The wire name of what the words (parted by spaces) say; "" for nothing. */
static const char *
found(const char *line, bool prefixes, size_t *ret_used)
{
	auto_free char *copy = strdup(line);
	char *words[WORDS_MAX], *save = NULL;
	const struct command *c;
	size_t n = 0;

	for (char *w = strtok_r(copy, " ", &save); w != NULL && n < WORDS_MAX;
	     w = strtok_r(NULL, " ", &save))
		words[n++] = w;
	*ret_used = 0;
	c = command_find(words, n, prefixes, ret_used);
	return c == NULL ? "" : c->name;
}

static void
test_words(void **state)
{
	size_t used;

	(void)state;
	assert_string_equal(found("status", false, &used), "status");
	assert_int_equal(used, 1);
	assert_string_equal(found("config check x.conf", false, &used), "config-check");
	assert_int_equal(used, 2);
	assert_string_equal(found("config", false, &used), "");
	assert_string_equal(found("config-check", false, &used), "");
	assert_string_equal(found("stat", false, &used), "");
	assert_string_equal(found("statusx", true, &used), "");
}

static void
test_short_words_for_fingers(void **state)
{
	size_t used;

	(void)state;
	assert_string_equal(found("stat", true, &used), "status");
	assert_string_equal(found("list-s", true, &used), "list-sessions");
	assert_string_equal(found("list", true, &used), "");
	assert_string_equal(found("con s limits", true, &used), "config-show");
	assert_int_equal(used, 2);
	assert_string_equal(found("con", true, &used), "");
}

static const struct command *
named(const char *name)
{
	for (size_t i = 0; i < commands_n; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	fail_msg("no command %s", name);
	return NULL;
}

/* Every option that is not global is taken by a command, and no command names one that there is
 * not. */
static void
test_options_of_commands(void **state)
{
	bool taken[OPTIONS] = { false };
	size_t named_n = 0, taken_n = 0;

	(void)state;
	assert_true(command_takes(named("kick"), OPTION_FROM));
	assert_true(command_takes(named("kick"), OPTION_JSON));
	assert_false(command_takes(named("status"), OPTION_FROM));
	assert_true(command_takes(named("status"), OPTION_WATCH));
	assert_false(command_takes(named("kick"), OPTION_WATCH));
	for (size_t i = 0; i < commands_n; i++) {
		struct command_token at = { 0 };

		while (command_next_token(&commands[i], &at))
			named_n += at.text[0] == '-';
		for (int k = 0; k < OPTIONS; k++)
			if (option_rows[k].kind != OPTION_GLOBAL &&
			    command_takes(&commands[i], (enum option_id)k)) {
				taken[k] = true;
				taken_n++;
			}
	}
	assert_int_equal(named_n, taken_n);
	for (int k = 0; k < OPTIONS; k++)
		assert_true(taken[k] || option_rows[k].kind == OPTION_GLOBAL);
}

static void
test_tokens(void **state)
{
	static const char *const expected[] = { "ready", "idle", "drained", "--no-wait" };
	struct command_token at = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		assert_true(command_next_token(named("wait"), &at));
		assert_int_equal(at.len, strlen(expected[i]));
		assert_memory_equal(at.text, expected[i], at.len);
	}
	assert_false(command_next_token(named("wait"), &at));
	at = (struct command_token){ 0 };
	assert_false(command_next_token(named("metrics"), &at));
}

static void
test_options_anywhere(void **state)
{
	char *argv[] = { (char[]){ "ftctl" }, (char[]){ "kick" },      (char[]){ "--from=::/0" },
			 (char[]){ "-j" },    (char[]){ "--timeout" }, (char[]){ "1m30s" },
			 (char[]){ "s1" },    (char[]){ "--watch" },   NULL };
	struct options o;
	uint64_t usec;

	(void)state;
	assert_int_equal(options_parse((int)ARRAY_SIZE(argv) - 1, argv, false, &o), 0);
	assert_int_equal(o.n_words, 2);
	assert_string_equal(o.words[0], "kick");
	assert_string_equal(o.words[1], "s1");
	assert_string_equal(o.value[OPTION_FROM], "::/0");
	assert_string_equal(o.value[OPTION_JSON], "");
	assert_string_equal(o.value[OPTION_WATCH], "");
	assert_null(o.value[OPTION_CHECK]);
	assert_int_equal(options_seconds(&o, OPTION_TIMEOUT, 0, &usec), 0);
	assert_int_equal(usec, 90 * USEC_PER_SEC);
	assert_int_equal(options_seconds(&o, OPTION_WATCH, 7, &usec), 0);
	assert_int_equal(usec, 7);
}

static void
test_wrong_options(void **state)
{
	char *argv[] = { (char[]){ "ftctl" }, (char[]){ "status" }, (char[]){ "--nonsense" },
			 NULL };
	struct options o;
	uint64_t usec;

	(void)state;
	assert_true(options_parse(3, argv, false, &o) < 0);
	assert_int_equal(options_parse(3, argv, true, &o), 0);
	assert_int_equal(o.n_words, 1);
	o.value[OPTION_TIMEOUT] = "-5";
	assert_true(options_seconds(&o, OPTION_TIMEOUT, 0, &usec) < 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_short_words_for_fingers),
		cmocka_unit_test(test_options_of_commands),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_options_anywhere),
		cmocka_unit_test(test_wrong_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
