#include "client/key.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/pem.h>

#include "lib/io.h"
#include "lib/own.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

/* The second key of RFC 8032, section 7.1. */
static const char one[] = "-----BEGIN PRIVATE KEY-----\n"
			  "MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n"
			  "-----END PRIVATE KEY-----\n";
static const uint8_t one_public[] = { 0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a,
				      0x92, 0xb7, 0x0a, 0xa7, 0x4d, 0x1b, 0x7e, 0xbc,
				      0x9c, 0x98, 0x2c, 0xcf, 0x2e, 0xc4, 0x96, 0x8c,
				      0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4, 0x66, 0x0c };

static void
reads_the_key_of_a_file(void **state)
{
	auto_close int dir = scratch_make();
	auto_key struct key k = { .pair = NULL };

	(void)state;
	assert_int_equal(io_replace_file(dir, "one", one, strlen(one), 0600), 0);
	assert_int_equal(key_read(dir, "one", &k), 0);
	assert_memory_equal(k.public, one_public, sizeof(one_public));
	scratch_remove();
}

static void
refuses_what_is_no_key_of_ones_own(void **state)
{
	static const char *const none[] = {
		"",
		"-----BEGIN PRIVATE KEY-----\n",
		"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIE\n-----END PRIVATE KEY-----\n",
		/* X25519: nothing that signs */
		"-----BEGIN PRIVATE KEY-----\n"
		"MC4CAQAwBQYDK2VuBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n"
		"-----END PRIVATE KEY-----\n",
		"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n"
		"-----END OPENSSH PRIVATE KEY-----\n",
	};
	auto_close int dir = scratch_make();
	struct key k = { .pair = NULL };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		assert_int_equal(io_replace_file(dir, "one", none[i], strlen(none[i]), 0600), 0);
		assert_int_equal(key_read(dir, "one", &k), -EINVAL);
	}
	assert_int_equal(io_replace_file(dir, "one", one, strlen(one), 0640), 0);
	assert_int_equal(key_read(dir, "one", &k), -EPERM);
	assert_int_equal(key_read(dir, "other", &k), -ENOENT);
	assert_null(k.pair);
	scratch_remove();
}

static void
makes_a_key_once(void **state)
{
	auto_close int dir = scratch_make();
	auto_key struct key made = { .pair = NULL }, read = { .pair = NULL };
	struct key again = { .pair = NULL };
	struct stat st;

	(void)state;
	assert_int_equal(key_make(dir, "one", &made), 0);
	assert_int_equal(fstatat(dir, "one", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(key_make(dir, "one", &again), -EEXIST);
	assert_null(again.pair);
	assert_int_equal(key_read(dir, "one", &read), 0);
	assert_memory_equal(read.public, made.public, sizeof(made.public));
	scratch_remove();
}

/* As a server verifies it. */
static int
verify(const uint8_t *signature, const void *text, size_t len)
{
	EVP_PKEY *public =
	    EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, one_public, sizeof(one_public));
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int r;

	assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, public), 1);
	r = EVP_DigestVerify(ctx, signature, KEY_SIGNATURE_SIZE, text, len);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(public);
	return r;
}

static void
signs_who_logs_in_and_where(void **state)
{
	static const char text[] = "ftd/1 login\0alice\0"
				   "0123456789abcdef0123456789abcdef";
	auto_close int dir = scratch_make();
	auto_key struct key k = { .pair = NULL };
	uint8_t signature[KEY_SIGNATURE_SIZE];
	const uint8_t *binding = (const uint8_t *)"0123456789abcdef0123456789abcdef";

	(void)state;
	assert_int_equal(io_replace_file(dir, "one", one, strlen(one), 0600), 0);
	assert_int_equal(key_read(dir, "one", &k), 0);
	assert_int_equal(key_sign_login(&k, "alice", binding, signature), 0);
	assert_int_equal(verify(signature, text, sizeof(text) - 1), 1);
	assert_int_equal(verify(signature, text, sizeof(text) - 2), 0);
	scratch_remove();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_the_key_of_a_file),
		cmocka_unit_test(refuses_what_is_no_key_of_ones_own),
		cmocka_unit_test(makes_a_key_once),
		cmocka_unit_test(signs_who_logs_in_and_where),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
