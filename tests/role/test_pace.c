/* A session under orders about its speed: rate, pause, resume, cancel. */
#include "daemon/session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/io.h"
#include "lib/own.h"
#include "tests/role/talk.h"
#include "tests/unit/unit.h"

enum { SIZE = 1 << 20 };

static void
begin_upload(struct host *h, const char *name, const uint8_t *body, size_t sent)
{
	put(h, json_pack("{s:s, s:s, s:i, s:i}", "opt", "upload", "filename", name, "filesize",
			 SIZE, "id", 7));
	assert_int_equal(wire_put_body(&h->wire, body, sent), 0);
	assert_int_equal(wire_flush(&h->wire), 0);
}

/* Until the session reports the state. */
static void
expect_state(const struct host *h, enum board_state state)
{
	uint64_t deadline = clock_usec() + 10 * USEC_PER_SEC;

	while (*(volatile const uint32_t *)&h->report->state != (uint32_t)state) {
		assert_true(clock_usec() < deadline);
		(void)usleep(1000);
	}
}

static void
write_file(const char *name, const uint8_t *body, size_t len)
{
	auto_close int fd = openat(root, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(io_pwrite_full(fd, body, len, 0), 0);
}

/* Pieces to the last frame; what was said about the content is compared. Signs of life: counted. */
static unsigned
expect_content(struct host *h, const uint8_t *body, size_t size)
{
	auto_free uint8_t *got = malloc(size);
	unsigned lives = 0;
	size_t at = 0;

	assert_non_null(got);
	for (bool more = true; more;) {
		auto_json json_t *frame = get_any(h);
		size_t n = (size_t)json_integer_value(json_object_get(frame, "body"));

		more = json_is_true(json_object_get(frame, "more"));
		if (strcmp(json_string_value(json_object_get(frame, "status")), "working") == 0) {
			assert_text(frame, "phase", "paused");
			lives++;
			continue;
		}
		assert_text(frame, "status", "ok");
		assert_true(n <= size - at);
		while (n > 0) {
			int r = wire_get_body(&h->wire, got + at, n);

			assert_true(r > 0);
			at += (size_t)r;
			n -= (size_t)r;
		}
	}
	assert_int_equal(at, size);
	assert_memory_equal(got, body, size);
	return lives;
}

/* ---- rate */

static void
an_upload_keeps_to_the_rate(void **state)
{
	auto_free uint8_t *body = random_bytes(SIZE);
	uint64_t began = clock_usec();
	struct host h;

	(void)state;
	host_start(&h, HOST_HELLO | HOST_SANDBOX, "", "limits = { session_rate = \"512K\"; };");
	begin_upload(&h, "/slow", body, SIZE);
	expect_status(&h, "ok");
	assert_true(clock_usec() - began > 1600 * USEC_PER_MSEC); /* 2 s, less 20 % */
	assert_content("slow", body, SIZE);
	host_end(&h);
}

static void
a_download_keeps_to_the_rate(void **state)
{
	auto_free uint8_t *body = random_bytes(SIZE);
	uint64_t began;
	struct host h;

	(void)state;
	write_file("slow", body, SIZE);
	host_start(&h, HOST_HELLO | HOST_SANDBOX, "", "limits = { session_rate = \"512K\"; };");
	began = clock_usec();
	put(&h, json_pack("{s:s, s:s}", "opt", "download", "filename", "/slow"));
	(void)expect_content(&h, body, SIZE);
	assert_true(clock_usec() - began > 1600 * USEC_PER_MSEC);
	host_end(&h);
}

/* A crawl is no stall, and a new rate ends it at once. */
static void
a_crawl_is_no_stall(void **state)
{
	auto_free uint8_t *body = random_bytes(SIZE);
	struct host h;

	(void)state;
	host_start(&h, HOST_HELLO, "",
		   "limits = { session_rate = \"1K\"; stall_timeout = \"1s\"; };");
	begin_upload(&h, "/crawl", body, SIZE);
	assert_int_equal(poll(&(struct pollfd){ .fd = h.wire.fd, .events = POLLIN }, 1, 2500), 0);
	assert_in_range(h.report->offset, 1, 8 << 10);
	h.orders->rate = UINT64_MAX;
	(void)kill(h.pid, SIGURG);
	expect_status(&h, "ok");
	assert_content("crawl", body, SIZE);
	host_end(&h);
}

/* ---- pause */

static void
an_upload_stands_still(void **state)
{
	auto_free uint8_t *body = random_bytes(SIZE);
	struct host h;
	uint64_t at;

	(void)state;
	host_start(&h, HOST_HELLO | HOST_SANDBOX, "", "limits = { stall_timeout = \"1s\"; };");
	begin_upload(&h, "/p", body, SIZE / 2);
	expect_state(&h, BOARD_RECEIVING);
	host_pause(&h, h.report->transfer);
	expect_state(&h, BOARD_PAUSED);
	at = h.report->offset;
	assert_int_equal(wire_put_body(&h.wire, body + SIZE / 2, SIZE / 2), 0);
	assert_int_equal(wire_flush(&h.wire), 0);
	auto_json json_t *sign = get_any(&h);

	assert_text(sign, "status", "working");
	assert_text(sign, "phase", "paused");
	assert_int_equal(json_integer_value(json_object_get(sign, "id")), 7);
	assert_true(h.report->offset == at);
	host_pause(&h, 0);
	expect_status(&h, "ok");
	assert_content("p", body, SIZE);
	host_end(&h);
}

static void
a_download_stands_still(void **state)
{
	auto_free uint8_t *body = random_bytes(SIZE);
	struct host h;

	(void)state;
	write_file("p", body, SIZE);
	host_start(&h, HOST_HELLO | HOST_SANDBOX, "", "");
	host_pause(&h, UINT64_MAX); /* a session, before there is a transfer */
	expect_ping(&h);
	put(&h, json_pack("{s:s, s:s}", "opt", "download", "filename", "/p"));
	assert_int_equal(wire_flush(&h.wire), 0);
	expect_state(&h, BOARD_PAUSED);
	assert_int_equal(poll(&(struct pollfd){ .fd = h.wire.fd, .events = POLLIN }, 1, 5500), 1);
	assert_int_equal(h.report->offset, 0);
	host_pause(&h, 0);
	assert_true(expect_content(&h, body, SIZE) >= 1);
	host_end(&h);
}

/* Also what stands still can be ended, by both. */
static void
what_stands_still_is_cancelled(void **state)
{
	auto_free uint8_t *body = random_bytes(SIZE);
	struct host h;

	(void)state;
	write_file("d", body, SIZE);
	host_start(&h, HOST_HELLO, "", "");
	begin_upload(&h, "/u", body, 100);
	expect_state(&h, BOARD_RECEIVING);
	host_pause(&h, UINT64_MAX);
	expect_state(&h, BOARD_PAUSED);
	host_cancel(&h, h.report->transfer);
	expect_code(&h, "cancelled");
	assert_int_equal(wire_put_body(&h.wire, body + 100, SIZE - 100), 0);
	expect_ping(&h);
	put(&h, json_pack("{s:s, s:s}", "opt", "download", "filename", "/d"));
	assert_int_equal(wire_flush(&h.wire), 0);
	expect_state(&h, BOARD_PAUSED);
	put(&h, json_pack("{s:s}", "opt", "cancel"));
	expect_code(&h, "cancelled");
	expect_status(&h, "ok");
	expect_ping(&h);
	assert_missing("u");
	host_end(&h);
}

/* Nobody could end the pause any more: the transfer finishes. */
static void
without_a_supervisor_it_goes_on(void **state)
{
	auto_free uint8_t *body = random_bytes(SIZE);
	struct host h;

	(void)state;
	host_start(&h, HOST_HELLO, "", "");
	host_pause(&h, UINT64_MAX);
	begin_upload(&h, "/w", body, SIZE);
	expect_state(&h, BOARD_PAUSED);
	close_fd(&h.privilege);
	expect_status(&h, "ok");
	expect_code(&h, "busy");
	expect_end(&h);
	assert_content("w", body, SIZE);
	host_end(&h);
}

/* But for another supervisor that watches over it. */
static void
under_another_supervisor_it_stands_still(void **state)
{
	auto_free uint8_t *body = random_bytes(SIZE);
	struct pollfd p = { .events = POLLIN };
	struct host h;

	(void)state;
	host_start(&h, 0, "", "");
	host_pause(&h, UINT64_MAX);
	h.orders->watched_usec = clock_usec();
	begin_upload(&h, "/w", body, SIZE);
	expect_state(&h, BOARD_PAUSED);
	close_fd(&h.privilege);
	p.fd = h.wire.fd;
	assert_int_equal(poll(&p, 1, 1500), 0);
	assert_int_equal(h.report->state, BOARD_PAUSED);
	host_pause(&h, 0);
	expect_status(&h, "ok");
	expect_end(&h);
	assert_content("w", body, SIZE);
	host_end(&h);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, talk_make_root, talk_remove_root)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_upload_keeps_to_the_rate),
		TEST(a_download_keeps_to_the_rate),
		TEST(a_crawl_is_no_stall),
		TEST(an_upload_stands_still),
		TEST(a_download_stands_still),
		TEST(what_stands_still_is_cancelled),
		TEST(without_a_supervisor_it_goes_on),
		TEST(under_another_supervisor_it_stands_still),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
