/*
 * Frames that come from the server, as structs. Everything in them is hostile: types and ranges are
 * checked here, names by whoever opens them. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "lib/message.h"

enum {
	ANSWER_BODY_MAX = 64 << 20,
	ANSWER_NAME_MAX = 4095,
	ANSWER_ETAG_MAX = 256,
	ANSWER_UPLOAD_MAX = 64,
	ANSWER_RANGES_MAX = 1000
};

/* What any frame may have. Strings are borrowed from object. */
struct answer {
	json_t *object; /* owned */
	struct message_str status, code, message, digest, phase, after, user, upload;
	uint64_t id, body, hole, retry_after_ms;
	bool more, close, unchanged;
	uint64_t has; /* ANSWER_HAS_* */
};

enum {
	ANSWER_HAS_ID = 1 << 0,
	ANSWER_HAS_RETRY = 1 << 1,
};

enum entry_type { ENTRY_FILE, ENTRY_DIR, ENTRY_LINK, ENTRY_OTHER };

/* One thing in a share. Strings are borrowed from the object it was read from. */
struct entry {
	struct message_name name; /* data is NULL where the frame has none */
	struct message_str type_text, etag, code, digest;
	enum entry_type type;
	bool has_type;
	uint64_t filesize, mode;
	int64_t mtime_ns;
	bool has_mode, has_mtime;
};

/* Takes object over, also on failure. -FTD_E_bad_request: a key has the wrong type or range. */
int answer_decode(json_t *object, struct answer *ret);
void answer_done(struct answer *a);

/* The ranges that the server holds, ascending and apart: pairs (first, end) into ret, which holds
 * 2 * ANSWER_RANGES_MAX numbers. Their count; -FTD_E_bad_request: they are none. */
int answer_ranges(const struct answer *a, uint64_t *ret);

bool answer_is(const struct message_str *s, const char *word);

/* The entry in any object; entry_done() frees the name. -FTD_E_bad_request. */
int entry_decode(json_t *object, struct entry *ret);
void entry_done(struct entry *e);
