#include "daemon/common/certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "lib/clock.h"
#include "lib/io.h"
#include "lib/own.h"
#include "lib/text.h"

/* --- where */

static const char *
state_directory(void)
{
	const char *dir = getenv("STATE_DIRECTORY");

	return dir != NULL ? dir : LOCALSTATEDIR "/lib/ftd";
}

/* An ordinary user's daemon, and a trial of one's own, have no state directory. */
static bool
state_is_ours(void)
{
	return faccessat(AT_FDCWD, state_directory(), W_OK | X_OK, AT_EACCESS) == 0;
}

void
certificate_files(const struct config *c, struct certificate_files *ret)
{
	const char *end = strrchr(c->control_path, '/');

	*ret = (struct certificate_files){ .own = c->tls_certificate[0] == '\0' };
	if (!ret->own) {
		(void)snprintf(ret->certificate, sizeof(ret->certificate), "%s",
			       c->tls_certificate);
		(void)snprintf(ret->key, sizeof(ret->key), "%s", c->tls_key);
		return;
	}
	if (state_is_ours() || end == NULL)
		(void)snprintf(ret->directory, sizeof(ret->directory), "%s/tls", state_directory());
	else
		(void)snprintf(ret->directory, sizeof(ret->directory), "%.*s/tls",
			       (int)(end - c->control_path), c->control_path);
	(void)snprintf(ret->certificate, sizeof(ret->certificate), "%s/certificate.pem",
		       ret->directory);
	(void)snprintf(ret->key, sizeof(ret->key), "%s/key.pem", ret->directory);
}

void
certificate_mark(const struct certificate_files *files, struct certificate_mark *ret)
{
	const char *const paths[] = { files->certificate, files->key };
	struct stat st;

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (fstatat(AT_FDCWD, paths[i], &st, 0) < 0)
			continue;
		ret->file[i].device = (uint64_t)st.st_dev;
		ret->file[i].inode = (uint64_t)st.st_ino;
		ret->file[i].size = (uint64_t)st.st_size;
		ret->file[i].mtime_ns =
		    (int64_t)st.st_mtim.tv_sec * (int64_t)NSEC_PER_SEC + st.st_mtim.tv_nsec;
	}
}

/* --- what */

static int
time_of(const ASN1_TIME *t, int64_t *ret)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return -EBADMSG;
	*ret = timegm(&tm);
	return 0;
}

/* Only what can be shown anywhere: the rest is escaped. */
static int
subject_of(const X509 *x, char *ret)
{
	BIO *mem = BIO_new(BIO_s_mem());
	char *text;
	long len;

	if (mem == NULL)
		return -ENOMEM;
	if (X509_NAME_print_ex(mem, X509_get_subject_name(x), 0,
			       XN_FLAG_ONELINE & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) < 0) {
		BIO_free(mem);
		return -EBADMSG;
	}
	len = BIO_get_mem_data(mem, &text);
	(void)text_escape(ret, CERTIFICATE_SUBJECT_MAX, text, len > 0 ? (size_t)len : 0);
	BIO_free(mem);
	return 0;
}

int
certificate_describe(const X509 *certificate, struct certificate_info *ret)
{
	struct certificate_info info = { 0 };
	unsigned len = 0;
	int r;

	if (X509_digest(certificate, EVP_sha256(), info.fingerprint, &len) != 1 ||
	    len != sizeof(info.fingerprint))
		return -EBADMSG;
	r = time_of(X509_get0_notBefore(certificate), &info.not_before);
	if (r == 0)
		r = time_of(X509_get0_notAfter(certificate), &info.not_after);
	if (r == 0)
		r = subject_of(certificate, info.subject);
	if (r == 0)
		*ret = info;
	return r;
}

int
certificate_read(const char *file, struct certificate_info *ret)
{
	auto_free char *text = NULL;
	X509 *x;
	size_t len;
	BIO *mem;
	int r;

	r = io_read_file(AT_FDCWD, file, CERTIFICATE_FILE_MAX, &text, &len);
	if (r < 0)
		return r;
	mem = BIO_new_mem_buf(text, (int)len);
	if (mem == NULL)
		return -ENOMEM;
	x = PEM_read_bio_X509(mem, NULL, NULL, NULL);
	BIO_free(mem);
	if (x == NULL)
		return -EBADMSG;
	r = certificate_describe(x, ret);
	X509_free(x);
	return r;
}

const char *
certificate_fingerprint_text(const uint8_t *fingerprint, char *buf)
{
	memcpy(buf, "sha256:", 7);
	(void)text_hex(buf + 7, fingerprint, CERTIFICATE_FINGERPRINT);
	return buf;
}
