#include "daemon/beacon/answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "lib/clock.h"
#include "lib/message.h"
#include "lib/own.h"

/* A JSON object under construction in a room of limited size. */
struct draft {
	char *dst;
	size_t len, max; /* max leaves room for the closing brace */
};

/* All of it or nothing: an answer never ends in the middle of a key. */
static bool
add(struct draft *d, const char *piece)
{
	size_t n = strlen(piece);

	if (d->len + n > d->max)
		return false;
	memcpy(d->dst + d->len, piece, n);
	d->len += n;
	return true;
}

static bool
add_number(struct draft *d, const char *key, uint64_t value)
{
	char piece[64];

	(void)snprintf(piece, sizeof(piece), ",\"%s\":%" PRIu64, key, value);
	return add(d, piece);
}

/* The nonce comes back as it came: a string, re-encoded by the JSON writer. */
static bool
add_nonce(struct draft *d, const json_t *question)
{
	const json_t *nonce = json_object_get(question, "nonce");
	auto_free char *text = NULL;
	char piece[8 * ANSWER_NONCE_MAX];

	if (!json_is_string(nonce) || json_string_length(nonce) > ANSWER_NONCE_MAX)
		return true;
	text = json_dumps(nonce, JSON_ENCODE_ANY);
	if (text == NULL)
		return true;
	(void)snprintf(piece, sizeof(piece), ",\"nonce\":%s", text);
	return add(d, piece);
}

size_t
answer_make(const struct board_public *state, uint64_t now_usec, const void *request, size_t len,
	    bool trusted, char dst[ANSWER_MAX])
{
	static const char *const words[] = {
		[BOARD_READY] = "{\"status\":\"ready\"",
		[BOARD_DRAINING] = "{\"status\":\"draining\"",
		[BOARD_FULL] = "{\"status\":\"full\"",
	};
	size_t room = trusted || len > ANSWER_MAX ? ANSWER_MAX : len;
	struct draft d = { .dst = dst, .max = room > 0 ? room - 1 : 0 };
	auto_json json_t *question = NULL;
	uint32_t word = state->state < ARRAY_SIZE(words) ? state->state : BOARD_DRAINING;
	char version[64];

	if (len > 0 && message_parse(request, len, &question) == 0 &&
	    json_object_get(question, "status") != NULL)
		return 0; /* an answer: two servers would never stop */
	if (!add(&d, words[word]))
		return 0;
	(void)snprintf(version, sizeof(version), ",\"version\":\"%s\"", state->version);
	/* the nonce first: without it the asker cannot tell whose answer it is */
	(void)(add_nonce(&d, question) && add(&d, version) &&
	       add_number(&d, "uptime_s", (now_usec - state->started_usec) / USEC_PER_SEC) &&
	       add_number(&d, "sessions", state->sessions) &&
	       add_number(&d, "sessions_max", state->sessions_max) &&
	       add_number(&d, "transfers", state->transfers) &&
	       add_number(&d, "bytes_in_rate", state->bytes_in_rate) &&
	       add_number(&d, "bytes_out_rate", state->bytes_out_rate));
	dst[d.len] = '}';
	return d.len + 1;
}
