/*
 * What of a file is still to be moved, and what is known of its blocks. Pure: threads that share
 * one have a lock of their own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/digest.h"

enum { BLOCKS_DIGEST = 16 };
enum {
	BLOCKS_KNOWN = 1 << 0, /* the digest of the block here */
	BLOCKS_RIGHT = 1 << 1, /* if the other end holds all of it, it is what is here */
	BLOCKS_WRONG = 1 << 2, /* it held something else when the plan was made */
};

struct blocks_run {
	uint64_t first, end; /* bytes */
};

struct blocks {
	uint64_t size, block; /* bytes: of the file, of a block (the last one may be short) */
	uint64_t n;
	uint8_t (*digests)[BLOCKS_DIGEST];
	uint8_t *flags;
	struct blocks_run *missing; /* ascending */
	size_t n_missing, room, next;
	uint64_t left; /* bytes of missing that nobody has taken */
};

/* Nothing is known, nothing is to be done. -ENOMEM. */
int blocks_init(struct blocks *b, uint64_t size, uint64_t block);
void blocks_done(struct blocks *b);

/* Where block i lies. */
struct blocks_run blocks_at(const struct blocks *b, uint64_t i);

/* Bits of flags of all blocks are cleared. */
void blocks_forget(struct blocks *b, uint8_t flags);

/* Whether held (ascending, disjoint) has a whole block that is not known to be right. */
bool blocks_unsure(const struct blocks *b, const struct blocks_run *held, size_t n);

/* From now on all is to be done but what is held, and what is held of whole blocks that are not
 * right. -ENOMEM. */
int blocks_plan(struct blocks *b, const struct blocks_run *held, size_t n);

/* Takes what is to be done next, at most max bytes (a multiple of the block), up to the end of a
 * block or of what is missing. 1; 0: nothing is left. */
int blocks_take(struct blocks *b, uint64_t max, struct blocks_run *ret);

/* The other end has taken in the run for certain: the blocks that end in it are right. */
void blocks_taken(struct blocks *b, struct blocks_run run);

/* The digest "blocks" of the file; that of every block must be known, and a block be DIGEST_BLOCK.
 * -ENOMEM. */
int blocks_digest(const struct blocks *b, struct digest_value *ret);
