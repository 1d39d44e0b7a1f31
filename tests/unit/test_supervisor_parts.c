/* The small parts of the supervisor: rates, numbers, histograms, sources. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/supervisor/histogram.h"
#include "daemon/supervisor/ids.h"
#include "daemon/supervisor/rate.h"
#include "daemon/supervisor/sources.h"
#include "lib/clock.h"
#include "tests/unit/unit.h"

static void
a_rate_follows_the_last_two_seconds(void **state)
{
	struct rate r;
	uint64_t now = 1000, bytes = 0, rate = 0;

	(void)state;
	rate_reset(&r);
	assert_int_equal(rate_sample(&r, now, 0), 0);
	for (int i = 0; i < 20; i++) {
		now += 250 * USEC_PER_MSEC;
		bytes += 250000;
		rate = rate_sample(&r, now, bytes);
	}
	assert_in_range(rate, 990000, 1010000);
	for (int i = 0; i < 20; i++) {
		now += 250 * USEC_PER_MSEC;
		rate = rate_sample(&r, now, bytes);
	}
	assert_int_equal(rate, 0);
	assert_int_equal(rate_sample(&r, now + 1, 0), 0); /* a total that fell is no rate */
	assert_int_equal(rate_sample(&r, now + 2, UINT64_MAX), RATE_MAX);
}

static void
numbers_are_never_used_again(void **state)
{
	char path[] = "/tmp/ftd-ids.XXXXXX";
	struct ids ids;
	uint64_t last = 0, n;
	int dir;

	(void)state;
	assert_non_null(mkdtemp(path));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(ids_open(&ids, dup(dir)), 0);
	for (int i = 0; i < 5000; i++) {
		n = ids_next(&ids);
		assert_true(n > last);
		last = n;
	}
	(void)close(ids.dir); /* as after a power cut: no orderly end */
	assert_int_equal(ids_open(&ids, dup(dir)), 0);
	n = ids_next(&ids);
	assert_true(n > last);
	ids_close(&ids);
	assert_int_equal(ids_open(&ids, dup(dir)), 0);
	assert_int_equal(ids_next(&ids), n + 1); /* an orderly end leaves no gap */
	ids_close(&ids);
	assert_int_equal(unlinkat(dir, "ids", 0), 0);
	(void)close(dir);
	assert_int_equal(rmdir(path), 0);
}

static void
a_spoilt_file_or_none_begins_from_the_clock(void **state)
{
	char path[] = "/tmp/ftd-ids.XXXXXX";
	struct ids ids;
	int dir, fd;

	(void)state;
	assert_non_null(mkdtemp(path));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = openat(dir, "ids", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "12x\n", 4), 4);
	(void)close(fd);
	assert_true(ids_open(&ids, dup(dir)) < 0);
	assert_true(ids_next(&ids) > 1000000);
	(void)close(ids.dir);
	assert_int_equal(ids_open(&ids, -1), 0);
	assert_true(ids_next(&ids) > 1000000);
	assert_int_equal(unlinkat(dir, "ids", 0), 0);
	(void)close(dir);
	assert_int_equal(rmdir(path), 0);
}

static void
a_histogram_puts_values_at_their_bounds(void **state)
{
	struct histogram h = { .count = 0 };

	(void)state;
	histogram_add(&h, histogram_ms_bounds, 0);
	histogram_add(&h, histogram_ms_bounds, histogram_ms_bounds[0]);
	histogram_add(&h, histogram_ms_bounds, histogram_ms_bounds[0] + 1);
	histogram_add(&h, histogram_ms_bounds, UINT64_C(1) << 50);
	assert_int_equal(h.bucket[0], 2);
	assert_int_equal(h.bucket[1], 1);
	assert_int_equal(h.bucket[HISTOGRAM_BUCKETS - 1], 1);
	assert_int_equal(h.count, 4);
	for (int i = 1; i < HISTOGRAM_BUCKETS - 1; i++) {
		assert_true(histogram_ms_bounds[i] > histogram_ms_bounds[i - 1]);
		assert_true(histogram_bytes_bounds[i] > histogram_bytes_bounds[i - 1]);
	}
}

static struct source *
hold(const char *text)
{
	union addr a;
	socklen_t len;

	assert_int_equal(addr_parse(text, 1, &a, &len), 0);
	return source_hold(&a);
}

static void
neighbours_in_a_64_are_one_source(void **state)
{
	struct source *a = hold("2001:db8::1"), *b = hold("2001:db8::ffff"),
		      *c = hold("2001:db8:0:1::1");
	struct source *d = hold("192.0.2.1"), *e = hold("192.0.2.2"), *f = hold("::ffff:192.0.2.1");

	(void)state;
	assert_ptr_equal(a, b);
	assert_ptr_not_equal(a, c);
	assert_ptr_not_equal(d, e);
	assert_ptr_equal(d, f);
	a->sessions = 5;
	source_release(b);
	assert_int_equal(hold("2001:db8::2")->sessions, 5);
	source_release(a);
	source_release(a);
	assert_int_equal(hold("2001:db8::1")->sessions, 0); /* forgotten with its last holder */
	source_release(hold("2001:db8::1"));
	source_release(hold("2001:db8::1"));
	source_release(c);
	source_release(d);
	source_release(e);
	source_release(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rate_follows_the_last_two_seconds),
		cmocka_unit_test(numbers_are_never_used_again),
		cmocka_unit_test(a_spoilt_file_or_none_begins_from_the_clock),
		cmocka_unit_test(a_histogram_puts_values_at_their_bounds),
		cmocka_unit_test(neighbours_in_a_64_are_one_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
