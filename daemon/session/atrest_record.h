/*
 * What is noted of a published file that is at rest: its digests, and what size and time it had
 * when it had them. As the extended attribute user.ftd.xxh3 has it, and as a place of the share's
 * table (atrest_table.h), where it also says of which file. Little-endian, with a checksum; pure,
 * fuzz/fuzz_atrest.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/digest.h"

enum { ATREST_DIGEST = 16, ATREST_RECORD = 58, ATREST_PLACE = 128 };

struct atrest_record {
	uint64_t size;
	int64_t mtime_ns;
	bool has_xxh3, has_blocks; /* neither: nothing is known of it */
	uint8_t xxh3[ATREST_DIGEST], blocks[ATREST_DIGEST];
};

/* Which file: no other ever has the same three. */
struct atrest_file {
	uint64_t device, inode;
	int64_t birth_ns;
};

void atrest_encode(const struct atrest_record *r, uint8_t dst[ATREST_RECORD]);
/* 0, or -EBADMSG: another length or version, or damaged. */
int atrest_decode(const uint8_t *data, size_t len, struct atrest_record *ret);

void atrest_encode_place(const struct atrest_file *f, const struct atrest_record *r,
			 uint8_t dst[ATREST_PLACE]);
/* 0, or -EBADMSG: damaged, or about another file. */
int atrest_decode_place(const uint8_t *data, size_t len, const struct atrest_file *f,
			struct atrest_record *ret);

/* The digest, if the record has one of the algorithm. */
bool atrest_find(const struct atrest_record *r, enum digest_algorithm a, struct digest_value *ret);
/* Adds a digest to the others; of an algorithm that is not kept nothing happens. */
void atrest_note(struct atrest_record *r, const struct digest_value *v);
