#include "lib/frame.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/own.h"
#include "tests/unit/unit.h"

static void
first_four_bytes(void **state)
{
	static const struct {
		uint8_t bytes[FRAME_PREFIX];
		enum frame_first first;
	} rows[] = {
		{ { 1, 0, 0, 0 }, FRAME_FIRST_FRAME },
		{ { 0, 0, 1, 0 }, FRAME_FIRST_FRAME },       /* 65,536 */
		{ { 0x16, 0x03, 0, 0 }, FRAME_FIRST_FRAME }, /* a length wins over all else */
		{ { '{', '}', 0, 0 }, FRAME_FIRST_FRAME },
		{ { 1, 0, 1, 0 }, FRAME_FIRST_BAD }, /* 65,537 */
		{ { 0, 0, 0, 0 }, FRAME_FIRST_BAD },
		{ { 1, 0, 0, 0x80 }, FRAME_FIRST_BAD }, /* negative */
		{ { 0xff, 0xff, 0xff, 0xff }, FRAME_FIRST_BAD },
		{ { 0x16, 0x03, 0x01, 0x02 }, FRAME_FIRST_TLS },
		{ { 0x16, 0x02, 0x01, 0x02 }, FRAME_FIRST_BAD },
		{ { 0x0d, 0x0a, 0x0d, 0x0a }, FRAME_FIRST_PROXY },
		{ { 0x0d, 0x0a, 0x0d, 0x0b }, FRAME_FIRST_BAD },
		{ { '{', '"', 'o', 'p' }, FRAME_FIRST_BARE },
		{ { '[', '"', 'o', 'p' }, FRAME_FIRST_BAD },
		{ { 'G', 'E', 'T', ' ' }, FRAME_FIRST_BAD },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(frame_first(rows[i].bytes), rows[i].first);
}

static void
prefix_and_length_agree(void **state)
{
	static const size_t rows[] = { 1, 2, 255, 256, 65535, 65536 };
	uint8_t prefix[FRAME_PREFIX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		frame_prefix(prefix, rows[i]);
		assert_int_equal(frame_length(prefix), rows[i]);
	}
}

static void
every_truncation_is_need_more(void **state)
{
	static const uint8_t two[] = "\x05\0\0\0hello\x02\0\0\0{}";
	const char *header = NULL;
	size_t len, used;

	(void)state;
	for (size_t n = 0; n < 9; n++)
		assert_int_equal(frame_next(two, n, &header, &len, &used), 0);
	assert_null(header);
	for (size_t n = 9; n < sizeof(two); n++) {
		assert_int_equal(frame_next(two, n, &header, &len, &used), 1);
		assert_ptr_equal(header, two + 4);
		assert_int_equal(len, 5);
		assert_int_equal(used, 9);
	}
	assert_int_equal(frame_next(two + 9, 6, &header, &len, &used), 1);
	assert_memory_equal(header, "{}", 2);
}

static void
a_bad_length_is_known_at_once(void **state)
{
	static const uint8_t rows[][FRAME_PREFIX] = {
		{ 0, 0, 0, 0 }, { 1, 0, 1, 0 }, { 0xff, 0xff, 0xff, 0xff }, { 0, 0, 0, 0x80 }
	};
	const char *header = NULL;
	size_t len, used;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(frame_next(rows[i], 4, &header, &len, &used), -FTD_E_bad_frame);
	assert_null(header);
}

static int
bare(const char *text)
{
	return frame_bare_next((const uint8_t *)text, strlen(text));
}

static void
bare_objects(void **state)
{
	(void)state;
	assert_int_equal(bare(""), 0);
	assert_int_equal(bare("{"), 0);
	assert_int_equal(bare("{}"), 2);
	assert_int_equal(bare("{}}"), 2);
	assert_int_equal(bare("{\"a\":{\"b\":1}}content"), 13);
	assert_int_equal(bare("{\"}\"}x"), 5);
	assert_int_equal(bare("{\"\\\"}\"}x"), 7);
	assert_int_equal(bare("{\"\\\\\"}x"), 6);
	assert_int_equal(bare("{\"\\"), 0);
	assert_int_equal(bare("{\"}}}}"), 0);
	assert_int_equal(bare("[]"), -FTD_E_bad_frame);
	assert_int_equal(bare(" {}"), -FTD_E_bad_frame);
	assert_int_equal(bare("}"), -FTD_E_bad_frame);
}

static void
bare_objects_are_bounded(void **state)
{
	auto_free uint8_t *text = malloc(FRAME_HEADER_MAX + 10);

	(void)state;
	assert_non_null(text);
	memset(text, ' ', FRAME_HEADER_MAX + 10);
	text[0] = '{';
	assert_int_equal(frame_bare_next(text, FRAME_HEADER_MAX - 1), 0);
	assert_int_equal(frame_bare_next(text, FRAME_HEADER_MAX), -FTD_E_bad_frame);
	text[FRAME_HEADER_MAX] = '}';
	assert_int_equal(frame_bare_next(text, FRAME_HEADER_MAX + 10), -FTD_E_bad_frame);
	text[FRAME_HEADER_MAX - 1] = '}';
	assert_int_equal(frame_bare_next(text, FRAME_HEADER_MAX + 10), FRAME_HEADER_MAX);
	memset(text, '{', FRAME_HEADER_MAX);
	assert_int_equal(frame_bare_next(text, FRAME_HEADER_MAX), -FTD_E_bad_frame);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_four_bytes),
		cmocka_unit_test(prefix_and_length_agree),
		cmocka_unit_test(every_truncation_is_need_more),
		cmocka_unit_test(a_bad_length_is_known_at_once),
		cmocka_unit_test(bare_objects),
		cmocka_unit_test(bare_objects_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
