/* Certificate and key: made, loaded, and refused with a reason. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/pem.h>

#include "daemon/gate/keypair.h"
#include "daemon/gate/tls.h"
#include "lib/clock.h"
#include "lib/io.h"
#include "lib/own.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

static struct certificate_files
named(const char *certificate, const char *key)
{
	struct certificate_files f = { .own = false };

	(void)snprintf(f.certificate, sizeof(f.certificate), "%s/%s", scratch_path(), certificate);
	(void)snprintf(f.key, sizeof(f.key), "%s/%s", scratch_path(), key);
	return f;
}

static struct certificate_files
own(void)
{
	struct certificate_files f = named("tls/certificate.pem", "tls/key.pem");

	f.own = true;
	(void)snprintf(f.directory, sizeof(f.directory), "%s/tls", scratch_path());
	return f;
}

static int
load(const struct certificate_files *f, struct certificate_info *ret, char *why)
{
	static const struct config c = { .tls_min_version = CONFIG_TLS_1_3 };
	SSL_CTX *ctx = tls_context(&c, why);
	int r;

	assert_non_null(ctx);
	r = keypair_load(ctx, f, ret, why);
	SSL_CTX_free(ctx);
	return r;
}

static void
expect_refusal(const struct certificate_files *f, const char *part)
{
	struct certificate_info info;
	char why[KEYPAIR_WHY_MAX] = "";

	assert_true(load(f, &info, why) < 0);
	if (strstr(why, part) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", why, part);
}

static void
write_file(const char *path, const void *data, size_t len)
{
	assert_int_equal(io_replace_file(AT_FDCWD, path, data, len, 0600), 0);
}

static void
own_pair_is_made_once(void **state)
{
	struct certificate_files f = own();
	struct certificate_info made, again;
	char why[KEYPAIR_WHY_MAX] = "", text[CERTIFICATE_FINGERPRINT_TEXT];
	struct stat st;

	(void)state;
	assert_int_equal(keypair_ensure(&f, why), 0);
	assert_int_equal(load(&f, &made, why), 0);
	assert_int_equal(stat(f.key, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(f.directory, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(strncmp(made.subject, "CN = ", 5), 0);
	assert_true(made.not_after - made.not_before >= INT64_C(3650) * 86400);
	assert_true(made.not_before < clock_real_ns() / 1000000000);

	assert_int_equal(keypair_ensure(&f, why), 0);
	assert_int_equal(certificate_read(f.certificate, &again), 0);
	assert_memory_equal(again.fingerprint, made.fingerprint, sizeof(made.fingerprint));
	assert_int_equal(strlen(certificate_fingerprint_text(made.fingerprint, text)), 71);

	assert_int_equal(unlink(f.key), 0); /* of no use without it */
	assert_int_equal(keypair_ensure(&f, why), 0);
	assert_int_equal(load(&f, &again, why), 0);
	assert_memory_not_equal(again.fingerprint, made.fingerprint, sizeof(made.fingerprint));
}

static void
named_pair_is_made_only_where_both_are_missing(void **state)
{
	struct certificate_files f = named("a.pem", "a.key");
	struct certificate_info info;
	char why[KEYPAIR_WHY_MAX] = "";

	(void)state;
	assert_int_equal(keypair_ensure(&f, why), 0);
	assert_int_equal(load(&f, &info, why), 0);
	assert_int_equal(unlink(f.key), 0);
	assert_int_equal(keypair_ensure(&f, why), 0);
	assert_int_equal(access(f.key, F_OK), -1);
	expect_refusal(&f, "cannot read");
}

static void
no_place_is_told(void **state)
{
	struct certificate_files f = named("no/such/a.pem", "no/such/a.key");
	char why[KEYPAIR_WHY_MAX] = "";

	(void)state;
	assert_true(keypair_ensure(&f, why) < 0);
	assert_non_null(strstr(why, "cannot make"));
}

static void
what_does_not_fit_is_refused(void **state)
{
	struct certificate_files a = named("a.pem", "a.key"), b = named("b.pem", "b.key");
	struct certificate_files mixed = named("a.pem", "b.key"), swapped = named("a.key", "a.pem");
	struct certificate_files junk = named("junk.pem", "a.key"),
				 none = named("a.pem", "junk.pem");
	struct certificate_files huge = named("huge.pem", "a.key");
	static char zeros[CERTIFICATE_FILE_MAX + 1];
	char why[KEYPAIR_WHY_MAX] = "";

	(void)state;
	assert_int_equal(keypair_ensure(&a, why), 0);
	assert_int_equal(keypair_ensure(&b, why), 0);
	write_file(junk.certificate, "junk\n", 5);
	write_file(huge.certificate, zeros, sizeof(zeros));
	expect_refusal(&mixed, "is not the key of");
	expect_refusal(&swapped, "has no certificate");
	expect_refusal(&junk, "has no certificate");
	expect_refusal(&none, "has no key");
	expect_refusal(&huge, "cannot read");
}

/* A certificate for other days than this, signed with the key of the pair. */
static void
redate(const struct certificate_files *f, long from_sec, long to_sec)
{
	FILE *in = fopen(f->key, "re"), *out = fopen(f->certificate, "r+e");
	EVP_PKEY *key = PEM_read_PrivateKey(in, NULL, NULL, NULL);
	X509 *x = PEM_read_X509(out, NULL, NULL, NULL);

	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), from_sec));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), to_sec));
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	rewind(out);
	assert_int_equal(ftruncate(fileno(out), 0), 0);
	assert_int_equal(PEM_write_X509(out, x), 1);
	(void)fclose(in);
	(void)fclose(out);
	EVP_PKEY_free(key);
	X509_free(x);
}

static void
days_stop_nobody(void **state)
{
	struct certificate_files f = named("a.pem", "a.key");
	struct certificate_info info;
	char why[KEYPAIR_WHY_MAX] = "";

	(void)state;
	assert_int_equal(keypair_ensure(&f, why), 0);
	redate(&f, -7200, -3600);
	assert_int_equal(load(&f, &info, why), 0);
	assert_int_equal(info.not_after - info.not_before, 3600);
	redate(&f, 3600, 7200);
	assert_int_equal(load(&f, &info, why), 0);
}

static void
chain_is_read_to_its_end(void **state)
{
	struct certificate_files a = named("a.pem", "a.key"), b = named("b.pem", "b.key");
	struct certificate_files chain = named("chain.pem", "a.key");
	auto_free char *one = NULL, *two = NULL, *both = NULL;
	struct certificate_info info, first;
	char why[KEYPAIR_WHY_MAX] = "";
	size_t n;

	(void)state;
	assert_int_equal(keypair_ensure(&a, why), 0);
	assert_int_equal(keypair_ensure(&b, why), 0);
	assert_int_equal(io_read_file(AT_FDCWD, a.certificate, 1 << 16, &one, &n), 0);
	assert_int_equal(io_read_file(AT_FDCWD, b.certificate, 1 << 16, &two, &n), 0);
	assert_true(asprintf(&both, "%s%s", one, two) > 0);
	write_file(chain.certificate, both, strlen(both));
	assert_int_equal(load(&chain, &info, why), 0);
	assert_int_equal(certificate_read(a.certificate, &first), 0);
	assert_memory_equal(info.fingerprint, first.fingerprint, sizeof(first.fingerprint));

	both[strlen(one) + 200] = '*'; /* in the middle of the second */
	write_file(chain.certificate, both, strlen(both));
	expect_refusal(&chain, "cannot be used");
}

static void
changes_leave_a_mark(void **state)
{
	struct certificate_files f = named("a.pem", "a.key");
	struct certificate_mark none, made, same;
	char why[KEYPAIR_WHY_MAX] = "";

	(void)state;
	certificate_mark(&f, &none);
	assert_int_equal(keypair_ensure(&f, why), 0);
	certificate_mark(&f, &made);
	assert_memory_not_equal(&none, &made, sizeof(none));
	certificate_mark(&f, &same);
	assert_memory_equal(&made, &same, sizeof(made));
	write_file(f.key, "x", 1);
	certificate_mark(&f, &same);
	assert_memory_not_equal(&made, &same, sizeof(made));
}

static void
places(void **state)
{
	auto_free struct config *c = calloc(1, sizeof(*c));
	struct certificate_files f;
	char wanted[PATH_MAX];

	(void)state;
	(void)snprintf(c->control_path, sizeof(c->control_path), "/run/x/control");
	assert_int_equal(setenv("STATE_DIRECTORY", "/proc/no-such", 1), 0);
	certificate_files(c, &f);
	assert_true(f.own);
	assert_string_equal(f.key, "/run/x/tls/key.pem");
	assert_int_equal(setenv("STATE_DIRECTORY", scratch_path(), 1), 0);
	certificate_files(c, &f);
	(void)snprintf(wanted, sizeof(wanted), "%s/tls/certificate.pem", scratch_path());
	assert_string_equal(f.certificate, wanted);
	(void)snprintf(c->tls_certificate, sizeof(c->tls_certificate), "/c");
	(void)snprintf(c->tls_key, sizeof(c->tls_key), "/k");
	certificate_files(c, &f);
	assert_false(f.own);
	assert_string_equal(f.certificate, "/c");
	assert_string_equal(f.key, "/k");
}

static int
setup(void **state)
{
	(void)state;
	return close(scratch_make());
}

static int
teardown(void **state)
{
	(void)state;
	scratch_remove();
	return 0;
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(own_pair_is_made_once), CASE(named_pair_is_made_only_where_both_are_missing),
		CASE(no_place_is_told),      CASE(what_does_not_fit_is_refused),
		CASE(days_stop_nobody),      CASE(chain_is_read_to_its_end),
		CASE(changes_leave_a_mark),  CASE(places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
