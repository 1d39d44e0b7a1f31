/*
 * What the handlers have in common that look at names or change them. Refusals are what the client
 * may be told: concealed from those who may not list. No logging.
 */
#pragma once

#include "daemon/session/session.h"

/* The place's own name, "/" for the root. Points into p. */
const char *names_leaf(const struct place *p);

/* Opens the directory that holds the place, for a change of the name in it. Descriptor or a
 * refusal. */
int names_open_parent(struct session *s, const struct place *p, const char **ret_leaf);

/* Opens a regular file for reading. Descriptor or a refusal. */
int names_open_file(struct session *s, const struct place *p, struct entry_stat *ret);

/* Whether the subject may be told what exists there. */
bool names_may_list(const struct place *p);

/* {"current": entry} of the place for who may list it, else NULL. */
json_t *names_current(const struct place *p, const struct entry_stat *st);

/* Answers ok with the entry (status only to who may not list). */
int names_reply_entry(struct session *s, const struct request *rq, const struct place *p,
		      const char *leaf, const struct entry_stat *st);

/* The directory has changed: makes that durable where the share says so, and notes it for commit.
 * 0 or -errno. */
int names_changed(struct session *s, const struct request *rq, const struct place *p, int dir);
