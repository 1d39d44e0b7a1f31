#include "lib/buf.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"

static void
empty_allocates_nothing(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	assert_null(b.mem);
	assert_null(buf_data(&b));
	assert_int_equal(buf_len(&b), 0);
	assert_int_equal(buf_room(&b), 0);
	assert_int_equal(buf_append(&b, "", 0), 0);
	assert_null(b.mem);
	buf_consume(&b, 0);
	buf_trim(&b);
	buf_done(&b);
}

static void
the_maximum_holds(void **state)
{
	struct buf b;
	uint8_t *at = NULL;
	char bytes[6000] = { 0 };

	(void)state;
	buf_init(&b, 5000);
	assert_int_equal(buf_append(&b, bytes, 5001), -ENOBUFS);
	assert_int_equal(buf_len(&b), 0);
	assert_int_equal(buf_append(&b, bytes, 4999), 0);
	assert_int_equal(buf_room(&b), 1);
	assert_int_equal(buf_reserve(&b, 2, &at), -ENOBUFS);
	assert_int_equal(buf_reserve(&b, SIZE_MAX, &at), -ENOBUFS);
	assert_null(at);
	assert_int_equal(buf_append(&b, "x", 1), 0);
	assert_int_equal(buf_len(&b), 5000);
	assert_int_equal(buf_room(&b), 0);
	assert_int_equal(buf_data(&b)[4999], 'x');
	buf_consume(&b, 10);
	assert_int_equal(buf_append(&b, bytes, 11), -ENOBUFS);
	assert_int_equal(buf_append(&b, bytes, 10), 0);
	buf_done(&b);
}

static void
memory_grows_and_is_given_back(void **state)
{
	struct buf b;
	uint8_t *at;

	(void)state;
	buf_init(&b, 1 << 20);
	assert_int_equal(buf_append(&b, "abc", 3), 0);
	assert_int_equal(b.size, 4096);
	assert_int_equal(buf_reserve(&b, 4094, &at), 0);
	assert_int_equal(b.size, 8192);
	assert_memory_equal(buf_data(&b), "abc", 3);
	buf_trim(&b);
	assert_non_null(b.mem); /* it is not empty */
	buf_consume(&b, 3);
	buf_trim(&b);
	assert_null(b.mem);
	assert_int_equal(b.max, 1 << 20);
	assert_int_equal(buf_append(&b, "again", 5), 0);
	buf_done(&b);
	assert_null(b.mem);
}

static void
consumed_room_is_used_again(void **state)
{
	struct buf b;
	char bytes[4000];
	uint8_t *at;

	(void)state;
	memset(bytes, 'a', sizeof(bytes));
	buf_init(&b, 4096);
	assert_int_equal(buf_append(&b, bytes, sizeof(bytes)), 0);
	buf_consume(&b, 3990);
	assert_int_equal(buf_reserve(&b, 4000, &at), 0);
	assert_int_equal(b.size, 4096);
	assert_memory_equal(buf_data(&b), "aaaaaaaaaa", 10);
	assert_ptr_equal(at, buf_data(&b) + 10);
	buf_done(&b);
}

/* Any sequence of appends and consumes keeps the bytes in order. */
static void
order_is_kept(void **state)
{
	struct buf b;
	uint8_t in = 0, out = 0;
	uint32_t random = 12345;
	uint8_t chunk[700];

	(void)state;
	buf_init(&b, 20000);
	for (unsigned i = 0; i < 20000; i++) {
		size_t n;

		random = random * 1103515245 + 12345;
		n = (random >> 8) % sizeof(chunk);
		if (random >> 31 && buf_len(&b) + n <= 20000) {
			for (size_t k = 0; k < n; k++)
				chunk[k] = in++;
			assert_int_equal(buf_append(&b, chunk, n), 0);
		} else {
			n = n < buf_len(&b) ? n : buf_len(&b);
			for (size_t k = 0; k < n; k++)
				assert_int_equal(buf_data(&b)[k], out++);
			buf_consume(&b, n);
		}
		assert_true(buf_len(&b) <= 20000 && b.size <= 32768);
	}
	assert_int_equal((uint8_t)(in - out), (uint8_t)buf_len(&b));
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_allocates_nothing),
		cmocka_unit_test(the_maximum_holds),
		cmocka_unit_test(memory_grows_and_is_given_back),
		cmocka_unit_test(consumed_room_is_used_again),
		cmocka_unit_test(order_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
