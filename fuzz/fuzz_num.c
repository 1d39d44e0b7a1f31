/* Numbers as people write them: what is understood has one meaning, and is written back to it. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "lib/num.h"
#include "lib/own.h"

/* Only these are failures, and nothing is understood that does not begin like a number. */
static void
check_result(const char *s, int r)
{
	must(r == 0 || r == -EINVAL || r == -ERANGE);
	must(r != 0 || isdigit((unsigned char)s[0]) || strcmp(s, "unlimited") == 0);
}

static void
check_size(const char *s)
{
	char buf[NUM_TEXT_MAX];
	uint64_t v = 0, again = 1;
	int r = num_parse_size(s, &v);

	check_result(s, r);
	if (r < 0)
		return;
	must(v <= INT64_MAX || v == NUM_UNLIMITED);
	must(num_parse_size(num_format_size_exact(v, buf), &again) == 0 && again == v);
	must(num_parse_rate(s, &again) == 0 && again == v);
	must(strlen(num_format_size(v, buf)) < NUM_TEXT_MAX);
}

static void
check_duration(const char *s)
{
	char buf[NUM_TEXT_MAX];
	uint64_t v = 0, again = 1;
	int r = num_parse_duration(s, &v);

	check_result(s, r);
	if (r < 0)
		return;
	must(num_parse_duration(num_format_duration_exact(v, buf), &again) == 0 && again == v);
	must(strlen(num_format_elapsed(v, buf)) < NUM_TEXT_MAX);
}

static void
check_integer(const char *s)
{
	uint64_t v = 0;
	int r = num_parse_u64(s, 65535, &v);

	check_result(s, r);
	must(v <= 65535);
	must((r == -EINVAL) == (s[0] == '\0' || s[strspn(s, "0123456789")] != '\0'));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *s = malloc(size + 1);
	uint64_t v;

	must(s != NULL);
	memcpy(s, data, size);
	s[size] = '\0';
	check_size(s);
	check_duration(s);
	check_integer(s);
	check_result(s, num_parse_rate(s, &v));
	return 0;
}
