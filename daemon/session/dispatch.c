#include "daemon/session/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/session/refuse.h"
#include "daemon/session/resume.h"
#include "daemon/session/upload.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/own.h"
#include "lib/path.h"

/* In the order of access_operations. */
static const operation_fn handlers[ACCESS_OPERATIONS] = {
#define OPERATION(opt, stem, need, need_to, flags) op_##stem,
#include "lib/operations.def"
#undef OPERATION
};

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

int
dispatch_decode(struct session *s, const struct request *rq, const struct message_field *fields,
		size_t n, void *args, uint64_t *ret_has)
{
	char why[REQUEST_WHY_MAX];
	int r;

	r = request_decode(rq, fields, n, args, ret_has, why);
	if (r == 0)
		return 1;
	return reply_error(s, rq, r, why, NULL);
}

/* ---- names and rights */

struct names {
	struct message_name source, target;
	bool recursive;
};

static const struct message_field source_field = { "filename", MESSAGE_NAME,
						   offsetof(struct names, source), FRAME_HEADER_MAX,
						   true };
static const struct message_field optional_field = { "filename", MESSAGE_NAME,
						     offsetof(struct names, source),
						     FRAME_HEADER_MAX, false };
static const struct message_field target_field = { "to", MESSAGE_NAME,
						   offsetof(struct names, target), FRAME_HEADER_MAX,
						   true };
static const struct message_field base_field = { "base", MESSAGE_NAME,
						 offsetof(struct names, target), FRAME_HEADER_MAX,
						 false };

/* The second name that an operation has; NULL: none. */
static const struct message_field *
second_field(const struct access_operation *o)
{
	if ((o->need_to & ACCESS_UNNAMED) != 0)
		return NULL;
	return (o->need_to & ACCESS_BASE) != 0 ? &base_field : &target_field;
}

/* 1: it is there; 0: it may be missing, and is. */
static int
read_name(const struct request *rq, const struct message_field *field, struct names *names,
	  const struct message_name *name, char *dst, char *ret_message)
{
	const char *key = "", *why = "";
	uint64_t has;
	int r;

	r = message_decode(rq->object, field, 1, names, &has, &key, &why);
	if (r < 0) {
		(void)snprintf(ret_message, REQUEST_WHY_MAX, "%s %s", key, why);
		return r;
	}
	if (name->data == NULL)
		return 0;
	r = path_from_wire(name->data, name->len, dst);
	return r < 0 ? r : 1;
}

/* The names of the row, normalised, into places; a source that is missing is the root. 1: there is
 * a second one; 0: there is none. */
static int
read_names(struct session *s, const struct access_operation *o, const struct request *rq,
	   struct places *places, char *ret_message)
{
	const struct message_field *source =
	    (o->need & ACCESS_ANY) != 0 ? &optional_field : &source_field;
	const struct message_field *second = second_field(o);
	struct names names = { 0 };
	int r = 0, known = 0;

	places->source.name[0] = places->target.name[0] = '\0';
	if ((o->need & ACCESS_UPLOAD) != 0)
		known = resume_name(s, rq, places->source.name);
	if (known < 0)
		return known;
	if ((o->need & ACCESS_UNNAMED) == 0 && known == 0)
		r = read_name(rq, source, &names, &names.source, places->source.name, ret_message);
	if (r >= 0)
		r = second == NULL ? 0
				   : read_name(rq, second, &names, &names.target,
					       places->target.name, ret_message);
	message_args_done(source, 1, &names);
	message_args_done(&target_field, 1, &names);
	return r;
}

static void
set_place(struct place *p, const struct access_place *at)
{
	p->share = at->share;
	p->rights = at->rights;
	p->rest = at->rest;
}

int
dispatch_authorise(struct session *s, const struct access_operation *o, struct request *rq,
		   struct places *ret, char *ret_message)
{
	const struct message_field *second = second_field(o);
	struct access_ask ask = {
		.operation = o,
		.source = ret->source.name,
		.recursive = json_is_true(json_object_get(rq->object, "recursive")),
	};
	struct access_place source, target;
	struct access_verdict a;
	int r;

	ret_message[0] = '\0';
	r = read_names(s, o, rq, ret, ret_message);
	if (r < 0)
		return r;
	ask.target = r == 1 ? ret->target.name : NULL;
	a = access_decide(&s->view, &ask, &source, &target, NULL);
	if (!a.allowed) {
		(void)snprintf(ret_message, REQUEST_WHY_MAX, "%s", a.why != NULL ? a.why : "");
		return err_from_code(a.code);
	}
	set_place(&ret->source, &source);
	set_place(&ret->target, &target);
	rq->source = (o->need & ACCESS_UNNAMED) == 0 ? &ret->source : NULL;
	rq->target = r == 1 ? &ret->target : NULL;
	rq->target_key = second != NULL ? second->key : NULL;
	return 0;
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
	const struct access_operation *o = access_operation(rq->opt);
	char why[REQUEST_WHY_MAX];
	struct places places;
	int r;

	if (o == NULL)
		return refuse_unknown(s, rq);
	if (!(o->flags & OP_BODY)) {
		r = skip_body(s, rq);
		if (r != 0)
			return r;
	}
	if (!(o->flags & OP_GROUP)) {
		r = group_flush(s);
		if (r < 0)
			return r;
	}
	r = dispatch_authorise(s, o, rq, &places, why);
	if (r == 0)
		return handlers[o - access_operations](s, rq);
	if (o->flags & OP_BODY)
		return upload_refuse(s, rq, places.source.name, r, why);
	return reply_error(s, rq, r, why[0] != '\0' ? why : NULL, NULL);
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
