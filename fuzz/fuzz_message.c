/* A header from bytes to struct, and back to bytes. */
#include <errno.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/message.h"
#include "lib/own.h"
#include "lib/text.h"

enum { NAME_MAX_WIRE = 4096 };

struct args {
	struct message_name filename, to;
	uint64_t filesize, body;
	int64_t mtime_ns;
	bool more;
	struct message_str digest;
};

static const struct message_field fields[] = {
	{ "filename", MESSAGE_NAME, offsetof(struct args, filename), NAME_MAX_WIRE, true },
	{ "filesize", MESSAGE_NULLABLE, offsetof(struct args, filesize), INT64_MAX, false },
	{ "body", MESSAGE_UINT, offsetof(struct args, body), 64 << 20, false },
	{ "mtime_ns", MESSAGE_INT, offsetof(struct args, mtime_ns), 0, false },
	{ "more", MESSAGE_BOOL, offsetof(struct args, more), 0, false },
	{ "digest", MESSAGE_STR, offsetof(struct args, digest), 80, false },
	{ "to", MESSAGE_NAME, offsetof(struct args, to), NAME_MAX_WIRE, false },
};

/* Goes no further than is allowed, as the parser must not. */
static void
check_depth(json_t *value, int left)
{
	const char *key;
	json_t *child;
	size_t i;

	if (!json_is_object(value) && !json_is_array(value))
		return;
	must(left > 0);
	json_object_foreach (value, key, child)
		check_depth(child, left - 1);
	json_array_foreach (value, i, child)
		check_depth(child, left - 1);
}

/* The object that a frame around it becomes again. */
static void
check_round_trip(json_t *object)
{
	auto_json json_t *back = NULL;
	const char *header;
	size_t len, used;
	struct buf out;
	int r;

	buf_init(&out, 1 << 20);
	r = message_append(&out, object);
	if (r == 0) {
		must(frame_next(buf_data(&out), buf_len(&out), &header, &len, &used) == 1);
		must(used == buf_len(&out));
		must(message_parse(header, len, &back) == 0 && json_equal(object, back));
	} else { /* numbers may grow: 1e99 has a hundred digits */
		must(r == -EMSGSIZE && buf_len(&out) == 0);
	}
	buf_done(&out);
}

static void
check_name(const struct message_name *name)
{
	auto_json json_t *object = json_object();
	struct args args = { 0 };
	const char *key, *why;
	uint64_t has;

	must(message_set_name(object, "filename", name->data, name->len) == 0);
	must(message_decode(object, fields, 1, &args, &has, &key, &why) == 0);
	must(args.filename.len == name->len &&
	     memcmp(args.filename.data, name->data, name->len) == 0);
	must((args.filename.mem == NULL) == text_utf8_valid(name->data, name->len));
	message_args_done(fields, 1, &args);
}

static void
check_decoded(const struct args *args, uint64_t has)
{
	must((has & 1) != 0 && args->filename.data != NULL);
	must(((has & 1 << 6) != 0) == (args->to.data != NULL));
	must(((has & 1 << 5) != 0) == (args->digest.data != NULL));
	must(args->filename.len <= NAME_MAX_WIRE && args->to.len <= NAME_MAX_WIRE);
	must(args->filesize <= INT64_MAX && args->body <= 64 << 20);
	must(args->digest.data == NULL || strlen(args->digest.data) == args->digest.len);
	check_name(&args->filename);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_json json_t *object = NULL;
	const char *key = NULL, *why = NULL;
	struct args args = { 0 };
	uint64_t has = 0;
	int r;

	if (size > FRAME_HEADER_MAX)
		return 0;
	r = message_parse((const char *)data, size, &object);
	if (r < 0) {
		must(r == -FTD_E_bad_request && object == NULL);
		return 0;
	}
	check_depth(object, MESSAGE_DEPTH_MAX);
	check_round_trip(object);
	r = message_decode(object, fields, ARRAY_SIZE(fields), &args, &has, &key, &why);
	if (r == 0)
		check_decoded(&args, has);
	else
		must(r == -FTD_E_bad_request && key != NULL && why != NULL && has == 0 &&
		     args.filename.mem == NULL && args.to.mem == NULL);
	message_args_done(fields, ARRAY_SIZE(fields), &args);
	return 0;
}
