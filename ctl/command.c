#include "ctl/command.h"

#include <ctype.h>
#include <string.h>

#include "lib/own.h"
#include "lib/text.h"

const struct command commands[] = {
#define COMMAND(name, words, stem, role, changes, arguments, help) \
	{ name, words, #role, arguments, help, changes, &verb_##stem },
#include "lib/control.def"
#include "ctl/local.def"
#undef COMMAND
};
const size_t commands_n = ARRAY_SIZE(commands);

static const char *const all_words[] = {
#define COMMAND(name, words, stem, role, changes, arguments, help) words,
#include "lib/control.def"
#include "ctl/local.def"
#undef COMMAND
};

/* ---- finding ---- */

enum match { MATCH_NOT, MATCH_SHORT, MATCH_PREFIX, MATCH_EXACT };

static size_t
count_words(const char *words)
{
	size_t n = 1;

	for (; *words != '\0'; words++)
		n += *words == ' ';
	return n;
}

/* SHORT: right as far as it goes, but more words are needed. */
static enum match
match(const struct command *c, char *const *words, size_t n)
{
	enum match m = MATCH_EXACT;
	const char *at = c->words;

	for (size_t i = 0; i < count_words(c->words); i++) {
		size_t len = strcspn(at, " "), given;

		if (i == n)
			return MATCH_SHORT;
		given = strlen(words[i]);
		if (given == 0 || given > len || strncmp(at, words[i], given) != 0)
			return MATCH_NOT;
		if (given < len)
			m = MATCH_PREFIX;
		at += len + (at[len] == ' ');
	}
	return m;
}

/* Lists the commands that match at least so well. */
static void
say_choice(const char *begin, char *const *words, size_t n, enum match least)
{
	const char *comma = begin;

	(void)fputs("ftctl: ", stderr);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (match(&commands[i], words, n) >= least) {
			(void)fprintf(stderr, "%s%s", comma, commands[i].words);
			comma = ", ";
		}
	(void)fputc('\n', stderr);
}

static void
say_unknown(const char *word)
{
	const char *nearest = text_nearest(word, all_words, ARRAY_SIZE(all_words));
	char shown[64];

	(void)fprintf(stderr, "ftctl: there is no command %s",
		      text_escape(shown, sizeof(shown), word, strlen(word)));
	if (nearest != NULL)
		(void)fprintf(stderr, "; did you mean %s?", nearest);
	(void)fputs(" (ftctl help lists them)\n", stderr);
}

const struct command *
command_find(char *const *words, size_t n, bool prefixes, size_t *ret_used)
{
	const struct command *found = NULL;
	unsigned counts[MATCH_EXACT + 1] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		enum match m = match(&commands[i], words, n);

		counts[m]++;
		if (m == MATCH_EXACT || (m == MATCH_PREFIX && prefixes && counts[MATCH_EXACT] == 0))
			found = &commands[i];
	}
	if (counts[MATCH_EXACT] == 0 && prefixes && counts[MATCH_PREFIX] > 1) {
		say_choice("more than one command begins so: ", words, n, MATCH_PREFIX);
		return NULL;
	}
	if (found == NULL && counts[MATCH_SHORT] > 0)
		say_choice("this goes on: ", words, n, MATCH_SHORT);
	else if (found == NULL)
		say_unknown(words[0]);
	else
		*ret_used = count_words(found->words);
	return found;
}

/* ---- arguments ---- */

bool
command_next_token(const struct command *c, struct command_token *at)
{
	static const char between[] = " []|";
	const char *from = at->text == NULL ? c->arguments : at->text + at->len;

	from += strspn(from, between);
	*at = (struct command_token){ from, strcspn(from, between) };
	return at->len > 0;
}

bool
command_takes(const struct command *c, enum option_id id)
{
	const struct option_row *row = &option_rows[id];
	struct command_token at = { 0 };

	if (row->kind == OPTION_GLOBAL)
		return id != OPTION_WATCH || (!c->changes && c->verb->local == NULL);
	while (command_next_token(c, &at))
		if (at.len == strlen(row->name) + 2 && strncmp(at.text, "--", 2) == 0 &&
		    strncmp(at.text + 2, row->name, at.len - 2) == 0)
			return true;
	return false;
}

/* ---- help ---- */

static void
help_option(FILE *to, const struct option_row *row)
{
	char left[64];
	const char *argument = row->argument == NULL ? "" : row->argument;
	bool optional = argument[0] == '[';

	(void)snprintf(left, sizeof(left), "--%s%s%.*s%s", row->name,
		       optional              ? "[="
		       : argument[0] != '\0' ? " "
					     : "",
		       (int)(strlen(argument) - (optional ? 2 : 0)), argument + optional,
		       optional ? "]" : "");
	if (row->letter != 0)
		(void)fprintf(to, "  -%c, %-18s %s\n", row->letter, left, row->help);
	else
		(void)fprintf(to, "      %-18s %s\n", left, row->help);
}

static void
help_of(FILE *to, const struct command *c)
{
	size_t len = strlen(c->role);
	char role[16];

	for (size_t i = 0; i <= len && i < sizeof(role); i++)
		role[i] = (char)tolower((unsigned char)c->role[i]);
	(void)fprintf(to, "usage: ftctl %s%s%s\n%s (role: %s)\n", c->words,
		      c->arguments[0] != '\0' ? " " : "", c->arguments, c->help, role);
	for (int i = 0; i < OPTIONS; i++)
		if (option_rows[i].kind != OPTION_GLOBAL && command_takes(c, (enum option_id)i))
			help_option(to, &option_rows[i]);
}

void
command_help(FILE *to, const struct command *c)
{
	char left[128];

	if (c != NULL) {
		help_of(to, c);
		return;
	}
	(void)fputs("usage: ftctl [OPTIONS] COMMAND [ARGUMENTS]\n\n", to);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		(void)snprintf(left, sizeof(left), "%s %s", commands[i].words,
			       commands[i].arguments);
		if (strlen(left) > 30)
			(void)fprintf(to, "  %s\n  %-30s %s\n", left, "", commands[i].help);
		else
			(void)fprintf(to, "  %-30s %s\n", left, commands[i].help);
	}
	(void)fprintf(to, "  %-30s %s\n\n", "help [COMMAND]", "this help, or that of a command");
	for (int i = 0; i < OPTIONS; i++)
		if (option_rows[i].kind == OPTION_GLOBAL)
			help_option(to, &option_rows[i]);
}
