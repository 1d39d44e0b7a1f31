/*
 * Everything beneath a name as its subject may see it: the tree on the storage, and the shares that
 * are mounted over or into it, each name once. The rights of each share hold in it; what belongs to
 * a share that the subject has no rights in is not there. No logging.
 *
 * First come the directories that shares put there, then the names of the start, then those of each
 * share beneath it: a directory always comes before its content.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/session/session.h"

struct forest;

struct forest_item {
	const char *path; /* below the start, any bytes; valid until the next call */
	size_t path_len;
	int dir;          /* the directory that holds it (borrowed), -1: the root of a tree */
	const char *leaf; /* its name there */
	struct entry_stat st;
	unsigned share, rights; /* RIGHT_* of the subject there; not of the root of a tree */
	int error; /* negative: it cannot be looked at or into; st then has at least the type */
};

/* need: the rights that a share must grant for its content to be shown; the caller has checked the
 * start's. 0, -ENOMEM, or a refusal for the request. */
int forest_new(struct session *s, const struct place *start, unsigned need, bool recursive,
	       struct forest **ret);
struct forest *forest_free(struct forest *f);

/* 1: *ret is the next one; 0: done; negative: the start broke while it was read, or -ENOMEM. */
int forest_next(struct forest *f, struct forest_item *ret);

/* An opaque text that forest_seek() of a fresh forest over the same start goes on after. The caller
 * frees *ret. */
int forest_cursor(const struct forest *f, char **ret);
/* 0; -FTD_E_bad_request: no cursor of such a forest; or why a directory cannot be read. */
int forest_seek(struct forest *f, const char *cursor);

/* What a directory looks like that is only there because shares are beneath it. */
struct entry_stat forest_virtual(void);
