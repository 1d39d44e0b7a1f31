/*
 * A directory of this machine on its way to the server: what is said of the things in it, and its
 * directories, which get their times when all that is in them has been sent. Who walks decides what
 * is sent: client/put.c all, client/mirror_put.c what differs.
 */
#pragma once

#include "client/upload.h"
#include "client/walk.h"

/* A directory that is there. */
struct put_made {
	char *path; /* below the source; owned */
	struct stat st;
};

struct put_tree {
	struct upload *upload;
	const struct upload_source *source;
	struct put_made *made; /* those above before those below */
	size_t n_made, room;
};

void put_tree_done(struct put_tree *t);

/* Makes the directory there, and remembers it. 0, or negative when all is over, told. */
int put_tree_make(struct put_tree *t, const char *path, const struct stat *st);
/* Only remembers it. -ENOMEM. */
int put_tree_note(struct put_tree *t, const char *path, const struct stat *st);
/* Sends the times of one that is remembered. As put_tree_make(). */
int put_tree_set(struct put_tree *t, const struct put_made *d);

/* Tells that something here cannot be read, or is nothing that is sent. */
void put_tree_failed(struct report *report, const struct upload_source *source, const char *path,
		     int error);
void put_tree_skipped(struct report *report, const struct upload_source *source,
		      const struct walk_item *item);
/* Tells how many directories did not take their times. */
void put_tree_refused(const struct upload *u);
