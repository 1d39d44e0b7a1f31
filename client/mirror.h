/*
 * ft mirror: the tree at one end becomes equal to that at the other. client/mirror.c has the order
 * of things, mirror_judge.c what is done about one of them, mirror_put.c and mirror_get.c the two
 * directions, on top of what put -r and get -r do, mirror_sweep.c what is removed, mirror_compare.c
 * whether contents are the same.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/catalog.h"
#include "client/command.h"
#include "client/listing.h"
#include "client/mirror_sweep.h"

struct mirror {
	struct client *client;
	struct url url;    /* the end there */
	const char *there; /* the same, as written */
	const char *here;  /* the end here, as written */
	int root;          /* of the end here; -1: it is missing, and this is a dry run */
	bool missing;      /* the destination */
	bool removes, dry, by_content;
	bool again;          /* what was in the way has been removed: all is looked at once more */
	uint64_t in_the_way; /* that many things, of another kind than what goes there */
	struct catalog listed; /* the end there */
};

/* One direction. All return 0, or negative when all is over, told. */
struct mirror_direction {
	/* Finds both ends. */
	int (*begin)(struct mirror *m, void *way);
	/* Moves what differs. */
	int (*pass)(struct mirror *m, void *way);
	/* What the source does not have. */
	int (*find_stale)(struct mirror *m, void *way, struct mirror_sweep *s);
	int (*remove)(struct mirror *m, void *way, const struct mirror_stale *stale);
	/* Waits for what is under way; then the times of directories. */
	int (*settle)(struct mirror *m, void *way);
	int (*end)(struct mirror *m, void *way);
};

int mirror_put(struct mirror *m);
int mirror_get(struct mirror *m);
/* What both do: in that order. */
int mirror_run(struct mirror *m, const struct mirror_direction *d, void *way);

/* ---- what is done about one thing ---- */

enum mirror_verdict {
	MIRROR_SAME,
	MIRROR_SET,     /* another time or mode only */
	MIRROR_MOVE,    /* it is not there, or another content */
	MIRROR_COMPARE, /* only the contents will tell: mirror_judge_same(), or MIRROR_MOVE */
	MIRROR_BLOCKED, /* a directory is in the place of a file, or the other way round */
};

/* dst NULL: nothing is there. Pure. */
enum mirror_verdict
mirror_judge(const struct catalog_facts *src, const struct catalog_facts *dst, bool by_content);
/* Of two files with the same content. */
enum mirror_verdict
mirror_judge_same(const struct catalog_facts *src, const struct catalog_facts *dst);

/* Whether a file system that was given the time src may show it as dst: it may keep times in
 * coarser steps, rounded down. */
bool mirror_same_time(int64_t src, int64_t dst);

/* Tells what is done about name, or would be. True: it is to be done. */
bool mirror_does(struct mirror *m, enum report_deed deed, const char *name, uint64_t bytes);
/* Something of another kind is in the place of name: with --delete it will be removed. 1: so act,
 * in a dry run, as if it were not there; 0: leave name alone for now. */
int mirror_blocked(struct mirror *m, const char *name);
void mirror_unchanged(struct mirror *m);

/* Tells f if r is negative. Returns r. */
int mirror_stopped(struct mirror *m, const char *name, int r, const struct failure *f);
/* The end here cannot be opened, for the reason r. Returns r. */
int mirror_stopped_here(struct mirror *m, int r);
/* The end there. 1: a directory; 0: nothing; negative (f). */
int mirror_stat(struct mirror *m, struct catalog_facts *ret, struct failure *f);

/* Gives all that is listed at the end there to take, but names that cannot be used, which it tells.
 * digest: as in struct listing. 0 or negative (f). */
typedef int (*mirror_take_fn)(void *way, const struct entry *e, char *path, bool wanted,
			      struct failure *f);
int mirror_each(struct mirror *m, const char *digest, mirror_take_fn take, void *way,
		struct failure *f);
/* Adds what a listing tells to m->listed. 0 or negative (f). */
int mirror_list(struct mirror *m, const char *path, const struct entry *e, struct failure *f);

/* ---- client/mirror_compare.c ---- */

enum { MIRROR_COMPARE_MAX = 256 };

/* A file at both ends, of one size. */
struct mirror_pair {
	char *path; /* below both; owned */
	uint64_t size;
	struct digest_value there;
	bool known; /* there is; else the server is asked */
	uint64_t asked;
	bool done, same;
};

/* -ENOMEM. */
int mirror_pair_init(struct mirror_pair *pair, const char *path, const struct catalog_item *there);
/* Nothing else may be under way on the connection. What cannot be read is not the same. 0 or
 * negative (f). */
int mirror_compare(struct mirror *m, struct mirror_pair *pairs, size_t n, struct failure *f);
