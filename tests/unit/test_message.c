#include "lib/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/frame.h"
#include "lib/own.h"
#include "tests/unit/unit.h"

struct args {
	struct message_name filename;
	uint64_t filesize;
	int64_t mtime_ns;
	bool parents;
	struct message_str digest;
	uint64_t body;
};

static const struct message_field fields[] = {
	{ "filename", MESSAGE_NAME, offsetof(struct args, filename), 16, true },
	{ "filesize", MESSAGE_NULLABLE, offsetof(struct args, filesize), INT64_MAX, false },
	{ "mtime_ns", MESSAGE_INT, offsetof(struct args, mtime_ns), 0, false },
	{ "parents", MESSAGE_BOOL, offsetof(struct args, parents), 0, false },
	{ "digest", MESSAGE_STR, offsetof(struct args, digest), 8, false },
	{ "body", MESSAGE_UINT, offsetof(struct args, body), 100, false },
};

static json_t *
parsed(const char *text)
{
	json_t *object = NULL;

	assert_int_equal(message_parse(text, strlen(text), &object), 0);
	return object;
}

static void
parse_refuses(void **state)
{
	static const char *const rows[] = { "",
					    " ",
					    "{",
					    "}",
					    "[]",
					    "null",
					    "1",
					    "\"a\"",
					    "{}x",
					    "{}{}",
					    "{\"a\":1,\"a\":2}",
					    "{\"a\":{\"b\":1,\"b\":1}}",
					    "{\"a\":1,}",
					    "{'a':1}",
					    "{\"a\":NaN}",
					    "{\"a\":01}",
					    "{\"a\":9223372036854775808}",
					    "{\"a\":-9223372036854775809}",
					    "{\"a\":1e999}",
					    "{\"\xff\":1}",
					    "{\"a\":\"\xed\xa0\x80\"}",
					    "{\"a\":\"\\ud800\"}",
					    "{\"a\":\"\n\"}",
					    "\xef\xbb\xbf{}" };
	json_t *object = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(message_parse(rows[i], strlen(rows[i]), &object),
				 -FTD_E_bad_request);
	assert_null(object);
}

static void
depth_is_bounded(void **state)
{
	static const char eight[] = "{\"a\":[[[[[[[0]]]]]]]}";
	static const char nine[] = "{\"a\":[[[[[[[[0]]]]]]]]}";
	auto_free char *deep = malloc(65536);
	json_t *object;

	(void)state;
	assert_int_equal(message_parse(eight, strlen(eight), &object), 0);
	json_decref(object);
	assert_int_equal(message_parse(nine, strlen(nine), &object), -FTD_E_bad_request);
	object =
	    parsed("{\"[[[[[[[[[[{{{{\":\"\\\"[[[[[[[[[[[[\",\"b\":[{},{},{},{},{},{},{},{},{}]}");
	json_decref(object);
	assert_non_null(deep);
	memset(deep, '[', 65536);
	assert_int_equal(message_parse(deep, 65536, &object), -FTD_E_bad_request);
	for (size_t i = 0; i < 65536 - 4; i += 5)
		memcpy(deep + i, "{\"a\":", 5);
	assert_int_equal(message_parse(deep, 65535, &object), -FTD_E_bad_request);
}

static void
decode_reads_every_type(void **state)
{
	auto_json json_t *object =
	    parsed("{\"filename\":\"/a\\u0000b\",\"filesize\":9223372036854775807,"
		   "\"mtime_ns\":-5,\"parents\":true,\"digest\":\"xxh3\","
		   "\"body\":100,\"unknown\":[]}");
	struct args args = { 0 };
	const char *key, *why;
	uint64_t has;

	(void)state;
	assert_int_equal(
	    message_decode(object, fields, ARRAY_SIZE(fields), &args, &has, &key, &why), 0);
	assert_int_equal(has, 0x3f);
	assert_int_equal(args.filename.len, 4);
	assert_memory_equal(args.filename.data, "/a\0b", 4);
	assert_null(args.filename.mem);
	assert_int_equal(args.filesize, INT64_MAX);
	assert_int_equal(args.mtime_ns, -5);
	assert_true(args.parents);
	assert_int_equal(args.digest.len, 4);
	assert_memory_equal(args.digest.data, "xxh3", 4);
	assert_int_equal(args.body, 100);
	message_args_done(fields, ARRAY_SIZE(fields), &args);
	assert_null(args.filename.data);
}

static void
decode_tells_what_is_there(void **state)
{
	auto_json json_t *object = parsed("{\"filename_hex\":\"2Fff00\",\"filesize\":null}");
	struct args args = { 0 };
	const char *key, *why;
	uint64_t has;

	(void)state;
	assert_int_equal(
	    message_decode(object, fields, ARRAY_SIZE(fields), &args, &has, &key, &why), 0);
	assert_int_equal(has, 0x03);
	assert_int_equal(args.filename.len, 3);
	assert_memory_equal(args.filename.data, "/\xff\0", 3);
	assert_ptr_equal(args.filename.data, args.filename.mem);
	assert_int_equal(args.filesize, 0);
	assert_null(args.digest.data);
	message_args_done(fields, ARRAY_SIZE(fields), &args);
}

static void
decode_names_the_bad_key(void **state)
{
	static const struct {
		const char *text, *key;
	} rows[] = {
		{ "{}", "filename" },
		{ "{\"filename\":1}", "filename" },
		{ "{\"filename\":null}", "filename" },
		{ "{\"filename\":\"12345678901234567\"}", "filename" },
		{ "{\"filename\":\"a\",\"filename_hex\":\"61\"}", "filename" },
		{ "{\"filename_hex\":\"6\"}", "filename" },
		{ "{\"filename_hex\":\"6g\"}", "filename" },
		{ "{\"filename_hex\":7}", "filename" },
		{ "{\"filename_hex\":\"6161616161616161616161616161616161\"}", "filename" },
		{ "{\"filename_hex\":\"61\",\"filesize\":-1}", "filesize" },
		{ "{\"filename\":\"a\",\"filesize\":1.0}", "filesize" },
		{ "{\"filename\":\"a\",\"filesize\":1e3}", "filesize" },
		{ "{\"filename\":\"a\",\"filesize\":\"1\"}", "filesize" },
		{ "{\"filename\":\"a\",\"filesize\":true}", "filesize" },
		{ "{\"filename\":\"a\",\"mtime_ns\":null}", "mtime_ns" },
		{ "{\"filename\":\"a\",\"mtime_ns\":0.5}", "mtime_ns" },
		{ "{\"filename\":\"a\",\"parents\":1}", "parents" },
		{ "{\"filename\":\"a\",\"digest\":\"123456789\"}", "digest" },
		{ "{\"filename\":\"a\",\"digest\":\"a\\u0000\"}", "digest" },
		{ "{\"filename\":\"a\",\"digest\":{}}", "digest" },
		{ "{\"filename\":\"a\",\"body\":101}", "body" },
		{ "{\"filename\":\"a\",\"body\":null}", "body" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_json json_t *object = parsed(rows[i].text);
		const char *key = NULL, *why = NULL;
		struct args args = { 0 };
		uint64_t has = 4711;

		assert_int_equal(
		    message_decode(object, fields, ARRAY_SIZE(fields), &args, &has, &key, &why),
		    -FTD_E_bad_request);
		assert_string_equal(key, rows[i].key);
		assert_non_null(why);
		assert_int_equal(has, 4711);
		assert_null(args.filename.mem); /* nothing is left to free */
	}
}

static void
names_go_out_and_come_back(void **state)
{
	static const struct {
		const char *name, *json;
	} rows[] = {
		{ "gr\xc3\xbc\xc3\x9f", "{\"filename\":\"gr\xc3\xbc\xc3\x9f\"}" },
		{ "tab\there", "{\"filename\":\"tab\\there\"}" },
		{ "\xff/x", "{\"filename_hex\":\"ff2f78\"}" },
		{ "", "{\"filename\":\"\"}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_json json_t *object = json_object();
		struct args args = { 0 };
		const char *key, *why;
		struct buf out;
		uint64_t has;

		assert_int_equal(
		    message_set_name(object, "filename", rows[i].name, strlen(rows[i].name)), 0);
		buf_init(&out, 1000);
		assert_int_equal(message_append(&out, object), 0);
		assert_int_equal(buf_len(&out), FRAME_PREFIX + strlen(rows[i].json));
		assert_memory_equal(buf_data(&out) + FRAME_PREFIX, rows[i].json,
				    strlen(rows[i].json));
		assert_int_equal(message_decode(object, fields, 1, &args, &has, &key, &why), 0);
		assert_int_equal(args.filename.len, strlen(rows[i].name));
		assert_memory_equal(args.filename.data, rows[i].name, args.filename.len);
		message_args_done(fields, 1, &args);
		buf_done(&out);
	}
}

/* An object that is n bytes of compact JSON. */
static json_t *
object_of(size_t n)
{
	auto_free char *text = malloc(n);
	json_t *object = json_object();

	assert_non_null(text);
	memset(text, 'x', n);
	assert_int_equal(json_object_set_new(object, "a", json_stringn(text, n - 8)), 0);
	return object;
}

static void
append_makes_frames_of_every_size(void **state)
{
	static const size_t rows[] = { 8, 511, 512, 513, 4092, 4093, 60000, 65535, 65536 };
	const char *header;
	size_t len, used;
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 20);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_json json_t *object = object_of(rows[i]);

		assert_int_equal(message_append(&out, object), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_json json_t *back = NULL;

		assert_int_equal(frame_next(buf_data(&out), buf_len(&out), &header, &len, &used),
				 1);
		assert_int_equal(len, rows[i]);
		assert_int_equal(message_parse(header, len, &back), 0);
		buf_consume(&out, used);
	}
	assert_int_equal(buf_len(&out), 0);
	buf_done(&out);
}

static void
append_fails_without_a_trace(void **state)
{
	auto_json json_t *large = object_of(65537), *small = object_of(20);
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 20);
	assert_int_equal(message_append(&out, large), -EMSGSIZE);
	assert_int_equal(buf_len(&out), 0);
	buf_done(&out);

	buf_init(&out, 50);
	assert_int_equal(message_append(&out, small), 0);
	assert_int_equal(message_append(&out, small),
			 0); /* 48 of 50: a guess does not need to fit */
	assert_int_equal(message_append(&out, small), -ENOBUFS);
	assert_int_equal(buf_len(&out), 48);
	buf_done(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_refuses),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(decode_reads_every_type),
		cmocka_unit_test(decode_tells_what_is_there),
		cmocka_unit_test(decode_names_the_bad_key),
		cmocka_unit_test(names_go_out_and_come_back),
		cmocka_unit_test(append_makes_frames_of_every_size),
		cmocka_unit_test(append_fails_without_a_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
