/*
 * JSON headers: bytes to struct through a field table, struct to bytes. Handlers never look into a
 * json_t that came from a peer. Pure, no logging; fuzz/fuzz_message.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "lib/buf.h"

enum { MESSAGE_DEPTH_MAX = 8, MESSAGE_ID_MAX = 64 };

/* One JSON object, UTF-8: no duplicate keys, depth at most 8, integers only where the number is one
 * (reals are kept, and refused by every field type). The caller owns *ret. Depth is checked on the
 * bytes before the parser sees them. -FTD_E_bad_request, -ENOMEM. */
int message_parse(const char *text, size_t len, json_t **ret);

/* A run of bytes borrowed from the json_t; data is NULL where the key was missing. */
struct message_str {
	const char *data;
	size_t len;
};

enum message_type {
	MESSAGE_STR,      /* struct message_str; max: bytes */
	MESSAGE_UINT,     /* uint64_t; 0 to max */
	MESSAGE_INT,      /* int64_t; any */
	MESSAGE_BOOL,     /* bool */
	MESSAGE_NAME,     /* struct message_name: key or key_hex, never both; max: bytes */
	MESSAGE_NULLABLE, /* uint64_t as MESSAGE_UINT, or null: nothing but the bit of "has" */
};

/* A name of any bytes. From the key it borrows the json_t's; from key_hex the bytes are in mem. */
struct message_name {
	const char *data; /* NULL: missing */
	size_t len;
	char *mem; /* message_name_done() frees it */
};
void message_name_done(struct message_name *n);

struct message_field {
	const char *key;
	enum message_type type;
	size_t offset; /* of the value in the struct */
	uint64_t max;
	bool required;
};

/* Reads the fields of the table into *args (zeroed by the caller). Unknown keys are ignored.
 * *ret_has gets bit i set where field i was there (null counts for MESSAGE_NULLABLE); at most 64
 * rows. -FTD_E_bad_request: *ret_bad_key (borrowed) names the first field that is missing, of the
 * wrong type or out of range, and *ret_why says in words what would be right. */
int message_decode(json_t *object, const struct message_field *fields, size_t n_fields, void *args,
		   uint64_t *ret_has, const char **ret_bad_key, const char **ret_why);

/* Frees the MESSAGE_NAME memory of a decoded struct. */
void message_args_done(const struct message_field *fields, size_t n_fields, void *args);

/* Sets key to a name: UTF-8 as a string, anything else as key_hex. 0 or -ENOMEM. */
int message_set_name(json_t *object, const char *key, const char *name, size_t len);

/* Appends one frame (prefix and compact JSON) to out. Takes no ownership.
 * -EMSGSIZE where the header would be over 65,536 bytes, -ENOBUFS, -ENOMEM; out is then as before.
 */
int message_append(struct buf *out, json_t *object);
