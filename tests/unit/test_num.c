#include "lib/num.h"

#include <errno.h>
#include <stddef.h>

#include "lib/clock.h"
#include "lib/own.h"
#include "tests/unit/unit.h"

struct row {
	const char *text;
	int r;
	uint64_t value;
};

static void
check(int (*parse)(const char *, uint64_t *), const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t v = 4711;
		int r = parse(rows[i].text, &v);

		if (r != rows[i].r || v != (r < 0 ? 4711 : rows[i].value))
			fail_msg("\"%s\": %d, %llu", rows[i].text, r, (unsigned long long)v);
	}
}

static int
parse_any(const char *s, uint64_t *ret)
{
	return num_parse_u64(s, UINT64_MAX, ret);
}

static int
parse_port(const char *s, uint64_t *ret)
{
	return num_parse_u64(s, 65535, ret);
}

static void
integers(void **state)
{
	static const struct row any[] = {
		{ "0", 0, 0 },
		{ "42", 0, 42 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "18446744073709551616", -ERANGE },
		{ "99999999999999999999999999", -ERANGE },
		{ "99999999999999999999999999x", -EINVAL },
		{ "", -EINVAL },
		{ " 5", -EINVAL },
		{ "5 ", -EINVAL },
		{ "+5", -EINVAL },
		{ "-5", -EINVAL },
		{ "1e3", -EINVAL },
		{ "0x10", -EINVAL },
		{ "1.0", -EINVAL },
		{ "1_000", -EINVAL },
		{ "\xd9\xa3", -EINVAL },
	};
	static const struct row port[] = { { "65535", 0, 65535 }, { "65536", -ERANGE } };

	(void)state;
	check(parse_any, any, ARRAY_SIZE(any));
	check(parse_port, port, ARRAY_SIZE(port));
}

static void
sizes(void **state)
{
	static const struct row rows[] = {
		{ "0", 0, 0 },
		{ "512", 0, 512 },
		{ "512B", 0, 512 },
		{ "64K", 0, 65536 },
		{ "64KiB", 0, 65536 },
		{ "10M", 0, 10485760 },
		{ "10MiB", 0, 10485760 },
		{ "1.5G", 0, 1610612736 },
		{ "1.5GiB", 0, 1610612736 },
		{ "2T", 0, 2199023255552 },
		{ "1.3K", 0, 1331 },
		{ "0.000001T", 0, 1099511 },
		{ "0.5K", 0, 512 },
		{ "unlimited", 0, NUM_UNLIMITED },
		{ "9223372036854775807", 0, INT64_MAX },
		{ "9223372036854775808", -ERANGE },
		{ "8388607T", 0, INT64_MAX - (INT64_C(1) << 40) + 1 },
		{ "8388608T", -ERANGE },
		{ "8388607.999999T", 0, UINT64_C(9223372036853676296) },
		{ "18446744073709551616", -ERANGE },
		{ "16777216T", -ERANGE },
		{ "99999999999999999999Q", -EINVAL },
		{ "", -EINVAL },
		{ "K", -EINVAL },
		{ ".5K", -EINVAL },
		{ "1.K", -EINVAL },
		{ "1.5", -EINVAL },
		{ "1.5B", -EINVAL },
		{ "1.0000000K", -EINVAL },
		{ "1.5.5K", -EINVAL },
		{ "5Q", -EINVAL },
		{ "5k", -EINVAL },
		{ "5KB", -EINVAL },
		{ "5Ki", -EINVAL },
		{ "5 K", -EINVAL },
		{ "5K ", -EINVAL },
		{ " 5K", -EINVAL },
		{ "+5K", -EINVAL },
		{ "-1", -EINVAL },
		{ "1e3", -EINVAL },
		{ "0x10", -EINVAL },
		{ "1,5K", -EINVAL },
		{ "Unlimited", -EINVAL },
		{ "unlimited ", -EINVAL },
		{ "unlimitedK", -EINVAL },
		{ "10M/s", -EINVAL },
	};

	(void)state;
	check(num_parse_size, rows, ARRAY_SIZE(rows));
}

static void
rates(void **state)
{
	static const struct row rows[] = {
		{ "40M", 0, 41943040 },
		{ "40M/s", 0, 41943040 },
		{ "40MiB/s", 0, 41943040 },
		{ "0", 0, 0 },
		{ "100/s", 0, 100 },
		{ "unlimited", 0, NUM_UNLIMITED },
		{ "unlimited/s", -EINVAL },
		{ "/s", -EINVAL },
		{ "40M/", -EINVAL },
		{ "40M/h", -EINVAL },
		{ "40M/s/s", -EINVAL },
		{ "40Mbit", -EINVAL },
		{ "", -EINVAL },
		{ "9000000T/s", -ERANGE },
	};

	(void)state;
	check(num_parse_rate, rows, ARRAY_SIZE(rows));
}

static void
durations(void **state)
{
	static const struct row rows[] = {
		{ "0", 0, 0 },
		{ "250ms", 0, 250000 },
		{ "30s", 0, 30000000 },
		{ "5m", 0, 300000000 },
		{ "2h", 0, UINT64_C(7200000000) },
		{ "7d", 0, UINT64_C(604800000000) },
		{ "1h30m", 0, UINT64_C(5400000000) },
		{ "1d2h3m4s5ms", 0, UINT64_C(93784005000) },
		{ "0s", 0, 0 },
		{ "90m", 0, UINT64_C(5400000000) },
		{ "1m500ms", 0, 60500000 },
		{ "3650d", 0, UINT64_C(315360000000000) },
		{ "3650d1ms", -ERANGE },
		{ "3651d", -ERANGE },
		{ "18446744073709551616s", -ERANGE },
		{ "213503982334601d", -ERANGE },
		{ "99999999999999999999x", -EINVAL },
		{ "", -EINVAL },
		{ "5", -EINVAL },
		{ "00", -EINVAL },
		{ "s", -EINVAL },
		{ "-5s", -EINVAL },
		{ "+5s", -EINVAL },
		{ " 5s", -EINVAL },
		{ "5s ", -EINVAL },
		{ "5 s", -EINVAL },
		{ "1.5h", -EINVAL },
		{ "1h30", -EINVAL },
		{ "30m1h", -EINVAL },
		{ "1h1h", -EINVAL },
		{ "5w", -EINVAL },
		{ "5S", -EINVAL },
		{ "5sec", -EINVAL },
		{ "5us", -EINVAL },
		{ "1e3s", -EINVAL },
		{ "unlimited", -EINVAL },
	};

	(void)state;
	check(num_parse_duration, rows, ARRAY_SIZE(rows));
}

struct format_row {
	uint64_t value;
	const char *text;
};

static void
check_format(const char *(*format)(uint64_t, char *), const struct format_row *rows, size_t n)
{
	char buf[NUM_TEXT_MAX];

	for (size_t i = 0; i < n; i++)
		assert_string_equal(format(rows[i].value, buf), rows[i].text);
}

static void
formats_for_people(void **state)
{
	static const struct format_row sizes[] = {
		{ 0, "0 B" },
		{ 512, "512 B" },
		{ 1023, "1023 B" },
		{ 1024, "1.0 KiB" },
		{ 1536, "1.5 KiB" },
		{ 13314398618, "12.4 GiB" },
		{ 1048575, "1.0 MiB" },
		{ 1048524, "1023.9 KiB" },
		{ INT64_MAX, "8.0 EiB" },
		{ UINT64_MAX - 1, "16.0 EiB" },
		{ NUM_UNLIMITED, "unlimited" },
	};
	static const struct format_row times[] = {
		{ 0, "0:00" },
		{ 999999, "0:00" },
		{ 56 * USEC_PER_SEC, "0:56" },
		{ 3599 * USEC_PER_SEC, "59:59" },
		{ 7900 * USEC_PER_SEC, "2:11:40" },
		{ 86399 * USEC_PER_SEC, "23:59:59" },
		{ 86400 * USEC_PER_SEC, "1d 00:00" },
		{ 531660 * USEC_PER_SEC, "6d 03:41" },
		{ UINT64_MAX, "213503982d 08:01" },
	};

	(void)state;
	check_format(num_format_size, sizes, ARRAY_SIZE(sizes));
	check_format(num_format_elapsed, times, ARRAY_SIZE(times));
}

static void
formats_for_files(void **state)
{
	static const struct format_row sizes[] = {
		{ 0, "0" },
		{ 1, "1" },
		{ 1023, "1023" },
		{ 1024, "1K" },
		{ 1572864, "1536K" },
		{ 10485760, "10M" },
		{ 1610612736, "1536M" },
		{ UINT64_C(2) << 40, "2T" },
		{ UINT64_C(1) << 62, "4194304T" },
		{ INT64_MAX, "9223372036854775807" },
		{ NUM_UNLIMITED, "unlimited" },
	};
	static const struct format_row times[] = {
		{ 0, "0" },
		{ 999, "0" },
		{ 1000, "1ms" },
		{ 1500000, "1500ms" },
		{ 90 * USEC_PER_SEC, "90s" },
		{ 900 * USEC_PER_SEC, "15m" },
		{ 86400 * USEC_PER_SEC, "1d" },
		{ 604800 * USEC_PER_SEC, "7d" },
		{ 90000 * USEC_PER_SEC, "25h" },
		{ UINT64_MAX, "18446744073709551ms" },
	};

	(void)state;
	check_format(num_format_size_exact, sizes, ARRAY_SIZE(sizes));
	check_format(num_format_duration_exact, times, ARRAY_SIZE(times));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers),
		cmocka_unit_test(sizes),
		cmocka_unit_test(rates),
		cmocka_unit_test(durations),
		cmocka_unit_test(formats_for_people),
		cmocka_unit_test(formats_for_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
