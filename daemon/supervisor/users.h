/*
 * Who is in the users file: a snapshot, made at the start and by every reload. No secrets: those a
 * verifier reads for itself. See also supervisor.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/config/config.h"
#include "lib/users.h"

struct supervisor;

struct users_entry {
	char name[USER_NAME_MAX + 1];
	char account[USER_ACCOUNT_MAX + 1]; /* "": run_as */
	unsigned keys;                      /* how many */
	bool disabled, password, certificate;
};

/* Sorted by name. */
struct users_snapshot {
	size_t n, room;
	struct users_entry *list;
};

/* Reads the users file of the configuration. The caller frees *ret. 0; -EINVAL: *problems says why;
 * -ENOMEM. */
int
users_load(const struct config *c, struct config_problems *problems, struct users_snapshot **ret);
struct users_snapshot *users_free(struct users_snapshot *u); /* takes NULL, returns NULL */

/* Takes it over as the one in force. */
void users_adopt(struct supervisor *sup, struct users_snapshot *fresh);

/* Reads the file again, alone; the sessions of who is gone or disabled are told to end. dry_run: is
 * only looked at. Else as users_load(), and -EBUSY as reload_begin(); nothing has changed then. */
int users_reload(struct supervisor *sup, bool dry_run, struct config_problems *problems);

/* NULL: there is none of that name. Borrowed until the next reload. */
const struct users_entry *users_find(const struct supervisor *sup, const char *name);

/* Is there one of that name, and not disabled? */
bool users_may(const struct supervisor *sup, const char *name);

/* The first one whose name is behind this one ("": of all), or NULL. */
const struct users_entry *users_after(const struct supervisor *sup, const char *name);
