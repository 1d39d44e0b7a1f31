/* The clients that were there before the protocol had a page: they must work, byte for byte. */
#include "daemon/session/session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/own.h"
#include "tests/role/talk.h"
#include "tests/unit/unit.h"

enum { LEN = 2000000 };

static void
say(const struct host *h, const void *bytes, size_t len)
{
	const char *at = bytes;
	ssize_t n;

	for (; len > 0; at += n, len -= (size_t)n) {
		struct pollfd p = { .fd = h->wire.fd, .events = POLLOUT };

		assert_int_equal(poll(&p, 1, 10000), 1);
		n = send(h->wire.fd, at, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		assert_true(n > 0);
	}
}

/* What comes until the server closes, or size bytes. */
static size_t
hear(const struct host *h, char *dst, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size) {
		struct pollfd p = { .fd = h->wire.fd, .events = POLLIN };

		assert_int_equal(poll(&p, 1, 10000), 1);
		n = recv(h->wire.fd, dst + len, size - len, MSG_DONTWAIT);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	return len;
}

static void
say_header(const struct host *h, const char *header)
{
	int32_t n = (int32_t)strlen(header);

	say(h, &n, sizeof(n));
	say(h, header, strlen(header));
}

/* 1: a packed length, the header, the content, and gone without reading. */
static void
packed_and_gone(void **state)
{
	auto_free uint8_t *body = random_bytes(LEN);
	struct linger now = { .l_onoff = 1, .l_linger = 0 };
	struct host h;

	(void)state;
	for (int reset = 0; reset <= 1; reset++) {
		host_start(&h, 0, "", "");
		say_header(
		    &h, "{\"opt\": \"upload\", \"filename\": \"v\xc3\xa4lue.bin\", \"filesize\": "
			"2000000}");
		say(&h, body, LEN);
		if (reset) { /* everything has been received when the reset comes */
			(void)usleep(300000);
			assert_int_equal(
			    setsockopt(h.wire.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
		}
		wire_done(&h.wire);
		assert_int_equal(host_wait(&h), 0);
		assert_content("v\xc3\xa4lue.bin", body, LEN);
		assert_int_equal(unlinkat(root, "v\xc3\xa4lue.bin", 0), 0);
		host_end(&h);
	}
	assert_no_orphan();
}

/* A body cut short is never a file. */
static void
packed_and_cut(void **state)
{
	struct host h;

	(void)state;
	host_start(&h, 0, "", "");
	say_header(&h, "{\"opt\": \"upload\", \"filename\": \"cut\", \"filesize\": 10}");
	say(&h, "123456789", 9);
	wire_done(&h.wire);
	assert_int_equal(host_wait(&h), 0);
	assert_missing("cut");
	assert_no_orphan();
	host_end(&h);
}

/* 2: the bare header, "ok", the content. */
static void
bare_header(void **state)
{
	static const char header[] = "{\"opt\": \"upload\", \"filename\": \"bare\", \"filesize\": "
				     "2000000}";
	auto_free uint8_t *body = random_bytes(LEN);
	struct host h;
	char answer[16];

	(void)state;
	for (int ahead = 0; ahead <= 1; ahead++) {
		host_start(&h, 0, "", "");
		say(&h, header, strlen(header));
		if (ahead)
			say(&h, body, LEN);
		assert_int_equal(hear(&h, answer, 2), 2);
		assert_memory_equal(answer, "ok", 2);
		if (!ahead)
			say(&h, body, LEN);
		assert_int_equal(hear(&h, answer, sizeof(answer)), 0); /* and the server closes */
		assert_content("bare", body, LEN);
		assert_int_equal(unlinkat(root, "bare", 0), 0);
		assert_int_equal(host_wait(&h), 0);
		assert_int_equal(h.report->uploads, 1);
		host_end(&h);
	}
}

/* The header ends where the object ends, wherever the network cut it. */
static void
bare_header_in_drops(void **state)
{
	static const char all[] =
	    "{\"opt\":\"upload\",\"filename\":\"a}\\\"{\",\"filesize\":3}}\n{";
	struct host h;
	char answer[16];

	(void)state;
	host_start(&h, 0, "", "");
	for (size_t i = 0; i < strlen(all); i++) {
		say(&h, &all[i], 1);
		(void)usleep(1000);
	}
	assert_int_equal(hear(&h, answer, sizeof(answer)), 2);
	assert_content("a}\"{", "}\n{", 3);
	host_end(&h);
}

static void
bare_header_refused(void **state)
{
	static const struct {
		const char *header, *code;
	} cases[] = {
		{ "{\"opt\":\"upload\",\"filename\":\"../x\",\"filesize\":3}", "bad_name" },
		{ "{\"opt\":\"upload\",\"filename\":\"x\"}", "bad_request" },
		{ "{\"opt\":\"list\",\"filename\":\"/\"}", "unsupported" },
		{ "{\"opt\":\"upload\",\"filename\":\"d/x\",\"filesize\":3}", "not_found" },
		{ "{\"opt\" \"upload\"}", "bad_request" },
	};
	char answer[512];
	struct host h;
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		host_start(&h, 0, "", "");
		say(&h, cases[i].header, strlen(cases[i].header));
		n = hear(&h, answer, sizeof(answer));
		auto_json json_t *refusal = json_loadb(answer, n, 0, NULL);

		assert_text(refusal, "status", "error");
		assert_text(refusal, "code", cases[i].code);
		assert_int_equal(host_wait(&h), 0);
		host_end(&h);
	}
	assert_no_orphan();
}

/* 3 and 4: a conversation without hello: list, download, until one side closes. */
static void
browse_and_download(void **state)
{
	auto_free uint8_t *body = random_bytes(300000);
	struct host h;
	bool more = true;
	size_t len = 0;

	(void)state;
	host_start(&h, 0, "", "");
	put_upload(&h, "/dir-less", body, 300000);
	expect_status(&h, "ok");
	put(&h, json_pack("{s:s, s:s}", "opt", "list", "filename", "/"));
	auto_json json_t *list = get(&h);

	assert_text(json_array_get(json_object_get(list, "entries"), 0), "name", "dir-less");
	put(&h, json_pack("{s:s, s:s}", "opt", "download", "filename", "/dir-less"));
	while (more) {
		auto_json json_t *piece = get(&h);
		json_int_t n = json_integer_value(json_object_get(piece, "body"));
		uint8_t scratch[4096];

		assert_text(piece, "status", "ok");
		more = json_is_true(json_object_get(piece, "more"));
		while (n > 0) {
			int r = wire_get_body(&h.wire, scratch,
					      n < (json_int_t)sizeof(scratch) ? (size_t)n
									      : sizeof(scratch));

			assert_true(r > 0);
			assert_memory_equal(scratch, body + len, (size_t)r);
			len += (size_t)r;
			n -= r;
		}
	}
	assert_int_equal(len, 300000);
	put(&h, json_pack("{s:s}", "opt", "quit"));
	expect_status(&h, "ok");
	expect_end(&h);
	host_end(&h);
}

/* Nothing is said at the wrong moment to those who did not say hello, whatever happens. */
static void
silence_to_those_without_hello(void **state)
{
	struct host h;
	char byte;

	(void)state;
	host_start(&h, 0, "", "");
	say_header(&h, "{\"opt\": \"upload\", \"filename\": \"q\", \"filesize\": 10}");
	say(&h, "12345", 5);
	(void)usleep(100000);
	host_quit(&h, BOARD_QUIT_DRAINING, "down");
	say(&h, "67890", 5);
	auto_json json_t *receipt = get(&h);

	assert_text(receipt, "status", "ok");
	assert_int_equal(hear(&h, &byte, 1), 0);
	assert_int_equal(host_wait(&h), 0);
	assert_content("q", "1234567890", 10);
	host_end(&h);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, talk_make_root, talk_remove_root)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(packed_and_gone),
		TEST(packed_and_cut),
		TEST(bare_header),
		TEST(bare_header_in_drops),
		TEST(bare_header_refused),
		TEST(browse_and_download),
		TEST(silence_to_those_without_hello),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
