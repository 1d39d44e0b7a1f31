/*
 * What a command tells its user, as text or as JSON lines, and the exit status that comes of it.
 * Text about transfers goes to the standard error; what was asked for goes to the standard output.
 * Names are escaped here; failures are told once, here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "client/failure.h"
#include "client/options.h"
#include "client/progress.h"

struct report {
	const char *op;
	bool quiet, verbose, json;
	struct progress progress;
	uint64_t ok, failed, skipped;
	bool mirrors, dry; /* the total tells of the next three, too; nothing is done */
	uint64_t unchanged, set, removed;
	uint64_t bytes, moved, held; /* as of struct report_file, summed */
	uint64_t began_usec;
	int status;     /* of the first failure */
	bool differing; /* failures for different reasons */
	int stopped;    /* status of what stopped the whole; 0: nothing did */
};

/* A file that was moved. */
struct report_file {
	const char *name;   /* here */
	const char *remote; /* there */
	const char *digest; /* NULL: none known */
	uint64_t bytes;     /* of the file */
	uint64_t held;      /* of them, those that were at the other end before */
	uint64_t moved;     /* over the wire, those that went twice counted twice */
	uint64_t usec;      /* NUM_UNLIMITED: not known (many were under way) */
	bool inside;        /* of a tree: not worth a line of its own beside moving lines */
};

/* op: the command's name. moves: it moves files, so that progress and a summary make sense. */
int report_init(struct report *r, const char *op, const struct options *o, bool moves);
/* Ends the moving lines. Returns the exit status. */
int report_done(struct report *r);
/* Tells the total. Call before report_done(). */
void report_summary(struct report *r);

void report_file(struct report *r, const struct report_file *f);

/* What a mirror does, or would do, to one name. */
enum report_deed { REPORT_PUT, REPORT_GET, REPORT_SET, REPORT_MKDIR, REPORT_REMOVE };
void report_mirrors(struct report *r, bool dry);
/* Tells and counts it; bytes of a file that would be moved. What is asked for in a dry run goes to
 * the standard output. */
void report_deed(struct report *r, enum report_deed deed, const char *name, uint64_t bytes);

/* why: "exists", "link" … */
void report_skipped(struct report *r, const char *name, const char *why);
void report_failure(struct report *r, const char *name, const struct failure *f);
/* The next file, for the moving lines; size may be PROGRESS_UNKNOWN. */
void report_begin(struct report *r, const char *name, uint64_t size, uint64_t held);

/* Unless -q; only with -v. One line each, without a line end. */
void
report_warning(struct report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
void report_note(struct report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A JSON line on the standard output; takes o over (NULL: no memory, nothing is told). */
void report_json(struct report *r, json_t *o);

/* Whether nothing but an interruption came before anything was done. */
int report_status(const struct report *r);
