/* What the commands that edit the users file have in common (user.c; user_key.c). */
#pragma once

#include <jansson.h>

#include "ctl/options.h"
#include "lib/users.h"

/* One change of one user. */
struct user_change {
	bool is_new; /* of one that must not be there yet; else of one that must */
	/* Makes it; 0, or negative as local_refuse(). NULL: the user goes. */
	int (*apply)(struct user *u, const void *how, json_t *answer);
	const void *how;
	const char *done; /* in the past tense, for people and programs */
};

/* Edits the file and has the daemon follow. 0 or negative as local_refuse(). */
int user_edit(const struct options *o, const json_t *request, const struct user_change *c,
	      json_t *answer);
