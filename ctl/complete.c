#include "ctl/complete.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/call.h"
#include "ctl/command.h"
#include "ctl/run.h"
#include "lib/clock.h"
#include "lib/own.h"

enum { ASK_MSEC = 1000 };

static void
offer(const char *begun, const char *text, size_t len)
{
	if (strlen(begun) <= len && strncmp(text, begun, strlen(begun)) == 0)
		(void)printf("%.*s\n", (int)len, text);
}

/* The options that fit the command (NULL: not known yet). */
static void
offer_options(const char *begun, const struct command *c)
{
	char name[40];
	int len;

	for (int i = 0; i < OPTIONS; i++) {
		if (c == NULL ? option_rows[i].kind != OPTION_GLOBAL
			      : !command_takes(c, (enum option_id)i))
			continue;
		len = snprintf(name, sizeof(name), "--%s", option_rows[i].name);
		offer(begun, name, (size_t)len);
	}
}

/* The word at index n of every command whose words before it are these. */
static void
offer_words(const char *begun, char *const *words, size_t n)
{
	const char *before = "", *at;
	size_t len, before_len = 0;

	for (size_t i = 0; i < commands_n; i++) {
		at = commands[i].words;
		for (size_t k = 0; k < n && at != NULL; k++) {
			len = strcspn(at, " ");
			at = strlen(words[k]) == len && strncmp(at, words[k], len) == 0 &&
				     at[len] == ' '
				 ? at + len + 1
				 : NULL;
		}
		if (at == NULL)
			continue;
		len = strcspn(at, " ");
		if (len != before_len || strncmp(at, before, len) != 0) /* "config" once */
			offer(begun, at, len);
		before = at;
		before_len = len;
	}
	if (n == 0)
		offer(begun, "help", strlen("help"));
}

/* The key of each row of a list, where it consists of these letters. */
static void
offer_rows(const char *begun, const struct options *o, const char *command, const char *list,
	   const char *key, const char *letters)
{
	auto_json json_t *request = json_pack("{s:s}", "opt", command);
	auto_json json_t *answer = NULL;
	struct wire w;
	const json_t *row;
	const char *word;
	size_t i;

	if (request == NULL || call_open(&w, run_socket(o), ASK_MSEC * USEC_PER_MSEC) < 0)
		return;
	(void)call_ask(&w, request, ASK_MSEC * USEC_PER_MSEC, &answer);
	wire_done(&w);
	json_array_foreach (json_object_get(answer, list), i, row) {
		word = json_string_value(json_object_get(row, key));
		if (word != NULL && strspn(word, letters) == strlen(word))
			offer(begun, word, strlen(word));
	}
}

static void
offer_ids(const char *begun, const struct options *o, const char *command, const char *list)
{
	offer_rows(begun, o, command, list, "id", "abcdefstu0123456789");
}

static void
offer_users(const char *begun, const struct options *o)
{
	offer_rows(begun, o, "list-users", "users", "user",
		   "abcdefghijklmnopqrstuvwxyz0123456789_.-");
}

/* Words that stand in the arguments as they are, and the ids of what is there now. */
static void
offer_arguments(const char *begun, const struct options *o, const struct command *c)
{
	struct command_token at = { 0 };

	while (command_next_token(c, &at)) {
		if (at.text[0] >= 'a' && at.text[0] <= 'z')
			offer(begun, at.text, at.len);
		if (at.len == 2 && strncmp(at.text, "ID", 2) == 0) {
			offer_ids(begun, o, "list-sessions", "sessions");
			offer_ids(begun, o, "list-transfers", "transfers");
		}
		if (at.len == 8 && strncmp(at.text, "TRANSFER", 8) == 0)
			offer_ids(begun, o, "list-transfers", "transfers");
		if (at.len == 6 && strncmp(at.text, "UPLOAD", 6) == 0)
			offer_ids(begun, o, "list-uploads", "uploads");
		if (at.len == 4 && strncmp(at.text, "NAME", 4) == 0)
			offer_users(begun, o);
	}
}

/* Are these all the words of the command? */
static bool
says(const char *command, char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strcspn(command, " ");

		if (strlen(words[i]) != len || strncmp(words[i], command, len) != 0)
			return false;
		if (command[len] == '\0')
			return true;
		command += len + 1;
	}
	return false;
}

/* The command that is wholly there, without a word on stderr. */
static const struct command *
command_of(char *const *words, size_t n)
{
	for (size_t i = 0; i < commands_n; i++)
		if (says(commands[i].words, words, n))
			return &commands[i];
	return NULL;
}

void
complete(char **words, int n)
{
	const char *begun = n > 0 ? words[n - 1] : "";
	auto_free char **argv = calloc((size_t)n + 2, sizeof(*argv));
	static char self[] = "ftctl";
	const struct command *c;
	struct options o;
	size_t skip;

	if (argv == NULL)
		return;
	argv[0] = self;
	for (int i = 0; i + 1 < n; i++)
		argv[i + 1] = words[i];
	if (options_parse(n > 0 ? n : 1, argv, true, &o) < 0)
		return;
	skip = o.n_words > 0 && strcmp(o.words[0], "help") == 0;
	c = command_of(o.words + skip, o.n_words - skip);
	if (begun[0] == '-')
		offer_options(begun, c);
	else if (c == NULL)
		offer_words(begun, o.words + skip, o.n_words - skip);
	else if (skip == 0)
		offer_arguments(begun, &o, c);
}
