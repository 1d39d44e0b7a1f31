/*
 * A file on its way in: ".ft-<name>.part" beside the name it will have, kept when it is cut short,
 * so that the next try goes on. Locked while in use; never follows a link, never trusts a file of
 * others.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/options.h"
#include "lib/path.h"

/* What the server says about the file. */
struct part_facts {
	bool has_mtime, has_mode;
	int64_t mtime_ns;
	uint64_t mode, size;
};

struct part {
	int dir;                           /* borrowed */
	int fd;                            /* read and write */
	char name[PATH_COMPONENT_MAX + 1]; /* of the part */
	bool published;
};

/* Opens or makes the part of leaf in dir. -EBUSY: another ft writes it; -EPERM: it is not ours. */
int part_open(int dir, const char *leaf, struct part *ret);

/* Whether there is a part of leaf from an earlier try. */
bool part_is_there(int dir, const char *leaf);

/* Bytes held so far, or -errno. */
int64_t part_held(const struct part *p);

/* Gives it its time and mode and the name leaf. A taken name: replaced, or -EEXIST, or with
 * IF_EXISTS_KEEP_BOTH another name, which leaf (PATH_COMPONENT_MAX + 1 bytes) then holds. */
int part_publish(struct part *p, char *leaf, const struct part_facts *facts, enum if_exists how);

/* Closes it; an empty one is removed. */
void part_done(struct part *p);

/* Mode as cp(1) would give it: without set-id bits, and what the umask takes away. */
mode_t part_mode(uint64_t mode);

/* Sets the time of what fd is. 0 or -errno. */
int part_set_mtime(int fd, int64_t mtime_ns);
