/*
 * The users file, edited by one at a time: under a lock, written beside itself, synced and renamed,
 * so that readers see the old or the new one whole, also after a crash. What is wrong is said with
 * local_refuse().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "ctl/options.h"
#include "lib/users.h"

struct user_file {
	char *path;    /* links followed */
	int dir, lock; /* -1 where it is only read */
	bool exists;
	char *text; /* sound */
	size_t len;
	char run_as[USER_ACCOUNT_MAX + 1]; /* of the daemon: who must be able to read the file */
};

/* Where a user stands in it. */
struct user_place {
	struct user user;
	size_t at, len; /* of the line in text, its end included */
};

/* Finds the file by --file, by what the daemon says, or by default, and reads it; for_edit: waits
 * for the lock and takes it. 0, then user_file_close() is due; or negative. */
int user_file_open(const struct options *o, bool for_edit, struct user_file *ret, json_t *answer);
void user_file_close(struct user_file *f);

/* Is there such a user? */
bool user_file_find(const struct user_file *f, const char *name, struct user_place *ret);

/* Writes the file with line (without its end; NULL: none) instead of the len bytes at at, which is
 * the whole line of a user, or nothing at the end. 0 or negative: the file is as it was. */
int user_file_replace(const struct user_file *f, size_t at, size_t len, const char *line,
		      json_t *answer);
