/* A gate that is spoken to over TLS, against a fake supervisor and a fake session. */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "daemon/common/role.h"
#include "daemon/common/sandbox.h"
#include "lib/clock.h"
#include "lib/frame.h"
#include "lib/io.h"
#include "lib/own.h"
#include "tests/role/gate_talk.h"
#include "tests/unit/unit.h"

enum { LARGE = 3 << 20 };

/* The gate is a pump once it is admitted: it holds the only other end of the connection. */
static void
start(struct peer *p)
{
	gate_start_with(p, &(struct gate_start){ .tls = true, .narrow = true });
	close_fd(&p->connection);
}

static void
end(struct peer *p)
{
	assert_int_equal(gate_end(p), ROLE_EXIT_OK);
}

static void
expect_answer(struct peer *p, const char *part)
{
	uint8_t prefix[FRAME_PREFIX];
	char text[4096] = "";

	get_bytes(p, prefix, sizeof(prefix));
	assert_in_range(frame_length(prefix), 1, sizeof(text) - 1);
	get_bytes(p, text, (size_t)frame_length(prefix));
	if (strstr(text, part) == NULL)
		fail_msg("%s has no %s", text, part);
}

static void
admit(struct peer *p)
{
	const struct packet_verdict yes = { .code = "" };
	struct packet_gate q;

	assert_int_equal(io_recv_packet(p->privilege, &q, sizeof(q), NULL, 0, NULL, 0), sizeof(q));
	assert_int_equal(q.type, GATE_ANONYMOUS);
	assert_int_equal(q.tls, 13);
	assert_int_equal(io_send_packet(p->privilege, &yes, sizeof(yes), NULL, 0, 0), 0);
	close_fd(&p->privilege); /* a pump has no use for it */
}

static void
expect_from_client(struct peer *p, const char *text)
{
	char got[256];

	assert_int_equal(io_read_full(p->session, got, strlen(text)), strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

static void
what_was_not_answered_goes_first(void **state)
{
	struct peer p;
	char got[5];

	(void)state;
	start(&p);
	assert_int_equal(SSL_connect(p.ssl), 1);
	send_frame(&p, "{\"opt\":\"hello\",\"id\":1}");
	expect_answer(&p, "\"session\":\"s412\"");
	send_frame_and(&p, "{\"opt\":\"ping\",\"id\":2}", "\x0e");
	expect_answer(&p, "\"id\":2");
	assert_int_equal(SSL_write(p.ssl, "\0\0\0{\"opt\":\"list\"}body", 21), 21);
	admit(&p);
	assert_int_equal(SSL_write(p.ssl, "more", 4), 4);
	(void)io_read_full(p.session, got, 1);
	assert_int_equal(got[0], 0x0e);
	assert_int_equal(io_read_full(p.session, got, 3), 3);
	expect_from_client(&p, "{\"opt\":\"list\"}bodymore");
	assert_int_equal(io_write_full(p.session, "answer", 6), 0);
	get_bytes(&p, got, 5);
	assert_memory_equal(got, "answe", 5);
	end(&p);
}

static void
each_half_ends_alone(void **state)
{
	struct peer p;
	char byte;

	(void)state;
	start(&p);
	assert_int_equal(SSL_connect(p.ssl), 1);
	send_frame(&p, "{\"opt\":\"list\"}");
	admit(&p);
	assert_true(SSL_shutdown(p.ssl) >= 0); /* ours; answers still come */
	expect_from_client(&p, "\x0e");
	assert_int_equal(io_read_full(p.session, (char[17]){ 0 }, 17), 17);
	assert_int_equal(read(p.session, &byte, 1), 0);
	assert_int_equal(io_write_full(p.session, "late", 4), 0);
	get_bytes(&p, (char[4]){ 0 }, 4);
	assert_int_equal(shutdown(p.session, SHUT_WR), 0);
	assert_int_equal(SSL_read(p.ssl, &byte, 1), 0);
	assert_int_equal(SSL_get_error(p.ssl, 0), SSL_ERROR_ZERO_RETURN);
	end(&p);
}

static void
a_cut_is_an_end_for_the_session(void **state)
{
	struct peer p;
	char byte;

	(void)state;
	start(&p);
	assert_int_equal(SSL_connect(p.ssl), 1);
	send_frame(&p, "{\"opt\":\"list\"}");
	admit(&p);
	close_fd(&p.client);
	assert_int_equal(io_read_full(p.session, (char[18]){ 0 }, 18), 18);
	assert_int_equal(read(p.session, &byte, 1), 0);
	end(&p);
}

static void
what_the_session_left_is_delivered(void **state)
{
	static uint8_t sent[LARGE], got[LARGE];
	struct peer p;
	pid_t writer;
	uint8_t byte;

	(void)state;
	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (uint8_t)(i * 31 + i / 257);
	start(&p);
	assert_int_equal(SSL_connect(p.ssl), 1);
	send_frame(&p, "{\"opt\":\"list\"}");
	admit(&p);
	writer = fork();
	if (writer == 0)
		_exit(io_write_full(p.session, sent, sizeof(sent)) < 0);
	close_fd(&p.session);
	get_bytes(&p, got, sizeof(got));
	assert_memory_equal(got, sent, sizeof(sent));
	assert_int_equal(SSL_read(p.ssl, &byte, 1), 0);
	assert_int_equal(SSL_get_error(p.ssl, 0), SSL_ERROR_ZERO_RETURN);
	assert_int_equal(waitpid(writer, NULL, 0), writer);
	end(&p);
}

static void
nobody_who_does_not_read_keeps_it(void **state)
{
	static uint8_t block[64 << 10];
	uint64_t began;
	struct peer p;

	(void)state;
	start(&p);
	assert_int_equal(SSL_connect(p.ssl), 1);
	send_frame(&p, "{\"opt\":\"list\"}");
	admit(&p);
	assert_int_equal(fcntl(p.session, F_SETFL, O_NONBLOCK), 0);
	for (int i = 0; i < 200; i++) { /* until nothing moves any more */
		while (write(p.session, block, sizeof(block)) > 0)
			;
		(void)usleep(1000);
	}
	began = clock_usec();
	close_fd(&p.session);
	assert_int_equal(waitpid(p.pid, NULL, 0), p.pid);
	assert_in_range(clock_usec() - began, USEC_PER_SEC,
			config.stall_timeout + 4 * USEC_PER_SEC);
	SSL_free(p.ssl);
	close_fd(&p.client);
}

/* Clock ticks that the process has used. */
static unsigned long
ticks_of(pid_t pid)
{
	unsigned long user = 0, system = 0;
	auto_free char *text = NULL;
	char path[64];
	size_t len;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	assert_int_equal(io_read_file(AT_FDCWD, path, 4096, &text, &len), 0);
	assert_int_equal(sscanf(strrchr(text, ')') + 2,
				"%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
				&system),
			 2);
	return user + system;
}

/* Each asks for an answer, and none of them is read. */
static void
requests_for_new_keys_do_not_keep_it_busy(void **state)
{
	const struct timeval soon = { .tv_usec = 300000 };
	unsigned long used = ULONG_MAX, before;
	struct peer p;
	int sent = 0;

	(void)state;
	start(&p);
	assert_int_equal(SSL_connect(p.ssl), 1);
	send_frame(&p, "{\"opt\":\"list\"}");
	admit(&p);
	assert_int_equal(setsockopt(p.client, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon)), 0);
	while (sent < 400000 && SSL_key_update(p.ssl, SSL_KEY_UPDATE_REQUESTED) == 1 &&
	       SSL_do_handshake(p.ssl) == 1)
		sent++;
	assert_in_range(sent, 1000, 399999);        /* it stops reading */
	for (int i = 0; used > 10 && i < 40; i++) { /* a slow one has still some to answer */
		before = ticks_of(p.pid);
		(void)usleep(500000);
		used = ticks_of(p.pid) - before;
	}
	assert_in_range(used, 0, 10);
	end(&p);
}

static void
inside_are_frames_and_nothing_else(void **state)
{
	static const char *const odd[] = { "{\"opt\":\"list\"}", "\r\n\r\n\0\r\nQUIT\n",
					   "\x16\x03\x01\x02", "GET / HTTP/1.1" };
	struct peer p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		start(&p);
		assert_int_equal(SSL_connect(p.ssl), 1);
		assert_int_equal(SSL_write(p.ssl, odd[i], 4), 4);
		expect_answer(&p, "\"bad_frame\"");
		assert_int_equal(gate_end(&p), ROLE_EXIT_CLIENT);
	}
}

static void
a_session_that_waits_is_not_the_gates(void **state)
{
	struct peer p;

	(void)state;
	start(&p);
	assert_int_equal(SSL_connect(p.ssl), 1);
	send_frame(&p, "{\"opt\":\"ping\"}");
	expect_answer(&p, "\"ok\"");
	expect_answer(&p, "\"timeout\""); /* by the deadline, inside TLS */
	assert_int_equal(gate_end(&p), ROLE_EXIT_LATE);
}

static void
half_a_handshake_ends_by_the_deadline(void **state)
{
	static const uint8_t beginning[] = { 0x16, 3, 1, 2, 0, 1, 0, 1 };
	uint64_t began = clock_usec();
	struct peer p;

	(void)state;
	start(&p);
	assert_int_equal(io_write_full(p.client, beginning, sizeof(beginning)), 0);
	assert_int_equal(waitpid(p.pid, NULL, 0), p.pid);
	assert_in_range(clock_usec() - began, LOGIN_MS * USEC_PER_MSEC / 2,
			2 * LOGIN_MS * USEC_PER_MSEC);
	assert_int_equal(recv(p.client, (char[1]){ 0 }, 1, MSG_DONTWAIT), 0); /* and no word */
	SSL_free(p.ssl);
	close_fd(&p.client);
	close_fd(&p.privilege);
	close_fd(&p.session);
}

static void
without_the_protocol_no_handshake(void **state)
{
	static const unsigned char others[] = "\x02h2\x08http/1.1";
	struct peer p;

	(void)state;
	for (int named = 0; named < 2; named++) {
		start(&p);
		assert_int_equal(SSL_set_alpn_protos(p.ssl, others, named ? 12 : 0), 0);
		assert_int_not_equal(SSL_connect(p.ssl), 1);
		assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()),
				 SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
		assert_int_equal(gate_end(&p), ROLE_EXIT_CLIENT);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_not_answered_goes_first),
		cmocka_unit_test(each_half_ends_alone),
		cmocka_unit_test(a_cut_is_an_end_for_the_session),
		cmocka_unit_test(what_the_session_left_is_delivered),
		cmocka_unit_test(nobody_who_does_not_read_keeps_it),
		cmocka_unit_test(requests_for_new_keys_do_not_keep_it_busy),
		cmocka_unit_test(inside_are_frames_and_nothing_else),
		cmocka_unit_test(a_session_that_waits_is_not_the_gates),
		cmocka_unit_test(half_a_handshake_ends_by_the_deadline),
		cmocka_unit_test(without_the_protocol_no_handshake),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	config.tls_min_version = CONFIG_TLS_1_3;
	if (gate_prepare_tls() < 0 || sandbox_compile(SANDBOX_GATEHOUSE) < 0 ||
	    sandbox_compile(SANDBOX_GATE) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
