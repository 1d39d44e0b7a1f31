/*
 * Names of staging files: which session made one and its number there. In .ftd/staging of the share
 * it is "<16 hex digits>-<number>"; a file that waits in its own directory is ".ftd-<that>" there,
 * and ".ftd/staging/<that>.at" has the path of the directory. No logging.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/path.h"

#define STAGED_NOTE ".at"
enum { STAGED_NAME_MAX = 48 };

struct staged_id {
	uint64_t session; /* random: no two sessions have the same */
	uint64_t number;
};

/* The name in .ftd/staging, with suffix ("" or STAGED_NOTE). Returns buf (STAGED_NAME_MAX bytes).
 */
char *staged_name(const struct staged_id *id, const char *suffix, char *buf);
/* The name of one that waits in its own directory. */
char *staged_name_elsewhere(const struct staged_id *id, char *buf);
/* 0 or -EINVAL: no name of a staging file. */
int staged_parse(const char *name, size_t len, struct staged_id *ret);

/* Opens the directory that a note names. Descriptor; -ENOENT: it leads nowhere; -errno. */
int staged_follow(int root, int note);

/* Whether it is a resumable upload (partial.h), which waits whoever is there: 1, 0 or -errno. */
int staged_is_kept(int root, const struct staged_id *id);

/* Whether the file still waits: 1, 0 or -errno. */
int staged_exists(int root, const struct staged_id *id, bool elsewhere);
