/*
 * The moving lines on a terminal (one for the file under way, one for the total), or JSON lines
 * once a second. A thread of its own draws them, so that a stalled connection shows; the thread
 * that works only adds numbers. Whatever else goes to the screen passes progress_lock().
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/rate.h"

#define PROGRESS_UNKNOWN UINT64_MAX

enum progress_kind { PROGRESS_NONE, PROGRESS_TERMINAL, PROGRESS_JSON };
enum { PROGRESS_NAME_MAX = 256, PROGRESS_LINE_MAX = 1024, PROGRESS_STALLED_S = 5 };

struct progress_item {
	uint64_t done, all; /* bytes; all may be PROGRESS_UNKNOWN */
	unsigned percent;   /* shown last: never falls */
};

struct progress {
	enum progress_kind kind;
	bool running, ending;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	char name[PROGRESS_NAME_MAX]; /* escaped; "" between files */
	const char *phase;            /* NULL: bytes move */
	struct progress_item file, total;
	uint64_t files;      /* begun */
	uint64_t files_all;  /* 0: unknown */
	uint64_t moved_usec; /* when a byte moved last */
	struct rate rate;
	unsigned drawn; /* lines on the screen */
};

/* Starts the thread unless kind is PROGRESS_NONE. 0 or -errno. */
int progress_init(struct progress *p, enum progress_kind kind);
/* Clears the lines and ends the thread. */
void progress_done(struct progress *p);

/* What is to be moved in all, once it is known. */
void progress_expect(struct progress *p, uint64_t bytes, uint64_t files);
/* The next file; bytes of it are there already (resumed). name is escaped. */
void progress_file(struct progress *p, const char *name, uint64_t size, uint64_t held);
void progress_moved(struct progress *p, uint64_t n);
/* Of the file done bytes are at the other end, whatever was thought before. */
void progress_at(struct progress *p, uint64_t done);
/* A word for what happens while no bytes move ("checking blocks"); NULL: bytes move again. */
void progress_phase(struct progress *p, const char *phase);

/* Between the two nothing is drawn, and the cursor is at the beginning of a free line. */
void progress_lock(struct progress *p);
void progress_unlock(struct progress *p);

/* ---- pure, for the above and its test ---- */

struct progress_facts {
	const char *name;
	const char *phase;
	uint64_t rate, stalled_s;
	uint64_t files, files_all; /* 0, 0: the line is about one file */
};
/* One line of at most width columns (width < PROGRESS_LINE_MAX / 4); raises item->percent. Returns
 * dst. */
char *progress_format(char *dst, size_t size, unsigned width, struct progress_item *item,
		      const struct progress_facts *facts);
