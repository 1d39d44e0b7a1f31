/*
 * Content on its way into a resumable upload: from when on it counts, whatever happens then. A
 * transfer's watch (transfer.h) with a checkpoint in the record now and then. No logging.
 */
#pragma once

#include "daemon/common/partial.h"
#include "daemon/session/transfer.h"

enum { INTAKE_CHECKPOINT = 64 << 20, INTAKE_SUMS = INTAKE_CHECKPOINT / DIGEST_BLOCK + 1 };

struct intake {
	struct partial *p;  /* borrowed */
	struct transfer *t; /* borrowed */
	struct transfer_watch watch;
	bool late;         /* nothing counts before all of it is verified */
	uint64_t saved;    /* up to there it is in the record */
	uint64_t counted;  /* of what was received, in the record */
	uint64_t due_usec; /* of the next checkpoint */
	/* digests of blocks that came whole: the one under way, and those to be saved */
	struct digest *block;
	uint64_t block_at; /* where the content of block ends; UINT64_MAX: it does not count */
	unsigned n_sums;
	struct {
		uint64_t block;
		uint8_t sum[RECORD_SUM];
	} sums[INTAKE_SUMS];
};

/* Watches t, which is about to write into the content of p: expected, base, fd are set. Of an
 * intake that is zero; to be freed with intake_done() in any case. 0 or negative. */
int intake_begin(struct intake *k, struct partial *p, struct transfer *t, bool late);
/* What has come counts from now on. 0 or a refusal. */
int intake_save(struct intake *k);
/* It does not, nor what was there before. 0 or -errno. */
int intake_void(struct intake *k);
void intake_done(struct intake *k);
