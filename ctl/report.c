#include "ctl/report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/num.h"
#include "lib/own.h"
#include "lib/text.h"

enum { KEY_MAX = 64, NAME_MAX_BYTES = 4200 };

const char *
report_bold(const struct report *r)
{
	return r->colour ? "\033[1m" : "";
}

const char *
report_yellow(const struct report *r)
{
	return r->colour ? "\033[33m" : "";
}

const char *
report_plain(const struct report *r)
{
	return r->colour ? "\033[0m" : "";
}

const char *
report_value(const json_t *value, char *buf)
{
	if (!json_is_string(value)) {
		(void)snprintf(buf, REPORT_TEXT_MAX, "-");
		return buf;
	}
	return text_escape(buf, REPORT_TEXT_MAX, json_string_value(value),
			   json_string_length(value));
}

static const char *
hex_value(const json_t *value, char *buf)
{
	char bytes[NAME_MAX_BYTES];
	int n =
	    text_unhex(bytes, sizeof(bytes), json_string_value(value), json_string_length(value));

	return n < 0 ? report_value(NULL, buf)
		     : text_escape(buf, REPORT_TEXT_MAX, bytes, (size_t)n);
}

const char *
report_text(const json_t *object, const char *key, char *buf)
{
	const json_t *value = json_object_get(object, key), *hex;
	char hex_key[KEY_MAX];

	(void)snprintf(hex_key, sizeof(hex_key), "%s_hex", key);
	hex = json_object_get(object, hex_key);
	return value == NULL && json_is_string(hex) ? hex_value(hex, buf)
						    : report_value(value, buf);
}

void
report_line(struct report *r, const char *title, const char *format, ...)
{
	va_list ap;

	(void)fprintf(r->to, "%-10s ", title);
	va_start(ap, format);
	(void)vfprintf(r->to, format, ap);
	va_end(ap);
	(void)fputc('\n', r->to);
}

void
report_print(struct report *r, const json_t *value)
{
	size_t len = json_string_length(value);
	size_t size = 4 * len + 1; /* \xNN for each byte */
	auto_free char *buf = json_is_string(value) ? malloc(size) : NULL;

	if (buf != NULL)
		(void)fputs(text_escape(buf, size, json_string_value(value), len), r->to);
}

uint64_t
report_number(const json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return n < 0 ? 0 : (uint64_t)n;
}

bool
report_has(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return value != NULL && !json_is_null(value);
}

const char *
report_size(const json_t *object, const char *key, char *buf)
{
	if (report_has(object, key))
		return num_format_size(report_number(object, key), buf);
	(void)snprintf(buf, NUM_TEXT_MAX, "?");
	return buf;
}

const char *
report_age(const json_t *object, const char *key, char *buf)
{
	const char *text = json_string_value(json_object_get(object, key));
	struct tm tm = { 0 };
	int64_t age;

	if (text == NULL || strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) == NULL) {
		(void)snprintf(buf, NUM_TEXT_MAX, "-");
		return buf;
	}
	age = clock_real_ns() / (int64_t)NSEC_PER_SEC - timegm(&tm);
	return num_format_elapsed(age > 0 ? (uint64_t)age * USEC_PER_SEC : 0, buf);
}

void
report_add_text(struct table *t, const json_t *row, const char *key)
{
	char buf[REPORT_TEXT_MAX];

	table_add(t, "%s", report_text(row, key, buf));
}

void
report_add_size(struct table *t, const json_t *row, const char *key)
{
	char buf[NUM_TEXT_MAX];

	table_add(t, "%s", report_size(row, key, buf));
}

void
report_table(struct report *r, struct table *t)
{
	table_print(t, r->to, r->width, report_bold(r), report_plain(r));
	(void)table_free(t);
}

void
report_list(struct report *r, struct table *t, const json_t *rows, const char *one,
	    const char *many)
{
	size_t n = json_array_size(rows);

	report_table(r, t);
	(void)fprintf(r->to, "%zu %s\n", n, n == 1 ? one : many);
}
