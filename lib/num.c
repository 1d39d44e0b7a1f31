#include "lib/num.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/own.h"

enum { DECIMALS_MAX = 6 }; /* so that a fraction times a unit fits 64 bits */

static const struct {
	const char *letter;
	const char *name;
	uint64_t bytes;
} size_units[] = {
	{ "T", "TiB", UINT64_C(1) << 40 },
	{ "G", "GiB", UINT64_C(1) << 30 },
	{ "M", "MiB", UINT64_C(1) << 20 },
	{ "K", "KiB", UINT64_C(1) << 10 },
	{ "", "B", 1 },
};

static const struct {
	const char *name;
	uint64_t usec;
} duration_units[] = {
	{ "d", 86400 * USEC_PER_SEC }, { "h", 3600 * USEC_PER_SEC }, { "m", 60 * USEC_PER_SEC },
	{ "s", USEC_PER_SEC },         { "ms", USEC_PER_MSEC },
};
#define DURATION_MAX (3650 * 86400 * USEC_PER_SEC)

static bool
is_word(const char *word, const char *s, size_t len)
{
	return strlen(word) == len && memcmp(word, s, len) == 0;
}

/* Reads the digits at s[0..len): how many there are, or -EINVAL for none. *over is set, and *ret
 * without meaning, where they are more than 64 bits. */
static int
digits(const char *s, size_t len, uint64_t *ret, bool *over)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < len && s[i] >= '0' && s[i] <= '9'; i++)
		if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s[i] - '0'), &v))
			*over = true;
	if (i == 0 || i > INT_MAX)
		return -EINVAL;
	*ret = v;
	return (int)i;
}

int
num_parse_u64(const char *s, uint64_t max, uint64_t *ret)
{
	size_t len = strlen(s);
	bool over = false;
	uint64_t v;
	int n;

	n = digits(s, len, &v, &over);
	if (n < 0 || (size_t)n != len)
		return -EINVAL;
	if (over || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

/* The factor of a unit of size, 0 for an unknown one. */
static uint64_t
size_unit(const char *s, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(size_units); i++)
		if (is_word(size_units[i].letter, s, len) || is_word(size_units[i].name, s, len))
			return size_units[i].bytes;
	return 0;
}

/* Reads ".25" at s as a fraction of 10^6; how many bytes it takes (0: there is none) or -EINVAL. */
static int
decimals(const char *s, size_t len, uint64_t *ret)
{
	bool over = false;
	uint64_t v = 0;
	int n;

	*ret = 0;
	if (len == 0 || s[0] != '.')
		return 0;
	n = digits(s + 1, len - 1, &v, &over);
	if (n < 0 || n > DECIMALS_MAX)
		return -EINVAL;
	for (int i = n; i < DECIMALS_MAX; i++)
		v *= 10;
	*ret = v;
	return 1 + n;
}

static int
parse_size(const char *s, size_t len, uint64_t *ret)
{
	uint64_t whole, fraction, unit, v;
	bool over = false;
	int n;

	if (is_word("unlimited", s, len)) {
		*ret = NUM_UNLIMITED;
		return 0;
	}
	n = digits(s, len, &whole, &over);
	if (n < 0)
		return n;
	s += n;
	len -= (size_t)n;
	n = decimals(s, len, &fraction);
	if (n < 0)
		return n;
	unit = size_unit(s + n, len - (size_t)n);
	if (unit == 0 || (unit == 1 && n > 0)) /* there is no half byte */
		return -EINVAL;
	if (over || __builtin_mul_overflow(whole, unit, &v) || v > INT64_MAX)
		return -ERANGE;
	v += fraction * unit / 1000000;
	if (v > INT64_MAX)
		return -ERANGE;
	*ret = v;
	return 0;
}

int
num_parse_size(const char *s, uint64_t *ret)
{
	return parse_size(s, strlen(s), ret);
}

int
num_parse_rate(const char *s, uint64_t *ret)
{
	size_t len = strlen(s);

	if (len > 2 && strcmp(s + len - 2, "/s") == 0 && strncmp(s, "unlimited", 9) != 0)
		len -= 2;
	return parse_size(s, len, ret);
}

/* The row of the unit at s, no digit behind it; from: the first row allowed. */
static int
duration_unit(const char *s, size_t from)
{
	size_t len = strcspn(s, "0123456789");

	for (size_t i = from; i < ARRAY_SIZE(duration_units); i++)
		if (is_word(duration_units[i].name, s, len))
			return (int)i;
	return -EINVAL;
}

int
num_parse_duration(const char *s, uint64_t *ret_usec)
{
	uint64_t sum = 0, v;
	bool over = false;
	size_t from = 0;
	int n;

	if (strcmp(s, "0") == 0) {
		*ret_usec = 0;
		return 0;
	}
	do { /* units go down: "1h30m", not "30m1h" */
		n = digits(s, strlen(s), &v, &over);
		if (n < 0)
			return n;
		s += n;
		n = duration_unit(s, from);
		if (n < 0)
			return n;
		s += strlen(duration_units[n].name);
		from = (size_t)n + 1;
		if (__builtin_mul_overflow(v, duration_units[n].usec, &v) ||
		    __builtin_add_overflow(sum, v, &sum))
			over = true;
	} while (*s != '\0');
	if (over || sum > DURATION_MAX)
		return -ERANGE;
	*ret_usec = sum;
	return 0;
}

const char *
num_format_size(uint64_t n, char *buf)
{
	static const char *const names[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	uint64_t unit = 1, whole, tenths;
	size_t i = 0;

	if (n == NUM_UNLIMITED) {
		(void)snprintf(buf, NUM_TEXT_MAX, "unlimited");
		return buf;
	}
	for (; i + 1 < ARRAY_SIZE(names) && n / unit >= 1024; i++)
		unit *= 1024;
	if (i == 0) {
		(void)snprintf(buf, NUM_TEXT_MAX, "%" PRIu64 " B", n);
		return buf;
	}
	whole = n / unit;
	tenths = (n % unit * 10 + unit / 2) / unit;
	if (tenths == 10) {
		whole++;
		tenths = 0;
	}
	if (whole == 1024 && i + 1 < ARRAY_SIZE(names)) { /* rounded up into the next unit */
		whole = 1;
		i++;
	}
	(void)snprintf(buf, NUM_TEXT_MAX, "%" PRIu64 ".%" PRIu64 " %s", whole, tenths, names[i]);
	return buf;
}

const char *
num_format_size_exact(uint64_t n, char *buf)
{
	size_t i = 0;

	if (n == NUM_UNLIMITED) {
		(void)snprintf(buf, NUM_TEXT_MAX, "unlimited");
		return buf;
	}
	while (i + 1 < ARRAY_SIZE(size_units) && (n == 0 || n % size_units[i].bytes != 0))
		i++;
	(void)snprintf(buf, NUM_TEXT_MAX, "%" PRIu64 "%s", n / size_units[i].bytes,
		       size_units[i].letter);
	return buf;
}

const char *
num_format_duration_exact(uint64_t usec, char *buf)
{
	size_t i = 0;

	if (usec < USEC_PER_MSEC) {
		(void)snprintf(buf, NUM_TEXT_MAX, "0");
		return buf;
	}
	while (i + 1 < ARRAY_SIZE(duration_units) && usec % duration_units[i].usec != 0)
		i++;
	(void)snprintf(buf, NUM_TEXT_MAX, "%" PRIu64 "%s", usec / duration_units[i].usec,
		       duration_units[i].name);
	return buf;
}

const char *
num_format_elapsed(uint64_t usec, char *buf)
{
	uint64_t s = usec / USEC_PER_SEC;
	uint64_t days = s / 86400;
	unsigned hours = (unsigned)(s / 3600 % 24);
	unsigned minutes = (unsigned)(s / 60 % 60);

	if (days > 0)
		(void)snprintf(buf, NUM_TEXT_MAX, "%" PRIu64 "d %02u:%02u", days, hours, minutes);
	else if (hours > 0)
		(void)snprintf(buf, NUM_TEXT_MAX, "%u:%02u:%02u", hours, minutes,
			       (unsigned)(s % 60));
	else
		(void)snprintf(buf, NUM_TEXT_MAX, "%u:%02u", minutes, (unsigned)(s % 60));
	return buf;
}
