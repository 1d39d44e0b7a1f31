/*
 * The commands of ft: table, dispatch, and what every command works with.
 */
#pragma once

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "client/options.h"
#include "client/pace.h"
#include "client/report.h"
#include "client/session.h"

struct client {
	const struct command *command;
	struct options options;
	struct report report;
	struct session session;
	struct pace pace;
	char **argv; /* the whole command line in its first order, NULL at its end */
};

/* Runs with the operands; returns the exit status. */
typedef int (*command_fn)(struct client *c, int argc, char **argv);

enum { OPERANDS_MANY = INT_MAX };

struct command {
	const char *name;
	command_fn run;
	int min, max; /* operands */
	uint64_t options;
	const char *operands; /* NULL: not for people */
	const char *help;
};

enum {
#define COMMAND(name, stem, min, max, options, operands, help) COMMAND_##stem,
#include "client/commands.def"
#undef COMMAND
	COMMAND_COUNT,
};
extern const struct command commands[COMMAND_COUNT];

#define COMMAND(name, stem, min, max, options, operands, help) \
	int command_##stem(struct client *c, int argc, char **argv);
#include "client/commands.def"
#undef COMMAND

/* NULL: there is none. */
const struct command *command_find(const char *name);

/* All of ft: the exit status. */
int command_main(int argc, char **argv);

/* A mistake in the command line: the sentence, and where to read on. Exit status 2. */
int command_usage(const struct client *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same about an address, which is shown unless there may be a password in it. */
int command_bad_url(const struct client *c, const char *text, const char *why);

/* The addresses of n operands; the caller frees. NULL: told already, *ret_status is the exit
 * status. */
struct url *command_urls(struct client *c, int n, char **names, int *ret_status);
