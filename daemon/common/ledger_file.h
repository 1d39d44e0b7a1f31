/*
 * How the ledger of a user lies on disk (ledger.h): a header and records of LEDGER_ENTRY bytes,
 * little-endian, each with a checksum of its own. An entry never crosses a page, so that a process
 * that is killed has written one wholly or not at all. Pure, no logging; fuzz/fuzz_ledger.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/common/staged.h"

enum { LEDGER_ENTRY = 64, LEDGER_RECORDS_MAX = 16384 };
enum { LEDGER_FILE_MAX = LEDGER_ENTRY + LEDGER_ENTRY * LEDGER_RECORDS_MAX };

enum ledger_flag {
	LEDGER_UNSURE = 1 << 0,  /* used may be wrong: it is to be counted when there is time */
	LEDGER_UNKNOWN = 1 << 1, /* nothing may be reserved before it is counted */
};

struct ledger_header {
	uint32_t flags;     /* enum ledger_flag */
	uint32_t done;      /* 1 + index of a record whose effect used has already; 0: none */
	uint64_t used;      /* bytes of the published files */
	uint64_t changes;   /* grows with whatever a count that is under way may have missed */
	uint64_t moves;     /* of NOBODY's ledger: the same, when a directory is renamed */
	int64_t counted_ns; /* since 1970: when it was counted last, 0: never */
};

enum ledger_state {
	LEDGER_FREE,
	LEDGER_RESERVED,   /* content on its way */
	LEDGER_PUBLISHING, /* the staging file gets its name: it is gone when it has it */
	LEDGER_REMOVING,   /* a file loses its name: nothing tells whether it has */
	LEDGER_STATES
};

struct ledger_record {
	enum ledger_state state;
	bool elsewhere;      /* the staging file waits in its own directory */
	struct staged_id id; /* of the staging file; id.session says whose the record is */
	uint64_t bytes;      /* to be added to used */
	uint64_t credit;     /* to be taken from it: of a file that is replaced or removed */
};

struct ledger_image {
	struct ledger_header header;
	struct ledger_record *records; /* owned */
	size_t n;
};

/* Decodes a whole file. 0; -EBADMSG: not a ledger that we wrote; -ENOMEM. */
int ledger_read(const uint8_t *data, size_t len, struct ledger_image *ret);
void ledger_image_done(struct ledger_image *image);

void ledger_write_header(const struct ledger_header *h, uint8_t dst[LEDGER_ENTRY]);
/* A free record is all zeros. */
void ledger_write_record(const struct ledger_record *r, uint8_t dst[LEDGER_ENTRY]);

/* Bytes of all records, at most INT64_MAX. */
uint64_t ledger_reserved(const struct ledger_image *image);
