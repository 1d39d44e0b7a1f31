/* A gate that is asked for a login, plain and over TLS, against a fake supervisor: what it sends
 * on, what it refuses itself, and what it leaves for the session. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/common/role.h"
#include "daemon/common/sandbox.h"
#include "lib/frame.h"
#include "lib/io.h"
#include "lib/own.h"
#include "tests/role/gate_talk.h"
#include "tests/unit/unit.h"

/* For a client at the address; version 0: plain text. */
static void
start(struct peer *p, const char *from, int version)
{
	gate_start_with(p, &(struct gate_start){ .from = from, .tls = version != 0 });
	if (version == 0)
		return;
	assert_int_equal(SSL_set_min_proto_version(p->ssl, version), 1);
	assert_int_equal(SSL_set_max_proto_version(p->ssl, version), 1);
	assert_int_equal(SSL_connect(p->ssl), 1);
}

static void
end(struct peer *p)
{
	assert_int_equal(gate_end(p), ROLE_EXIT_OK);
}

/* ---- the supervisor */

static struct packet_login
expect_login(struct peer *p, enum login_method method, const char *user)
{
	struct packet_login q;

	assert_int_equal(recv(p->privilege, &q, sizeof(q), MSG_TRUNC), sizeof(q));
	assert_int_equal(q.head.type, GATE_LOGIN);
	assert_int_equal(q.method, method);
	assert_string_equal(q.user, user);
	return q;
}

static void
expect_nothing_asked(struct peer *p)
{
	char byte;

	(void)shutdown(p->client, SHUT_WR);
	assert_int_equal(recv(p->privilege, &byte, 1, 0), 0);
}

static void
decide(struct peer *p, const char *code)
{
	struct packet_verdict v = { .limit = 5, .current = 5 };

	memcpy(v.code, code, strlen(code));
	memcpy(v.message, "because", 7);
	assert_int_equal(io_send_packet(p->privilege, &v, sizeof(v), NULL, 0, 0), 0);
}

/* ---- what is sent on */

static void
a_password_is_sent_on(void **state)
{
	static const int versions[] = { 0, TLS1_2_VERSION, TLS1_3_VERSION };
	static const uint32_t told[] = { 0, 12, 13 };
	struct packet_login q;
	struct peer p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		start(&p, "127.0.0.1", versions[i]);
		send_frame(
		    &p,
		    "{\"opt\":\"login\",\"user\":\"alice\",\"password\":\"p\\u00e4ss\",\"id\":-7}");
		q = expect_login(&p, LOGIN_PASSWORD, "alice");
		assert_int_equal(q.head.tls, told[i]);
		assert_int_equal(q.head.said_hello, 0);
		assert_int_equal(q.password_len, 5);
		assert_memory_equal(q.password, "p\xc3\xa4ss", 6);
		assert_int_equal(q.id.kind, PACKET_ID_INTEGER);
		assert_int_equal(q.id.number, -7);
		decide(&p, "auth_failed");
		expect_refusal(&p, "auth_failed");
		end(&p);
	}
}

static void
the_id_goes_with_it(void **state)
{
	struct packet_login q;
	struct peer p;
	json_t *o;

	(void)state;
	start(&p, "127.0.0.1", 0);
	send_frame(&p, "{\"opt\":\"hello\"}");
	json_decref(get_frame(&p));
	send_frame(&p, "{\"opt\":\"login\",\"user\":\"a\",\"password\":\"\",\"id\":\"x\\u0000y\"}");
	q = expect_login(&p, LOGIN_PASSWORD, "a");
	assert_int_equal(q.head.said_hello, 1);
	assert_int_equal(q.password_len, 0);
	assert_int_equal(q.id.kind, PACKET_ID_TEXT);
	assert_int_equal(q.id.len, 3);
	assert_memory_equal(q.id.text, "x\0y", 4);
	decide(&p, "limit_sessions");
	o = get_frame(&p);
	assert_int_equal(json_string_length(json_object_get(o, "id")), 3);
	assert_int_equal(json_integer_value(json_object_get(o, "limit")), 5);
	json_decref(o);
	end(&p);
}

static void
the_longest_words(void **state)
{
	char json[2048], password[1024 + 1], user[63 + 1];
	struct packet_login q;
	struct peer p;

	(void)state;
	memset(password, 'p', sizeof(password));
	password[1024] = '\0';
	memset(user, 'u', sizeof(user));
	user[63] = '\0';
	start(&p, "127.0.0.1", 0);
	(void)snprintf(json, sizeof(json),
		       "{\"opt\":\"login\",\"user\":\"%s\",\"password\":\"%s\"}", user, password);
	send_frame(&p, json);
	q = expect_login(&p, LOGIN_PASSWORD, user);
	assert_int_equal(q.password_len, 1024);
	assert_memory_equal(q.password, password, 1024);
	assert_int_equal(q.id.kind, PACKET_ID_NONE);
	end(&p);
}

/* The signed bytes are the connection's own: nothing that the client says is believed. */
static void
a_key_goes_with_the_exporter(void **state)
{
	static const char label[] = "EXPORTER-Channel-Binding";
	struct packet_login q;
	uint8_t exporter[32];
	char json[512];
	struct peer p;

	(void)state;
	start(&p, "192.0.2.1", TLS1_3_VERSION);
	(void)snprintf(
	    json, sizeof(json),
	    "{\"opt\":\"login\",\"user\":\"alice\",\"key\":\"%064x\",\"signature\":\"%0128x\","
	    "\"exporter\":\"00\"}",
	    0xabcd, 0xef);
	send_frame(&p, json);
	q = expect_login(&p, LOGIN_KEY, "alice");
	assert_int_equal(q.head.tls, 13);
	assert_int_equal(q.key[30], 0xab);
	assert_int_equal(q.key[31], 0xcd);
	assert_int_equal(q.signature[63], 0xef);
	assert_int_equal(SSL_export_keying_material(p.ssl, exporter, sizeof(exporter), label,
						    sizeof(label) - 1, NULL, 0, 0),
			 1);
	assert_memory_equal(q.exporter, exporter, sizeof(exporter));
	end(&p);
}

/* ---- what is left */

static void
what_is_sent_ahead_is_the_sessions(void **state)
{
	char got[64];
	struct peer p;

	(void)state;
	for (int secure = 0; secure < 2; secure++) {
		start(&p, "127.0.0.1", secure ? TLS1_3_VERSION : 0);
		send_frame_and(&p, "{\"opt\":\"login\",\"user\":\"a\",\"password\":\"b\"}",
			       "left over, ");
		send_bytes(&p, "and more", 8);
		(void)expect_login(&p, LOGIN_PASSWORD, "a");
		decide(&p, "");
		if (secure)
			close_fd(&p.privilege); /* a pump has no use for it */
		(void)usleep(50000);
		assert_int_equal(io_read_full(secure ? p.session : p.connection, got, 19), 19);
		assert_memory_equal(got, "left over, and more", 19);
		end(&p);
	}
}

static void
behind_a_refusal_nothing_is_left(void **state)
{
	struct peer p;

	(void)state;
	start(&p, "127.0.0.1", TLS1_3_VERSION);
	send_frame_and(&p, "{\"opt\":\"login\",\"user\":\"a\",\"password\":\"b\"}",
		       "{\"opt\":\"login\",\"user\":\"a\",\"password\":\"c\"}");
	(void)expect_login(&p, LOGIN_PASSWORD, "a");
	decide(&p, "auth_failed");
	expect_refusal(&p, "auth_failed");
	expect_nothing_asked(&p);
	end(&p);
}

static void
byte_by_byte(void **state)
{
	static const char json[] = "{\"opt\":\"login\",\"user\":\"a\",\"password\":\"b\"}";
	uint8_t prefix[FRAME_PREFIX];
	struct peer p;

	(void)state;
	start(&p, "127.0.0.1", TLS1_3_VERSION);
	frame_prefix(prefix, sizeof(json) - 1);
	for (size_t i = 0; i < sizeof(prefix); i++)
		send_bytes(&p, prefix + i, 1);
	for (size_t i = 0; i < sizeof(json) - 1; i++)
		send_bytes(&p, json + i, 1);
	(void)expect_login(&p, LOGIN_PASSWORD, "a");
	end(&p);
}

/* ---- what the gate refuses itself */

#define DIGITS_64 "0000000000000000000000000000000000000000000000000000000000000000"

static void
what_is_no_login(void **state)
{
	static const struct {
		const char *rest, *code;
	} rows[] = {
		{ "", "auth_failed" }, /* by certificate, without one */
		{ ",\"user\":\"a\"", "bad_request" },
		{ ",\"password\":\"b\"", "bad_request" },
		{ ",\"user\":1,\"password\":\"b\"", "bad_request" },
		{ ",\"user\":\"a\",\"password\":null", "bad_request" },
		{ ",\"user\":\"a\\u0000\",\"password\":\"b\"", "bad_request" },
		{ ",\"user\":\"a\",\"password\":\"b\\u0000\"", "bad_request" },
		{ ",\"user\":\"" DIGITS_64 "\",\"password\":\"b\"", "bad_request" },
		{ ",\"user\":\"a\",\"password\":\"b\",\"more\":true", "bad_request" },
		{ ",\"user\":\"a\",\"password\":\"b\",\"body\":0", "bad_request" },
		{ ",\"user\":\"a\",\"password\":\"b\",\"id\":true", "bad_request" },
		{ ",\"user\":\"a\",\"password\":\"b\",\"need\":[\"otp\"]", "unsupported" },
		{ ",\"user\":\"a\",\"password\":\"b\",\"need\":\"user\"", "bad_request" },
		{ ",\"user\":\"a\",\"key\":\"" DIGITS_64 "\"", "bad_request" },
		{ ",\"user\":\"a\",\"key\":\"" DIGITS_64 "\",\"signature\":\"" DIGITS_64 "\"",
		  "bad_request" },
		{ ",\"user\":\"a\",\"key\":\"" DIGITS_64 "\",\"signature\":\"" DIGITS_64 DIGITS_64
		  "\",\"password\":\"b\"",
		  "bad_request" },
		{ ",\"user\":\"a\",\"key\":\"" DIGITS_64 "00\",\"signature\":\"" DIGITS_64 DIGITS_64
		  "\"",
		  "bad_request" },
		{ ",\"user\":\"a\",\"key\":\"" DIGITS_64 "\",\"signature\":\"" DIGITS_64 DIGITS_64
		  "\"",
		  "tls_required" },
	};
	char json[1024];
	struct peer p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		(void)snprintf(json, sizeof(json), "{\"opt\":\"login\"%s}", rows[i].rest);
		start(&p, "127.0.0.1", 0);
		send_frame(&p, json);
		expect_refusal(&p, rows[i].code);
		expect_nothing_asked(&p);
		end(&p);
	}
}

static void
a_password_too_long(void **state)
{
	char json[2048], password[1025 + 1];
	struct peer p;

	(void)state;
	memset(password, 'p', sizeof(password));
	password[1025] = '\0';
	(void)snprintf(json, sizeof(json), "{\"opt\":\"login\",\"user\":\"a\",\"password\":\"%s\"}",
		       password);
	start(&p, "127.0.0.1", 0);
	send_frame(&p, json);
	expect_refusal(&p, "bad_request");
	expect_nothing_asked(&p);
	end(&p);
}

/* plaintext = "anywhere" is for those who do not log in. */
static void
no_secret_in_plain_text_from_elsewhere(void **state)
{
	struct peer p;

	(void)state;
	start(&p, "192.0.2.1", 0);
	send_frame(&p, "{\"opt\":\"login\",\"user\":\"a\",\"password\":\"b\"}");
	expect_refusal(&p, "tls_required");
	expect_nothing_asked(&p);
	end(&p);
}

static void
no_key_below_1_3(void **state)
{
	struct peer p;

	(void)state;
	start(&p, "127.0.0.1", TLS1_2_VERSION);
	send_frame(&p, "{\"opt\":\"login\",\"user\":\"a\",\"key\":\"" DIGITS_64
		       "\",\"signature\":\"" DIGITS_64 DIGITS_64 "\"}");
	expect_refusal(&p, "tls_required");
	expect_nothing_asked(&p);
	end(&p);
}

/* ---- when nobody answers */

static void
no_verdict_in_time(void **state)
{
	struct peer p;

	(void)state;
	start(&p, "127.0.0.1", TLS1_3_VERSION);
	send_frame(&p, "{\"opt\":\"login\",\"user\":\"a\",\"password\":\"b\"}");
	(void)expect_login(&p, LOGIN_PASSWORD, "a");
	expect_refusal(&p, "timeout");
	end(&p); /* and is not told to be the client's fault */
}

/* It has said all that it wants, and still reads. */
static void
the_client_ends_its_sending_side(void **state)
{
	struct peer p;

	(void)state;
	start(&p, "127.0.0.1", 0);
	send_frame(&p, "{\"opt\":\"login\",\"user\":\"a\",\"password\":\"b\"}");
	(void)expect_login(&p, LOGIN_PASSWORD, "a");
	assert_int_equal(shutdown(p.client, SHUT_WR), 0);
	say_verdict(&p, "auth_failed");
	expect_refusal(&p, "auth_failed");
	end(&p);
}

static void
no_supervisor(void **state)
{
	char byte;
	struct peer p;

	(void)state;
	start(&p, "127.0.0.1", 0);
	send_frame(&p, "{\"opt\":\"login\",\"user\":\"a\",\"password\":\"b\"}");
	(void)expect_login(&p, LOGIN_PASSWORD, "a");
	close_fd(&p.privilege);
	close_fd(&p.connection);
	assert_int_equal(recv(p.client, &byte, 1, 0), 0);
	end(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_password_is_sent_on),
		cmocka_unit_test(the_id_goes_with_it),
		cmocka_unit_test(the_longest_words),
		cmocka_unit_test(a_key_goes_with_the_exporter),
		cmocka_unit_test(what_is_sent_ahead_is_the_sessions),
		cmocka_unit_test(behind_a_refusal_nothing_is_left),
		cmocka_unit_test(byte_by_byte),
		cmocka_unit_test(what_is_no_login),
		cmocka_unit_test(a_password_too_long),
		cmocka_unit_test(no_secret_in_plain_text_from_elsewhere),
		cmocka_unit_test(no_key_below_1_3),
		cmocka_unit_test(no_verdict_in_time),
		cmocka_unit_test(the_client_ends_its_sending_side),
		cmocka_unit_test(no_supervisor),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	if (gate_prepare_tls() < 0 || sandbox_compile(SANDBOX_GATEHOUSE) < 0 ||
	    sandbox_compile(SANDBOX_GATE) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
