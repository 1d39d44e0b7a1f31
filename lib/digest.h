/*
 * Content digests as the wire names them, "algorithm:hex" (doc/PROTOCOL.md, "Bodies").
 * xxh3: XXH3-128, seed 0, big-endian (canonical) form. sha256: FIPS 180-4. blocks: xxh3 over the
 * 16-byte xxh3 of each 8 MiB block; the last block may be short, an empty content has no block.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum digest_algorithm { DIGEST_XXH3, DIGEST_SHA256, DIGEST_BLOCKS, DIGEST_ALGORITHMS };
enum { DIGEST_MAX = 32, DIGEST_TEXT_MAX = 80, DIGEST_BLOCK = 8 << 20 };

struct digest; /* running state */

struct digest_value {
	enum digest_algorithm algorithm;
	uint8_t bytes[DIGEST_MAX]; /* digest_size() of them */
};

size_t digest_size(enum digest_algorithm a);
const char *digest_name(enum digest_algorithm a);

/* "xxh3" or "xxh3:<hex>" with exactly as many digits as the algorithm has; *ret_has_value tells
 * which. -FTD_E_unsupported for an unknown algorithm, -FTD_E_bad_request for wrong digits. */
int digest_parse(const char *text, size_t len, struct digest_value *ret, bool *ret_has_value);

/* "xxh3:0123…"; buf holds DIGEST_TEXT_MAX. Returns buf. */
const char *digest_format(const struct digest_value *v, char *buf);

bool digest_equal(const struct digest_value *a, const struct digest_value *b);

/* -ENOMEM. digest_free takes NULL and returns NULL. */
int digest_new(enum digest_algorithm a, struct digest **ret);
struct digest *digest_free(struct digest *d);

/* Begins anew with another content; the algorithm may change. -ENOMEM. */
int digest_reset(struct digest *d, enum digest_algorithm a);
void digest_update(struct digest *d, const void *data, size_t len);
void digest_update_zeros(struct digest *d, uint64_t len);
void digest_final(struct digest *d, struct digest_value *ret);

/* The raw 16 bytes of one block. */
void digest_block(const void *data, size_t len, uint8_t ret[16]);
