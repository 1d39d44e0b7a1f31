/* daemon/common/record.c: what the record of a resumable upload says, and what is held. */
#include "daemon/common/record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

static struct record_ranges r;

static void
expect(const uint64_t *pairs, unsigned n)
{
	assert_int_equal(r.n, n);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(r.list[i].first, pairs[2 * i]);
		assert_int_equal(r.list[i].end, pairs[2 * i + 1]);
	}
}
#define EXPECT(n, ...) expect((const uint64_t[]){ __VA_ARGS__ }, n)

static void
ranges_grow_together(void **state)
{
	(void)state;
	r.n = 0;
	assert_int_equal(record_add(&r, 10, 20), 0);
	assert_int_equal(record_add(&r, 30, 40), 0);
	EXPECT(2, 10, 20, 30, 40);
	assert_int_equal(record_add(&r, 20, 25), 0);
	EXPECT(2, 10, 25, 30, 40);
	assert_int_equal(record_add(&r, 0, 5), 0);
	EXPECT(3, 0, 5, 10, 25, 30, 40);
	assert_int_equal(record_add(&r, 5, 10), 0);
	EXPECT(2, 0, 25, 30, 40);
	assert_int_equal(record_add(&r, 7, 7), 0);
	assert_int_equal(record_add(&r, 1, 100), 0);
	EXPECT(1, 0, 100);
	assert_int_equal(record_held(&r), 100);
	assert_true(record_holds(&r, 0, 100));
	assert_false(record_holds(&r, 0, 101));
}

static void
what_is_dropped_is_not_held(void **state)
{
	(void)state;
	r.n = 0;
	assert_int_equal(record_add(&r, 0, 100), 0);
	assert_int_equal(record_drop(&r, 40, 60), 0);
	EXPECT(2, 0, 40, 60, 100);
	assert_int_equal(record_drop(&r, 30, 70), 0);
	EXPECT(2, 0, 30, 70, 100);
	assert_int_equal(record_drop(&r, 30, 70), 0);
	assert_int_equal(record_drop(&r, 0, 1000), 0);
	assert_int_equal(r.n, 0);
	assert_true(record_holds(&r, 5, 5));
}

static void
only_so_many_gaps(void **state)
{
	(void)state;
	r.n = 0;
	for (unsigned i = 0; i < RECORD_RANGES_MAX; i++)
		assert_int_equal(record_add(&r, 3 * i, 3 * i + 1), 0);
	assert_int_equal(record_add(&r, 9000, 9001), -ENOBUFS);
	assert_int_equal(r.n, RECORD_RANGES_MAX);
	assert_int_equal(record_add(&r, 1, 3), 0); /* closes one */
	assert_int_equal(r.n, RECORD_RANGES_MAX - 1);
	assert_int_equal(record_add(&r, 9000, 9003), 0);
	assert_int_equal(record_drop(&r, 9001, 9002), -ENOBUFS);
}

static struct record_head
a_head(void)
{
	return (struct record_head){ .user = "alice",
				     .name = "in/big.iso",
				     .size = 123,
				     .has_mtime = true,
				     .mtime_ns = -5,
				     .match = true,
				     .etag = "etag",
				     .how = 2 };
}

static void
heads(void **state)
{
	struct record_head head = a_head(), is;
	uint8_t data[RECORD_HEAD];

	(void)state;
	record_write_head(&head, data);
	assert_int_equal(record_read_head(data, &is), 0);
	assert_memory_equal(&is, &head, sizeof(is));
	data[100] ^= 1;
	assert_int_equal(record_read_head(data, &is), -EBADMSG);
	/* sound, but what nobody may name */
	(void)snprintf(head.name, sizeof(head.name), "../x");
	record_write_head(&head, data);
	assert_int_equal(record_read_head(data, &is), -EBADMSG);
	head = a_head();
	(void)snprintf(head.user, sizeof(head.user), "../x");
	record_write_head(&head, data);
	assert_int_equal(record_read_head(data, &is), -EBADMSG);
	head = a_head();
	head.how = 3;
	record_write_head(&head, data);
	assert_int_equal(record_read_head(data, &is), -EBADMSG);
}

static void
slots(void **state)
{
	static struct record_state s, is;
	static uint8_t data[RECORD_SLOT];

	(void)state;
	assert_int_equal(record_read_slot(data, &is), -EBADMSG); /* an empty one */
	s = (struct record_state){ .sequence = 7 };
	assert_int_equal(record_add(&s.ranges, 1, 5), 0);
	assert_int_equal(record_add(&s.ranges, 7, INT64_MAX), 0);
	record_write_slot(&s, data);
	assert_int_equal(record_read_slot(data, &is), 0);
	assert_int_equal(is.sequence, 7);
	assert_int_equal(is.ranges.n, 2);
	assert_int_equal(is.ranges.list[1].end, INT64_MAX);
	data[RECORD_SLOT / 2] ^= 0x80;
	assert_int_equal(record_read_slot(data, &is), -EBADMSG);
	/* out of order */
	s.ranges.list[0] = (struct record_range){ 8, 9 };
	record_write_slot(&s, data);
	assert_int_equal(record_read_slot(data, &is), -EBADMSG);
	s = (struct record_state){ .sequence = 8, .phase = RECORD_DONE, .received = 5, .parts = 3 };
	s.receipt.len = 2;
	memcpy(s.receipt.text, "{}", 2);
	record_write_slot(&s, data);
	assert_int_equal(record_read_slot(data, &is), 0);
	assert_int_equal(is.phase, RECORD_DONE);
	assert_int_equal(is.received, 5);
	assert_int_equal(is.parts, 3);
	assert_int_equal(is.ranges.n, 0);
	assert_int_equal(is.receipt.len, 2);
	assert_memory_equal(is.receipt.text, "{}", 2);
	/* what is about to get its name is held */
	s.phase = RECORD_PUBLISHING;
	assert_int_equal(record_add(&s.ranges, 0, 77), 0);
	record_write_slot(&s, data);
	assert_int_equal(record_read_slot(data, &is), 0);
	assert_int_equal(is.phase, RECORD_PUBLISHING);
	assert_int_equal(is.ranges.n, 1);
	assert_true(record_holds(&is.ranges, 0, 77));
	assert_int_equal(is.receipt.len, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_grow_together),
		cmocka_unit_test(what_is_dropped_is_not_held),
		cmocka_unit_test(only_so_many_gaps),
		cmocka_unit_test(heads),
		cmocka_unit_test(slots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
