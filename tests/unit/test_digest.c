#include "lib/digest.h"

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/own.h"
#include "tests/unit/unit.h"

#define XXH3_EMPTY "99aa06d3014798d86001c324468d497f"
#define SHA256_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

/* The digest of a content as text. */
static const char *
digest_of(struct digest *d, enum digest_algorithm a, const void *data, size_t len, char *buf)
{
	struct digest_value v;

	assert_int_equal(digest_reset(d, a), 0);
	digest_update(d, data, len);
	digest_final(d, &v);
	return digest_format(&v, buf);
}

static void
known_values(void **state)
{
	struct digest *d;
	char buf[DIGEST_TEXT_MAX];

	(void)state;
	assert_int_equal(digest_new(DIGEST_XXH3, &d), 0);
	assert_string_equal(digest_of(d, DIGEST_XXH3, "", 0, buf), "xxh3:" XXH3_EMPTY);
	assert_string_equal(digest_of(d, DIGEST_BLOCKS, "", 0, buf), "blocks:" XXH3_EMPTY);
	assert_string_equal(digest_of(d, DIGEST_SHA256, "abc", 3, buf), "sha256:" SHA256_ABC);
	assert_string_equal(digest_of(d, DIGEST_SHA256, "abc", 3, buf), "sha256:" SHA256_ABC);
	assert_null(digest_free(d));
	assert_null(digest_free(NULL));
}

/* However the content is cut, the digest is the same. */
static void
pieces_do_not_matter(void **state)
{
	size_t len = DIGEST_BLOCK * 2 + 12345;
	auto_free uint8_t *data = malloc(len);
	struct digest_value whole, cut;
	struct digest *d;

	(void)state;
	assert_non_null(data);
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 2654435761U >> 13);
	assert_int_equal(digest_new(DIGEST_SHA256, &d), 0);
	for (unsigned a = 0; a < DIGEST_ALGORITHMS; a++) {
		assert_int_equal(digest_reset(d, a), 0);
		digest_update(d, data, len);
		digest_final(d, &whole);
		assert_int_equal(digest_reset(d, a), 0);
		for (size_t at = 0, n; at < len; at += n) {
			n = len - at < 999983 ? len - at : 999983;
			digest_update(d, data + at, n);
		}
		digest_final(d, &cut);
		assert_true(digest_equal(&whole, &cut));
	}
	(void)digest_free(d);
}

static void
blocks_are_digests_of_digests(void **state)
{
	size_t len = DIGEST_BLOCK + 5;
	auto_free uint8_t *data = calloc(1, len);
	uint8_t list[32], outer[16];
	struct digest_value v;
	struct digest *d;

	(void)state;
	assert_non_null(data);
	memset(data, 'x', len);
	digest_block(data, DIGEST_BLOCK, list);
	digest_block(data + DIGEST_BLOCK, 5, list + 16);
	digest_block(list, 32, outer);
	assert_int_equal(digest_new(DIGEST_BLOCKS, &d), 0);
	digest_update(d, data, len);
	digest_final(d, &v);
	assert_memory_equal(v.bytes, outer, 16);

	assert_int_equal(digest_reset(d, DIGEST_BLOCKS), 0);
	digest_update(d, data, DIGEST_BLOCK); /* no empty block at the end */
	digest_final(d, &v);
	digest_block(list, 16, outer);
	assert_memory_equal(v.bytes, outer, 16);
	(void)digest_free(d);
}

static void
zeros_are_zeros(void **state)
{
	size_t len = 3 * DIGEST_BLOCK + 70000;
	auto_free uint8_t *data = calloc(1, len);
	struct digest_value bytes, holes;
	struct digest *d;

	(void)state;
	assert_non_null(data);
	data[0] = data[len - 1] = 'x';
	assert_int_equal(digest_new(DIGEST_XXH3, &d), 0);
	for (unsigned a = 0; a < DIGEST_ALGORITHMS; a++) {
		assert_int_equal(digest_reset(d, a), 0);
		digest_update(d, data, len);
		digest_final(d, &bytes);
		assert_int_equal(digest_reset(d, a), 0);
		digest_update(d, "x", 1);
		digest_update_zeros(d, len - 2);
		digest_update_zeros(d, 0);
		digest_update(d, "x", 1);
		digest_final(d, &holes);
		assert_true(digest_equal(&bytes, &holes));
	}
	(void)digest_free(d);
}

static void
a_terabyte_of_zeros_is_cheap(void **state)
{
	uint64_t before = clock_usec();
	struct digest_value v;
	struct digest *d;

	(void)state;
	assert_int_equal(digest_new(DIGEST_BLOCKS, &d), 0);
	digest_update(d, "x", 1);
	digest_update_zeros(d, UINT64_C(1) << 40);
	digest_final(d, &v);
	assert_true(clock_usec() - before < 10 * USEC_PER_SEC);
	(void)digest_free(d);
}

static int
parse(const char *text, struct digest_value *ret, bool *ret_has_value)
{
	return digest_parse(text, strlen(text), ret, ret_has_value);
}

static void
parse_takes(void **state)
{
	struct digest_value v;
	char buf[DIGEST_TEXT_MAX];
	bool has;

	(void)state;
	assert_int_equal(parse("blocks", &v, &has), 0);
	assert_false(has);
	assert_int_equal(v.algorithm, DIGEST_BLOCKS);
	assert_int_equal(parse("xxh3:" XXH3_EMPTY, &v, &has), 0);
	assert_true(has);
	assert_string_equal(digest_format(&v, buf), "xxh3:" XXH3_EMPTY);
	assert_int_equal(parse("sha256:" SHA256_ABC, &v, &has), 0);
	assert_string_equal(digest_format(&v, buf), "sha256:" SHA256_ABC);
	assert_int_equal(digest_parse("xxh3:rest", 4, &v, &has), 0); /* never looks past len */
	assert_false(has);
}

static void
parse_refuses(void **state)
{
	static const struct {
		const char *text;
		int r;
	} rows[] = {
		{ "", -FTD_E_unsupported },
		{ "md5", -FTD_E_unsupported },
		{ "XXH3", -FTD_E_unsupported },
		{ ":" XXH3_EMPTY, -FTD_E_unsupported },
		{ "xxh3x:" XXH3_EMPTY, -FTD_E_unsupported },
		{ "md5:" XXH3_EMPTY, -FTD_E_unsupported },
		{ "xxh3:", -FTD_E_bad_request },
		{ "xxh3:" XXH3_EMPTY "0", -FTD_E_bad_request },
		{ "xxh3:" XXH3_EMPTY "00", -FTD_E_bad_request },
		{ "xxh3:" SHA256_ABC, -FTD_E_bad_request },
		{ "sha256:" SHA256_ABC "00", -FTD_E_bad_request },
		{ "sha256:" XXH3_EMPTY, -FTD_E_bad_request },
		{ "xxh3:g9aa06d3014798d86001c324468d497f", -FTD_E_bad_request },
	};
	struct digest_value v = { .algorithm = DIGEST_ALGORITHMS };
	bool has;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(parse(rows[i].text, &v, &has), rows[i].r);
	assert_int_equal(v.algorithm, DIGEST_ALGORITHMS);
}

static void
equal_means_algorithm_too(void **state)
{
	struct digest_value a = { .algorithm = DIGEST_XXH3 }, b = { .algorithm = DIGEST_BLOCKS };

	(void)state;
	assert_false(digest_equal(&a, &b));
	b.algorithm = DIGEST_XXH3;
	b.bytes[16] = 1; /* behind the 16 that count */
	assert_true(digest_equal(&a, &b));
	b.bytes[15] = 1;
	assert_false(digest_equal(&a, &b));
	assert_int_equal(digest_size(DIGEST_SHA256), 32);
	assert_string_equal(digest_name(DIGEST_SHA256), "sha256");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_values),
		cmocka_unit_test(pieces_do_not_matter),
		cmocka_unit_test(blocks_are_digests_of_digests),
		cmocka_unit_test(zeros_are_zeros),
		cmocka_unit_test(a_terabyte_of_zeros_is_cheap),
		cmocka_unit_test(parse_takes),
		cmocka_unit_test(parse_refuses),
		cmocka_unit_test(equal_means_algorithm_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
