#include "client/key.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "client/secret.h"
#include "lib/io.h"
#include "lib/own.h"
#include "lib/users.h"

void
key_done(struct key *k)
{
	EVP_PKEY_free(k->pair);
	*k = (struct key){ .pair = NULL };
}

/* Takes pair over, also on failure. */
static int
init(EVP_PKEY *pair, struct key *ret)
{
	struct key k = { .pair = pair };
	size_t len = sizeof(k.public);

	if (pair == NULL || EVP_PKEY_get_id(pair) != EVP_PKEY_ED25519 ||
	    EVP_PKEY_get_raw_public_key(pair, k.public, &len) != 1 || len != sizeof(k.public)) {
		ERR_clear_error();
		key_done(&k);
		return -EINVAL;
	}
	*ret = k;
	return 0;
}

/* OpenSSL would ask for it by itself. */
static int
no_passphrase(char *dst, int size, int writing, void *arg)
{
	(void)dst;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

int
key_read(int dir, const char *name, struct key *ret)
{
	auto_secret struct secret text = { .text = NULL };
	EVP_PKEY *pair;
	BIO *in;
	int r;

	r = secret_read_file(dir, name, &text);
	if (r < 0)
		return r;
	in = BIO_new_mem_buf(text.text, (int)text.len);
	if (in == NULL)
		return -ENOMEM;
	pair = PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL);
	(void)BIO_free(in);
	return init(pair, ret);
}

/* A new file that is whole, or not there. */
static int
write_new(int dir, const char *name, const void *data, size_t len)
{
	auto_close int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return -errno;
	r = io_write_full(fd, data, len);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dir, name, 0);
	return r;
}

static int
save(const struct key *k, int dir, const char *name)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *text;
	long len;
	int r = -EIO;

	if (out != NULL &&
	    PEM_write_bio_PKCS8PrivateKey(out, k->pair, NULL, NULL, 0, NULL, NULL) == 1) {
		len = BIO_get_mem_data(out, &text);
		r = write_new(dir, name, text, (size_t)len);
	}
	(void)BIO_free(out); /* which wipes it */
	return r;
}

int
key_make(int dir, const char *name, struct key *ret)
{
	auto_key struct key k = { .pair = NULL };
	int r;

	r = init(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), &k);
	if (r < 0)
		return -EIO;
	r = save(&k, dir, name);
	if (r < 0)
		return r;
	*ret = k;
	k.pair = NULL;
	return 0;
}

int
key_sign_login(const struct key *k, const char *user, const uint8_t binding[TLS_CLIENT_BINDING],
	       uint8_t ret[KEY_SIGNATURE_SIZE])
{
	static const char what[] = "ftd/1 login"; /* its NUL is signed, too, as that of user */
	uint8_t text[sizeof(what) + USER_NAME_MAX + 1 + TLS_CLIENT_BINDING];
	size_t user_size = strlen(user) + 1, len = KEY_SIGNATURE_SIZE;
	EVP_MD_CTX *ctx;
	int r;

	if (user_size > USER_NAME_MAX + 1)
		return -EINVAL;
	memcpy(text, what, sizeof(what));
	memcpy(text + sizeof(what), user, user_size);
	memcpy(text + sizeof(what) + user_size, binding, TLS_CLIENT_BINDING);
	ctx = EVP_MD_CTX_new();
	if (ctx == NULL)
		return -ENOMEM;
	r = EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->pair) == 1 &&
		    EVP_DigestSign(ctx, ret, &len, text,
				   sizeof(what) + user_size + TLS_CLIENT_BINDING) == 1 &&
		    len == KEY_SIGNATURE_SIZE
		? 0
		: -EIO;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return r;
}
