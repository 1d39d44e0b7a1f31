/* The command line of ftctl: options anywhere, words in between. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_id {
#define OPTION(id, name, letter, argument, kind, help) OPTION_##id,
#include "ctl/options.def"
#undef OPTION
	OPTIONS,
};

enum option_kind { OPTION_GLOBAL, OPTION_LOCAL, OPTION_REMOTE };

struct option_row {
	const char *name;
	char letter;          /* 0: none */
	const char *argument; /* NULL: none; in brackets: may be left out */
	enum option_kind kind;
	const char *help;
};
extern const struct option_row option_rows[OPTIONS];

struct options {
	const char *value[OPTIONS]; /* the argument, "" for none; NULL: not given */
	char **words; /* what is no option (borrowed from argv, which is put in order) */
	size_t n_words;
};

/* Reads argv. quiet: what is wrong is passed over (for completion). 0, or -EINVAL: said on stderr.
 */
int options_parse(int argc, char **argv, bool quiet, struct options *ret);

/* "10", "1m30s"; microseconds; fallback where the option was not given. 0 or -EINVAL, said on
 * stderr. */
int
options_seconds(const struct options *o, enum option_id id, uint64_t fallback, uint64_t *ret_usec);
