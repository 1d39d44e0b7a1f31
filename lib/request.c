#include "lib/request.h"

#include "lib/err.h"
#include "lib/message.h"

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
