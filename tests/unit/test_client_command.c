#include "client/command.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/io.h"
#include "lib/own.h"
#include "tests/unit/unit.h"

enum { PAGE_MAX = 1 << 20 };

/* The text of ft(1), from the source directory. */
static int
read_page(void **state)
{
	const char *source = getenv("srcdir");
	auto_close int dir = -1;
	char *text;
	size_t len;

	dir = openat(AT_FDCWD, source != NULL ? source : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || io_read_file(dir, "client/ft.1", PAGE_MAX, &text, &len) < 0)
		return -1;
	*state = text;
	return 0;
}

static int
free_page(void **state)
{
	free(*state);
	return 0;
}

/* Whether the page has a list item that begins with macro and word. */
static bool
has_item(const char *page, const char *macro, const char *word)
{
	char item[64];
	const char *at = page;
	size_t len;

	(void)snprintf(item, sizeof(item), "%s %s", macro, word);
	len = strlen(item);
	while ((at = strstr(at, item)) != NULL) {
		if (at[len] == ' ' || at[len] == '\n')
			return true;
		at += len;
	}
	return false;
}

static void
the_manual_has_every_command(void **state)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (commands[i].operands != NULL && !has_item(*state, ".It Ic", commands[i].name))
			fail_msg("ft(1) lacks the command %s", commands[i].name);
}

static void
the_manual_has_every_option(void **state)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_rows[i];
		char letter[] = { row->letter, ' ', ',', '\0' }, both[64];

		(void)snprintf(both, sizeof(both), row->letter != 0 ? "%s Fl -%s" : "%s-%s",
			       row->letter != 0 ? letter : "", row->word);
		if (!has_item(*state, ".It Fl", both))
			fail_msg("ft(1) lacks the option --%s", row->word);
	}
}

static void
finds_commands_by_their_whole_name(void **state)
{
	(void)state;
	assert_ptr_equal(command_find("put"), &commands[COMMAND_put]);
	assert_null(command_find("pu"));
	assert_null(command_find("puts"));
	assert_null(command_find(""));
}

static void
every_command_can_be_asked_for_help(void **state)
{
	(void)state;
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (commands[i].operands != NULL)
			assert_true((commands[i].options & OPTION_BIT(help)) != 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_manual_has_every_command, read_page, free_page),
		cmocka_unit_test_setup_teardown(the_manual_has_every_option, read_page, free_page),
		cmocka_unit_test(finds_commands_by_their_whole_name),
		cmocka_unit_test(every_command_can_be_asked_for_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
