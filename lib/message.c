#include "lib/message.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/frame.h"
#include "lib/own.h"
#include "lib/text.h"

enum { KEY_MAX = 64, DUMP_GUESS = 512 };

/* Brackets outside strings, so that the parser never recurses deeper than we allow. */
static bool
too_deep(const char *text, size_t len)
{
	unsigned depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '"')
			quoted = !quoted;
		else if (quoted && c == '\\')
			i++;
		else if (!quoted && (c == '{' || c == '[') && ++depth > MESSAGE_DEPTH_MAX)
			return true;
		else if (!quoted && (c == '}' || c == ']') && depth > 0)
			depth--;
	}
	return false;
}

int
message_parse(const char *text, size_t len, json_t **ret)
{
	auto_json json_t *object = NULL;
	json_error_t error;

	if (len == 0 || too_deep(text, len))
		return -FTD_E_bad_request;
	object = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (object == NULL)
		return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM
									   : -FTD_E_bad_request;
	if (!json_is_object(object))
		return -FTD_E_bad_request;
	*ret = take_ptr(object);
	return 0;
}

void
message_name_done(struct message_name *n)
{
	free(n->mem);
	*n = (struct message_name){ 0 };
}

/* "filename" → "filename_hex" */
static const char *
hex_key(const char *key, char buf[KEY_MAX + sizeof("_hex")])
{
	size_t n = strlen(key);

	assert(n <= KEY_MAX);
	memcpy(buf, key, n);
	memcpy(buf + n, "_hex", sizeof("_hex"));
	return buf;
}

/* The readers below take one value into its place in the struct: 0, or -FTD_E_bad_request and why.
 */

static int
refuse(const char *why, const char **ret_why)
{
	*ret_why = why;
	return -FTD_E_bad_request;
}

static int
read_str(const json_t *value, uint64_t max, void *at, const char **ret_why)
{
	struct message_str s;

	if (!json_is_string(value))
		return refuse("must be a string", ret_why);
	s.data = json_string_value(value);
	s.len = json_string_length(value);
	if (s.len > max)
		return refuse("is too long", ret_why);
	if (memchr(s.data, '\0', s.len) != NULL)
		return refuse("must not contain a NUL", ret_why);
	*(struct message_str *)at = s;
	return 0;
}

static int
read_uint(const json_t *value, uint64_t max, void *at, const char **ret_why)
{
	json_int_t v;

	if (!json_is_integer(value))
		return refuse("must be an integer", ret_why);
	v = json_integer_value(value);
	if (v < 0)
		return refuse("must not be negative", ret_why);
	if ((uint64_t)v > max)
		return refuse("is too large", ret_why);
	*(uint64_t *)at = (uint64_t)v;
	return 0;
}

static int
read_int(const json_t *value, void *at, const char **ret_why)
{
	if (!json_is_integer(value))
		return refuse("must be an integer", ret_why);
	*(int64_t *)at = json_integer_value(value);
	return 0;
}

static int
read_bool(const json_t *value, void *at, const char **ret_why)
{
	if (!json_is_boolean(value))
		return refuse("must be true or false", ret_why);
	*(bool *)at = json_is_true(value);
	return 0;
}

static int
read_name(const json_t *value, uint64_t max, void *at, const char **ret_why)
{
	struct message_name n = { 0 };

	if (!json_is_string(value))
		return refuse("must be a string", ret_why);
	n.data = json_string_value(value);
	n.len = json_string_length(value);
	if (n.len > max)
		return refuse("is too long", ret_why);
	*(struct message_name *)at = n;
	return 0;
}

static int
read_name_hex(const json_t *value, uint64_t max, void *at, const char **ret_why)
{
	struct message_name n = { 0 };
	auto_free char *mem = NULL;
	size_t digits;
	int len;

	if (!json_is_string(value))
		return refuse("must be a string", ret_why);
	digits = json_string_length(value);
	if (digits / 2 > max)
		return refuse("is too long", ret_why);
	mem = malloc(digits / 2 + 1);
	if (mem == NULL)
		return -ENOMEM;
	len = text_unhex(mem, digits / 2, json_string_value(value), digits);
	if (len < 0)
		return refuse("must be two hex digits a byte", ret_why);
	n.len = (size_t)len;
	n.data = n.mem = take_ptr(mem);
	*(struct message_name *)at = n;
	return 0;
}

/* 1: read; 0: the key is not there; negative. */
static int
read_field(json_t *object, const struct message_field *f, void *args, const char **ret_why)
{
	const json_t *value = json_object_get(object, f->key);
	void *at = (char *)args + f->offset;
	char key_hex[KEY_MAX + sizeof("_hex")];
	const json_t *hex = NULL;
	int r = 0;

	if (f->type == MESSAGE_NAME) {
		hex = json_object_get(object, hex_key(f->key, key_hex));
		if (value != NULL && hex != NULL)
			return refuse("and its _hex form exclude each other", ret_why);
	}
	if (value == NULL && hex == NULL)
		return 0;
	switch (f->type) {
	case MESSAGE_STR:
		r = read_str(value, f->max, at, ret_why);
		break;
	case MESSAGE_UINT:
		r = read_uint(value, f->max, at, ret_why);
		break;
	case MESSAGE_INT:
		r = read_int(value, at, ret_why);
		break;
	case MESSAGE_BOOL:
		r = read_bool(value, at, ret_why);
		break;
	case MESSAGE_NAME:
		r = value != NULL ? read_name(value, f->max, at, ret_why)
				  : read_name_hex(hex, f->max, at, ret_why);
		break;
	case MESSAGE_NULLABLE:
		r = json_is_null(value) ? 0 : read_uint(value, f->max, at, ret_why);
		break;
	}
	return r < 0 ? r : 1;
}

int
message_decode(json_t *object, const struct message_field *fields, size_t n_fields, void *args,
	       uint64_t *ret_has, const char **ret_bad_key, const char **ret_why)
{
	uint64_t has = 0;
	int r;

	assert(n_fields <= 64);
	for (size_t i = 0; i < n_fields; i++) {
		r = read_field(object, &fields[i], args, ret_why);
		if (r == 0 && fields[i].required)
			r = refuse("is missing", ret_why);
		if (r < 0) {
			message_args_done(fields, n_fields, args);
			*ret_bad_key = fields[i].key;
			return r;
		}
		if (r > 0)
			has |= UINT64_C(1) << i;
	}
	*ret_has = has;
	return 0;
}

void
message_args_done(const struct message_field *fields, size_t n_fields, void *args)
{
	for (size_t i = 0; i < n_fields; i++)
		if (fields[i].type == MESSAGE_NAME) {
			void *at = (char *)args + fields[i].offset;

			message_name_done(at);
		}
}

int
message_set_name(json_t *object, const char *key, const char *name, size_t len)
{
	auto_free char *hex = NULL;
	char key_hex[KEY_MAX + sizeof("_hex")];
	json_t *value;

	if (text_utf8_valid(name, len)) {
		value = json_stringn_nocheck(name, len);
	} else {
		hex = malloc(2 * len + 1);
		if (hex == NULL)
			return -ENOMEM;
		value = json_stringn_nocheck(text_hex(hex, name, len), 2 * len);
		key = hex_key(key, key_hex);
	}
	return json_object_set_new_nocheck(object, key, value) < 0 ? -ENOMEM : 0;
}

int
message_append(struct buf *out, json_t *object)
{
	size_t left = out->max - buf_len(out);
	size_t room = FRAME_PREFIX + DUMP_GUESS;
	uint8_t *at;
	size_t n;
	int r;

	if (left <= FRAME_PREFIX)
		return -ENOBUFS;
	if (room > left)
		room = left;
	for (;;) {
		r = buf_reserve(out, room, &at);
		if (r < 0)
			return r;
		room = buf_room(out);
		n = json_dumpb(object, (char *)at + FRAME_PREFIX, room - FRAME_PREFIX,
			       JSON_COMPACT);
		if (n == 0)
			return -ENOMEM;
		if (n > FRAME_HEADER_MAX)
			return -EMSGSIZE;
		if (n <= room - FRAME_PREFIX)
			break;
		room = FRAME_PREFIX + n;
	}
	frame_prefix(at, n);
	buf_added(out, FRAME_PREFIX + n);
	return 0;
}
