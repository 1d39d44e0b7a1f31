/*
 * The keys that every request of the wire may have (doc/PROTOCOL.md, "Frame"), read in one way by
 * gates and sessions. Pure, no logging.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "lib/message.h"

enum { REQUEST_WHY_MAX = 160 };
enum { REQUEST_PIECE_MAX = 64 << 20 /* bytes of one piece of a body */ };

struct place; /* of daemon/session: where a name is */

struct request {
	const char *opt; /* "" where it is missing or no string */
	json_t *object;  /* owned by whoever parsed it */
	json_t *id;      /* borrowed, NULL: none */
	bool more;       /* pieces follow */
	bool has_body;   /* the key body was there */
	uint64_t body;   /* its value */
	/* where filename and to are, located and authorised by the session's dispatcher; NULL: the
	 * operation has no such name, or it may be missing */
	const struct place *source, *target;
	const char *target_key; /* "to" or "base"; NULL: the operation has neither */
};

/* Without a usable body or more nobody could find the next frame: -FTD_E_bad_request. *ret is then
 * unspecified. */
int request_read(json_t *object, struct request *ret);

/* An integer, or a string of at most MESSAGE_ID_MAX bytes. */
bool request_id_is_valid(const json_t *id);

/* Decodes the operation's own keys as message_decode() does, after a look at what every request may
 * have: 0; -FTD_E_bad_request for an id that is none or a key that is wrong, -FTD_E_unsupported
 * where need lists a key that the table does not have, with *ret_message in words
 * (REQUEST_WHY_MAX). */
int request_decode(const struct request *rq, const struct message_field *fields, size_t n,
		   void *args, uint64_t *ret_has, char *ret_message);
