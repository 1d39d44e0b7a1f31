/*
 * How the record of a resumable upload lies on disk (partial.h), little-endian: a head that never
 * changes, the claim, two slots of which the newer sound one counts, and a digest for each block
 * that is known. A power cut while a slot is written leaves the other. All of it is hostile when it
 * is read: others may write where shares are. Pure, no logging; fuzz/fuzz_record.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/digest.h"
#include "lib/path.h"
#include "lib/users.h"

enum {
	RECORD_HEAD = 8192,
	RECORD_CLAIM_AT = 8192, /* 8 bytes */
	RECORD_SLOT = 16384,
	RECORD_SLOTS_AT = 16384, /* two of them */
	RECORD_SUMS_AT = 49152,  /* 16 bytes for each DIGEST_BLOCK; zeros: not known */
	RECORD_SUM = 16,
};
enum { RECORD_RANGES_MAX = 1000, RECORD_RECEIPT_MAX = 16000, RECORD_ETAG_MAX = 80 };

/* What the upload is to become. */
struct record_head {
	char user[USER_NAME_MAX + 1];  /* "": nobody had logged in */
	char name[PATH_BYTES_MAX + 1]; /* normalised, in the namespace */
	uint64_t size;                 /* UINT64_MAX: unknown */
	bool has_mtime, has_mode, has_digest, match, parents;
	bool elsewhere; /* the content waits in the target directory */
	bool shares; /* it began with a base: what it has on disk may be another file's as well */
	int64_t mtime_ns, begun_ns; /* begun: of the clock of the day */
	uint32_t mode, how;         /* how: enum publish_how, at most 2 */
	struct digest_value digest; /* if has_digest */
	char etag[RECORD_ETAG_MAX]; /* if match */
};

/* 0 or -EBADMSG: nothing that we wrote. */
int record_read_head(const uint8_t data[RECORD_HEAD], struct record_head *ret);
void record_write_head(const struct record_head *h, uint8_t dst[RECORD_HEAD]);

struct record_range {
	uint64_t first, end; /* first < end <= INT64_MAX */
};

/* What is held: in order, with gaps between. */
struct record_ranges {
	unsigned n;
	struct record_range list[RECORD_RANGES_MAX];
};

/* A checkpoint. */
struct record_state {
	uint64_t sequence;        /* of two slots the higher counts */
	uint64_t received, parts; /* so much came over the wire, in so many requests */
	/* DONE: published, the receipt is what was answered. PUBLISHING: all of it is held, and
	 * durable, and about to get its name: if the content is not there any more, then the file
	 * that the receipt describes is this one. */
	enum record_phase { RECORD_OPEN, RECORD_PUBLISHING, RECORD_DONE } phase;
	struct record_ranges ranges; /* none if it is done */
	struct {                     /* unless it is open */
		unsigned len;
		char text[RECORD_RECEIPT_MAX]; /* JSON, not terminated */
	} receipt;
};

/* 0 or -EBADMSG. */
int record_read_slot(const uint8_t data[RECORD_SLOT], struct record_state *ret);
void record_write_slot(const struct record_state *s, uint8_t dst[RECORD_SLOT]);

/* Adds first to end (first <= end <= INT64_MAX). 0; -ENOBUFS: there are too many gaps, and *r is as
 * it was. */
int record_add(struct record_ranges *r, uint64_t first, uint64_t end);
/* Takes it away. The same. */
int record_drop(struct record_ranges *r, uint64_t first, uint64_t end);
/* Whether all of it is held. */
bool record_holds(const struct record_ranges *r, uint64_t first, uint64_t end);
/* How many bytes are held. */
uint64_t record_held(const struct record_ranges *r);
