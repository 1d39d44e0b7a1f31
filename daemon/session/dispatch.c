#include "daemon/session/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/session/refuse.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/own.h"

enum operation_flags { OP_GATE = 1 << 0, OP_WRITES = 1 << 1, OP_GROUP = 1 << 2 };

struct operation {
	const char *opt;
	operation_fn run;
	unsigned rights, rights_to; /* RIGHT_* */
	unsigned flags;
};

static const struct operation operations[] = {
#define OPERATION(opt, stem, rights, rights_to, flags) { opt, op_##stem, rights, rights_to, flags },
#include "lib/operations.def"
#undef OPERATION
};

static const struct operation *
operation_of(const char *opt)
{
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		if (strcmp(operations[i].opt, opt) == 0)
			return &operations[i];
	return NULL;
}

/* ---- headers */

static int
read_header(struct session *s, bool idle, json_t **ret, struct request *ret_rq)
{
	auto_json json_t *object = NULL;
	int len, r;

	r = conn_need(s, FRAME_PREFIX, idle);
	if (r < 0)
		return r;
	len = frame_length(buf_data(&s->conn.in));
	if (len < 0)
		return len;
	r = conn_need(s, FRAME_PREFIX + (size_t)len, idle);
	if (r < 0)
		return r;
	r = message_parse((const char *)buf_data(&s->conn.in) + FRAME_PREFIX, (size_t)len, &object);
	if (r < 0)
		return r;
	r = request_read(object, ret_rq);
	if (r < 0)
		return r;
	buf_consume(&s->conn.in, FRAME_PREFIX + (size_t)len);
	*ret = take_ptr(object);
	return 0;
}

int
dispatch_header(struct session *s, bool idle, json_t **ret, struct request *ret_rq)
{
	int r = read_header(s, idle, ret, ret_rq);

	if (r == -FTD_E_bad_frame || r == -FTD_E_bad_request)
		s->nonsense = true;
	return r;
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

static bool
is_known(const struct message_field *fields, size_t n, const char *key)
{
	size_t len = strlen(key);

	if (is_common(key))
		return true;
	for (size_t i = 0; i < n; i++) {
		size_t own = strlen(fields[i].key);

		if (strcmp(fields[i].key, key) == 0)
			return true;
		if (fields[i].type == MESSAGE_NAME && len == own + strlen("_hex") &&
		    memcmp(fields[i].key, key, own) == 0 && strcmp(key + own, "_hex") == 0)
			return true;
	}
	return false;
}

/* What the client insists on must be known to the row. */
static int
check_need(const struct request *rq, const struct message_field *fields, size_t n, char *why)
{
	const json_t *need = json_object_get(rq->object, "need");
	const char *key;

	if (need != NULL && !json_is_array(need)) {
		(void)snprintf(why, DISPATCH_WHY_MAX, "need must be an array of strings");
		return -FTD_E_bad_request;
	}
	for (size_t i = 0; i < json_array_size(need); i++) {
		key = json_string_value(json_array_get(need, i));
		if (key == NULL) {
			(void)snprintf(why, DISPATCH_WHY_MAX, "need must be an array of strings");
			return -FTD_E_bad_request;
		}
		if (!is_known(fields, n, key)) {
			(void)snprintf(why, DISPATCH_WHY_MAX, "not known here: %.64s", key);
			return -FTD_E_unsupported;
		}
	}
	return 0;
}

int
dispatch_read(const struct request *rq, const struct message_field *fields, size_t n, void *args,
	      uint64_t *ret_has, char *ret_message)
{
	const char *key = "", *why = "";
	int r;

	if (rq->id != NULL && !request_id_is_valid(rq->id)) {
		(void)snprintf(ret_message, DISPATCH_WHY_MAX,
			       "id must be an integer or a string of at most %d bytes",
			       MESSAGE_ID_MAX);
		return -FTD_E_bad_request;
	}
	r = check_need(rq, fields, n, ret_message);
	if (r < 0)
		return r;
	r = message_decode(rq->object, fields, n, args, ret_has, &key, &why);
	if (r < 0)
		(void)snprintf(ret_message, DISPATCH_WHY_MAX, "%s %s", key, why);
	return r;
}

int
dispatch_decode(struct session *s, const struct request *rq, const struct message_field *fields,
		size_t n, void *args, uint64_t *ret_has)
{
	char why[DISPATCH_WHY_MAX];
	int r;

	r = dispatch_read(rq, fields, n, args, ret_has, why);
	if (r == 0)
		return 1;
	return reply_error(s, rq, r, why, NULL);
}

/* ---- requests */

static int
refuse_unknown(struct session *s, const struct request *rq)
{
	struct refuse_rest rest = { .bytes = rq->body, .more = rq->more };

	if (rq->opt[0] == '\0')
		return refuse(s, rq, &rest, -FTD_E_bad_request, "opt must be a string", NULL);
	return refuse(s, rq, &rest, -FTD_E_unsupported, NULL, NULL);
}

/* What an operation without a body of its own was sent all the same. */
static int
skip_body(struct session *s, const struct request *rq)
{
	struct refuse_rest rest = { .bytes = rq->body, .more = rq->more };

	return rest.bytes > 0 || rest.more ? refuse_drop(s, &rest) : 0;
}

static int
run(struct session *s, struct request *rq)
{
	const struct operation *o = operation_of(rq->opt);
	int r;

	if (o == NULL)
		return refuse_unknown(s, rq);
	rq->rights = o->rights;
	rq->rights_to = o->rights_to;
	if (!(o->flags & OP_GROUP)) {
		r = skip_body(s, rq);
		if (r != 0)
			return r;
		r = group_flush(s);
		if (r < 0)
			return r;
	}
	return o->run(s, rq);
}

int
dispatch_one(struct session *s)
{
	auto_json json_t *object = NULL;
	struct request rq = { 0 };
	int r;

	r = dispatch_header(s, true, &object, &rq);
	if (r == -FTD_E_bad_frame || r == -FTD_E_bad_request) {
		rq = (struct request){ 0 };
		r = reply_error(s, &rq, r, NULL, json_pack("{s:b}", "close", 1));
		return r < 0 ? r : 1;
	}
	if (r < 0)
		return r;
	report_request(s);
	return run(s, &rq);
}

/* ---- cancel */

int
dispatch_cancelled(struct session *s, struct request *ret)
{
	auto_json json_t *object = NULL;
	const char *header;
	size_t len, used;

	if (conn_poll(s) <= 0)
		return 0;
	if (frame_next(buf_data(&s->conn.in), buf_len(&s->conn.in), &header, &len, &used) != 1)
		return 0;
	/* most frames are something else and need not be parsed twice */
	if (memmem(header, len, "cancel", strlen("cancel")) == NULL)
		return 0;
	if (message_parse(header, len, &object) < 0 || request_read(object, ret) < 0)
		return 0;
	if (strcmp(ret->opt, "cancel") != 0 || ret->more || ret->body > 0)
		return 0;
	buf_consume(&s->conn.in, used);
	(void)take_ptr(object); /* *ret holds it until dispatch_cancel_done() */
	return 1;
}

int
dispatch_cancel_done(struct session *s, struct request *cancel)
{
	int r;

	report_request(s);
	r = op_cancel(s, cancel);
	json_decref(take_ptr(cancel->object));
	return r;
}
