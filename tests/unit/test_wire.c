#include "lib/wire.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "lib/addr.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/io.h"
#include "lib/own.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

static struct wire wire;
static int peer = -1;

static int
set_up(void **state)
{
	int pair[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	peer = pair[1];
	return wire_init(&wire, pair[0], 10 * USEC_PER_SEC);
}

static int
tear_down(void **state)
{
	(void)state;
	wire_done(&wire);
	close_fd(&peer);
	return 0;
}

static void
say(const char *bytes, size_t len)
{
	assert_int_equal(io_write_full(peer, bytes, len), 0);
}

/* The value of "n" in the next frame. */
static json_int_t
next_n(void)
{
	auto_json json_t *object = NULL;

	assert_int_equal(wire_get(&wire, &object), 0);
	return json_integer_value(json_object_get(object, "n"));
}

static void
frames_and_bodies(void **state)
{
	char body[16];

	(void)state;
	assert_int_equal(wire_ready(&wire), 0);
	say("\x07\0\0\0{\"n\":1}hello\x07\0\0\0{\"n\":2}\x07\0", 29);
	assert_int_equal(wire_ready(&wire), 1);
	assert_int_equal(next_n(), 1);
	assert_int_equal(wire_get_body(&wire, body, 5), 5);
	assert_memory_equal(body, "hello", 5);
	assert_int_equal(wire_ready(&wire), 1);
	assert_int_equal(next_n(), 2);
	assert_int_equal(wire_ready(&wire), 0);
	say("\0\0{\"n\":3}", 9);
	assert_int_equal(next_n(), 3);
	say("later", 5);
	assert_int_equal(wire_get_body(&wire, body, sizeof(body)), 5);
	assert_int_equal(wire.bytes_in, 29 + 9 + 5);
}

static void
the_end_has_two_meanings(void **state)
{
	json_t *object = NULL;
	char body[4];

	(void)state;
	say("\x07\0\0\0{\"n\":1}", 11);
	assert_int_equal(next_n(), 1);
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	assert_int_equal(wire_ready(&wire), 1);
	assert_int_equal(wire_get(&wire, &object), -ENODATA);
	assert_int_equal(wire_get_body(&wire, body, 4), -EPIPE);
	assert_null(object);
}

static void
an_end_inside_a_frame(void **state)
{
	json_t *object = NULL;

	(void)state;
	say("\x07\0\0\0{\"n\"", 8);
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	assert_int_equal(wire_get(&wire, &object), -EPIPE);
	assert_null(object);
}

static void
bad_peers(void **state)
{
	json_t *object = NULL;

	(void)state;
	say("\x02\0\0\0[]\x07\0\0\0{\"n\":1}\0\0\0\0", 21);
	assert_int_equal(wire_get(&wire, &object), -FTD_E_bad_request);
	assert_int_equal(next_n(), 1); /* in step all the same */
	assert_int_equal(wire_ready(&wire), 1);
	assert_int_equal(wire_get(&wire, &object), -FTD_E_bad_frame);
	assert_null(object);
}

static void
silence_has_a_limit(void **state)
{
	auto_free char *body = calloc(1, 8 << 20);
	json_t *object = NULL;
	uint64_t before = clock_usec();

	(void)state;
	assert_non_null(body);
	wire.timeout_usec = 50 * USEC_PER_MSEC;
	assert_int_equal(wire_get(&wire, &object), -ETIMEDOUT);
	assert_int_equal(wire_get_body(&wire, body, 1), -ETIMEDOUT);
	assert_int_equal(wire_put_body(&wire, body, 8 << 20), -ETIMEDOUT);
	assert_true(clock_usec() - before >= 150 * USEC_PER_MSEC);
	assert_null(object);
}

static void
on_alarm(int signal_number)
{
	(void)signal_number;
}

static void
a_signal_ends_the_wait(void **state)
{
	struct sigaction act = { .sa_handler = on_alarm };
	struct itimerval soon = { .it_value = { .tv_usec = 50000 } };
	json_t *object = NULL;

	(void)state;
	assert_int_equal(sigaction(SIGALRM, &act, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
	assert_int_equal(wire_get(&wire, &object), -EINTR);
	say("\x07\0\0\0{\"n\":1}", 11);
	assert_int_equal(next_n(), 1);
}

/* The reason of a server that closed is read, though nothing can be sent any more. */
static void
the_last_word_is_read(void **state)
{
	auto_json json_t *request = json_pack("{s:i}", "n", 9);

	(void)state;
	say("\x07\0\0\0{\"n\":7}", 11);
	close_fd(&peer);
	assert_int_equal(wire_put(&wire, request), 0);
	assert_int_equal(wire_flush(&wire), -EPIPE);
	assert_int_equal(wire_pending(&wire), 0);
	assert_int_equal(wire_put(&wire, request), 0);
	assert_int_equal(next_n(), 7);
	assert_int_equal(wire_get(&wire, &request), -ENODATA);
}

/* It has ended its side and reads no further: what is still to be sent has no reader. */
static void
an_end_while_sending_ends_it(void **state)
{
	auto_json json_t *request = json_pack("{s:i}", "n", 9);
	auto_free char *body = calloc(1, 8 << 20);
	uint64_t before = clock_usec();

	(void)state;
	assert_non_null(body);
	say("\x07\0\0\0{\"n\":7}", 11);
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	assert_int_equal(wire_put(&wire, request), 0);
	assert_int_equal(wire_put_body(&wire, body, 8 << 20), -EPIPE);
	assert_int_equal(wire_pending(&wire), 0);
	assert_int_equal(next_n(), 7);
	assert_int_equal(wire_get(&wire, &request), -ENODATA);
	assert_true(clock_usec() - before < 5 * USEC_PER_SEC);
}

static void
small_things_wait_for_company(void **state)
{
	auto_json json_t *request = json_pack("{s:i}", "n", 9);
	char bytes[32];

	(void)state;
	assert_int_equal(wire_put(&wire, request), 0);
	assert_int_equal(wire_put_body(&wire, "body", 4), 0);
	assert_int_equal(wire_pending(&wire), 15);
	assert_int_equal(recv(peer, bytes, sizeof(bytes), MSG_DONTWAIT), -1);
	assert_int_equal(wire_flush(&wire), 0);
	assert_int_equal(wire_pending(&wire), 0);
	assert_int_equal(recv(peer, bytes, sizeof(bytes), 0), 15);
	assert_memory_equal(bytes, "\x07\0\0\0{\"n\":9}body", 15);
	assert_int_equal(wire.bytes_out, 15);
}

enum { MANY = 2000, BODY = 100000 };

/* Answers every request at once with a large frame, and reads no further before that is sent. */
static void *
answer_all(void *arg)
{
	static char answer[1000];
	char request[11 + 7];

	(void)arg;
	memset(answer, ' ', sizeof(answer));
	frame_prefix((uint8_t *)answer, sizeof(answer) - FRAME_PREFIX);
	memcpy(answer + FRAME_PREFIX, "{}", 2);
	for (int i = 0; i < MANY; i++)
		if (io_read_full(peer, request, sizeof(request)) != sizeof(request) ||
		    io_write_full(peer, answer, sizeof(answer)) < 0)
			return NULL;
	return arg;
}

/* Neither side's socket holds all this: writing ahead works only because what comes is read. */
static void
writing_ahead_never_locks(void **state)
{
	auto_json json_t *request = json_pack("{s:i}", "n", 9);
	int size = 8192;
	pthread_t thread;
	void *done;

	(void)state;
	assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	assert_int_equal(setsockopt(wire.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	assert_int_equal(pthread_create(&thread, NULL, answer_all, &wire), 0);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(wire_put(&wire, request), 0);
		assert_int_equal(wire_put_body(&wire, "1234567", 7), 0);
	}
	for (int i = 0; i < MANY; i++) {
		auto_json json_t *object = NULL;

		assert_int_equal(wire_get(&wire, &object), 0);
	}
	assert_int_equal(pthread_join(thread, &done), 0);
	assert_ptr_equal(done, &wire);
}

static void *
read_large(void *arg)
{
	static char got[11 + BODY];

	(void)arg;
	return io_read_full(peer, got, sizeof(got)) == sizeof(got) && got[11] == 'a' &&
		       got[sizeof(got) - 1] == 'z'
		   ? got
		   : NULL;
}

static void
large_bodies_follow_their_header(void **state)
{
	auto_json json_t *request = json_pack("{s:i}", "n", 9);
	auto_free char *body = malloc(BODY);
	int size = 4096;
	pthread_t thread;
	void *got;

	(void)state;
	assert_non_null(body);
	memset(body, 'x', BODY);
	body[0] = 'a';
	body[BODY - 1] = 'z';
	assert_int_equal(setsockopt(wire.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	assert_int_equal(pthread_create(&thread, NULL, read_large, NULL), 0);
	assert_int_equal(wire_put(&wire, request), 0);
	assert_int_equal(wire_put_body(&wire, body, BODY), 0);
	assert_int_equal(wire_pending(&wire), 0);
	assert_int_equal(pthread_join(thread, &got), 0);
	assert_non_null(got);
	assert_memory_equal(got, "\x07\0\0\0{\"n\":9}", 11);
}

/* A listening loopback socket; *ret_port gets its port. */
static int
listen_loopback(uint16_t *ret_port)
{
	union addr a = { .in = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } } };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, &a.sa, sizeof(a.in)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, &a.sa, &len), 0);
	*ret_port = addr_port(&a);
	return fd;
}

static void
connects_over_tcp(void **state)
{
	uint16_t port;
	auto_close int fd = listen_loopback(&port);
	socklen_t len = sizeof(int);
	int gai = -1, on = 0;
	struct wire w;

	(void)state;
	assert_int_equal(wire_connect_tcp(&w, "127.0.0.1", port, USEC_PER_SEC, &gai), 0);
	assert_int_equal(gai, 0);
	assert_int_equal(getsockopt(w.fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
	assert_true(on != 0);
	wire_done(&w);
	close_fd(&fd);
	assert_int_equal(wire_connect_tcp(&w, "127.0.0.1", port, USEC_PER_SEC, &gai),
			 -ECONNREFUSED);
	assert_int_equal(gai, 0);
	assert_int_equal(wire_connect_tcp(&w, "", port, USEC_PER_SEC, &gai), -EHOSTUNREACH);
	assert_true(gai != 0);
}

static void
connects_over_unix(void **state)
{
	auto_close int dir = scratch_make();
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct wire first, second;
	char longest[sizeof(sun.sun_path) + 1];

	(void)state;
	assert_true(dir >= 0);
	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/socket", scratch_path());
	assert_int_equal(wire_connect_unix(&first, sun.sun_path, USEC_PER_SEC), -ENOENT);
	assert_int_equal(bind(fd, (const struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(wire_connect_unix(&first, sun.sun_path, USEC_PER_SEC), -ECONNREFUSED);
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(wire_connect_unix(&first, sun.sun_path, USEC_PER_SEC), 0);
	/* nobody accepts and the queue is full */
	assert_int_equal(wire_connect_unix(&second, sun.sun_path, 50 * USEC_PER_MSEC), -ETIMEDOUT);
	wire_done(&first);
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(sun.sun_path)] = '\0';
	assert_int_equal(wire_connect_unix(&first, longest, USEC_PER_SEC), -ENAMETOOLONG);
	scratch_remove();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_and_bodies),
		TEST(the_end_has_two_meanings),
		TEST(an_end_inside_a_frame),
		TEST(bad_peers),
		TEST(silence_has_a_limit),
		TEST(a_signal_ends_the_wait),
		TEST(the_last_word_is_read),
		TEST(an_end_while_sending_ends_it),
		TEST(small_things_wait_for_company),
		TEST(writing_ahead_never_locks),
		TEST(large_bodies_follow_their_header),
		cmocka_unit_test(connects_over_tcp),
		cmocka_unit_test(connects_over_unix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
