/* One secret against the users file: every kind of user with every kind of secret. */
#include <crypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "daemon/verifier/secret.h"
#include "lib/own.h"
#include "lib/text.h"
#include "tests/unit/unit.h"

/* yescrypt as cheap as it gets */
#define SETTING "$y$j7T$abcdefghijklmnopqrstu/$"

static const char *
hash_of(const char *password, const char *setting)
{
	static struct crypt_data data;
	const char *made = crypt_r(password, setting, &data);

	assert_non_null(made);
	assert_true(made[0] != '*');
	return made;
}

/* ---- the file */

static char users[1 << 16];

static void __attribute__((format(printf, 1, 2))) add(const char *format, ...)
{
	size_t used = strlen(users);
	va_list ap;

	va_start(ap, format);
	assert_true(vsnprintf(users + used, sizeof(users) - used, format, ap) > 0);
	va_end(ap);
}

static EVP_PKEY *key;
static uint8_t public_key[32];

static int
set_up(void **state)
{
	size_t len = sizeof(public_key);
	char hex[2 * sizeof(public_key) + 1];

	(void)state;
	key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	if (key == NULL || EVP_PKEY_get_raw_public_key(key, public_key, &len) != 1)
		return -1;
	(void)text_hex(hex, public_key, len);
	add("# who\nalice:%s\n", hash_of("right", SETTING));
	add("bob:%s:disabled,key=%s,certificate\n", hash_of("right", SETTING), hex);
	add("carol:*:key=%064d/old,key=%s/new,account=www\n", 7, hex);
	add("dora:*:certificate\nerin:*\nfred:pam\n");
	add("gina:$y$zzzz$abc\n");
	add("hans:%s\n", hash_of("right", "$6$saltsalt$"));
	add("ines:%s\n", hash_of("", SETTING));
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	return 0;
}

/* ---- logins */

static struct packet_login
password(const char *user, const char *secret)
{
	struct packet_login l = { .head.type = GATE_LOGIN, .method = LOGIN_PASSWORD };

	(void)snprintf(l.user, sizeof(l.user), "%s", user);
	l.password_len = (uint32_t)strlen(secret);
	memcpy(l.password, secret, strlen(secret));
	return l;
}

static void
sign(struct packet_login *l, const void *text, size_t len)
{
	size_t n = sizeof(l->signature);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, l->signature, &n, text, len), 1);
	EVP_MD_CTX_free(ctx);
}

/* Signed as the protocol says, for whom and for which connection. */
static struct packet_login
signature(const char *user, const char *signed_user, uint8_t exporter)
{
	struct packet_login l = { .head = { .type = GATE_LOGIN, .tls = 13 }, .method = LOGIN_KEY };
	char text[128] = "ftd/1 login";
	size_t at = sizeof("ftd/1 login");

	(void)snprintf(l.user, sizeof(l.user), "%s", user);
	memcpy(l.key, public_key, sizeof(public_key));
	memset(l.exporter, 0x55, sizeof(l.exporter));
	at += (size_t)snprintf(text + at, sizeof(text) - at, "%s", signed_user) + 1;
	memset(text + at, exporter, sizeof(l.exporter));
	sign(&l, text, at + sizeof(l.exporter));
	return l;
}

static struct packet_login
certificate(const char *user)
{
	struct packet_login l = { .head = { .type = GATE_LOGIN, .tls = 12 },
				  .method = LOGIN_CERTIFICATE };

	(void)snprintf(l.user, sizeof(l.user), "%s", user);
	return l;
}

/* How the line of that user begins. */
static const char *
line_of(const struct packet_login *l, char line[80])
{
	(void)snprintf(line, 80, "\n%s:", l->user);
	return line;
}

static void
expect(struct packet_login l, enum verified_result wanted)
{
	struct user u = { .name = "untouched" };
	char line[80];
	char why[USERS_WHY_MAX] = "";

	assert_int_equal(secret_check(&l, users, strlen(users), &u, why), wanted);
	if (wanted == VERIFIED_YES || wanted == VERIFIED_DISABLED) {
		assert_string_equal(u.name, l.user);
		assert_string_equal(u.hash, "");
	} else if (wanted == VERIFIED_NO) { /* "": there is nobody of that name */
		assert_string_equal(u.name, strstr(users, line_of(&l, line)) == NULL ? "" : l.user);
	} else {
		assert_string_equal(u.name, "untouched");
	}
	assert_true(wanted != VERIFIED_BROKEN || why[0] != '\0');
}

/* ---- tests */

static void
passwords(void **state)
{
	static const struct {
		const char *user, *password;
		enum verified_result result;
	} rows[] = {
		{ "alice", "right", VERIFIED_YES },
		{ "alice", "wrong", VERIFIED_NO },
		{ "alice", "", VERIFIED_NO },
		{ "alice", "rightx", VERIFIED_NO },
		{ "bob", "right", VERIFIED_DISABLED },
		{ "bob", "wrong", VERIFIED_NO },
		{ "carol", "right", VERIFIED_NO },
		{ "carol", "*", VERIFIED_NO },
		{ "carol", "", VERIFIED_NO },
		{ "dora", "", VERIFIED_NO },
		{ "erin", "*", VERIFIED_NO },
		{ "fred", "pam", VERIFIED_NO },
		{ "fred", "", VERIFIED_NO },
		{ "gina", "right", VERIFIED_NO },
		{ "hans", "right", VERIFIED_YES },
		{ "hans", "wrong", VERIFIED_NO },
		{ "ines", "", VERIFIED_YES },
		{ "ines", "right", VERIFIED_NO },
		{ "nobody", "right", VERIFIED_NO },
		{ "", "", VERIFIED_NO },
		{ "alice:right", "right", VERIFIED_NO },
		{ "# who", "", VERIFIED_NO },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		expect(password(rows[i].user, rows[i].password), rows[i].result);
}

/* libcrypt takes 511 bytes; what is longer is nobody's password, and no failure. */
static void
long_passwords(void **state)
{
	static char text[1024 + 1];
	struct packet_login l;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[511] = '\0';
	add("long:%s\n", hash_of(text, SETTING));
	expect(password("long", text), VERIFIED_YES);
	text[511] = 'x';
	for (size_t n = 512; n <= 1024; n += 128) {
		l = password("long", "");
		l.password_len = (uint32_t)n;
		memcpy(l.password, text, n);
		expect(l, VERIFIED_NO);
	}
}

static void
keys(void **state)
{
	struct packet_login l;

	(void)state;
	expect(signature("carol", "carol", 0x55), VERIFIED_YES);
	expect(signature("bob", "bob", 0x55), VERIFIED_DISABLED);
	expect(signature("alice", "alice", 0x55), VERIFIED_NO);   /* has no such key */
	expect(signature("nobody", "nobody", 0x55), VERIFIED_NO); /* is not there */
	expect(signature("carol", "bob", 0x55), VERIFIED_NO);     /* signed for another name */
	expect(signature("carol", "carol", 0x54), VERIFIED_NO);   /* and another connection */
	l = signature("carol", "carol", 0x55);
	l.signature[63] ^= 1;
	expect(l, VERIFIED_NO);
	l = signature("carol", "carol", 0x55);
	l.key[0] ^= 1;
	expect(l, VERIFIED_NO);
	l = signature("carol", "carol", 0x55);
	memset(l.key, 0, sizeof(l.key));
	memset(l.signature, 0, sizeof(l.signature));
	expect(l, VERIFIED_NO);
}

static void
certificates(void **state)
{
	(void)state;
	expect(certificate("dora"), VERIFIED_YES);
	expect(certificate("bob"), VERIFIED_DISABLED);
	expect(certificate("alice"), VERIFIED_NO);
	expect(certificate("nobody"), VERIFIED_NO);
	expect(certificate(""), VERIFIED_NO);
}

/* What a gate that was taken over may send. */
static void
packets_that_lie(void **state)
{
	struct packet_login l = signature("carol", "carol", 0x55);

	(void)state;
	l.head.tls = 12;
	expect(l, VERIFIED_BROKEN);
	l.head.tls = 0;
	expect(l, VERIFIED_BROKEN);
	l = certificate("dora");
	l.head.tls = 0;
	expect(l, VERIFIED_BROKEN);
	l = password("alice", "right");
	l.password_len = sizeof(l.password) + 1;
	expect(l, VERIFIED_BROKEN);
	l.password_len = UINT32_MAX;
	expect(l, VERIFIED_BROKEN);
	l.password_len = 7; /* "right", NUL, … */
	expect(l, VERIFIED_BROKEN);
	l = password("alice", "right");
	memset(l.user, 'a', sizeof(l.user));
	expect(l, VERIFIED_BROKEN);
	for (uint32_t method = 0; method < 300; method += method < 5 ? 1 : 37) {
		l = password("alice", "wrong");
		l.method = method;
		if (method < LOGIN_PASSWORD || method > LOGIN_CERTIFICATE)
			expect(l, VERIFIED_BROKEN);
	}
}

static void
a_file_that_is_not_sound(void **state)
{
	static const char text[] = "alice:*\nwhat\n";
	struct packet_login l = certificate("alice");
	char why[USERS_WHY_MAX] = "";
	struct user u;

	(void)state;
	assert_int_equal(secret_check(&l, text, strlen(text), &u, why), VERIFIED_BROKEN);
	assert_true(why[0] != '\0');
}

/* What most have, by method and cost, whatever the salt; the first of it. */
static void
decoys(void **state)
{
#define Y9 "$y$j9T$"
#define Y8 "$y$j8T$"
	static const struct {
		const char *users, *decoy; /* up to where it is the same */
	} rows[] = {
		{ "", Y9 },
		{ "a:*\nb:pam\n", Y9 },
		{ "a:" Y8 "s1$h\n", Y8 "s1$h" },
		{ "a:" Y8 "s1$h\nb:" Y9 "s2$h\nc:" Y9 "s3$h\n", Y9 "s2$h" },
		{ "a:" Y9 "s1$h\nb:" Y8 "s2$h\nc:" Y8 "s3$h\nd:*\ne:*\nf:*\n", Y8 "s2$h" },
		{ "a:$6$s1$h\nb:$y$j9T$s2$h\nc:$6$s3$h\n", "$6$s1$h" },
		{ "a:$6$rounds=9$s1$h\nb:$6$s2$h\nc:$6$rounds=9$s3$h\n", "$6$rounds=9$s1$h" },
		{ "a:$2b$12$h1\nb:$2b$10$h2\nc:$2b$10$h3\n", "$2b$10$h2" },
		{ "a:$7$CU..../....s1$h\nb:$7$DU..../....s2$h\nc:$7$DU..../....s3$h\n",
		  "$7$DU..../....s2$h" },
	};
	char decoy[USER_HASH_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		secret_decoy(rows[i].users, strlen(rows[i].users), decoy);
		assert_memory_equal(decoy, rows[i].decoy, strlen(rows[i].decoy));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passwords),
		cmocka_unit_test(long_passwords),
		cmocka_unit_test(keys),
		cmocka_unit_test(certificates),
		cmocka_unit_test(packets_that_lie),
		cmocka_unit_test(a_file_that_is_not_sound),
		cmocka_unit_test(decoys),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
