/* The commands of ftctl, from lib/control.def and ctl/local.def: found by their words, helped with,
 * completed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "ctl/options.h"
#include "ctl/report.h"

enum {
	EXIT_DONE = 0,
	EXIT_REFUSED = 1,
	EXIT_USAGE = 2,
	EXIT_NOT_RUNNING = 3,
	EXIT_NOT_PERMITTED = 4,
	EXIT_TIMEOUT = 5,
	EXIT_DEGRADED = 6,
	EXIT_NOTHING = 7,
};

/* What a command does on this side: between its words and the request, and with the answer. */
struct verb {
	const char *key;   /* of its one argument in the request; NULL: it takes none */
	bool takes_file;   /* its argument is a file, which ask() reads */
	bool required;     /* the argument may not be missing */
	const char *key2;  /* of a second argument, which may not be missing either; NULL: none */
	const char *key3;  /* of a third one, which may; NULL: none */
	bool user_instead; /* --user stands for the first argument */
	/* More for the request than options and argument; NULL: nothing. 0, or an exit status, said
	 * on stderr. */
	int (*ask)(const struct options *o, const char *argument, json_t *request);
	/* Does it without the daemon: fills in answer as that would do. 0, or negative as
	 * local_refuse(). NULL: the daemon does it. */
	int (*local)(const struct options *o, const json_t *request, json_t *answer);
	void (*show)(struct report *r, json_t *answer);         /* as text for people */
	int (*result)(const struct options *o, json_t *answer); /* exit status; NULL: EXIT_DONE */
	uint64_t timeout_sec;                                   /* where not given; 0: none */
	bool ends_daemon; /* the end of the connection is the success */
};

struct command {
	const char *name; /* on the wire */
	const char *words, *role, *arguments, *help;
	bool changes; /* the daemon: nothing to be asked again and again */
	const struct verb *verb;
};
extern const struct command commands[];
extern const size_t commands_n;

#define COMMAND(name, words, stem, role, changes, arguments, help) \
	extern const struct verb verb_##stem;
#include "lib/control.def"
#include "ctl/local.def"
#undef COMMAND

/* The command that the first words say; *ret_used of them. prefixes: unique beginnings will do.
 * NULL: said on stderr why, and which is nearest. */
const struct command *command_find(char *const *words, size_t n, bool prefixes, size_t *ret_used);

/* The words and options in the arguments of a command, one after the other: "--from", "ready",
 * "ID". at begins NULL. false: there are no more. */
struct command_token {
	const char *text;
	size_t len;
};
bool command_next_token(const struct command *c, struct command_token *at);

/* Does the command take the option? Global ones: always, but none that changes something is
 * watched. */
bool command_takes(const struct command *c, enum option_id id);

void command_help(FILE *to, const struct command *c); /* NULL: of all */
