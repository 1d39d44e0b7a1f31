/*
 * The rows of options.def as tables, and what can be said of an option from its row alone. For
 * daemon/config and its tests only. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "daemon/config/config.h"

enum option_type {
	OPTION_NAME,       /* text: a user or a group */
	OPTION_PATH,       /* text: absolute */
	OPTION_SHARE_PATH, /* text: as path_from_wire() makes it */
	OPTION_ADDRESS,    /* text: a literal; "" where min is 0 */
	OPTION_COUNT,      /* uint64_t */
	OPTION_PORT,       /* uint16_t */
	OPTION_DURATION,   /* uint64_t, microseconds */
	OPTION_SIZE,       /* uint64_t, bytes */
	OPTION_RATE,       /* uint64_t, bytes a second */
	OPTION_WHERE,      /* one of the enums of config.h, and so the next seven */
	OPTION_SANDBOX,
	OPTION_DURABILITY,
	OPTION_LINKS,
	OPTION_LOG_TARGET,
	OPTION_LOG_LEVEL,
	OPTION_TLS_VERSION,
	OPTION_CLIENT_CERTIFICATE,
	OPTION_RIGHTS,    /* unsigned, RIGHT_* */
	OPTION_SUBNETS,   /* struct config_subnets; of lists, min and max count the entries */
	OPTION_LISTENERS, /* struct config_listener[], the number in front of it */
	OPTION_SHARES,    /* struct config_share[], the number in front of it */
	OPTION_RULES,     /* first_rule and n_rules of a share */
	OPTION_USERS,     /* first_user and n_users of a rule */
	OPTION_RESERVED,  /* no field: nothing but the default is accepted */
	OPTION_TYPES,
};

struct option {
	const char *path; /* "limits.sessions"; within a list's groups "root" */
	enum option_type type;
	size_t offset; /* of the field in its struct */
	const char
	    *fallback; /* the default as in the file; NULL: required; "": none, and not required */
	uint64_t min, max;
	enum config_live live;
	const char *text; /* one line: what it does; NULL for reserved ones */
};

struct option_table {
	const struct option *rows;
	size_t n;
	size_t lines; /* offset of the struct's int line[], by row; 0: it has none */
};

/* The whole file; the groups in the lists listen, shares and shares[].rules. In option_main the
 * row of an option that has a field is its enum config_option; the reserved ones follow. */
extern const struct option_table option_main, option_listen, option_share, option_rule;

/* The most rows of any table. */
enum { OPTION_ROWS_MAX = 64, OPTION_TEXT_MAX = 256 };

/* The words of an enum's or rights' type, ended by a NULL name. NULL for other types. */
struct option_word {
	const char *name;
	unsigned value;
};
const struct option_word *option_words(enum option_type type);

/* What a value must be: "an integer from 1 to 1024". Returns buf (OPTION_TEXT_MAX bytes). */
const char *option_describe(const struct option *o, char *buf);

/* The word of its class: "live", "new sessions", "restart". */
const char *option_live_text(enum config_live live);

/* The row of the path, or NULL. */
const struct option *option_find(const struct option_table *t, const char *path);

/* Whether some row's path goes on with '.' after this one. */
bool option_is_group(const struct option_table *t, const char *path);

/* What the writer of the unknown key name probably meant, in the group that prefix names ("" or
 * "limits."): the path of an option called so elsewhere, else the nearest name of the group. NULL:
 * no idea. buf: OPTION_TEXT_MAX bytes. */
const char *
option_guess(const struct option_table *t, const char *prefix, const char *name, char *buf);
