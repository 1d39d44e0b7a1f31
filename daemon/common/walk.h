/*
 * A tree beneath a directory, iteratively, without following links. For sessions and the keeper; no
 * logging.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct walk;
struct walk_item {
	const char *path; /* relative to the start, any bytes */
	size_t path_len;
	const char *leaf;   /* last component, in path */
	int dir;            /* the directory that holds it (borrowed) */
	unsigned char type; /* DT_* */
	int error;          /* negative: the directory cannot be read (item is that directory) */
	bool leaving;       /* walk_post: the directory's content is done, it can be removed */
};
enum walk_flags { WALK_RECURSIVE = 1 << 0, WALK_POST = 1 << 1 };
/* Takes over dir. Reserved names are never shown. 0, -ENOMEM, or -errno where dir cannot be read.
 */
int walk_new(int dir, unsigned flags, struct walk **ret);
struct walk *walk_free(struct walk *w);
/* 1: *ret is the next one; 0: done; negative -ENOMEM. Directories come before their content. What
 * vanishes meanwhile is left out; a path over PATH_BYTES_MAX comes with error -ENAMETOOLONG. An
 * item without a path is the start, broken while it was read. */
int walk_next(struct walk *w, struct walk_item *ret);
/* Leaves out the content of the directory that was shown last. */
void walk_skip(struct walk *w);
/* An opaque text that walk_seek() of a fresh walk over the same start goes on after. Only after
 * walk_next() gave an item. The caller frees *ret. */
int walk_cursor(const struct walk *w, char **ret);
/* 0; -FTD_E_bad_request: no cursor of such a walk; -errno where a directory on the way cannot be
 * read. */
int walk_seek(struct walk *w, const char *cursor);
/* The path, relative to the start, of the directory whose names come next. Not NUL-terminated. */
const char *walk_where(const struct walk *w, size_t *ret_len);
