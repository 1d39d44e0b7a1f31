#include "lib/request.h"

#include <stdio.h>
#include <string.h>

#include "lib/err.h"
#include "lib/message.h"
#include "lib/own.h"

bool
request_id_is_valid(const json_t *id)
{
	return json_is_integer(id) ||
	       (json_is_string(id) && json_string_length(id) <= MESSAGE_ID_MAX);
}

int
request_read(json_t *object, struct request *ret)
{
	const json_t *more = json_object_get(object, "more");
	const json_t *body = json_object_get(object, "body");
	const char *opt = json_string_value(json_object_get(object, "opt"));

	*ret = (struct request){
		.opt = opt != NULL ? opt : "",
		.object = object,
		.id = json_object_get(object, "id"),
		.more = json_is_true(more),
		.has_body = body != NULL,
	};
	if (more != NULL && !json_is_boolean(more))
		return -FTD_E_bad_request;
	if (body != NULL && (!json_is_integer(body) || json_integer_value(body) < 0))
		return -FTD_E_bad_request;
	if (body != NULL)
		ret->body = (uint64_t)json_integer_value(body);
	if (ret->more && ret->body > REQUEST_PIECE_MAX)
		return -FTD_E_bad_request;
	return 0;
}

/* ---- keys */

static bool
is_common(const char *key)
{
	static const char *const keys[] = { "opt", "id", "body", "more", "need" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(keys[i], key) == 0)
			return true;
	return false;
}

/* Whether it is the name's key, in either spelling. */
static bool
spells(const char *key, const char *name)
{
	size_t len = strlen(name);

	return strncmp(key, name, len) == 0 && (key[len] == '\0' || strcmp(key + len, "_hex") == 0);
}

/* The dispatcher has read it. */
static bool
is_name(const struct request *rq, const char *key)
{
	return (rq->source != NULL && spells(key, "filename")) ||
	       (rq->target_key != NULL && spells(key, rq->target_key));
}

static bool
is_known(const struct request *rq, const struct message_field *fields, size_t n, const char *key)
{
	if (is_common(key) || is_name(rq, key))
		return true;
	for (size_t i = 0; i < n; i++)
		if (strcmp(fields[i].key, key) == 0)
			return true;
	return false;
}

/* What the client insists on must be known to the row. */
static int
check_need(const struct request *rq, const struct message_field *fields, size_t n, char *why)
{
	const json_t *need = json_object_get(rq->object, "need");
	const char *key;

	if (need != NULL && !json_is_array(need)) {
		(void)snprintf(why, REQUEST_WHY_MAX, "need must be an array of strings");
		return -FTD_E_bad_request;
	}
	for (size_t i = 0; i < json_array_size(need); i++) {
		key = json_string_value(json_array_get(need, i));
		if (key == NULL) {
			(void)snprintf(why, REQUEST_WHY_MAX, "need must be an array of strings");
			return -FTD_E_bad_request;
		}
		if (!is_known(rq, fields, n, key)) {
			(void)snprintf(why, REQUEST_WHY_MAX, "not known here: %.64s", key);
			return -FTD_E_unsupported;
		}
	}
	return 0;
}

int
request_decode(const struct request *rq, const struct message_field *fields, size_t n, void *args,
	       uint64_t *ret_has, char *ret_message)
{
	const char *key = "", *why = "";
	int r;

	if (rq->id != NULL && !request_id_is_valid(rq->id)) {
		(void)snprintf(ret_message, REQUEST_WHY_MAX,
			       "id must be an integer or a string of at most %d bytes",
			       MESSAGE_ID_MAX);
		return -FTD_E_bad_request;
	}
	r = check_need(rq, fields, n, ret_message);
	if (r < 0)
		return r;
	r = message_decode(rq->object, fields, n, args, ret_has, &key, &why);
	if (r < 0)
		(void)snprintf(ret_message, REQUEST_WHY_MAX, "%s %s", key, why);
	return r;
}
