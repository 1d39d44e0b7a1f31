#include "daemon/gate/keypair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "lib/io.h"
#include "lib/own.h"

/* A certificate's name may not be longer (X.520). */
enum { NAME_MAX_BYTES = 64, DAYS = 3650, BACKDATED_SEC = 86400, SERIAL_BITS = 127 };

static int __attribute__((format(printf, 3, 4))) fail(char *why, int r, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(why, KEYPAIR_WHY_MAX, format, ap);
	va_end(ap);
	ERR_clear_error();
	return r;
}

/* --- making */

static int
add_extension(X509 *x, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;
	int ok;

	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = e != NULL && X509_add_ext(x, e, -1) == 1;
	X509_EXTENSION_free(e);
	return ok ? 0 : -EIO;
}

static int
set_serial(X509 *x)
{
	BIGNUM *n = BN_new();
	int ok = n != NULL && BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
		 BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;

	BN_free(n);
	return ok ? 0 : -EIO;
}

/* An odd host name makes no certificate fail: clients pin this one, they do not look at names. */
static void
host_name(char *ret)
{
	size_t n;

	if (gethostname(ret, NAME_MAX_BYTES) < 0)
		ret[0] = '\0';
	ret[NAME_MAX_BYTES] = '\0';
	n = strspn(ret, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.");
	if (n == 0 || ret[n] != '\0')
		(void)snprintf(ret, NAME_MAX_BYTES + 1, "localhost");
}

static int
fill_certificate(X509 *x, EVP_PKEY *key)
{
	char host[NAME_MAX_BYTES + 1], names[NAME_MAX_BYTES + 8];
	X509_NAME *name = X509_get_subject_name(x);

	host_name(host);
	(void)snprintf(names, sizeof(names), "DNS:%s", host);
	if (X509_set_version(x, X509_VERSION_3) != 1 || set_serial(x) < 0 ||
	    X509_gmtime_adj(X509_getm_notBefore(x), -BACKDATED_SEC) == NULL ||
	    X509_time_adj_ex(X509_getm_notAfter(x), DAYS, 0, NULL) == NULL ||
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)host, -1,
				       -1, 0) != 1 ||
	    X509_set_issuer_name(x, name) != 1 || X509_set_pubkey(x, key) != 1 ||
	    add_extension(x, NID_basic_constraints, "critical,CA:FALSE") < 0 ||
	    add_extension(x, NID_subject_alt_name, names) < 0 ||
	    X509_sign(x, key, EVP_sha256()) == 0)
		return -EIO;
	return 0;
}

/* Beside its name, on disk, then renamed; the directory is synced by the caller. */
static int
write_pem(const char *file, BIO *pem, mode_t mode)
{
	char *bytes;
	long len = BIO_get_mem_data(pem, &bytes);

	return len <= 0 ? -EIO : io_replace_file(AT_FDCWD, file, bytes, (size_t)len, mode);
}

static int
write_pair(const struct certificate_files *files, X509 *x, EVP_PKEY *key)
{
	BIO *secret = BIO_new(BIO_s_secmem()), *open = BIO_new(BIO_s_mem());
	int r = -EIO;

	/* the key first: a certificate is a promise that there is one */
	if (secret != NULL && open != NULL &&
	    PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL) == 1 &&
	    PEM_write_bio_X509(open, x) == 1) {
		r = write_pem(files->key, secret, 0600);
		if (r == 0)
			r = write_pem(files->certificate, open, 0644);
	}
	BIO_free(secret);
	BIO_free(open);
	return r;
}

static int
sync_directory_of(const char *file)
{
	char dir[PATH_MAX + 32];
	auto_close int fd = -1;

	(void)snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(file, '/') - file), file);
	fd = openat(AT_FDCWD, dir[0] != '\0' ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int
make_pair(const struct certificate_files *files)
{
	EVP_PKEY *key;
	X509 *x;
	int r;

	if (files->own && mkdirat(AT_FDCWD, files->directory, 0700) < 0 && errno != EEXIST)
		return -errno;
	key = EVP_EC_gen("P-256");
	x = X509_new();
	r = key != NULL && x != NULL ? fill_certificate(x, key) : -ENOMEM;
	if (r == 0)
		r = write_pair(files, x, key);
	X509_free(x);
	EVP_PKEY_free(key);
	if (r == 0)
		r = sync_directory_of(files->key);
	return r == 0 ? sync_directory_of(files->certificate) : r;
}

static bool
is_missing(const char *file)
{
	struct stat st;

	return fstatat(AT_FDCWD, file, &st, 0) < 0 && errno == ENOENT;
}

int
keypair_ensure(const struct certificate_files *files, char *ret_why)
{
	bool certificate = is_missing(files->certificate), key = is_missing(files->key);
	int r;

	if (files->own ? !certificate && !key : !certificate || !key)
		return 0;
	r = make_pair(files);
	if (r < 0)
		return fail(ret_why, r, "cannot make %.180s: %s", files->certificate, strerror(-r));
	return 0;
}

/* --- loading */

/* A key behind a passphrase cannot be used: there is nobody to ask. */
static int
no_passphrase(char *buf, int size, int writing, void *userdata)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)userdata;
	return -1;
}

static int
read_pem(const char *file, char **ret, BIO **ret_bio, size_t *ret_len, char *why)
{
	char *text;
	int r;

	r = io_read_file(AT_FDCWD, file, CERTIFICATE_FILE_MAX, &text, ret_len);
	if (r < 0)
		return fail(why, r, "cannot read %.180s: %s", file, strerror(-r));
	*ret_bio = BIO_new_mem_buf(text, (int)*ret_len);
	if (*ret_bio == NULL) {
		free(text);
		return fail(why, -ENOMEM, "no memory");
	}
	*ret = text;
	return 0;
}

/* The first certificate is ours, those behind it lead to whom clients trust. */
static int
use_chain(SSL_CTX *ctx, BIO *pem, const char *file, struct certificate_info *ret, char *why)
{
	X509 *x = PEM_read_bio_X509(pem, NULL, no_passphrase, NULL);
	int r;

	if (x == NULL)
		return fail(why, -EBADMSG, "%.180s has no certificate", file);
	r = certificate_describe(x, ret);
	if (r == 0 && SSL_CTX_use_certificate(ctx, x) != 1)
		r = -EBADMSG;
	X509_free(x);
	while (r == 0 && (x = PEM_read_bio_X509(pem, NULL, no_passphrase, NULL)) != NULL)
		if (SSL_CTX_add0_chain_cert(ctx, x) != 1) {
			X509_free(x);
			r = -EBADMSG;
		}
	if (r == 0 && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		r = -EBADMSG;
	ERR_clear_error();
	return r < 0 ? fail(why, r, "the certificates in %.180s cannot be used", file) : 0;
}

static int
use_key(SSL_CTX *ctx, const struct certificate_files *files, char *why)
{
	BIO *pem = NULL;
	EVP_PKEY *key;
	char *text;
	size_t len;
	bool ok;
	int r;

	r = read_pem(files->key, &text, &pem, &len, why);
	if (r < 0)
		return r;
	key = PEM_read_bio_PrivateKey(pem, NULL, no_passphrase, NULL);
	BIO_free(pem);
	OPENSSL_cleanse(text, len);
	free(text);
	if (key == NULL)
		return fail(why, -EBADMSG, "%.180s has no key without a passphrase", files->key);
	ok = X509_check_private_key(SSL_CTX_get0_certificate(ctx), key) == 1 &&
	     SSL_CTX_use_PrivateKey(ctx, key) == 1;
	EVP_PKEY_free(key);
	return ok ? 0
		  : fail(why, -EKEYREJECTED, "%.110s is not the key of %.110s", files->key,
			 files->certificate);
}

int
keypair_load(SSL_CTX *ctx, const struct certificate_files *files, struct certificate_info *ret,
	     char *ret_why)
{
	struct certificate_info info;
	BIO *pem = NULL;
	char *text;
	size_t len;
	int r;

	r = read_pem(files->certificate, &text, &pem, &len, ret_why);
	if (r < 0)
		return r;
	r = use_chain(ctx, pem, files->certificate, &info, ret_why);
	BIO_free(pem);
	free(text);
	if (r == 0)
		r = use_key(ctx, files, ret_why);
	if (r == 0)
		*ret = info;
	return r;
}
