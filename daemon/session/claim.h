/*
 * Taking a name in a directory only if it is free, or the next free one like it. No logging.
 */
#pragma once

#include "daemon/session/session.h"

/* What the key if_exists asks for, fallback without it. 0 or -FTD_E_bad_request. */
int
claim_how(const struct message_str *if_exists, enum publish_how fallback, enum publish_how *ret);

/* Whether a rename failed with r because of what has the new name. */
bool claim_is_taken(int r);

/* How a name is taken. */
enum claim {
	CLAIM_REPLACE, /* whatever has it */
	CLAIM_FREE,
	CLAIM_NUMBERED,
};
/* One of them: 0, -EEXIST, -errno. leaf as of claim_numbered(). */
int claim_name(enum claim how, int from_dir, const char *from, int to_dir, char *leaf);

/* Whether one of the names that claim_name() may have taken is it; leaf becomes that. */
bool claim_find(int dir, char *leaf, bool (*is_it)(void *userdata, int dir, const char *leaf),
		void *userdata);

/* Renames only if the new name is free. 0, -EEXIST, -errno. */
int claim_rename(int from_dir, const char *from, int to_dir, const char *to);

/* The same with "name (2).ext" and so on where it is taken. leaf (PATH_COMPONENT_MAX + 1 bytes)
 * becomes what it got. */
int claim_numbered(int from_dir, const char *from, int to_dir, char *leaf);
