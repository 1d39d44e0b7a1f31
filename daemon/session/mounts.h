/*
 * The directories that shares put beneath a name: their roots, and what only leads to them. Pure,
 * but for what the session may see; no logging.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/session/session.h"

struct mounts {
	struct session *s;
	const char *start; /* normalised name; borrowed */
	size_t skip;       /* bytes of a name beneath it that are the start's own */
	char **names;      /* normalised, each once, parents first; owned */
	size_t n;
};

enum { MOUNTS_MAX = UINT16_MAX - 1 };

/* Those directly beneath start, or all. 0 or -ENOMEM; *m is to be freed in any case. */
int mounts_find(struct mounts *m, struct session *s, const char *start, bool recursive);
void mounts_done(struct mounts *m);

/* The path below the start. */
const char *mounts_path(const struct mounts *m, size_t i);
int mounts_locate(const struct mounts *m, size_t i, struct place *ret);

/* Whether path, below the start, is one of them. */
bool mounts_has(const struct mounts *m, const char *path);
/* Whether it is the root of a share, visible to the subject or not. */
bool mounts_is_share(const struct mounts *m, const char *path);
/* Whether path has left the share that is mounted at tree (both below the start): it is, or is
 * beneath, the root of a share further down, visible or not. */
bool mounts_left(const struct mounts *m, const char *tree, const char *path);
