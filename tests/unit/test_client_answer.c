#include "client/answer.h"

#include <string.h>

#include "client/failure.h"
#include "lib/err.h"
#include "lib/own.h"
#include "tests/unit/unit.h"

static json_t *
parse(const char *text)
{
	json_t *o;

	assert_int_equal(message_parse(text, strlen(text), &o), 0);
	return o;
}

static void
reads_an_answer(void **state)
{
	struct answer a;

	(void)state;
	assert_int_equal(answer_decode(parse("{\"status\":\"ok\",\"id\":7,\"body\":5,\"more\":true,"
					     "\"digest\":\"xxh3\",\"else\":[1]}"),
				       &a),
			 0);
	assert_true(answer_is(&a.status, "ok"));
	assert_false(answer_is(&a.status, "o"));
	assert_false(answer_is(&a.code, ""));
	assert_int_equal(a.id, 7);
	assert_int_equal(a.body, 5);
	assert_true(a.more);
	assert_int_equal(a.has, ANSWER_HAS_ID);
	answer_done(&a);
}

static void
refuses_what_is_no_answer(void **state)
{
	static const char *const bad[] = {
		"{}",
		"{\"status\":1}",
		"{\"status\":\"ok\",\"body\":67108865}",
		"{\"status\":\"ok\",\"body\":-1}",
		"{\"status\":\"ok\",\"body\":\"5\"}",
		"{\"status\":\"ok\",\"hole\":-5}",
		"{\"status\":\"ok\",\"more\":1}",
		"{\"status\":\"ok\",\"id\":\"seven\"}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct answer a;

		if (answer_decode(parse(bad[i]), &a) != -FTD_E_bad_request)
			fail_msg("%s was taken", bad[i]);
	}
}

static void
reads_an_entry_with_any_name(void **state)
{
	auto_json json_t *o = parse("{\"name_hex\":\"ff2e\",\"type\":\"dir\",\"mtime_ns\":-1}");
	struct entry e;

	(void)state;
	assert_int_equal(entry_decode(o, &e), 0);
	assert_int_equal(e.name.len, 2);
	assert_memory_equal(e.name.data, "\xff.", 2);
	assert_int_equal(e.type, ENTRY_DIR);
	assert_true(e.has_mtime);
	assert_false(e.has_mode);
	assert_int_equal(e.mtime_ns, -1);
	entry_done(&e);
}

static void
takes_an_unknown_type_for_something_else(void **state)
{
	auto_json json_t *o = parse("{\"name\":\"x\",\"type\":\"fifo\"}");
	struct entry e;

	(void)state;
	assert_int_equal(entry_decode(o, &e), 0);
	assert_int_equal(e.type, ENTRY_OTHER);
	entry_done(&e);
}

static void
refusals_become_failures(void **state)
{
	static const struct {
		const char *text;
		enum failure_scope scope;
		int status;
		bool again;
		const char *says;
	} rows[] = {
		{ "{\"status\":\"error\",\"code\":\"not_found\",\"message\":\"gone\"}",
		  FAILURE_ITEM, 7, false, "server: gone" },
		{ "{\"status\":\"error\",\"code\":\"no_such_code\"}", FAILURE_ITEM, 1, false,
		  "internal error" },
		{ "{\"status\":\"error\"}", FAILURE_ITEM, 1, false, "internal error" },
		{ "{\"status\":\"error\",\"code\":\"busy\",\"retry_after_ms\":5}", FAILURE_ITEM, 14,
		  true, "busy, try again" },
		{ "{\"status\":\"error\",\"code\":\"draining\",\"retry_after_ms\":5,\"close\":"
		  "true}",
		  FAILURE_CONNECTION, 14, true, "the server is going down" },
		{ "{\"status\":\"error\",\"code\":\"bad_frame\",\"close\":true}", FAILURE_STOP, 12,
		  false, "the length is not between 1 and 65536" },
		{ "{\"status\":\"error\",\"code\":\"busy\",\"message\":\"a\\u001b[31m\\nb\"}",
		  FAILURE_ITEM, 14, false, "server: a\\x1b[31m\\x0ab" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct answer a;
		struct failure f;

		assert_int_equal(answer_decode(parse(rows[i].text), &a), 0);
		assert_true(failure_server(&f, &a) < 0);
		assert_int_equal(f.scope, rows[i].scope);
		assert_int_equal(f.status, rows[i].status);
		assert_int_equal(f.again, rows[i].again);
		assert_string_equal(f.text, rows[i].says);
		answer_done(&a);
	}
}

static int
ranges_of(const char *text, uint64_t *ret)
{
	struct answer a;
	int r;

	assert_int_equal(answer_decode(parse(text), &a), 0);
	r = answer_ranges(&a, ret);
	answer_done(&a);
	return r;
}

static void
reads_ranges(void **state)
{
	static const char *const bad[] = {
		"{\"status\":\"ok\"}",
		"{\"status\":\"ok\",\"ranges\":5}",
		"{\"status\":\"ok\",\"ranges\":[5]}",
		"{\"status\":\"ok\",\"ranges\":[[5]]}",
		"{\"status\":\"ok\",\"ranges\":[[5,6,7]]}",
		"{\"status\":\"ok\",\"ranges\":[[5,5]]}",
		"{\"status\":\"ok\",\"ranges\":[[-5,5]]}",
		"{\"status\":\"ok\",\"ranges\":[[0,5],[5,9]]}",
		"{\"status\":\"ok\",\"ranges\":[[7,9],[0,5]]}",
		"{\"status\":\"ok\",\"ranges\":[[0,\"5\"]]}",
	};
	uint64_t n[2 * ANSWER_RANGES_MAX];

	(void)state;
	assert_int_equal(ranges_of("{\"status\":\"ok\",\"ranges\":[]}", n), 0);
	assert_int_equal(ranges_of("{\"status\":\"ok\",\"ranges\":[[0,5],[7,9]]}", n), 2);
	assert_true(n[0] == 0 && n[1] == 5 && n[2] == 7 && n[3] == 9);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(ranges_of(bad[i], n), -FTD_E_bad_request);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_an_answer),
		cmocka_unit_test(refuses_what_is_no_answer),
		cmocka_unit_test(reads_ranges),
		cmocka_unit_test(reads_an_entry_with_any_name),
		cmocka_unit_test(takes_an_unknown_type_for_something_else),
		cmocka_unit_test(refusals_become_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
