/*
 * The options of one command line, read by the table in client/options.def.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/digest.h"
#include "lib/fingerprint.h"

enum option_index {
#define OPTION(stem, letter, word, argument, help) OPTION_##stem,
#include "client/options.def"
#undef OPTION
	OPTION_COUNT,
};

struct option_row {
	char letter; /* 0: none */
	const char *word, *argument, *help;
};
extern const struct option_row option_rows[OPTION_COUNT];

#define OPTION_BIT(stem) (UINT64_C(1) << OPTION_##stem)

enum if_exists {
	IF_EXISTS_UNSAID,
	IF_EXISTS_REPLACE,
	IF_EXISTS_FAIL,
	IF_EXISTS_KEEP_BOTH,
	IF_EXISTS_SKIP
};
enum { OPTIONS_GLOBS_MAX = 64, OPTIONS_CONNECTIONS_MAX = 32, OPTIONS_WHY_MAX = 200 };

struct options {
	uint64_t given; /* OPTION_BIT of each row that was there */
	enum if_exists if_exists;
	enum digest_algorithm digest;
	uint64_t limit;        /* bytes a second; NUM_UNLIMITED */
	uint64_t connections;  /* as given */
	uint64_t retry_usec;   /* as given */
	uint64_t timeout_usec; /* as given */
	const char *check;
	const char *ca, *cert, *key;
	const char *identity, *password_command;
	char pin[FINGERPRINT_MAX]; /* "": none given */
	const char *include[OPTIONS_GLOBS_MAX], *exclude[OPTIONS_GLOBS_MAX];
	size_t n_include, n_exclude;
};

/* Reads argv[1..), argv[0] being the command's name; operands are moved to the end. allowed:
 * OPTION_BITs. Index of the first operand, or -EINVAL with a sentence in why (OPTIONS_WHY_MAX). */
int options_parse(int argc, char **argv, uint64_t allowed, struct options *ret, char *why);

/* Whether one of the bits is among those given. */
bool options_has(const struct options *o, uint64_t bits);

/* Whether TLS is said, or meant by what is said. */
bool options_want_tls(const struct options *o);

/* Whether a file (or directory) of that path below the source is wanted. Only files must be
 * included. */
bool options_wants(const struct options *o, const char *path, bool directory);

/* The same of one that nobody has walked to: nothing above it is excluded either. path is written to,
 * and as before in the end. */
bool options_wants_below(const struct options *o, char *path, bool directory);

/* The wire's word for --if-exists; NULL where nothing was said (skip is "fail"). */
const char *options_if_exists(const struct options *o);
