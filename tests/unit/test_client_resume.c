#include "client/resume.h"

#include <string.h>

#include "tests/unit/unit.h"

static void
quotes_what_a_shell_would_change(void **state)
{
	static const struct {
		const char *word, *quoted;
	} rows[] = {
		{ "plain.tar", "plain.tar" },
		{ "ft://[::1]:8001/a%20b", "ft://[::1]:8001/a%20b" },
		{ "two words", "'two words'" },
		{ "", "''" },
		{ "it's", "'it'\\''s'" },
		{ "$HOME;x", "'$HOME;x'" },
		{ "~", "'~'" },
	};
	char quoted[64];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(resume_quote(quoted, sizeof(quoted), rows[i].word),
				    rows[i].quoted);
}

static void
stays_within_its_room(void **state)
{
	char quoted[24], word[200];

	(void)state;
	memset(word, '\'', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	for (size_t size = 1; size <= sizeof(quoted); size++) {
		memset(quoted, 'x', sizeof(quoted));
		(void)resume_quote(quoted, size, word);
		assert_in_range(strnlen(quoted, size), 0, size - 1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quotes_what_a_shell_would_change),
		cmocka_unit_test(stays_within_its_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
