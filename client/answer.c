#include "client/answer.h"

#include <string.h>

#include "lib/err.h"
#include "lib/own.h"

#define STRING(k, field, limit)                                                            \
	{                                                                                  \
		.key = (k), .type = MESSAGE_STR, .offset = offsetof(struct answer, field), \
		.max = (limit)                                                             \
	}
#define NUMBER(k, field, limit)                                                             \
	{                                                                                   \
		.key = (k), .type = MESSAGE_UINT, .offset = offsetof(struct answer, field), \
		.max = (limit)                                                              \
	}
#define FLAG(k, field)                                                                     \
	{                                                                                  \
		.key = (k), .type = MESSAGE_BOOL, .offset = offsetof(struct answer, field) \
	}

/* The first two rows are those of ANSWER_HAS_*. */
static const struct message_field answer_fields[] = {
	NUMBER("id", id, INT64_MAX),
	NUMBER("retry_after_ms", retry_after_ms, INT32_MAX),
	{ .key = "status",
	  .type = MESSAGE_STR,
	  .offset = offsetof(struct answer, status),
	  .max = 32,
	  .required = true },
	STRING("code", code, 64),
	STRING("message", message, 65536),
	STRING("digest", digest, 256),
	STRING("phase", phase, 64),
	STRING("after", after, 65536),
	STRING("user", user, 64),
	STRING("upload", upload, ANSWER_UPLOAD_MAX),
	NUMBER("body", body, ANSWER_BODY_MAX),
	NUMBER("hole", hole, INT64_MAX),
	FLAG("more", more),
	FLAG("close", close),
	FLAG("unchanged", unchanged),
};

#define ENTRY_STRING(k, field, limit)                                                     \
	{                                                                                 \
		.key = (k), .type = MESSAGE_STR, .offset = offsetof(struct entry, field), \
		.max = (limit)                                                            \
	}

/* The first two rows are those of ENTRY_HAS_*. */
static const struct message_field entry_fields[] = {
	{ .key = "mtime_ns", .type = MESSAGE_INT, .offset = offsetof(struct entry, mtime_ns) },
	{ .key = "mode",
	  .type = MESSAGE_UINT,
	  .offset = offsetof(struct entry, mode),
	  .max = 07777 },
	{ .key = "name",
	  .type = MESSAGE_NAME,
	  .offset = offsetof(struct entry, name),
	  .max = ANSWER_NAME_MAX },
	ENTRY_STRING("type", type_text, 16),
	ENTRY_STRING("etag", etag, ANSWER_ETAG_MAX),
	ENTRY_STRING("code", code, 64),
	ENTRY_STRING("digest", digest, 256),
	{ .key = "filesize",
	  .type = MESSAGE_UINT,
	  .offset = offsetof(struct entry, filesize),
	  .max = INT64_MAX },
};

enum { ENTRY_HAS_MTIME = 1 << 0, ENTRY_HAS_MODE = 1 << 1 };

int
answer_decode(json_t *object, struct answer *ret)
{
	struct answer a = { .object = object };
	const char *key, *why;
	int r;

	r = message_decode(object, answer_fields, ARRAY_SIZE(answer_fields), &a, &a.has, &key,
			   &why);
	if (r < 0) {
		json_decref(object);
		return r;
	}
	a.has &= ANSWER_HAS_ID | ANSWER_HAS_RETRY;
	*ret = a;
	return 0;
}

void
answer_done(struct answer *a)
{
	json_decref(a->object);
	*a = (struct answer){ .object = NULL };
}

int
answer_ranges(const struct answer *a, uint64_t *ret)
{
	const json_t *list = json_object_get(a->object, "ranges");
	size_t n = json_array_size(list);
	uint64_t last = 0;

	if (!json_is_array(list) || n > ANSWER_RANGES_MAX)
		return -FTD_E_bad_request;
	for (size_t i = 0; i < 2 * n; i++) {
		const json_t *pair = json_array_get(list, i / 2), *v = json_array_get(pair, i % 2);
		json_int_t value = json_integer_value(v);

		if (json_array_size(pair) != 2 || !json_is_integer(v) || value < 0 ||
		    (i > 0 && (uint64_t)value <= last))
			return -FTD_E_bad_request;
		ret[i] = last = (uint64_t)value;
	}
	return (int)n;
}

bool
answer_is(const struct message_str *s, const char *word)
{
	return s->data != NULL && s->len == strlen(word) && memcmp(s->data, word, s->len) == 0;
}

static enum entry_type
type_of(const struct message_str *text)
{
	if (answer_is(text, "file"))
		return ENTRY_FILE;
	if (answer_is(text, "dir"))
		return ENTRY_DIR;
	if (answer_is(text, "link"))
		return ENTRY_LINK;
	return ENTRY_OTHER;
}

int
entry_decode(json_t *object, struct entry *ret)
{
	struct entry e = { .filesize = 0 };
	const char *key, *why;
	uint64_t has;
	int r;

	r = message_decode(object, entry_fields, ARRAY_SIZE(entry_fields), &e, &has, &key, &why);
	if (r < 0) {
		message_args_done(entry_fields, ARRAY_SIZE(entry_fields), &e);
		return r;
	}
	e.type = type_of(&e.type_text);
	e.has_type = e.type_text.data != NULL;
	e.has_mtime = (has & ENTRY_HAS_MTIME) != 0;
	e.has_mode = (has & ENTRY_HAS_MODE) != 0;
	*ret = e;
	return 0;
}

void
entry_done(struct entry *e)
{
	message_args_done(entry_fields, ARRAY_SIZE(entry_fields), e);
}
