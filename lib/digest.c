#include "lib/digest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#ifdef HAVE_XXH3_128BITS_UPDATE_DISPATCH
#include <xxh_x86dispatch.h> /* for the vectors that this processor has: four times as fast */
#else
#include <xxhash.h>
#endif

#include "lib/err.h"
#include "lib/own.h"
#include "lib/text.h"

enum { XXH3_SIZE = 16, SHA256_SIZE = 32 };

static const uint8_t zeros[64 << 10];

struct digest {
	enum digest_algorithm algorithm;
	XXH3_state_t *xxh3; /* of the content; of the block under way */
	/* blocks */
	XXH3_state_t *outer; /* over the digests of the blocks before it */
	size_t filled;       /* bytes of the block under way */
	bool zero_known;     /* zero_block is the digest of a block of zeros */
	uint8_t zero_block[XXH3_SIZE];
	/* sha256, made on first use */
	EVP_MD *md;
	EVP_MD_CTX *ctx;
};

static const struct {
	const char *name;
	size_t size;
} algorithms[DIGEST_ALGORITHMS] = {
	[DIGEST_XXH3] = { "xxh3", XXH3_SIZE },
	[DIGEST_SHA256] = { "sha256", SHA256_SIZE },
	[DIGEST_BLOCKS] = { "blocks", XXH3_SIZE },
};

size_t
digest_size(enum digest_algorithm a)
{
	return algorithms[a].size;
}

const char *
digest_name(enum digest_algorithm a)
{
	return algorithms[a].name;
}

int
digest_parse(const char *text, size_t len, struct digest_value *ret, bool *ret_has_value)
{
	const char *colon = memchr(text, ':', len);
	size_t name_len = colon != NULL ? (size_t)(colon - text) : len;
	struct digest_value v = { 0 };
	unsigned a;

	for (a = 0; a < DIGEST_ALGORITHMS; a++)
		if (strlen(algorithms[a].name) == name_len &&
		    memcmp(algorithms[a].name, text, name_len) == 0)
			break;
	if (a == DIGEST_ALGORITHMS)
		return -FTD_E_unsupported;
	v.algorithm = (enum digest_algorithm)a;
	if (colon != NULL && text_unhex(v.bytes, sizeof(v.bytes), colon + 1, len - name_len - 1) !=
				 (int)algorithms[a].size)
		return -FTD_E_bad_request;
	*ret = v;
	*ret_has_value = colon != NULL;
	return 0;
}

const char *
digest_format(const struct digest_value *v, char *buf)
{
	size_t n = strlen(algorithms[v->algorithm].name);

	memcpy(buf, algorithms[v->algorithm].name, n);
	buf[n] = ':';
	(void)text_hex(buf + n + 1, v->bytes, algorithms[v->algorithm].size);
	return buf;
}

bool
digest_equal(const struct digest_value *a, const struct digest_value *b)
{
	return a->algorithm == b->algorithm &&
	       memcmp(a->bytes, b->bytes, algorithms[a->algorithm].size) == 0;
}

/* Nothing of OpenSSL's can fail once the context is set up; a wrong digest would be worse than the
 * end. */
static void
must(int ok)
{
	if (ok != 1)
		abort();
}

/* Looks SHA-256 up once: doing so for each content costs more than hashing a small one. */
static int
begin_sha256(struct digest *d)
{
	if (d->md == NULL)
		d->md = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (d->ctx == NULL)
		d->ctx = EVP_MD_CTX_new();
	if (d->md == NULL || d->ctx == NULL || EVP_DigestInit_ex2(d->ctx, d->md, NULL) != 1)
		return -ENOMEM;
	return 0;
}

int
digest_reset(struct digest *d, enum digest_algorithm a)
{
	int r;

	if (a == DIGEST_SHA256) {
		r = begin_sha256(d);
		if (r < 0)
			return r;
	}
	d->algorithm = a;
	d->filled = 0;
	(void)XXH3_128bits_reset(d->xxh3);
	(void)XXH3_128bits_reset(d->outer);
	return 0;
}

int
digest_new(enum digest_algorithm a, struct digest **ret)
{
	struct digest *d = calloc(1, sizeof(*d));
	int r = -ENOMEM;

	if (d == NULL)
		return r;
	d->xxh3 = XXH3_createState();
	d->outer = XXH3_createState();
	if (d->xxh3 != NULL && d->outer != NULL)
		r = digest_reset(d, a);
	if (r < 0) {
		(void)digest_free(d);
		return r;
	}
	*ret = d;
	return 0;
}

struct digest *
digest_free(struct digest *d)
{
	if (d == NULL)
		return NULL;
	(void)XXH3_freeState(d->xxh3);
	(void)XXH3_freeState(d->outer);
	EVP_MD_CTX_free(d->ctx);
	EVP_MD_free(d->md);
	free(d);
	return NULL;
}

static void
canonical(XXH128_hash_t hash, uint8_t ret[XXH3_SIZE])
{
	XXH128_canonical_t c;

	XXH128_canonicalFromHash(&c, hash);
	memcpy(ret, c.digest, XXH3_SIZE);
}

void
digest_block(const void *data, size_t len, uint8_t ret[16])
{
	canonical(XXH3_128bits(data, len), ret);
}

/* The block under way is complete. */
static void
end_block(struct digest *d)
{
	uint8_t block[XXH3_SIZE];

	canonical(XXH3_128bits_digest(d->xxh3), block);
	(void)XXH3_128bits_update(d->outer, block, sizeof(block));
	(void)XXH3_128bits_reset(d->xxh3);
	d->filled = 0;
}

static void
update_blocks(struct digest *d, const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t n = DIGEST_BLOCK - d->filled;

		if (n > len)
			n = len;
		(void)XXH3_128bits_update(d->xxh3, data, n);
		d->filled += n;
		data += n;
		len -= n;
		if (d->filled == DIGEST_BLOCK)
			end_block(d);
	}
}

void
digest_update(struct digest *d, const void *data, size_t len)
{
	if (len == 0)
		return;
	switch (d->algorithm) {
	case DIGEST_XXH3:
		(void)XXH3_128bits_update(d->xxh3, data, len);
		break;
	case DIGEST_SHA256:
		must(EVP_DigestUpdate(d->ctx, data, len));
		break;
	case DIGEST_BLOCKS:
		update_blocks(d, data, len);
		break;
	case DIGEST_ALGORITHMS:
		abort();
	}
}

/* A whole block of zeros where a block begins. */
static void
add_zero_block(struct digest *d)
{
	if (!d->zero_known) {
		for (size_t n = 0; n < DIGEST_BLOCK; n += sizeof(zeros))
			(void)XXH3_128bits_update(d->xxh3, zeros, sizeof(zeros));
		canonical(XXH3_128bits_digest(d->xxh3), d->zero_block);
		(void)XXH3_128bits_reset(d->xxh3);
		d->zero_known = true;
	}
	(void)XXH3_128bits_update(d->outer, d->zero_block, sizeof(d->zero_block));
}

void
digest_update_zeros(struct digest *d, uint64_t len)
{
	while (len > 0) {
		size_t n = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);

		if (n > DIGEST_BLOCK - d->filled) /* up to where whole blocks begin */
			n = DIGEST_BLOCK - d->filled;
		if (d->algorithm == DIGEST_BLOCKS && d->filled == 0 && len >= DIGEST_BLOCK) {
			add_zero_block(d);
			n = DIGEST_BLOCK;
		} else {
			digest_update(d, zeros, n);
		}
		len -= n;
	}
}

void
digest_final(struct digest *d, struct digest_value *ret)
{
	struct digest_value v = { .algorithm = d->algorithm };

	switch (d->algorithm) {
	case DIGEST_XXH3:
		canonical(XXH3_128bits_digest(d->xxh3), v.bytes);
		break;
	case DIGEST_SHA256:
		must(EVP_DigestFinal_ex(d->ctx, v.bytes, NULL));
		break;
	case DIGEST_BLOCKS:
		if (d->filled > 0)
			end_block(d);
		canonical(XXH3_128bits_digest(d->outer), v.bytes);
		break;
	case DIGEST_ALGORITHMS:
		abort();
	}
	*ret = v;
}
