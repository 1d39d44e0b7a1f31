/*
 * What is below a directory, as a table by name: 64 bytes for each entry, however long its name is.
 * Names are kept as their digest, so a table can say whether a name is in it, not which are. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "client/answer.h"
#include "lib/digest.h"

enum { CATALOG_MAX = 1 << 22, CATALOG_KEY = 16 };

/* What is known of a file or directory at one end. */
struct catalog_facts {
	uint64_t size; /* of a file */
	int64_t mtime_ns;
	uint16_t mode;
	uint8_t type; /* enum entry_type */
	bool has_mtime, has_mode;
};

struct catalog_item {
	uint8_t key[CATALOG_KEY];
	struct catalog_facts facts;
	uint8_t digest[CATALOG_KEY]; /* of the content, xxh3 */
	bool has_digest;
	bool seen;    /* the other end has it, too */
	bool touched; /* a directory in which something was changed */
};

struct catalog {
	struct catalog_item *items;
	size_t n, room;
};

void catalog_done(struct catalog *c);

/* Adds what is known of path. -ENOMEM; -E2BIG: there are too many. */
int catalog_add(struct catalog *c, const char *path, const struct catalog_facts *facts,
		const struct message_str *digest);
/* Takes the digest that a listing tells, if it is one. */
void catalog_take_digest(struct catalog_item *item, const struct message_str *digest);
/* When all are there, and before the first catalog_find(). */
void catalog_sort(struct catalog *c);
/* NULL: it has no such path. */
struct catalog_item *catalog_find(const struct catalog *c, const char *path);

struct catalog_facts catalog_entry_facts(const struct entry *e);
struct catalog_facts catalog_stat_facts(const struct stat *st);
