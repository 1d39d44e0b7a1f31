/* ft help, version and complete-words: all from the tables. */
#include <stdio.h>
#include <string.h>

#include "client/command.h"
#include "lib/own.h"

static void
show_option(const struct option_row *row)
{
	char left[64];

	(void)snprintf(left, sizeof(left), "%c%c%s --%s%s%s", row->letter != 0 ? '-' : ' ',
		       row->letter != 0 ? row->letter : ' ', row->letter != 0 ? "," : " ",
		       row->word, row->argument != NULL ? " " : "",
		       row->argument != NULL ? row->argument : "");
	(void)printf("  %-26s %s\n", left, row->help);
}

static void
show_command(const struct command *command)
{
	(void)printf("usage: ft %s [OPTION...] %s\n%s\n\n", command->name, command->operands,
		     command->help);
	for (unsigned i = 0; i < OPTION_COUNT; i++)
		if (command->options & UINT64_C(1) << i)
			show_option(&option_rows[i]);
}

int
command_help(struct client *c, int argc, char **argv)
{
	const struct command *command;

	if (argc > 0) {
		command = command_find(argv[0]);
		if (command == NULL || command->operands == NULL)
			return command_usage(c, "there is no command %s", argv[0]);
		show_command(command);
		return 0;
	}
	(void)puts("usage: ft COMMAND [OPTION...] [OPERAND...]\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (commands[i].operands != NULL)
			(void)printf("  %-8s %-14s %s\n", commands[i].name, commands[i].operands,
				     commands[i].help);
	(void)puts("\nAddresses: ft://[user@]host[:port]/path, or name:/path for a host of "
		   "~/.config/ft/config.\n\"ft help COMMAND\" tells the options.");
	return 0;
}

int
command_version(struct client *c, int argc, char **argv)
{
	(void)c;
	(void)argc;
	(void)argv;
	(void)puts("ft " PACKAGE_VERSION);
	return 0;
}

static void
offer(const char *prefix, const char *dashes, const char *word)
{
	char full[64];

	(void)snprintf(full, sizeof(full), "%s%s", dashes, word);
	if (strncmp(full, prefix, strlen(prefix)) == 0)
		(void)puts(full);
}

/* argv: the words behind "ft", the last one unfinished. Prints what it may become, one a line. */
int
command_complete(struct client *c, int argc, char **argv)
{
	const struct command *command;

	(void)c;
	if (argc <= 1 || strcmp(argv[0], "help") == 0) {
		for (size_t i = 0; i < COMMAND_COUNT; i++)
			if (commands[i].operands != NULL)
				offer(argc > 0 ? argv[argc - 1] : "", "", commands[i].name);
		return 0;
	}
	command = command_find(argv[0]);
	if (command == NULL || argv[argc - 1][0] != '-')
		return 0;
	for (unsigned i = 0; i < OPTION_COUNT; i++)
		if (command->options & UINT64_C(1) << i)
			offer(argv[argc - 1], "--", option_rows[i].word);
	return 0;
}
